// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The life of an event stream, from its ready function's start to `onDisconnect`.
///
/// The article <doc:LifeOfAnEventStream> has a diagram. The ready function runs at most once, in its own task.
/// `onDisconnect` is called once, in another task, and only if the stream was attached to a connection or its ready
/// function has started.
///
/// Reentrancy: callbacks run outside of the lock and may call any method.
final class StreamLife: Sendable {
    private enum Phase {
        case idle(EventStream.Ready)
        /// Running; the actions are called when it has returned.
        case running([@Sendable () -> Void])
        /// The ready function has returned, or is never called. It and its captures are released, as the stream may
        /// stay open for long. The error was thrown before the stream opened, so it becomes an HTTP status.
        case over((any Error)?)
    }

    let channel: EventChannel
    let retry: Duration?
    /// Whether the ready function runs before the head is written.
    let opensWithEvent: Bool
    private let lifetime: EventStream.Lifetime
    private let onError: (@Sendable (any Error) -> ServerSentEvent?)?
    private let onDisconnect: EventStream.OnDisconnect?
    private let phase: Mutex<Phase>

    init(
        options: EventStreamOptions,
        opensWithEvent: Bool,
        lifetime: EventStream.Lifetime,
        onDisconnect: EventStream.OnDisconnect?,
        ready: @escaping EventStream.Ready
    ) {
        channel = EventChannel(options)
        retry = options.retry
        self.opensWithEvent = opensWithEvent
        self.lifetime = lifetime
        onError = options.onError
        self.onDisconnect = onDisconnect
        phase = Mutex(.idle(ready))
    }

    /// Whether the stream stays open after its ready function returns.
    var isOpenEnded: Bool { !lifetime.endsWithReadyFunction }

    // MARK: - The ready function

    /// Starts the ready function, unless it was already started or the channel is closed.
    ///
    /// Its task is cancelled when the stream ends for a reason that the application did not choose.
    func start(logger: Logger) {
        let isClosed = channel.isClosed
        let task = phase.withLock { phase -> Task<Void, Never>? in
            switch phase {
            case .idle where isClosed:
                phase = .over(nil)
                return nil
            case .idle(let ready):
                let task = Task { await run(ready, logger) }
                phase = .running([])
                return task
            case .running, .over:
                return nil
            }
        }
        if let task { channel.onCancellation { task.cancel() } }
    }

    /// Prevents the ready function from starting.
    func preventStart() {
        phase.withLock { phase in
            if case .idle = phase { phase = .over(nil) }
        }
    }

    /// Calls an action when the ready function has returned; at once if it is not running.
    func whenReturned(_ action: @escaping @Sendable () -> Void) {
        let isRunning = phase.withLock { phase in
            guard case .running(let actions) = phase else { return false }
            phase = .running(actions + [action])
            return true
        }
        if !isRunning { action() }
    }

    /// Waits for the ready function to return; cancelling the wait ends the stream, which cancels the function.
    ///
    /// - Throws: The error that it threw before the stream opened.
    func returned() async throws {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in whenReturned { continuation.resume() } }
        } onCancel: {
            channel.disconnect(.clientClosed)
        }
        let failure = phase.withLock { phase -> (any Error)? in
            if case .over(let failure) = phase { failure } else { nil }
        }
        if let failure { throw failure }
    }

    /// Runs the ready function; an error ends the stream.
    private func run(_ ready: EventStream.Ready, _ logger: Logger) async {
        var failure: (any Error)?
        do {
            try await ready(channel)
            if lifetime.endsWithReadyFunction { channel.close() }
        } catch {
            if opensWithEvent, channel.endUnlessOpened(.applicationFailed) {
                // The head has not been written, so the error can still become an HTTP status.
                failure = error
            } else {
                fail(error, logger)
            }
        }
        // The cancellation action would retain the finished task.
        channel.forgetCancellation()
        let actions = phase.withLock { phase -> [@Sendable () -> Void] in
            guard case .running(let actions) = phase else { return [] }
            phase = .over(failure)
            return actions
        }
        for action in actions { action() }
    }

    private func fail(_ error: any Error, _ logger: Logger) {
        let message: Logger.Message = "the ready function of an event stream failed"
        guard channel.isClosed else {
            logger.error(message, metadata: ["error": "\(error)"])
            let lastEvent = error is CancellationError ? nil : onError?(error)
            return channel.end(.applicationFailed, lastEvent: lastEvent)
        }
        // The stream's end causes cancellation and closed-channel errors. It also causes most others thrown in a
        // cancelled task, such as the failure of a request in progress.
        if error is CancellationError || error is EventChannelClosed { return }
        logger.log(level: Task.isCancelled ? .debug : .error, message, metadata: ["error": "\(error)"])
    }

    // MARK: - The end

    /// Ends a stream that is never attached to a connection.
    func abandon(_ reason: StreamEnd) {
        channel.disconnect(reason)
        preventStart()
        // A ready function that never started has set up nothing for `onDisconnect` to undo.
        guard opensWithEvent, let end = takeEnd() else { return }
        Task { await end() }
    }

    /// Calls `onDisconnect`, once, after the end of a stream that was attached to a connection.
    func finished() async {
        preventStart()
        await takeEnd()?()
    }

    /// Returns the function that calls `onDisconnect`, on the first call after the stream's end; nil otherwise.
    private func takeEnd() -> (@Sendable () async -> Void)? {
        guard let reason = channel.finished() else { return nil }
        return { [self, onDisconnect] in
            if isOpenEnded { try? await returned() }
            await onDisconnect?(reason)
        }
    }
}
