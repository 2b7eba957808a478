// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The application's end of an event stream: put events on it, and the framework does the rest.
///
/// A channel may be used from any task and kept for as long as one likes; events of one task arrive in the order in which
/// they were sent. It buffers as ``EventStreamOptions/buffer`` says. Once the client has left, or the stream has ended for
/// another reason, everything that sends says so and does nothing else: that is the normal end of a stream, no error.
public final class EventChannel: Sendable {
    /// Who serves the channel, for a transport that has many.
    ///
    /// Invariant: touched on that transport's executor only. Whoever wakes ten thousand channels then need not look at
    /// their connections, which another core has in its cache.
    package nonisolated(unsafe) var connection: (any EventStreamConnection)?
    private let state: Mutex<EventChannelState>

    /// How many nanoseconds a connection may take nothing of what is due to it; the largest number for no limit.
    ///
    /// Outside of the lock: a transport needs it whenever a connection stalls.
    package let writeTimeout: Int64

    init(_ options: EventStreamOptions) {
        writeTimeout = options.writeTimeout?.clampedNanoseconds ?? .max
        state = Mutex(EventChannelState(options))
    }

    // MARK: - Sending

    /// Sends an event, and waits while the buffer is full.
    ///
    /// - Parameter event: The event.
    /// - Returns: Whether the channel took the event. False means that the stream is over, or that the task was cancelled
    ///   while it waited. True does not mean that the client has read it.
    @discardableResult
    public func send(_ event: ServerSentEvent) async -> Bool {
        switch offer(event) {
        case .accepted: return true
        case .closed: return false
        case .full: return await wait(event)
        }
    }

    /// Sends a text as the data of an event without type or ID, and waits while the buffer is full.
    ///
    /// - Parameter data: The data.
    /// - Returns: Whether the channel took it, as for an event.
    @discardableResult
    public func send(_ data: String) async -> Bool {
        await send(ServerSentEvent(data: data))
    }

    /// Sends a value as JSON, and waits while the buffer is full.
    ///
    /// - Parameters:
    ///   - value: Becomes the data, on one line.
    ///   - type: The event's type; none unless given.
    ///   - id: The event's ID; none unless given.
    /// - Returns: Whether the channel took it, as for an event.
    /// - Throws: What encoding throws; ``/PlinthEvents/ServerSentEventError`` if type or ID is not valid.
    @discardableResult
    public func send<Value: Encodable>(_ value: Value, type: String? = nil, id: String? = nil) async throws -> Bool {
        await send(try ServerSentEvent(json: value, type: type, id: id))
    }

    /// Sends an event if there is room now; never waits.
    ///
    /// - Parameter event: The event.
    /// - Returns: Whether the channel took it, was full, or is closed.
    @discardableResult
    public func offer(_ event: ServerSentEvent) -> OfferResult {
        let (result, actions) = state.withLock { $0.offer(event) }
        perform(actions)
        return result
    }

    /// Sends a text as the data of an event if there is room now; never waits.
    ///
    /// - Parameter data: The data.
    /// - Returns: Whether the channel took it, was full, or is closed.
    @discardableResult
    public func offer(_ data: String) -> OfferResult {
        offer(ServerSentEvent(data: data))
    }

    /// Sends an event, and waits while the buffer is full; for code that would rather unwind than ask.
    ///
    /// - Parameter event: The event.
    /// - Throws: ``EventChannelClosed`` if the stream is over; `CancellationError` if the task was cancelled meanwhile.
    public func sendOrThrow(_ event: ServerSentEvent) async throws {
        guard await send(event) else {
            if let reason = disconnectReason { throw EventChannelClosed(reason: reason) }
            throw CancellationError()
        }
    }

    /// Sends a text as the data of an event without type or ID, and waits while the buffer is full.
    ///
    /// - Parameter data: The data.
    /// - Throws: As for an event.
    public func sendOrThrow(_ data: String) async throws {
        try await sendOrThrow(ServerSentEvent(data: data))
    }

