// SPDX-License-Identifier: Apache-2.0

/// The state machine of an ``EventChannel``: inputs in, actions out, no I/O and no clock.
///
/// The channel runs it under its lock and performs the returned ``Actions`` after unlocking.
struct EventChannelState {
    /// A `send` that waits for room.
    struct Waiter {
        let id: UInt64
        let event: ServerSentEvent
        let continuation: CheckedContinuation<Bool, Never>
    }

    /// What the channel does once the lock is released.
    struct Actions {
        var wake: (any EventStreamTransport)?
        var resumed: [CheckedContinuation<Bool, Never>] = []
        var refused: [CheckedContinuation<Bool, Never>] = []
        var opened: CheckedContinuation<Bool, Never>?
        var cancel: (@Sendable () -> Void)?
        var dropped = 0
    }

    enum Phase {
        /// No connection yet; events may come all the same.
        case waiting
        /// With a connection.
        case open(any EventStreamTransport)
        /// Nothing more is accepted; what is buffered still goes out, to a connection that may be yet to come.
        case ending(StreamEnd, (any EventStreamTransport)?)
        /// Over.
        case ended(StreamEnd)
    }

    // What is looked at for every event stands together: with many streams it comes from memory each time.

    private(set) var phase = Phase.waiting
    /// Whether the transport knows that there is something to pull: from a wake until a pull has come back idle.
    private var isWakePending = false
    /// Whether there is, or was, an event to send.
    private(set) var hasEvents = false
    /// Whether the stream opens although there is no event yet.
    private(set) var opensWithoutEvent = false
    private var isFinished = false
    /// Whether the application's part has ended, perhaps before anyone could say how to cancel it.
    private var hasNothingToCancel = false
    /// Those that wait, first come first served.
    ///
    /// There are none unless the buffer holds something that a pull will take: that pull admits them.
    private var waiters: [Waiter] = []
    /// Bytes that go out before the events: the opening comment, heartbeats, comments.
    private var control: [UInt8] = []
    /// Where to count, nil for nowhere or before there is a connection.
    private(set) var metrics: EventStreamMetrics?
    /// Who waits for the first event.
    private var opening: CheckedContinuation<Bool, Never>?
    private var buffer: EventBufferStorage
    private(set) var timing: EventStreamTiming

    /// The event behind all others, if the application gave one when it ended the stream.
    private var lastEvent: ServerSentEvent?
    /// Waiters that were cancelled before they were parked.
    private var cancelledEarly: [UInt64] = []
    private var lastWaiterID: UInt64 = 0
    /// Ends the application's part of the stream.
    private var cancellation: (@Sendable () -> Void)?
    /// The events that were dropped before there was anywhere to count them.
    private var droppedEarly = 0

    init(_ options: EventStreamOptions) {
        buffer = options.buffer.make()
        timing = EventStreamTiming(options)
    }

    /// The most bytes of comments that wait for the client; further ones are refused.
    static let maximumControlBytes = 16 * 1024

    var isClosed: Bool {
        switch phase {
        case .waiting, .open: false
        case .ending, .ended: true
        }
    }

    var waitingSenders: Int { waiters.count }

    var reason: StreamEnd? {
        switch phase {
        case .waiting, .open: nil
        case .ending(let reason, _), .ended(let reason): reason
        }
    }

    // MARK: - The application's side

    mutating func offer(_ event: ServerSentEvent) -> (OfferResult, Actions) {
        var actions = Actions()
        guard !isClosed else { return (.closed, actions) }
        guard waiters.isEmpty else { return (.full, actions) }
        switch buffer.append(event).kind {
        case .stored(let dropped):
            drop(dropped, &actions)
            arrived(&actions)
            return (.accepted, actions)
        case .dropped:
            drop(1, &actions)
            return (.accepted, actions)
        case .full:
            return (.full, actions)
        case .disconnect:
            drop(1, &actions)
            abort(.lagged, &actions)
            return (.closed, actions)
        }
    }

    mutating func nextWaiterID() -> UInt64 {
        lastWaiterID &+= 1
        return lastWaiterID
    }

    mutating func send(
        _ event: ServerSentEvent,
        waiter id: UInt64,
        _ continuation: CheckedContinuation<Bool, Never>
    ) -> Actions {
        if let index = cancelledEarly.firstIndex(of: id) {
            cancelledEarly.remove(at: index)
            var actions = Actions()
            actions.refused.append(continuation)
            return actions
        }
        var (result, actions) = offer(event)
        switch result {
        case .accepted: actions.resumed.append(continuation)
        case .closed: actions.refused.append(continuation)
        case .full where waiters.isEmpty && buffer.isEmpty:
            // A buffer of someone's own that has no room although it is empty never will: nothing wakes this sender.
            drop(1, &actions)
            actions.resumed.append(continuation)
        case .full: waiters.append(Waiter(id: id, event: event, continuation: continuation))
        }
        return actions
    }

