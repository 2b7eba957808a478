// SPDX-License-Identifier: Apache-2.0

/// An event stream as the body of a response: a channel, and the ready function that uses it.
///
/// Most code needs none of this and writes ``Interceptor/eventStream(_:options:onDisconnect:_:)-(_,_,_,(EventChannel,Context)->Void)`` or
/// ``eventStreamHandler(options:onDisconnect:_:)``. Make one by hand to answer with a stream from within a handler:
///
/// ```swift
/// Route.get("/ticks") { request in
///     .eventStream(EventStream { events in await events.send("tick") })
/// }
/// ```
///
/// A stream answers one request.
public struct EventStream: Sendable {
    /// A function that gets the channel of a stream that is ready for events.
    public typealias Ready = @Sendable (EventChannel) async throws -> Void
    /// Is told why a stream ended, once.
    ///
    /// It is called whenever the ready function has been, in a task of its own, after the stream has ended. If the stream
    /// is of the lifetime ``Lifetime/open``, it is called after the ready function has returned, so that what that one set
    /// up can be undone here.
    public typealias OnDisconnect = @Sendable (StreamEnd) async -> Void

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
    public var channel: EventChannel { parts.channel }

    /// All that belongs to the stream, in one reference: responses are copied on their way through the chain.
    private let parts: EventStreamParts

    /// A stream that opens at once, whatever `options.opens` says: the head is written, then the ready function runs.
    ///
    /// - Parameters:
    ///   - options: Heartbeat, buffer and the rest; all defaults unless given.
    ///   - lifetime: Whether the stream ends with the ready function; it does unless told otherwise.
    ///   - onDisconnect: Is told why the stream ended, once; also of one whose ready function failed before it opened.
    ///   - ready: Sends events. Its task is cancelled when the stream ends for a reason that the application did not
    ///     choose. An error that it throws ends the stream and is logged. If the client has left
    ///     before it could run, it is not called.
    public init(
        options: EventStreamOptions = EventStreamOptions(),
        lifetime: Lifetime = .scoped,
        onDisconnect: OnDisconnect? = nil,
        ready: @escaping Ready
    ) {
        parts = EventStreamParts(
            EventChannel(options),
            ReadyState(ready),
            options: options,
            lifetime: lifetime,
            onDisconnect: onDisconnect,
            isRunning: false
        )
    }

    private init(_ parts: EventStreamParts) {
        self.parts = parts
    }