    /// Sends a value as JSON, and waits while the buffer is full.
    ///
    /// - Parameters:
    ///   - value: Becomes the data, on one line.
    ///   - type: The event's type; none unless given.
    ///   - id: The event's ID; none unless given.
    /// - Throws: As for an event; what encoding throws; ``/PlinthEvents/ServerSentEventError`` if type or ID is not
    ///   valid.
    public func sendOrThrow<Value: Encodable>(_ value: Value, type: String? = nil, id: String? = nil) async throws {
        try await sendOrThrow(ServerSentEvent(json: value, type: type, id: id))
    }

    /// Sends a comment, which clients ignore.
    ///
    /// It goes out before the events that are still buffered.
    ///
    /// - Parameter text: What follows the colon; each of its lines becomes a line of the comment.
    /// - Returns: False if the stream is over, or if more than 16 KiB of comments would wait for the client.
    @discardableResult
    public func comment(_ text: String) -> Bool {
        var bytes: [UInt8] = []
        EventStreamBlock.comment(text).encode(into: &bytes)
        let (accepted, actions) = state.withLock { $0.addControl(bytes) }
        perform(actions)
        return accepted
    }

    /// Sends a heartbeat now, as the stream does by itself when it is idle.
    ///
    /// It has the form of ``EventStreamOptions/heartbeat``; where that is off, an empty comment.
    ///
    /// - Returns: False if the stream is over, or if 16 KiB of comments and heartbeats already wait for the client.
    @discardableResult
    public func heartbeat() -> Bool {
        let (accepted, actions) = state.withLock { $0.addHeartbeat() }
        perform(actions)
        return accepted
    }

    // MARK: - Closing

    /// Ends the stream after what is buffered has gone out.
    ///
    /// Those that wait in ``send(_:)-(ServerSentEvent)`` get false. Closing a channel again does nothing.
    ///
    /// - Parameter lastEvent: Goes out behind all others, even if the buffer is full.
    public func close(after lastEvent: ServerSentEvent? = nil) {
        end(.applicationClosed, lastEvent: lastEvent)
    }

    /// Whether the stream is over: events are not accepted any more.
    public var isClosed: Bool {
        state.withLock { $0.isClosed }
    }

    /// Why the stream is over, nil while it is not.
    public var disconnectReason: StreamEnd? {
        state.withLock { $0.reason }
    }

    // MARK: - For transports and connectors

    /// How many senders wait for room.
    package var waitingSenders: Int {
        state.withLock { $0.waitingSenders }
    }

    /// Ends the stream for any reason after what is buffered has gone out.
    ///
    /// The first reason counts.
    ///
    /// - Parameters:
    ///   - reason: Why.
    ///   - lastEvent: Goes out behind all others, even if the buffer is full.
    package func end(_ reason: StreamEnd, lastEvent: ServerSentEvent? = nil) {
        perform(state.withLock { $0.end(reason, lastEvent: lastEvent) })
    }

    /// Gives the channel its connection, once.
    ///
    /// What was sent before goes out now. A second connection is a mistake of the application, which answered two requests
    /// with one stream: it ends the stream, with ``StreamEnd/applicationFailed``.
    ///
    /// - Parameters:
    ///   - transport: Is woken when there is something to pull.
    ///   - preamble: Bytes before everything else: the opening comment.
    ///   - metrics: Where to count, nil for nowhere.
    ///   - now: The time, from which heartbeats and the stream's age count.
    /// - Returns: Whether the transport serves the channel from now on. Otherwise there is nothing but an end to pull.
    @discardableResult
    package func attach(
        _ transport: any EventStreamTransport,
        preamble: [UInt8],
        metrics: EventStreamMetrics?,
        now: MonotonicTime
    ) -> Bool {
        let (isOpened, isServed, actions) = state.withLock {
            $0.attach(transport, preamble: preamble, metrics: metrics, now: now)
        }
        if isOpened { metrics?.opened() }
        perform(actions)
        return isServed
    }

    /// Whether the channel has its connection.
    var isAttached: Bool {
        state.withLock { $0.isAttached }
    }

