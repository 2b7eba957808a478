// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The application's end of an event stream: put events on it, and the framework does the rest.
///
/// A channel may be used from any task and kept for as long as one likes; events of one task arrive in the order in which
/// they were sent. It buffers as ``EventStreamOptions/buffer`` says. Once the client has left, or the stream has ended for
/// another reason, everything that sends says so and does nothing else: that is the normal end of a stream, no error.
public final class EventChannel: Sendable {
    private let state: Mutex<EventChannelState>
    private let metrics = Mutex<EventStreamMetrics?>(nil)

    init(_ options: EventStreamOptions) {
        state = Mutex(EventChannelState(options))
    }

    // MARK: - Sending

    /// Sends an event, and waits while the buffer is full.
    ///
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
    /// - Throws: What encoding throws; ``ServerSentEventError`` if type or ID is not valid.
    @discardableResult
    public func send<Value: Encodable>(_ value: Value, type: String? = nil, id: String? = nil) async throws -> Bool {
        await send(try ServerSentEvent(json: value, type: type, id: id))
    }

    /// Sends an event if there is room now; never waits.
    ///
    /// - Returns: Whether the channel took it, was full, or is closed.
    @discardableResult
    public func offer(_ event: ServerSentEvent) -> OfferResult {
        let (result, actions) = state.withLock { $0.offer(event) }
        perform(actions)
        return result
    }

    /// Sends a text as the data of an event if there is room now; never waits.
    ///
    /// - Returns: Whether the channel took it, was full, or is closed.
    @discardableResult
    public func offer(_ data: String) -> OfferResult {
        offer(ServerSentEvent(data: data))
    }

    /// Sends an event, and waits while the buffer is full; for code that would rather unwind than ask.
    ///
    /// - Throws: ``EventChannelClosed`` if the stream is over; `CancellationError` if the task was cancelled meanwhile.
    public func sendOrThrow(_ event: ServerSentEvent) async throws {
        guard await send(event) else {
            if let reason = disconnectReason { throw EventChannelClosed(reason: reason) }
            throw CancellationError()
        }
    }

    /// Sends a comment, which clients ignore. It goes out before the events that are still buffered.
    ///
    /// - Returns: False if the stream is over, or if 16 KiB of comments already wait for the client.
    @discardableResult
    public func comment(_ text: String) -> Bool {
        var bytes: [UInt8] = []
        EventStreamBlock.comment(text).encode(into: &bytes)
        return control(bytes)
    }

    /// Sends a heartbeat now, as the stream does by itself when it is idle.
    ///
    /// - Returns: False if the stream is over.
    @discardableResult
    public func heartbeat() -> Bool {
        control(Heartbeat.comment)
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
    public var disconnectReason: DisconnectReason? {
        state.withLock { $0.reason }
    }

    // MARK: - For transports and connectors

    /// Ends the stream for any reason after what is buffered has gone out. The first reason counts.
    package func end(_ reason: DisconnectReason, lastEvent: ServerSentEvent? = nil) {
        perform(state.withLock { $0.end(reason, lastEvent: lastEvent) })
    }

    /// Gives the channel its connection, once. What was sent before goes out now.
    ///
    /// - Parameters:
    ///   - transport: Is woken when there is something to pull.
    ///   - preamble: Bytes before everything else: the opening comment.
    ///   - metrics: Where to count, nil for nowhere.
    package func attach(
        _ transport: any EventStreamTransport,
        preamble: [UInt8],
        metrics: EventStreamMetrics?,
        now: MonotonicTime
    ) {
        self.metrics.withLock { $0 = metrics }
        metrics?.opened()
        perform(state.withLock { $0.attach(transport, preamble: preamble, now: now) })
    }

    /// Appends the bytes that are due.
    ///
    /// - Parameter limit: No further event is taken once this many bytes have been appended.
    package func pull(into bytes: inout [UInt8], limit: Int, now: MonotonicTime) -> EventStreamPull {
        let metrics = self.metrics.withLock { $0 }
        var sizes: [Int]? = metrics == nil ? nil : []
        let start = bytes.count
        let (result, events, actions) = state.withLock {
            $0.pull(into: &bytes, limit: limit, now: now, sizes: &sizes)
        }
        perform(actions)
        metrics?.sent(events: events, bytes: bytes.count - start, sizes: sizes ?? [])
        return result
    }

    /// The connection is gone: ends the stream at once.
    package func disconnect(_ reason: DisconnectReason) {
        perform(state.withLock { $0.disconnect(reason) })
    }

    /// What is due at this time.
    ///
    /// - Parameter stalledSince: Since when the connection has taken nothing although there was something for it.
    package func tick(now: MonotonicTime, stalledSince: MonotonicTime? = nil) -> EventStreamTick {
        let (tick, actions) = state.withLock { $0.tick(now: now, stalledSince: stalledSince) }
        perform(actions)
        return tick
    }

    /// The first moment at which ``tick(now:stalledSince:)`` may have something to say.
    package var firstTick: MonotonicTime {
        state.withLock { $0.timing.first }
    }

    /// Sets what cancels the application's part when the stream ends for a reason that the application did not choose.
    package func onCancellation(_ action: @escaping @Sendable () -> Void) {
        perform(state.withLock { $0.onCancellation(action) })
    }

    /// The application's part has ended, so that there is nothing to cancel any more.
    package func releaseCancellation() {
        state.withLock { $0.releaseCancellation() }
    }

    /// The stream has ended and its transport is done: counts it.
    ///
    /// - Returns: Why it ended, the first time; nil after that.
    package func finished() -> DisconnectReason? {
        guard let reason = state.withLock({ $0.finished() }) else { return nil }
        metrics.withLock { $0 }?.ended(reason)
        return reason
    }

    /// Whether there is, or was, an event to send.
    var hasEvents: Bool {
        state.withLock { $0.hasEvents }
    }

    /// Waits for the first event, or for the end of a stream that has none.
    ///
    /// - Returns: Whether there is an event to send.
    func firstEvent() async -> Bool {
        await withCheckedContinuation { continuation in
            if let answer = state.withLock({ $0.awaitFirstEvent(continuation) }) { continuation.resume(returning: answer) }
        }
    }

    // MARK: - Parts

    private func control(_ bytes: [UInt8]) -> Bool {
        let (accepted, actions) = state.withLock { $0.addControl(bytes) }
        perform(actions)
        return accepted
    }

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
            opened.resume(returning: state.withLock { $0.hasEvents })
        }
        if actions.dropped > 0 { metrics.withLock { $0 }?.dropped(actions.dropped) }
        actions.wake?.wake()
    }
}

/// A send on a channel whose stream is over.
public struct EventChannelClosed: Error, CustomStringConvertible {
    /// Why the stream is over.
    public let reason: DisconnectReason

    /// The reason in words.
    public var description: String { "the event stream is over: \(reason)" }
}
