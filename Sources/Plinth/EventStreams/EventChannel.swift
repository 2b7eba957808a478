// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The application's end of an event stream: sends events to one client.
///
/// A channel may be used from any task and kept for any length of time; events sent by one task arrive in order. It
/// buffers according to ``EventStreamOptions/buffer``. Once the client has left, or the stream has ended for another
/// reason, all sends report that and do nothing else: this is the normal end of a stream, not an error.
public final class EventChannel: Sendable {
    /// Serves the channel, for a transport that has many.
    ///
    /// Invariant: accessed on that transport's executor only. A publisher that wakes 10,000 channels then does not
    /// touch their connections, which are in another core's cache.
    package nonisolated(unsafe) var connection: (any EventStreamConnection)?
    private let state: Mutex<EventChannelState>

    /// The longest time, in nanoseconds, that a connection may accept none of its pending bytes; `Int64.max` for no
    /// limit.
    ///
    /// Outside of the lock, as the transport reads it whenever a connection stalls.
    package let writeTimeout: Int64

    init(_ options: EventStreamOptions) {
        writeTimeout = options.writeTimeout?.clampedNanoseconds ?? .max
        state = Mutex(EventChannelState(options))
    }

    // MARK: - Sending

    /// Sends an event, suspending while the buffer is full.
    ///
    /// - Parameter event: The event.
    /// - Returns: Whether the channel accepted the event. False means that the channel is closed, or that the task was
    ///   cancelled while it waited. True does not mean that the client has received the event.
    @discardableResult
    public func send(_ event: ServerSentEvent) async -> Bool {
        switch offer(event) {
        case .accepted: return true
        case .closed: return false
        case .full: return await wait(event)
        }
    }

    /// Sends an event with this data and no type or ID, suspending while the buffer is full.
    ///
    /// - Parameter data: The data.
    /// - Returns: Whether the channel accepted the event, as for ``send(_:)-(ServerSentEvent)``.
    @discardableResult
    public func send(_ data: String) async -> Bool {
        await send(ServerSentEvent(data: data))
    }

    /// Sends a value as JSON, suspending while the buffer is full.
    ///
    /// - Parameters:
    ///   - value: Encoded as the event's data, on one line.
    ///   - type: The event's type. Default: none.
    ///   - id: The event's ID. Default: none.
    /// - Returns: Whether the channel accepted the event, as for ``send(_:)-(ServerSentEvent)``.
    /// - Throws: Any error of encoding; ``/PlinthEvents/ServerSentEventError`` if the type or the ID is invalid.
    @discardableResult
    public func send<Value: Encodable>(_ value: Value, type: String? = nil, id: String? = nil) async throws -> Bool {
        await send(try ServerSentEvent(json: value, type: type, id: id))
    }

    /// Sends an event if the buffer has room; never waits.
    ///
    /// - Parameter event: The event.
    /// - Returns: Whether the channel accepted the event, is full, or is closed.
    @discardableResult
    public func offer(_ event: ServerSentEvent) -> OfferResult {
        let (result, actions) = state.withLock { $0.offer(event) }
        perform(actions)
        return result
    }

    /// Sends an event with this data and no type or ID if the buffer has room; never waits.
    ///
    /// - Parameter data: The data.
    /// - Returns: Whether the channel accepted the event, is full, or is closed.
    @discardableResult
    public func offer(_ data: String) -> OfferResult {
        offer(ServerSentEvent(data: data))
    }

    /// Sends an event, suspending while the buffer is full, and throws if the channel does not accept it.
    ///
    /// - Parameter event: The event.
    /// - Throws: ``EventChannelClosed`` if the channel is closed; `CancellationError` if the task was cancelled while
    ///   it waited.
    public func sendOrThrow(_ event: ServerSentEvent) async throws {
        guard await send(event) else {
            if let reason = disconnectReason { throw EventChannelClosed(reason: reason) }
            throw CancellationError()
        }
    }

    /// Sends an event with this data and no type or ID, suspending while the buffer is full.
    ///
    /// - Parameter data: The data.
    /// - Throws: As ``sendOrThrow(_:)-(ServerSentEvent)``.
    public func sendOrThrow(_ data: String) async throws {
        try await sendOrThrow(ServerSentEvent(data: data))
    }

    /// Sends a value as JSON, suspending while the buffer is full.
    ///
    /// - Parameters:
    ///   - value: Encoded as the event's data, on one line.
    ///   - type: The event's type. Default: none.
    ///   - id: The event's ID. Default: none.
    /// - Throws: As ``sendOrThrow(_:)-(ServerSentEvent)``; any error of encoding;
    ///   ``/PlinthEvents/ServerSentEventError`` if the type or the ID is invalid.
    public func sendOrThrow<Value: Encodable>(_ value: Value, type: String? = nil, id: String? = nil) async throws {
        try await sendOrThrow(ServerSentEvent(json: value, type: type, id: id))
    }

