// SPDX-License-Identifier: Apache-2.0

/// An event stream as the body of a response: a channel, and the ready function that uses it.
///
/// Most code uses ``eventStreamHandler(options:onDisconnect:_:)`` or
/// ``Interceptor/eventStream(_:options:onDisconnect:_:)-(_,_,_,(EventChannel,Context)->Void)`` instead. Create one to
/// answer with a stream from within a handler:
///
/// ```swift
/// Route.get("/ticks") { request in
///     .eventStream(EventStream { events in await events.send("tick") })
/// }
/// ```
///
/// A stream answers one request.
public struct EventStream: Sendable {
    /// Receives the channel once events may be sent.
    public typealias Ready = @Sendable (EventChannel) async throws -> Void
    /// Receives the reason for a stream's end, once.
    ///
    /// Called in its own task after the stream has ended, if its head was written with a body or its ready function has
    /// started. For a stream that stays open after its ready function (``Lifetime/open``), it is called after that
    /// function has returned, so it can undo what the function set up. A graceful shutdown waits for it, if the stream
    /// had its connection.
    public typealias OnDisconnect = @Sendable (StreamEnd) async -> Void

    /// Whether the stream ends when its ready function returns.
    public struct Lifetime: Sendable, Hashable {
        let endsWithReadyFunction: Bool

        /// The stream ends when the ready function returns.
        public static let scoped = Lifetime(endsWithReadyFunction: true)
        /// The stream stays open after the ready function returns, until its channel is closed or the client leaves.
        public static let open = Lifetime(endsWithReadyFunction: false)
    }

    /// Abandons a stream whose last copy is released before it was attached to a connection.
    ///
    /// An interceptor has then replaced the response, and no client receives what the ready function sends.
    private final class Holder: Sendable {
        let life: StreamLife

        init(_ life: StreamLife) { self.life = life }

        deinit {
            if !life.channel.isAttached { life.abandon(.applicationClosed) }
        }
    }

    /// The stream's channel.
    public var channel: EventChannel { holder.life.channel }

    // One reference, as the chain copies responses.
    private let holder: Holder

    /// Creates a stream that opens at once: the head is written, then the ready function runs.
    ///
    /// `options.opens` is ignored.
    ///
    /// - Parameters:
    ///   - options: The stream's options. Default: every option's own default.
    ///   - lifetime: Whether the stream ends when the ready function returns. Default: it does.
    ///   - onDisconnect: Receives the reason for the stream's end, once. Default: none.
    ///   - ready: Sends events. Its task is cancelled when the stream ends for a reason that the application did not
    ///     choose. An error that it throws is logged and ends the stream. It is not called if the client has already
    ///     left.
    public init(
        options: EventStreamOptions = EventStreamOptions(),
        lifetime: Lifetime = .scoped,
        onDisconnect: OnDisconnect? = nil,
        ready: @escaping Ready
    ) {
        holder = Holder(
            StreamLife(
                options: options,
                opensWithEvent: false,
                lifetime: lifetime,
                onDisconnect: onDisconnect,
                ready: ready
            )
        )
    }

    private init(_ life: StreamLife) {
        holder = Holder(life)
    }

    /// Creates a stream that opens according to `options.opens`, and waits for its first event if it opens with that.
    ///
    /// - Parameters:
    ///   - options: The stream's options. With ``EventStreamOptions/Opening/withFirstEvent``, the ready function starts
    ///     now, in its own task.
    ///   - lifetime: Whether the stream ends when the ready function returns.
    ///   - onDisconnect: Receives the reason for the stream's end, once.
    ///   - logger: Logs errors of the ready function.
    ///   - ready: Sends events.
    /// - Returns: The stream.
    /// - Throws: Any error that the ready function throws before its first event; `CancellationError` if the client
    ///   leaves before it.
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
        let life = StreamLife(
            options: options,
            opensWithEvent: true,
            lifetime: lifetime,
            onDisconnect: onDisconnect,
            ready: ready
        )
        life.start(logger: logger)
        let channel = life.channel
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
                // The stream has ended or the client has left; in both cases the ready function returns.
                try await life.returned()
                try Task.checkCancellation()
            } catch {
                life.abandon(.clientClosed)
                throw error
            }
        }
        return EventStream(life)
    }

    // MARK: - For connectors

    /// The stream's opening bytes: a comment, so that every client reports it as open, and the reconnection time.
    package var preamble: [UInt8] {
        let life = holder.life
        // A stream that opens with an event needs no comment before it.
        var bytes = !life.opensWithEvent || channel.opensWithoutEvent ? Heartbeat.comment : []
        if let retry = life.retry {
            // `retry` is in whole milliseconds (HTML standard).
            let milliseconds = max(0, retry.clampedNanoseconds / 1_000_000)
            if let block = try? EventStreamBlock.retry(.milliseconds(milliseconds)) { block.encode(into: &bytes) }
        }
        return bytes
    }

    /// Starts the ready function in its own task, unless it started before the stream opened.
    ///
    /// The connector calls this once it has attached the channel to its connection.
    ///
    /// - Parameters:
    ///   - logger: Logs errors of the ready function.
    ///   - onReturn: Called when the ready function has returned.
    package func start(logger: Logger, onReturn: @escaping @Sendable () -> Void = {}) {
        holder.life.start(logger: logger)
        holder.life.whenReturned(onReturn)
    }

    /// Waits for the ready function to return; cancelling the wait ends the stream, which cancels the function.
    package func returned() async {
        try? await holder.life.returned()
    }

    /// Calls `onDisconnect`, once, after the end of a stream that was attached to a connection.
    package func finished() async {
        await holder.life.finished()
    }

    /// Ends a stream that gets no connection: `HEAD`, a status without a body, a client that has left.
    ///
    /// - Parameter reason: Why the stream ends.
    package func abandon(_ reason: StreamEnd) {
        holder.life.abandon(reason)
    }
}
