// SPDX-License-Identifier: Apache-2.0

/// The transport's side of a channel: it attaches, pulls bytes, and checks the deadlines.
extension EventChannelState {
    /// Whether the channel is attached to a connection.
    var isAttached: Bool {
        switch phase {
        case .open, .ending(_, .some): true
        case .waiting, .ending(_, nil), .ended: false
        }
    }

    /// Attaches the channel to its connection.
    ///
    /// - Returns: Whether the stream counts as opened, whether the transport serves it, and the actions.
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
            // The next pull returns the end.
            actions.wake = transport
            if !isFinished { self.metrics = metrics }
            return (!isFinished, false, actions)
        case .open, .ending:
            // One stream answers two requests. Neither could receive all events, so both end.
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

    /// Appends the pending bytes: the control bytes, then events until at least `limit` bytes have been appended.
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
            // While there is more, the transport pulls again without a wake.
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

    /// Ends the stream at once, as its connection is gone or was given up.
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

    /// Checks the deadlines: returns what is due, or when to check again.
    mutating func tick(now: MonotonicTime, stalledSince: MonotonicTime?) -> (EventStreamTick, Actions) {
        var actions = Actions()
        if case .ended = phase { return (.none, actions) }
        sleepers.removeDue(now, into: &actions.resumed)
        var tick = timing.tick(now: now, stalledSince: stalledSince, isEnding: isClosed)
        if case .next(let next) = tick { tick = .next(min(next, sleepers.deadline)) }
        if tick == .heartbeat {
            // Queued control bytes already serve as a heartbeat.
            if control.isEmpty { control = timing.heartbeatBytes }
            wake(&actions)
        }
        return (tick, actions)
    }

    /// Returns why the stream ended, on the first call after its end.
    mutating func finished() -> StreamEnd? {
        guard case .ended(let reason) = phase, !isFinished else { return nil }
        isFinished = true
        return reason
    }

    private mutating func encode(_ event: ServerSentEvent, into bytes: inout [UInt8], _ sizes: inout [Int]?) {
        let before = bytes.count
        event.encode(into: &bytes)
        sizes?.append(bytes.count - before)
    }

    /// Moves waiters' events into the buffer while it has room.
    ///
    /// - Returns: Whether any waiter was admitted.
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
                // As in `send`: an empty buffer that is full never gets room.
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
}