    /// Sends a comment, which clients ignore.
    ///
    /// It is written before any buffered events.
    ///
    /// - Parameter text: The text after the colon; each of its lines becomes a line of the comment.
    /// - Returns: False if the channel is closed, or if more than 16 KiB of comments would be pending.
    @discardableResult
    public func comment(_ text: String) -> Bool {
        var bytes: [UInt8] = []
        EventStreamBlock.comment(text).encode(into: &bytes)
        let (accepted, actions) = state.withLock { $0.addControl(bytes) }
        perform(actions)
        return accepted
    }

    /// Sends a heartbeat now, like those that the stream sends when idle.
    ///
    /// It has the form set in ``EventStreamOptions/heartbeat``; if heartbeats are off, it is an empty comment.
    ///
    /// - Returns: False if the channel is closed, or if more than 16 KiB of comments and heartbeats would be pending.
    @discardableResult
    public func heartbeat() -> Bool {
        let (accepted, actions) = state.withLock { $0.addHeartbeat() }
        perform(actions)
        return accepted
    }

    // MARK: - Sleeping

    /// Suspends the caller for a time, on the stream's own timer.
    ///
    /// Ten thousand streams that sleep between events need one timer for each event loop, where `Task.sleep` has one for
    /// each task. The price is precision: the call returns up to 100 ms late, and never early. Before the stream has its
    /// connection, it is `Task.sleep`. In a test without a socket, it ends when the test advances its clock.
    ///
    /// - Parameter duration: The time. Returns at once if it is not positive.
    /// - Throws: `CancellationError` if the task is cancelled; ``EventChannelClosed`` if the stream has ended, or ends
    ///   meanwhile and has its connection.
    public func sleep(for duration: Duration) async throws {
        try Task.checkCancellation()
        guard duration > .zero else { return }
        guard let transport = state.withLock({ $0.sleepTransport }) else {
            if let disconnectReason { throw EventChannelClosed(reason: disconnectReason) }
            return try await Task.sleep(for: duration)
        }
        let deadline = transport.now + duration
        let hasPassed = await suspended { state, id, continuation in
            state.sleep(until: deadline, sleeper: id, continuation)
        } didSuspend: {
            transport.sleepersChanged()
        }
        transport.sleepersChanged()
        if hasPassed { return }
        try Task.checkCancellation()
        throw EventChannelClosed(reason: disconnectReason ?? .applicationClosed)
    }

    // MARK: - Closing

    /// Closes the channel; the stream ends once the buffered events have been written.
    ///
    /// Senders suspended in ``send(_:)-(ServerSentEvent)`` get false. Closing a channel again does nothing.
    ///
    /// - Parameter lastEvent: Written after all others, even if the buffer is full. Default: none.
    public func close(after lastEvent: ServerSentEvent? = nil) {
        end(.applicationClosed, lastEvent: lastEvent)
    }

    /// Whether the channel is closed and accepts no more events.
    public var isClosed: Bool {
        state.withLock { $0.isClosed }
    }

    /// Why the channel is closed; nil while it is open.
    public var disconnectReason: StreamEnd? {
        state.withLock { $0.reason }
    }

    // MARK: - For transports and connectors

    /// The number of senders suspended while the buffer is full.
    package var waitingSenders: Int {
        state.withLock { $0.waitingSenders }
    }

    /// Closes the channel for any reason; the stream ends once the buffered events have been written.
    ///
    /// The first reason is kept; later calls do nothing.
    ///
    /// - Parameters:
    ///   - reason: Why the stream ends.
    ///   - lastEvent: Written after all others, even if the buffer is full.
    package func end(_ reason: StreamEnd, lastEvent: ServerSentEvent? = nil) {
        perform(state.withLock { $0.end(reason, lastEvent: lastEvent) })
    }

    /// Attaches the channel to its connection, once.
    ///
    /// Events sent before are written now. A second connection means that the application answered two requests with
    /// one stream: the stream ends with ``StreamEnd/applicationFailed``.
    ///
    /// - Parameters:
    ///   - transport: Woken when there is something to pull.
    ///   - preamble: Bytes written before all others: the opening comment.
    ///   - metrics: Counts the stream; nil for no metrics.
    ///   - now: The current time; heartbeats and the stream's age count from it.
    /// - Returns: Whether the transport serves the channel. If not, a pull yields only an end.
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

    /// Whether the channel is attached to a connection.
    var isAttached: Bool {
        state.withLock { $0.isAttached }
    }

    /// Appends the pending bytes.
    ///
    /// - Parameters:
    ///   - bytes: The buffer to append to.
    ///   - limit: Once at least this many bytes have been appended, no further event is encoded.
    ///   - now: The current time; the next heartbeat counts from it.
    /// - Returns: Whether bytes were appended, and whether to pull again.
    package func pull(into bytes: inout [UInt8], limit: Int, now: MonotonicTime) -> EventStreamPull {
        var sleepDeadline = MonotonicTime.distantFuture
        return pull(into: &bytes, limit: limit, now: now, sleepDeadline: &sleepDeadline)
    }

