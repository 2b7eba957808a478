// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

package import Logging
package import PlinthHub
import Synchronization

/// A thread that owns sockets and delivers events to them: `epoll`, and one `send` for all events due to a subscriber.
///
/// The HTTP server hands off a socket after writing the response head; from then on only the reactor uses it. Streams
/// are confined to the reactor's thread: other threads queue work under a lock, and wake the thread once for all of it.
/// No function blocks except for that lock, and no closure is called under it. Every function may be called from any
/// thread, even from the closures that the reactor calls.
///
/// `deinit` closes the reactor's own two descriptors.
package final class Reactor: DeliveryGroup {
    let logger: Logger
    let poller: Poller
    let state: Mutex<ReactorState>
    private let currentTurn: @Sendable () -> Turn?

    /// Creates a reactor; ``start()`` starts its thread.
    ///
    /// - Parameters:
    ///   - history: Read for subscribers that are behind.
    ///   - options: The options of all streams.
    ///   - head: A position in history: all events after it are passed to ``enqueue(_:)``.
    ///   - logger: Receives failures.
    ///   - currentTurn: The calling thread's turn; nil if it has none. Default: no thread has one.
    /// - Throws: ``ReactorError`` if the system has no descriptors left.
    package init(
        history: any History,
        options: StreamOptions,
        head: Position,
        logger: Logger,
        currentTurn: @escaping @Sendable () -> Turn? = { nil }
    ) throws(ReactorError) {
        self.logger = logger
        self.currentTurn = currentTurn
        state = Mutex(ReactorState(ReactorState.Plan(history: history, options: options, head: head)))
        poller = try Poller.open()
    }

    deinit {
        // A running thread retains the reactor, so none is left to close sockets that are still queued.
        finish()
    }

    /// Starts the thread.
    ///
    /// Does nothing if it has started already, or after ``stop()``.
    ///
    /// - Throws: ``ReactorError`` if the system cannot create a thread.
    package func start() throws(ReactorError) {
        guard let plan = state.withLock({ $0.begin() }) else { return }
        do {
            try ReactorThread.start { [self] in
                var loop = ReactorLoop(self, plan)
                loop.run()
            }
        } catch {
            // If stopped meanwhile, no thread is left to clean up.
            if state.withLock({ $0.didNotBegin(plan) }) { finish() }
            throw error
        }
    }

    package func enqueue(_ entries: [HistoryEntry]) {
        let turn = currentTurn()
        if state.withLock({ $0.add(entries, in: turn?.id) }) { wake(turn) }
    }

    /// Wakes the thread, at the end of the caller's turn if it has one.
    private func wake(_ turn: Turn?) {
        guard let turn else { return poller.wake() }
        turn.atEnd { [self] in
            if state.withLock({ $0.keepPromise(turn.id) }) { poller.wake() }
        }
    }

    /// Takes ownership of a connected socket whose response head has been written.
    ///
    /// The socket may be in any state that a client can cause: closed, reset, half-closed, full of input. If the
    /// reactor is draining or stopped, it closes the socket at once and ends the stream with
    /// ``StreamEnd/serverDraining``.
    ///
    /// - Parameters:
    ///   - descriptor: The socket; the reactor owns it from now on, whatever happens.
    ///   - request: The stream. Its `onEnd` is called once, when the socket is closed.
    package func handOff(_ descriptor: CInt, _ request: StreamRequest) {
        guard descriptor >= 0 else { return request.onEnd(.writeFailed) }
        let handOff = ReactorState.HandOff(socket: StreamSocket(descriptor: descriptor), request: request)
        let turn = currentTurn()
        guard let wakes = state.withLock({ $0.add(handOff, in: turn?.id) }) else {
            handOff.socket.close()
            return request.onEnd(.serverDraining)
        }
        if wakes { wake(turn) }
    }

    /// Ends streams gracefully: completes the event being written, then the body.
    ///
    /// - Parameters:
    ///   - isMeant: Selects the streams; called on the reactor's thread.
    ///   - reason: Passed to their `onEnd`.
    package func end(where isMeant: @escaping StreamPredicate, reason: StreamEnd) {
        if state.withLock({ $0.add(.end(isMeant, reason)) }) ?? false { poller.wake() }
    }

    /// Ends all streams gracefully, and refuses further hand-offs.
    package func drain() {
        let wakes = state.withLock { state in
            state.isDraining = true
            return state.add(.drain) ?? false
        }
        if wakes { poller.wake() }
    }

    /// Closes all sockets at once and ends the thread, without waiting for it.
    package func stop() {
        // Without a thread, this one cleans up.
        let ends = state.withLock { state in
            guard state.phase == .idle else { return false }
            state.phase = .stopping
            return true
        }
        if ends { return finish() }
        if state.withLock({ $0.stop() }) { poller.wake() }
    }

    /// Closes queued sockets and answers queued commands that no turn will take; called last.
    func finish() {
        while true {
            let work = state.withLock { state in
                let work = state.take()
                if work.isEmpty { state.end() }
                return work
            }
            if work.isEmpty { break }
            for command in work.commands {
                if case .countBehind(let continuation) = command { continuation.resume(returning: 0) }
            }
            for handOff in work.handOffs {
                handOff.socket.close()
                handOff.request.onEnd(.serverDraining)
            }
            didTell(work.handOffs.count)
        }
    }

    /// Counts off closed sockets whose owners have been notified.
    func didTell(_ count: Int) {
        guard count > 0 else { return }
        for waiter in state.withLock({ $0.didTell(count) }) { waiter.resume() }
    }

    // MARK: - Status

    /// The number of sockets handed off whose owners have not been notified of their end.
    package var count: Int { state.withLock { $0.open } }

    /// The number of sockets whose stream has ended and that wait, up to 2 s, for the client to close.
    package var lingering: Int { state.withLock { $0.lingering } }

    /// The most sockets that had unread input, sent after their requests, at the end of any turn.
    package var mostUnread: Int { state.withLock { $0.mostUnread } }

    /// Returns the deliveries since the previous call.
    package func takeTally() -> DeliveryTally {
        state.withLock { state in
            defer { state.tally = DeliveryTally() }
            return state.tally
        }
    }

    /// The number of subscribers that are not live: their connection does not keep up, or they read history.
    package func countBehind() async -> Int {
        await withCheckedContinuation { continuation in
            guard let wakes = state.withLock({ $0.add(.countBehind(continuation)) }) else {
                return continuation.resume(returning: 0)
            }
            if wakes { poller.wake() }
        }
    }

    /// Returns when ``count`` is 0, or when the task is cancelled.
    package func waitUntilEmpty() async {
        let waiter = state.withLock { $0.makeWaiter() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = state.withLock { $0.add(waiter, continuation, isCancelled: Task.isCancelled) }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.removeWaiter(waiter) }?.resume()
        }
    }
}

#endif
