// SPDX-License-Identifier: Apache-2.0

/// What is due: heartbeats, deadlines of writes, the end of those whose time is over.
extension Distributor {
    /// Does what is due: heartbeats, and the end of those whose time is over.
    ///
    /// - Parameters:
    ///   - sink: The connections.
    ///   - now: The time.
    package mutating func tick(_ sink: some StreamSink, now: HubTime) {
        for (slot, timer) in wheel.advance(to: now.nanoseconds) {
            guard states[slot].phase != .free, states[slot].timer == timer else { continue }
            if let next = tick(slot, sink, now) { schedule(slot, at: next, now) }
        }
    }

    /// Has a subscriber looked at then, and not when it was said before.
    mutating func schedule(_ slot: Int, at deadline: Int64, _ now: HubTime) {
        states[slot].timer &+= 1
        details[slot].due = deadline
        wheel.add(slot, states[slot].timer, at: deadline, now: now.nanoseconds)
    }

    /// How long until ``tick(_:now:)`` may have something to do, in nanoseconds; nil if there is nobody.
    package func untilTick(now: HubTime) -> Int64? {
        count == 0 ? nil : wheel.untilNext(now: now.nanoseconds)
    }

    /// - Returns: When to look at this subscriber again; nil if it has gone.
    private mutating func tick(_ slot: Int, _ sink: some StreamSink, _ now: HubTime) -> Int64? {
        let expires = details[slot].expires
        if now.nanoseconds >= expires, states[slot].phase != .ending, states[slot].phase != .free {
            end(slot, .expired, sink, now: now)
            return states[slot].phase == .free ? nil : timing.stall(now.nanoseconds)
        }
        switch states[slot].phase {
        case .free: return nil
        case .blocked, .ending:
            let deadline = timing.stall(details[slot].stalledSince)
            guard now.nanoseconds < deadline else {
                if states[slot].phase == .blocked { remove(slot, .timedOut) } else { remove(slot, details[slot].end) }
                return nil
            }
            return states[slot].phase == .blocked ? min(deadline, expires) : deadline
        case .behind, .reading:
            return min(timing.heartbeat(states[slot].lastWrite, slot), expires)
        case .live: break
        }
        let due = timing.heartbeat(states[slot].lastWrite, slot)
        guard now.nanoseconds >= due else { return min(due, expires) }
        let bytes = states[slot].form.isChunked ? heartbeat.chunked : heartbeat.bare
        switch bytes.withUnsafeBytes({ sink.write($0, to: slot) }) {
        case .took(let taken):
            tally.heartbeats += 1
            tally.bytes += taken
            if taken > 0 { states[slot].lastWrite = now.nanoseconds }
            guard taken == bytes.count else {
                states[slot].phase = .blocked
                states[slot].position = max(states[slot].position, head.number)
                keep(slot, bytes, taken..<bytes.count)
                stalls(slot, now)
                return timing.stall(now.nanoseconds)
            }
            return min(timing.heartbeat(now.nanoseconds, slot), expires)
        case .failed(let reason):
            remove(slot, reason)
            return nil
        }
    }
}