    /// Appends the pending bytes, and sets the deadline that the transport's timer must not miss.
    package func pull(
        into bytes: inout [UInt8],
        limit: Int,
        now: MonotonicTime,
        sleepDeadline: inout MonotonicTime
    ) -> EventStreamPull {
        let start = bytes.count
        var sizes: [Int]?
        let (result, events, actions, metrics) = state.withLock { state in
            if state.metrics != nil { sizes = [] }
            sleepDeadline = state.takeSleepDeadline()
            let (result, events, actions) = state.pull(into: &bytes, limit: limit, now: now, sizes: &sizes)
            return (result, events, actions, state.metrics)
        }
        perform(actions)
        metrics?.sent(events: events, bytes: bytes.count - start, sizes: sizes ?? [])
        return result
    }

    /// The number of tasks in ``sleep(for:)``, not counting those that began before the stream had its connection.
    package var sleeperCount: Int {
        state.withLock { $0.sleeperCount }
    }

    /// Whether there is something to pull.
    package var hasPending: Bool {
        state.withLock { $0.hasPending }
    }

    /// The deadline that the transport's timer must not miss, for a transport that was woken and cannot pull.
    package func takeSleepDeadline() -> MonotonicTime {
        state.withLock { $0.takeSleepDeadline() }
    }

    /// Ends the stream at once, as its connection is gone.
    ///
    /// - Parameter reason: Why the stream ends; ignored if it was already ending.
    package func disconnect(_ reason: StreamEnd) {
        perform(state.withLock { $0.disconnect(reason) })
    }

    /// Checks the stream's deadlines.
    ///
    /// - Parameters:
    ///   - now: The current time.
    ///   - stalledSince: Since when the connection has accepted none of its pending bytes; nil if it has not stalled.
    /// - Returns: What the transport has to do, or when to call again.
    package func tick(now: MonotonicTime, stalledSince: MonotonicTime? = nil) -> EventStreamTick {
        let (tick, actions) = state.withLock { $0.tick(now: now, stalledSince: stalledSince) }
        perform(actions)
        return tick
    }

    /// When to call ``tick(now:stalledSince:)`` first.
    package var firstTick: MonotonicTime {
        state.withLock { $0.timing.first }
    }

    /// Adds an action that cancels the application's task when the stream ends for a reason that the application did
    /// not choose.
    ///
    /// - Parameter action: Called at most once; at once if the stream has already ended for such a reason.
    package func onCancellation(_ action: @escaping @Sendable () -> Void) {
        perform(state.withLock { $0.onCancellation(action) })
    }

    /// Drops the cancellation action, and the task that it retains, once the application's task has finished.
    func forgetCancellation() {
        state.withLock { $0.forgetCancellation() }
    }

    /// Records the end of the stream in the metrics, once its transport is done.
    ///
    /// - Returns: Why the stream ended, on the first call; nil on later ones.
    package func finished() -> StreamEnd? {
        let (reason, metrics) = state.withLock { ($0.finished(), $0.metrics) }
        if let reason { metrics?.ended(reason) }
        return reason
    }

    /// Ends a stream that has not opened; atomic, since its time to open may pass meanwhile.
    ///
    /// - Returns: False if it has opened; then it is not ended.
    func endUnlessOpened(_ reason: StreamEnd) -> Bool {
        let actions = state.withLock { $0.hasOpened ? nil : $0.end(reason) }
        if let actions { perform(actions) }
        return actions != nil
    }

    /// Whether to write the head: an event was sent, or the wait for one has timed out.
    var hasOpened: Bool {
        state.withLock { $0.hasOpened }
    }

    /// Whether to write the head without an event.
    var opensWithoutEvent: Bool {
        state.withLock { $0.opensWithoutEvent }
    }

    /// Ends the wait for the first event and opens the stream without one.
    func openWithoutEvent() {
        perform(state.withLock { $0.openWithoutEvent() })
    }

    /// Waits until an event is sent, ``openWithoutEvent()`` is called, or the stream ends.
    ///
    /// - Returns: Whether to write the head.
    func firstEvent() async -> Bool {
        await withCheckedContinuation { continuation in
            let answer = state.withLock { $0.awaitFirstEvent(continuation) }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    // MARK: - Parts

    private func wait(_ event: ServerSentEvent) async -> Bool {
        await suspended { state, id, continuation in state.send(event, waiter: id, continuation) }
    }

    /// Suspends until the state resumes the continuation that it is given, or refuses it because the task is cancelled.
    private func suspended(
        _ begin: (inout EventChannelState, UInt64, CheckedContinuation<Bool, Never>) -> EventChannelState.Actions,
        didSuspend: () -> Void = {}
    ) async -> Bool {
        let id = state.withLock { $0.nextWaiterID() }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                perform(state.withLock { begin(&$0, id, continuation) })
                didSuspend()
            }
        } onCancel: {
            perform(state.withLock { $0.cancel(id) })
        }
        state.withLock { $0.forget(id) }
        return result
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

/// Thrown when sending on a closed channel.
public struct EventChannelClosed: Error, CustomStringConvertible {
    /// Why the channel is closed.
    public let reason: StreamEnd

    /// The reason in words.
    public var description: String { "the event stream has ended: \(reason)" }
}
