// SPDX-License-Identifier: Apache-2.0

/// An event stream as the body of a response: a channel, and the ready function that uses it.
///
/// Most code needs none of this and writes ``Interceptor/eventStream(_:options:onDisconnect:_:)`` or
/// ``eventStreamHandler(options:onDisconnect:_:)``. Make one by hand to answer with a stream from within a handler:
///
/// ```swift
/// Route.get("/ticks") { request in
///     .eventStream(EventStream { events in await events.send("tick") })
/// }
/// ```
public struct EventStream: Sendable {
    /// A function that gets the channel of a stream that is ready for events.
    public typealias Ready = @Sendable (EventChannel) async throws -> Void
    /// Is told why a stream ended, once.
    public typealias OnDisconnect = @Sendable (DisconnectReason) async -> Void

    /// Whether the stream ends with its ready function.
    public struct Lifetime: Sendable, Hashable {
        let endsWithReadyFunction: Bool

        /// The stream ends when the ready function returns.
        public static let scoped = Lifetime(endsWithReadyFunction: true)
        /// The stream stays open when the ready function has returned, until someone closes the channel or the client
        /// leaves.
        public static let open = Lifetime(endsWithReadyFunction: false)
    }

    /// The stream's channel.
    public let channel: EventChannel

    let options: EventStreamOptions
    private let lifetime: Lifetime
    private let ready: Ready
    private let onDisconnect: OnDisconnect?
    /// Where the ready function already runs, if the stream opens with its first event.
    private let running: Task<Void, any Error>?

    /// A stream that opens at once, whatever `options.opens` says: the head is written, then the ready function runs.
    ///
    /// - Parameters:
    ///   - options: Heartbeat, buffer and the rest; all defaults unless given.
    ///   - lifetime: Whether the stream ends with the ready function; it does unless told otherwise.
    ///   - onDisconnect: Is told why the stream ended, once, in a task of its own, after the stream has ended.
    ///   - ready: Sends events. It runs in the request's task, which is cancelled when the stream ends for a reason that
    ///     the application did not choose. An error that it throws ends the stream and is logged.
    public init(
        options: EventStreamOptions = EventStreamOptions(),
        lifetime: Lifetime = .scoped,
        onDisconnect: OnDisconnect? = nil,
        ready: @escaping Ready
    ) {
        self.init(
            channel: EventChannel(options),
            options: options,
            lifetime: lifetime,
            onDisconnect: onDisconnect,
            ready: ready,
            running: nil
        )
    }

    private init(
        channel: EventChannel,
        options: EventStreamOptions,
        lifetime: Lifetime,
        onDisconnect: OnDisconnect?,
        ready: @escaping Ready,
        running: Task<Void, any Error>?
    ) {
        self.channel = channel
        self.options = options
        self.lifetime = lifetime
        self.onDisconnect = onDisconnect
        self.ready = ready
        self.running = running
    }

    /// A stream that opens as `options.opens` says; with the first event it returns when that is there.
    ///
    /// - Parameters: As for ``init(options:lifetime:onDisconnect:ready:)``. With ``EventStreamOptions/Opening/withFirstEvent``
    ///   the ready function runs in a task of its own from now on.
    /// - Throws: What the ready function throws before its first event; `CancellationError` if the client leaves before it.
    static func opening(
        options: EventStreamOptions,
        lifetime: Lifetime,
        onDisconnect: OnDisconnect?,
        logger: Logger,
        ready: @escaping Ready
    ) async throws -> EventStream {
        guard options.opens.waitsForFirstEvent else {
            return EventStream(options: options, lifetime: lifetime, onDisconnect: onDisconnect, ready: ready)
        }
        let channel = EventChannel(options)
        let run = ReadyRun(channel: channel, options: options, lifetime: lifetime, logger: logger)
        // Not a child of the request's task: that one goes on to write the head while this one waits for room or for the
        // next event. The channel cancels it when the stream ends.
        let running = Task {
            defer { channel.releaseCancellation() }
            try await run(ready, throwingBeforeFirstEvent: true)
        }
        channel.onCancellation { running.cancel() }
        let hasEvents = await withTaskCancellationHandler {
            await channel.firstEvent()
        } onCancel: {
            channel.disconnect(.clientClosed)
        }
        if !hasEvents {
            // It has ended, or the client has left and it has been cancelled: either way it comes back.
            try await running.value
            try Task.checkCancellation()
        }
        return EventStream(
            channel: channel,
            options: options,
            lifetime: lifetime,
            onDisconnect: onDisconnect,
            ready: ready,
            running: running
        )
    }

    // MARK: - For connectors

    /// The bytes that open the stream: a comment so that every client sees it open, and the reconnection time.
    package var preamble: [UInt8] {
        var bytes: [UInt8] = []
        if let retry = options.retry {
            // Whole milliseconds, as clients read them, of what the application gave.
            let milliseconds = max(0, retry.clampedNanoseconds / 1_000_000)
            if let block = try? EventStreamBlock.retry(.milliseconds(milliseconds)) { block.encode(into: &bytes) }
        } else if running == nil {
            bytes = Heartbeat.comment
        }
        return bytes
    }

    /// Whether the ready function is still to be run: not if the stream opened with its first event.
    package var needsStart: Bool { running == nil }

    /// Runs the ready function, unless it already runs. The channel has its transport by now.
    package func start(logger: Logger) async {
        guard needsStart else { return }
        let run = ReadyRun(channel: channel, options: options, lifetime: lifetime, logger: logger)
        // Before the first event nothing is thrown, since the head has been written.
        try? await run(ready, throwingBeforeFirstEvent: false)
    }

    /// Tells the application that the stream has ended, once.
    package func finished() async {
        guard let reason = channel.finished() else { return }
        await onDisconnect?(reason)
    }

    /// Gives up a stream that never got a connection.
    package func abandon(_ reason: DisconnectReason) {
        channel.disconnect(reason)
        // The ready function of a stream that had not begun has nothing to be told.
        guard running != nil else { return }
        let stream = self
        // The chain that gave the stream up has ended, so there is no task that could wait for this one.
        Task { await stream.finished() }
    }
}