    /// Appends the bytes that are due.
    ///
    /// - Parameters:
    ///   - bytes: Where the bytes go.
    ///   - limit: No further event is taken once this many bytes have been appended.
    ///   - now: The time, from which the next heartbeat counts.
    /// - Returns: Whether there were any, and what to expect next.
    package func pull(into bytes: inout [UInt8], limit: Int, now: MonotonicTime) -> EventStreamPull {
        let start = bytes.count
        var sizes: [Int]?
        let (result, events, actions, metrics) = state.withLock { state in
            if state.metrics != nil { sizes = [] }
            let (result, events, actions) = state.pull(into: &bytes, limit: limit, now: now, sizes: &sizes)
            return (result, events, actions, state.metrics)
        }
        perform(actions)
        metrics?.sent(events: events, bytes: bytes.count - start, sizes: sizes ?? [])
        return result
    }

    /// The connection is gone: ends the stream at once.
    ///
    /// - Parameter reason: Why, unless the stream was ending already for another reason.
    package func disconnect(_ reason: StreamEnd) {
        perform(state.withLock { $0.disconnect(reason) })
    }

    /// What is due at this time.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - stalledSince: Since when the connection has taken nothing although there was something for it.
    /// - Returns: What the transport has to do, or when to ask again.
    package func tick(now: MonotonicTime, stalledSince: MonotonicTime? = nil) -> EventStreamTick {
        let (tick, actions) = state.withLock { $0.tick(now: now, stalledSince: stalledSince) }
        perform(actions)
        return tick
    }

    /// The first moment at which ``tick(now:stalledSince:)`` may have something to say.
    package var firstTick: MonotonicTime {
        state.withLock { $0.timing.first }
    }

    /// Adds what cancels the application's part when the stream ends for a reason that the application did not choose.
    ///
    /// - Parameter action: Called once, or never. At once if the stream has ended.
    package func onCancellation(_ action: @escaping @Sendable () -> Void) {
        perform(state.withLock { $0.onCancellation(action) })
    }

    /// The application's part is over: what would cancel it, and the task that this keeps in memory, can go.
    func forgetCancellation() {
        state.withLock { $0.forgetCancellation() }
    }

    /// The stream has ended and its transport is done: counts it.
    ///
    /// - Returns: Why it ended, the first time; nil after that.
    package func finished() -> StreamEnd? {
        let (reason, metrics) = state.withLock { ($0.finished(), $0.metrics) }
        if let reason { metrics?.ended(reason) }
        return reason
    }

    /// Whether there is, or was, an event to send.
    var hasEvents: Bool {
        state.withLock { $0.hasEvents }
    }

    /// Whether the head is due: there is an event, or it has been waited for long enough.
    var hasOpened: Bool {
        state.withLock { $0.hasOpened }
    }

    /// Whether the head goes out although there is no event.
    var opensWithoutEvent: Bool {
        state.withLock { $0.opensWithoutEvent }
    }

    /// Has the head written although there is no event.
    func openWithoutEvent() {
        perform(state.withLock { $0.openWithoutEvent() })
    }

    /// Waits for the first event, for the time that it may take, or for the end of a stream that has none.
    ///
    /// - Returns: Whether the head is due.
    func firstEvent() async -> Bool {
        await withCheckedContinuation { continuation in
            let answer = state.withLock { $0.awaitFirstEvent(continuation) }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    // MARK: - Parts

    private func wait(_ event: ServerSentEvent) async -> Bool {
        let id = state.withLock { $0.nextWaiterID() }
        let accepted = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                perform(state.withLock { $0.send(event, waiter: id, continuation) })
            }
        } onCancel: {
            perform(state.withLock { $0.cancelWaiter(id) })
        }
        state.withLock { $0.forgetWaiter(id) }
        return accepted
    }

    private func perform(_ actions: EventChannelState.Actions) {
        actions.cancel?()
        for continuation in actions.resumed { continuation.resume(returning: true) }
        for continuation in actions.refused { continuation.resume(returning: false) }
        if let opened = actions.opened {
            opened.resume(returning: state.withLock { $0.hasOpened })
        }
        if actions.dropped > 0 { state.withLock { $0.metrics }?.dropped(actions.dropped) }
        actions.wake?.wake(self)
    }
}

/// A send on a channel whose stream is over.
public struct EventChannelClosed: Error, CustomStringConvertible {
    /// Why the stream is over.
    public let reason: StreamEnd

    /// The reason in words.
    public var description: String { "the event stream is over: \(reason)" }
}
