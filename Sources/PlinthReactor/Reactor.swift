// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

package import Logging
package import PlinthHub
import Synchronization

/// A thread that owns sockets and brings events to them: `epoll`, one `send` for all that a subscriber has to get.
///
/// The HTTP server hands over a socket whose head it has written; from then on the socket is the reactor's alone. All of a
/// stream's life is on the reactor's thread: other threads put what they want under a lock and wake it, once for all that
/// waits. No function here blocks for longer than that lock, and no closure is called under it, so each may be called from
/// anywhere, also from the closures that the reactor calls.
///
/// Descriptors of its own, two, are closed when it is deinitialised.
package final class Reactor: DeliveryGroup {
    let logger: Logger
    let poller: Poller
    let state: Mutex<ReactorState>

    /// A reactor whose thread has not begun.
    ///
    /// - Parameters:
    ///   - history: Where subscribers read that are behind.
    ///   - options: What holds for all streams.
    ///   - head: A position in history: all events beyond it are handed to ``enqueue(_:)``.
    ///   - logger: Is told what goes wrong.
    /// - Throws: ``ReactorError`` if there are no descriptors for it.
    package init(
        history: any History,
        options: StreamOptions,
        head: Position,
        logger: Logger
    ) throws(ReactorError) {
        self.logger = logger
        state = Mutex(ReactorState(ReactorState.Plan(history: history, options: options, head: head)))
        poller = try Poller.open()
    }

    deinit {
        // Its thread keeps it: there is none, or none any more. What came in without one is still to be closed.
        finish()
    }

    /// Begins, once; called again, or after ``stop()``, it does nothing.
    ///
    /// - Throws: ``ReactorError`` if the system has no thread.
    package func start() throws(ReactorError) {
        guard let plan = state.withLock({ $0.begin() }) else { return }
        do {
            try ReactorThread.start { [self] in
                var loop = ReactorLoop(self, plan)
                loop.run()
            }
        } catch {
            // It may have been stopped since: then nobody else does what is left.
            if state.withLock({ $0.didNotBegin(plan) }) { finish() }
            throw error
        }
    }

    /// Takes events for delivery; see ``DeliveryGroup``.
    ///
    /// - Parameter entries: Events in their order, beyond all of earlier calls.
    package func enqueue(_ entries: [HistoryEntry]) {
        if state.withLock({ $0.add(entries) }) { poller.wake() }
    }

    /// Takes a connected socket, whose head has been written.
    ///
    /// It may be in any state that a client can bring it to: closed, reset, half closed, full of input. If the reactor is
    /// draining or has been stopped the socket is closed at once, and its end is ``StreamEnd/serverDraining``.
    ///
    /// - Parameters:
    ///   - descriptor: The socket; the reactor's own from now on, whatever happens.
    ///   - request: What it gets, and who is told of its end: once, when it is closed.
    package func handOff(_ descriptor: CInt, _ request: StreamRequest) {
        guard descriptor >= 0 else { return request.onEnd(.writeFailed) }
        let handOff = ReactorState.HandOff(socket: StreamSocket(descriptor: descriptor), request: request)
        guard let wakes = state.withLock({ $0.add(handOff) }) else {
            handOff.socket.close()
            return request.onEnd(.serverDraining)
        }
        if wakes { poller.wake() }
    }

    /// Ends streams properly: what is under way is completed, and the body is.
    ///
    /// - Parameters:
    ///   - isMeant: Which; called on the reactor's thread.
    ///   - reason: What their owners are told.
    package func end(where isMeant: @escaping @Sendable (Selection) -> Bool, reason: StreamEnd) {
        if state.withLock({ $0.add(.end(isMeant, reason)) }) ?? false { poller.wake() }
    }

    /// Ends all streams properly, and adopts no more.
    package func drain() {
        let wakes = state.withLock { state in
            state.isDraining = true
            return state.add(.drain) ?? false
        }
        if wakes { poller.wake() }
    }

    /// Closes what is left, at once, and ends the thread; it does not wait for that.
    package func stop() {
        // Without a thread it is done here.
        let ends = state.withLock { state in
            guard state.phase == .idle else { return false }
            state.phase = .stopping
            return true
        }
        if ends { return finish() }
        if state.withLock({ $0.stop() }) { poller.wake() }
    }

    /// Closes what came in and was not looked at any more; the last that happens.
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

    /// So many sockets are closed, and their owners told.
    func didTell(_ count: Int) {
        guard count > 0 else { return }
        for waiter in state.withLock({ $0.didTell(count) }) { waiter.resume() }
    }

    // MARK: - What it says of itself

    /// The number of sockets that it owns: until the owner of each has been told of its end.
    package var count: Int { state.withLock { $0.open } }

    /// The number of those whose stream has ended, and which wait, up to two seconds, for the client to close.
    package var lingering: Int { state.withLock { $0.lingering } }

    /// The most sockets that had, at the end of any turn, more input than a turn reads: what clients sent behind their requests.
    package var mostUnread: Int { state.withLock { $0.mostUnread } }

    /// What was done since this was last called.
    package func takeTally() -> DeliveryTally {
        state.withLock { state in
            defer { state.tally = DeliveryTally() }
            return state.tally
        }
    }

    /// The number of subscribers that are not live: those whose connection does not keep up, or that read history.
    package func countBehind() async -> Int {
        await withCheckedContinuation { continuation in
            guard let wakes = state.withLock({ $0.add(.countBehind(continuation)) }) else {
                return continuation.resume(returning: 0)
            }
            if wakes { poller.wake() }
        }
    }

    /// Returns when it owns no socket, or when the task is cancelled.
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