    /// A stream that opens as `options.opens` says; with the first event it returns when that is there.
    ///
    /// - Parameters:
    ///   - options: Heartbeat, buffer, and when it opens. With ``EventStreamOptions/Opening/withFirstEvent`` the ready
    ///     function runs in a task of its own from now on.
    ///   - lifetime: Whether the stream ends with the ready function.
    ///   - onDisconnect: Is told why the stream ended, once.
    ///   - logger: Where errors of the ready function go.
    ///   - ready: Sends events.
    /// - Returns: The stream.
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
        let state = ReadyState(ready)
        let run = ReadyRun(
            channel: channel,
            state: state,
            lifetime: lifetime,
            onError: options.onError,
            logger: logger
        )
        // Not a child of the request's task: that one goes on to write the head while this one waits for room or for the
        // next event. The channel cancels it when the stream ends.
        let running = Task {
            // A task that has ended is not kept for being cancelled.
            defer { channel.forgetCancellation() }
            guard let ready = state.begin() else { return }
            try await run.runThrowingBeforeFirstEvent(ready)
        }
        channel.onCancellation { running.cancel() }
        let parts = EventStreamParts(
            channel,
            state,
            options: options,
            lifetime: lifetime,
            onDisconnect: onDisconnect,
            isRunning: true
        )
        let opens = options.opens
        let timer = opens.patience.map { patience in
            Task {
                try await opens.sleep(patience)
                channel.openWithoutEvent()
            }
        }
        defer { timer?.cancel() }
        let isOpen = await withTaskCancellationHandler {
            await channel.firstEvent()
        } onCancel: {
            channel.disconnect(.clientClosed)
        }
        if !isOpen {
            do {
                // It has ended, or the client has left and it has been cancelled: either way it comes back.
                try await running.value
                try Task.checkCancellation()
            } catch {
                parts.abandon(.clientClosed)
                throw error
            }
        }
        return EventStream(parts)
    }

    // MARK: - For connectors

    /// The bytes that open the stream: a comment so that every client sees it open, and the reconnection time.
    package var preamble: [UInt8] {
        // An event that opens the stream needs no comment in front of it.
        var bytes = !parts.isRunning || channel.opensWithoutEvent ? Heartbeat.comment : []
        if let retry = parts.retry {
            // Whole milliseconds, as clients read them, of what the application gave.
            let milliseconds = max(0, retry.clampedNanoseconds / 1_000_000)
            if let block = try? EventStreamBlock.retry(.milliseconds(milliseconds)) { block.encode(into: &bytes) }
        }
        return bytes
    }

    /// Runs the ready function, or waits for its end if it already runs.
    ///
    /// The connector calls it when the channel has its connection.
    ///
    /// The connector calls it even if the response has no body in the end (`HEAD`, 304): then the stream is given up.
    ///
    /// - Parameter logger: Where errors of the ready function go.
    package func start(logger: Logger) async {
        if !channel.isAttached, !channel.isClosed { abandon(.clientClosed) }
        await runReadyFunction(logger: logger)
        channel.forgetCancellation()
    }

    /// The ready function of a stream whose head was sent early need not wait for the rest of the chain, if the stream
    /// does not end with it.
    ///
    /// - Parameter logger: Where errors of the ready function go.
    func startEarly(logger: Logger) async {
        // Without a connection there is nothing to start: the request is `HEAD`.
        guard !parts.lifetime.endsWithReadyFunction, channel.isAttached else { return }
        // A task of its own: a connector that started the stream itself does not cancel the chain's when the client leaves.
        let running = Task { await runReadyFunction(logger: logger) }
        channel.onCancellation { running.cancel() }
        await withTaskCancellationHandler {
            await running.value
        } onCancel: {
            running.cancel()
        }
    }

    private func runReadyFunction(logger: Logger) async {
        if channel.isClosed { parts.state.cancel() }
        guard let ready = parts.state.begin() else { return await parts.state.wait() }
        let run = ReadyRun(
            channel: channel,
            state: parts.state,
            lifetime: parts.lifetime,
            onError: parts.onError,
            logger: logger
        )
        await run.run(ready)
    }

    /// Tells the application that the stream has ended, once.
    package func finished() async {
        await parts.finished()
    }

    /// Gives up a stream that never got a connection.
    ///
    /// - Parameter reason: Why.
    package func abandon(_ reason: StreamEnd) {
        parts.abandon(reason)
    }
}

/// What belongs to an event stream.
///
/// When the last copy of a stream goes that never got a connection, because an interceptor answered with something else
/// in the end, a ready function that already runs is cancelled: nobody will ever read what it sends.
final class EventStreamParts: Sendable {
    let channel: EventChannel
    let state: ReadyState
    let lifetime: EventStream.Lifetime
    let retry: Duration?
    let onError: (@Sendable (any Error) -> ServerSentEvent?)?
    /// Whether the ready function has run since before the stream opened.
    let isRunning: Bool
    private let onDisconnect: EventStream.OnDisconnect?

    init(
        _ channel: EventChannel,
        _ state: ReadyState,
        options: EventStreamOptions,
        lifetime: EventStream.Lifetime,
        onDisconnect: EventStream.OnDisconnect?,
        isRunning: Bool
    ) {
        self.channel = channel
        self.state = state
        self.lifetime = lifetime
        self.retry = options.retry
        self.onError = options.onError
        self.isRunning = isRunning
        self.onDisconnect = onDisconnect
    }

    deinit {
        if !channel.isAttached { abandon(.applicationClosed) }
    }

    func abandon(_ reason: StreamEnd) {
        channel.disconnect(reason)
        state.cancel()
        // The ready function of a stream that had not begun has nothing to be told.
        guard isRunning, let tell = ending() else { return }
        // The chain that gave the stream up has ended, so there is no task that could wait for this one.
        Task { await tell() }
    }

    func finished() async {
        // From here on it is never called, so that it cannot come after `onDisconnect`.
        state.cancel()
        await ending()?()
    }

    /// What tells the application of the end, the first time that it is asked for.
    private func ending() -> (@Sendable () async -> Void)? {
        guard let reason = channel.finished() else { return nil }
        return { [state, lifetime, onDisconnect] in
            if !lifetime.endsWithReadyFunction { await state.wait() }
            await onDisconnect?(reason)
        }
    }
}
