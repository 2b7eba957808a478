// SPDX-License-Identifier: Apache-2.0

/// Timers: heartbeats, write timeouts and maximum ages.
extension Distributor {
    /// Runs due timers: sends heartbeats, and ends streams that stalled or reached their maximum age.
    ///
    /// - Parameters:
    ///   - sink: The connections.
    ///   - now: The time.
    package mutating func tick(_ sink: some StreamSink, now: MonotonicTime) {
        for (slot, timer) in wheel.advance(to: now) {
            guard states[slot].phase != .free, states[slot].timer == timer else { continue }
            if let next = tick(slot, sink, now) { schedule(slot, at: next, now) }
        }
    }

    /// Replaces the subscriber's timer; the old one is ignored when it fires.
    mutating func schedule(_ slot: Int, at deadline: MonotonicTime, _ now: MonotonicTime) {
        states[slot].timer &+= 1
        details[slot].due = deadline
        wheel.schedule(slot, number: states[slot].timer, at: deadline, now: now)
    }

    /// The time until ``tick(_:now:)`` may have something to do, in nanoseconds; nil without subscribers.
    package func untilTick(now: MonotonicTime) -> Int64? {
        count == 0 ? nil : wheel.untilNext(now: now)
    }

    /// When a subscriber that waits for history must look again.
    private func untilAnswered(_ slot: Int) -> MonotonicTime {
        switch states[slot].phase {
        case .reading: answerDeadline(slot)
        case .pausing: min(answerDeadline(slot), waits[slot]?.askAgain ?? .distantFuture)
        default: .distantFuture
        }
    }

    /// - Returns: When the subscriber's next timer is due; nil if it was removed.
    private mutating func tick(_ slot: Int, _ sink: some StreamSink, _ now: MonotonicTime) -> MonotonicTime? {
        let expires = details[slot].expires
        if now >= expires, states[slot].phase != .ending, states[slot].phase != .free {
            end(slot, .expired, sink, now: now)
            return states[slot].phase == .free ? nil : timing.writeDeadline(since: now)
        }
        switch states[slot].phase {
        case .free: return nil
        case .blocked, .ending:
            let deadline = timing.writeDeadline(since: details[slot].stalledSince)
            guard now < deadline else {
                if states[slot].phase == .blocked { remove(slot, .timedOut) } else { remove(slot, details[slot].end) }
                return nil
            }
            return states[slot].phase == .blocked ? min(deadline, expires) : deadline
        case .behind: return min(timing.heartbeatDue(after: states[slot].lastWrite, spread: slot), expires)
        case .reading, .pausing:
            guard now < answerDeadline(slot) else {
                end(slot, .historyFailed, sink, now: now)
                return states[slot].phase == .free ? nil : timing.writeDeadline(since: now)
            }
            if states[slot].phase == .pausing, now >= waits[slot]?.askAgain ?? now {
                states[slot].phase = .behind
                unfinished.append(slot)
            }
        case .live: break
        }
        let due = timing.heartbeatDue(after: states[slot].lastWrite, spread: slot)
        let other = min(expires, untilAnswered(slot))
        guard now >= due else { return min(due, other) }
        let bytes = states[slot].form.isChunked ? heartbeat.chunked : heartbeat.bare
        switch bytes.withUnsafeBytes({ sink.write($0, to: slot) }) {
        case .took(let taken):
            tally.heartbeats += 1
            tally.bytes += taken
            if taken > 0 { states[slot].lastWrite = now }
            guard taken == bytes.count else {
                if states[slot].phase == .live { states[slot].position = max(states[slot].position, head.number) }
                // History is asked again once there is room; meanwhile it does not owe an answer.
                if !waits.isEmpty, let query = waits[slot]?.query {
                    waits[slot] = Wait(query: query)
                } else {
                    waits[slot] = nil
                }
                states[slot].phase = .blocked
                keep(slot, bytes, taken..<bytes.count)
                stalls(slot, now)
                return timing.writeDeadline(since: now)
            }
            return min(timing.heartbeatDue(after: now, spread: slot), other)
        case .failed(let reason):
            remove(slot, reason)
            return nil
        }
    }
}