    mutating func cancelWaiter(_ id: UInt64) -> Actions {
        var actions = Actions()
        if let index = waiters.firstIndex(where: { $0.id == id }) {
            actions.refused.append(waiters.remove(at: index).continuation)
        } else {
            cancelledEarly.append(id)
        }
        return actions
    }

    /// A waiter has come back, whatever became of it.
    mutating func forgetWaiter(_ id: UInt64) {
        if !cancelledEarly.isEmpty { cancelledEarly.removeAll { $0 == id } }
    }

    /// Queues a comment; false if the channel is closed or has too many waiting.
    mutating func addControl(_ bytes: [UInt8]) -> (Bool, Actions) {
        var actions = Actions()
        guard !isClosed, bytes.count <= Self.maximumControlBytes - control.count else { return (false, actions) }
        control.append(contentsOf: bytes)
        wake(&actions)
        return (true, actions)
    }

    /// Queues what the stream sends by itself when it is idle; false as for a comment.
    mutating func addHeartbeat() -> (Bool, Actions) {
        addControl(timing.heartbeatBytes)
    }

    /// Ends the stream once what is buffered has gone out.
    mutating func end(_ reason: StreamEnd, lastEvent: ServerSentEvent? = nil) -> Actions {
        var actions = Actions()
        end(reason, lastEvent: lastEvent, &actions)
        return actions
    }

    // MARK: - Opening

    /// Whether the head is due: there is an event, or it has been waited for long enough.
    var hasOpened: Bool { hasEvents || opensWithoutEvent }

    /// Registers what waits for the head to be due; answers at once if it is or never will be.
    mutating func awaitFirstEvent(_ continuation: CheckedContinuation<Bool, Never>) -> Bool? {
        if hasOpened || isClosed { return hasOpened }
        opening = continuation
        return nil
    }

    /// The first event has been waited for long enough.
    mutating func openWithoutEvent() -> Actions {
        var actions = Actions()
        guard !isClosed, let opening else { return actions }
        opensWithoutEvent = true
        actions.opened = opening
        self.opening = nil
        return actions
    }

    /// Adds to what is called when the stream ends for a reason that the application did not choose.
    ///
    /// Called at once if it has.
    mutating func onCancellation(_ action: @escaping @Sendable () -> Void) -> Actions {
        var actions = Actions()
        switch reason {
        case nil where hasNothingToCancel: break
        case nil:
            if let first = cancellation {
                cancellation = {
                    first()
                    action()
                }
            } else {
                cancellation = action
            }
        case .some(.applicationClosed), .some(.applicationFailed): break
        case .some: actions.cancel = action
        }
        return actions
    }

    /// There is nothing left to cancel.
    mutating func forgetCancellation() {
        cancellation = nil
        hasNothingToCancel = true
    }

    // MARK: - The transport's side

    /// Whether there is a connection.
    var isAttached: Bool {
        switch phase {
        case .open, .ending(_, .some): true
        case .waiting, .ending(_, nil), .ended: false
        }
    }

    /// Gives the channel its connection.
    ///
    /// - Returns: Besides what is to be done, whether the stream counts as opened, and whether the transport serves it.
    mutating func attach(
        _ transport: any EventStreamTransport,
        preamble: [UInt8],
        metrics: EventStreamMetrics?,
        now: MonotonicTime
    ) -> (isOpened: Bool, isServed: Bool, Actions) {
        var actions = Actions()
        switch phase {
        case .waiting:
            phase = .open(transport)
        case .ending(let reason, nil):
            phase = .ending(reason, transport)
        case .ended:
            // The next pull says so.
            actions.wake = transport
            if !isFinished { self.metrics = metrics }
            return (!isFinished, false, actions)
        case .open, .ending:
            // One stream was given to two requests. Neither could be served in full, so both end.
            end(.applicationFailed, lastEvent: nil, &actions)
            return (false, false, actions)
        }
        self.metrics = metrics
        actions.dropped = droppedEarly
        droppedEarly = 0
        control = control.isEmpty ? preamble : preamble + control
        timing.opened(at: now)
        wake(&actions)
        return (true, true, actions)
    }

    /// Appends what is due, at least one event if there is any and otherwise no more than `limit` bytes and one event.
    mutating func pull(
        into bytes: inout [UInt8],
        limit: Int,
        now: MonotonicTime,
        sizes: inout [Int]?
    ) -> (EventStreamPull, events: Int, Actions) {
        var actions = Actions()
        if case .ended(let reason) = phase { return (.end(reason), 0, actions) }
        let start = bytes.count
        var events = 0
        if !control.isEmpty {
            bytes.append(contentsOf: control)
            control = []
        }
        var isDrained = false
        while bytes.count - start < limit {
            if let event = buffer.popFirst() {
                encode(event, into: &bytes, &sizes)
                events += 1
            } else if !admitWaiters(&actions) {
                isDrained = true
                break
            }
        }
        admitWaiters(&actions)
        let hasEvents = !isDrained && !buffer.isEmpty
        if !hasEvents, isClosed, let last = lastEvent {
            encode(last, into: &bytes, &sizes)
            events += 1
            lastEvent = nil
        }
        if bytes.count > start {
            timing.wrote(at: now)
            // While there is more the transport comes back by itself, and needs no waking.
            isWakePending = hasEvents || isClosed
            return (.bytes(more: isWakePending), events, actions)
        }
        isWakePending = false
        if case .ending(let reason, _) = phase {
            phase = .ended(reason)
            return (.end(reason), 0, actions)
        }
        return (.idle, 0, actions)
    }

