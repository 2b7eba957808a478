// SPDX-License-Identifier: Apache-2.0

/// The state machine of an ``EventChannel``: inputs in, actions out, no I/O and no clock.
///
/// The channel runs it under its lock and performs the returned ``Actions`` after unlocking.
struct EventChannelState {
    /// A `send` suspended while the buffer is full.
    struct Waiter {
        let id: UInt64
        let event: ServerSentEvent
        let continuation: CheckedContinuation<Bool, Never>
    }

    /// What the channel does after releasing its lock.
    struct Actions {
        var wake: (any EventStreamTransport)?
        var resumed: [CheckedContinuation<Bool, Never>] = []
        var refused: [CheckedContinuation<Bool, Never>] = []
        var opened: CheckedContinuation<Bool, Never>?
        var cancel: (@Sendable () -> Void)?
        var dropped = 0
    }

    enum Phase {
        /// No connection yet; events are accepted.
        case waiting
        /// Attached to a connection.
        case open(any EventStreamTransport)
        /// Accepts no more events; the buffered ones are still written, possibly to a connection attached later.
        case ending(StreamEnd, (any EventStreamTransport)?)
        /// No more bytes are written.
        case ended(StreamEnd)
    }

    // Fields used for every event come first, adjacent: with many streams, each access misses the cache. Those that the
    // transport's side changes, in the other file, are not private.

    var phase = Phase.waiting
    /// Whether the transport has been woken and no pull since has found the channel drained.
    var isWakePending = false
    /// Whether an event has been sent.
    private(set) var hasEvents = false
    /// Whether the stream opens without an event.
    private(set) var opensWithoutEvent = false
    var isFinished = false
    /// Whether the application's task has finished, possibly before its cancellation action was added.
    private var hasNothingToCancel = false
    /// Suspended senders, first in, first out.
    ///
    /// Empty unless the buffer holds an event for a pull to take: that pull admits them.
    var waiters: [Waiter] = []
    /// Bytes to write before the events: the opening comment, heartbeats, comments.
    var control: [UInt8] = []
    /// Nil for no metrics, and before there is a connection.
    var metrics: EventStreamMetrics?
    /// The task that waits for the first event.
    private var opening: CheckedContinuation<Bool, Never>?
    var buffer: EventBufferStorage
    var timing: EventStreamTiming

    /// Written after all others, if the stream was ended with one.
    var lastEvent: ServerSentEvent?
    var sleepers = StreamSleepers()
    /// Whether the transport has been woken and will read the sleepers' deadline soon.
    private var isRoundDue = false
    /// Waiters and sleepers cancelled before they were added.
    private var cancelledEarly: [UInt64] = []
    private var lastWaiterID: UInt64 = 0
    /// Cancels the application's task.
    var cancellation: (@Sendable () -> Void)?
    /// The number of events dropped before ``metrics`` was set.
    var droppedEarly = 0

    init(_ options: EventStreamOptions) {
        buffer = options.buffer.make()
        timing = EventStreamTiming(options)
    }