    /// The connection is gone, or has been given up.
    mutating func disconnect(_ reason: StreamEnd) -> Actions {
        var actions = Actions()
        switch phase {
        case .ended:
            return actions
        case .ending(let first, _):
            phase = .ended(first)
        case .waiting, .open:
            phase = .ended(reason)
            release(&actions)
            actions.cancel = cancellation
            cancellation = nil
        }
        discard()
        return actions
    }

    /// Looks at the time: what is due, and when to look again.
    mutating func tick(now: MonotonicTime, stalledSince: MonotonicTime?) -> (EventStreamTick, Actions) {
        var actions = Actions()
        if case .ended = phase { return (.none, actions) }
        let tick = timing.tick(now: now, stalledSince: stalledSince, isEnding: isClosed)
        if tick == .heartbeat {
            // One that still waits for the socket is enough.
            if control.isEmpty { control = timing.heartbeatBytes }
            wake(&actions)
        }
        return (tick, actions)
    }

    /// Why the stream ended, the first time that it is asked for.
    mutating func finished() -> StreamEnd? {
        guard case .ended(let reason) = phase, !isFinished else { return nil }
        isFinished = true
        return reason
    }

    // MARK: - Parts

    private mutating func encode(_ event: ServerSentEvent, into bytes: inout [UInt8], _ sizes: inout [Int]?) {
        let before = bytes.count
        event.encode(into: &bytes)
        sizes?.append(bytes.count - before)
    }

    /// Lets waiters in while there is room.
    ///
    /// - Returns: Whether one of them waits no more.
    @discardableResult
    private mutating func admitWaiters(_ actions: inout Actions) -> Bool {
        guard !waiters.isEmpty else { return false }
        var admitted = 0
        var lags = false
        admission: for waiter in waiters {
            switch buffer.append(waiter.event).kind {
            case .stored(let dropped):
                drop(dropped, &actions)
            case .dropped:
                drop(1, &actions)
            case .full:
                // As in `send`: there will never be room for it.
                guard buffer.isEmpty else { break admission }
                drop(1, &actions)
            case .disconnect:
                drop(1, &actions)
                lags = true
                break admission
            }
            actions.resumed.append(waiter.continuation)
            admitted += 1
        }
        waiters.removeFirst(admitted)
        if lags { abort(.lagged, &actions) }
        return admitted > 0
    }

    private mutating func arrived(_ actions: inout Actions) {
        hasEvents = true
        if let opening {
            actions.opened = opening
            self.opening = nil
        }
        wake(&actions)
    }

    /// Counts dropped events, as soon as there is anywhere to count them.
    private mutating func drop(_ count: Int, _ actions: inout Actions) {
        if case .waiting = phase { droppedEarly += count } else { actions.dropped += count }
    }

    private mutating func wake(_ actions: inout Actions) {
        guard !isWakePending else { return }
        switch phase {
        case .open(let transport), .ending(_, .some(let transport)):
            isWakePending = true
            actions.wake = transport
        case .waiting, .ending(_, nil), .ended: break
        }
    }

    private mutating func end(_ reason: StreamEnd, lastEvent: ServerSentEvent?, _ actions: inout Actions) {
        switch phase {
        case .waiting: phase = .ending(reason, nil)
        case .open(let transport): phase = .ending(reason, transport)
        case .ending, .ended: return
        }
        if let lastEvent {
            // A last event is a promise to the client, so it passes over the bound of the buffer.
            self.lastEvent = lastEvent
            hasEvents = true
        }
        release(&actions)
        if reason != .applicationClosed && reason != .applicationFailed { actions.cancel = cancellation }
        cancellation = nil
        wake(&actions)
    }

    /// Ends the stream without sending what is buffered.
    private mutating func abort(_ reason: StreamEnd, _ actions: inout Actions) {
        discard()
        // A transport that waits for room would not pull before this client takes something, which it may never do.
        isWakePending = false
        end(reason, lastEvent: nil, &actions)
    }

    /// Lets go of everyone who waits for the channel.
    private mutating func release(_ actions: inout Actions) {
        actions.refused += waiters.map(\.continuation)
        waiters = []
        if let opening { actions.opened = opening }
        opening = nil
    }

    /// Lets go of what is buffered, and of its memory: the application may keep the channel for long.
    private mutating func discard() {
        buffer = .none
        control = []
        lastEvent = nil
    }
}