    /// The most bytes of comments and heartbeats pending; further ones are refused.
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
        guard !cancelledEarly.contains(id) else {
            var actions = Actions()
            actions.refused.append(continuation)
            return actions
        }
        var (result, actions) = offer(event)
        switch result {
        case .accepted: actions.resumed.append(continuation)
        case .closed: actions.refused.append(continuation)
        case .full where waiters.isEmpty && buffer.isEmpty:
            // A custom buffer that is full while empty never gets room: no pull would ever resume this sender.
            drop(1, &actions)
            actions.resumed.append(continuation)
        case .full: waiters.append(Waiter(id: id, event: event, continuation: continuation))
        }
        return actions
    }

    /// Refuses a waiter or sleeper, also one that has not been added yet.
    mutating func cancel(_ id: UInt64) -> Actions {
        var actions = Actions()
        if let index = waiters.firstIndex(where: { $0.id == id }) {
            actions.refused.append(waiters.remove(at: index).continuation)
        } else if let continuation = sleepers.remove(id) {
            actions.refused.append(continuation)
        } else {
            cancelledEarly.append(id)
        }
        return actions
    }

    /// Removes what is left of a waiter or sleeper that has resumed.
    mutating func forget(_ id: UInt64) {
        if !cancelledEarly.isEmpty { cancelledEarly.removeAll { $0 == id } }
    }

    /// Queues a comment; false if the channel is closed or ``maximumControlBytes`` would be exceeded.
    mutating func addControl(_ bytes: [UInt8]) -> (Bool, Actions) {
        var actions = Actions()
        guard !isClosed, bytes.count <= Self.maximumControlBytes - control.count else { return (false, actions) }
        control.append(contentsOf: bytes)
        wake(&actions)
        return (true, actions)
    }

    /// Queues a heartbeat; false as for a comment.
    mutating func addHeartbeat() -> (Bool, Actions) {
        addControl(timing.heartbeatBytes)
    }

    /// Ends the stream once the buffered events have been written.
    mutating func end(_ reason: StreamEnd, lastEvent: ServerSentEvent? = nil) -> Actions {
        var actions = Actions()
        end(reason, lastEvent: lastEvent, &actions)
        return actions
    }

    /// Whether a pull would find something.
    var hasPending: Bool { !control.isEmpty || !buffer.isEmpty || isClosed }

    // MARK: - Sleeping

    /// The transport whose timer ends a sleep; nil before there is a connection.
    var sleepTransport: (any EventStreamTransport)? {
        if case .open(let transport) = phase { transport } else { nil }
    }

    var sleeperCount: Int { sleepers.count }

    /// Adds a sleeper, which is resumed with true at its deadline, or with false at the stream's end.
    mutating func sleep(
        until deadline: MonotonicTime,
        sleeper id: UInt64,
        _ continuation: CheckedContinuation<Bool, Never>
    ) -> Actions {
        var actions = Actions()
        guard case .open(let transport) = phase, !cancelledEarly.contains(id) else {
            actions.refused.append(continuation)
            return actions
        }
        if sleepers.add(id, until: deadline, continuation), !isRoundDue {
            isRoundDue = true
            actions.wake = transport
        }
        return actions
    }

    /// The deadline that the transport sets its timer for.
    mutating func takeSleepDeadline() -> MonotonicTime {
        isRoundDue = false
        return sleepers.deadline
    }

    // MARK: - Opening

    /// Whether to write the head: an event was sent, or the wait for one has timed out.
    var hasOpened: Bool { hasEvents || opensWithoutEvent }

    /// Stores the continuation until the head is to be written; returns the answer if it is already known.
    mutating func awaitFirstEvent(_ continuation: CheckedContinuation<Bool, Never>) -> Bool? {
        if hasOpened || isClosed { return hasOpened }
        opening = continuation
        return nil
    }

    /// Ends the wait for the first event and opens the stream without one.
    mutating func openWithoutEvent() -> Actions {
        var actions = Actions()
        guard !isClosed, let opening else { return actions }
        opensWithoutEvent = true
        actions.opened = opening
        self.opening = nil
        return actions
    }

    /// Adds an action to call when the stream ends for a reason that the application did not choose.
    ///
    /// Called at once if it already has.
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

    /// Drops the cancellation action and ignores later ones.
    mutating func forgetCancellation() {
        cancellation = nil
        hasNothingToCancel = true
    }

    // MARK: - Parts

    private mutating func arrived(_ actions: inout Actions) {
        hasEvents = true
        if let opening {
            actions.opened = opening
            self.opening = nil
        }
        wake(&actions)
    }

    /// Counts dropped events; until there is a connection, in ``droppedEarly``.
    mutating func drop(_ count: Int, _ actions: inout Actions) {
        if case .waiting = phase { droppedEarly += count } else { actions.dropped += count }
    }

    mutating func wake(_ actions: inout Actions) {
        guard !isWakePending else { return }
        switch phase {
        case .open(let transport), .ending(_, .some(let transport)):
            isWakePending = true
            isRoundDue = true
            actions.wake = transport
        case .waiting, .ending(_, nil), .ended: break
        }
    }

    mutating func end(_ reason: StreamEnd, lastEvent: ServerSentEvent?, _ actions: inout Actions) {
        switch phase {
        case .waiting: phase = .ending(reason, nil)
        case .open(let transport): phase = .ending(reason, transport)
        case .ending, .ended: return
        }
        if let lastEvent {
            // The last event must reach the client, so the buffer's bound does not apply.
            self.lastEvent = lastEvent
            hasEvents = true
        }
        release(&actions)
        if reason != .applicationClosed && reason != .applicationFailed { actions.cancel = cancellation }
        cancellation = nil
        wake(&actions)
    }

    /// Ends the stream and discards the buffered events.
    mutating func abort(_ reason: StreamEnd, _ actions: inout Actions) {
        discard()
        // A transport that waits for a writable socket would not pull until this client reads, which it may never do.
        isWakePending = false
        end(reason, lastEvent: nil, &actions)
    }

    /// Resumes all waiters: senders and sleepers with false, the opening with its result.
    mutating func release(_ actions: inout Actions) {
        actions.refused += waiters.map(\.continuation)
        waiters = []
        sleepers.removeAll(into: &actions.refused)
        if let opening { actions.opened = opening }
        opening = nil
    }

    /// Frees the buffered events' memory, as the application may keep the channel for long.
    mutating func discard() {
        buffer = .none
        control = []
        lastEvent = nil
    }
}
