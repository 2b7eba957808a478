// SPDX-License-Identifier: Apache-2.0

/// What a ``TimerWheel`` holds: it keeps its own place, so that it can be taken out in constant time.
package protocol TimerWheelEntry: AnyObject {
    /// Where the wheel keeps it, nil outside. Only the wheel changes this.
    var wheelPlace: TimerWheelPlace? { get set }
}

/// A place in a ``TimerWheel``.
package struct TimerWheelPlace: Sendable, Hashable {
    var slot: Int32
    var index: Int32
}

/// A hashed timer wheel: deadlines of many streams, scheduled, moved and removed in constant time.
///
/// A deadline is met within one ``tick`` after it, never before. The wheel reads no clock: whoever owns it calls
/// ``advance(to:_:)`` every tick, and need not while the wheel is empty. Not thread-safe: one event loop owns it.
package struct TimerWheel<Entry: TimerWheelEntry> {
    private struct Item {
        var entry: Entry
        var deadline: MonotonicTime
    }

    /// The width of a slot.
    package let tick: Duration
    private let tickNanoseconds: Int64
    private var slots: [[Item]]
    /// The number of the last tick that was looked at.
    private var current: Int64
    /// The number of entries in the wheel.
    package private(set) var count = 0

    /// A wheel of `slots` slots of `tick` each.
    ///
    /// A deadline further away than one turn stays in its slot for as many turns as it needs.
    package init(tick: Duration = .milliseconds(50), slots: Int = 256, now: MonotonicTime) {
        self.tick = tick
        self.tickNanoseconds = max(1, tick.clampedNanoseconds)
        self.slots = Array(repeating: [], count: max(2, slots))
        self.current = now.nanoseconds / tickNanoseconds
    }

    /// Puts an entry into the wheel, or moves it to another deadline.
    package mutating func schedule(_ entry: Entry, at deadline: MonotonicTime) {
        remove(entry)
        // The tick in which the deadline lies has been looked at when the next one is: so one later, and never one that
        // has already passed.
        let number = max(deadline.nanoseconds / tickNanoseconds, current) &+ 1
        let slot = Int(number % Int64(slots.count))
        entry.wheelPlace = TimerWheelPlace(slot: Int32(slot), index: Int32(slots[slot].count))
        slots[slot].append(Item(entry: entry, deadline: deadline))
        count += 1
    }

    /// Takes an entry out.
    ///
    /// One that is not in the wheel is no error.
    package mutating func remove(_ entry: Entry) {
        guard let place = entry.wheelPlace else { return }
        entry.wheelPlace = nil
        count -= 1
        let slot = Int(place.slot)
        let last = slots[slot].removeLast()
        if last.entry !== entry {
            slots[slot][Int(place.index)] = last
            last.entry.wheelPlace = place
        }
    }

    /// Takes out every entry whose deadline has come, in no particular order.
    package mutating func advance(to now: MonotonicTime) -> [Entry] {
        let target = now.nanoseconds / tickNanoseconds
        guard target > current else { return [] }
        guard count > 0 else {
            current = target
            return []
        }
        var due: [Entry] = []
        // After a long pause each slot is looked at once, not once for each turn that was missed.
        let first = max(current + 1, target - Int64(slots.count) + 1)
        current = target
        for number in first...target {
            let slot = Int(number % Int64(slots.count))
            var index = 0
            while index < slots[slot].count {
                let item = slots[slot][index]
                if item.deadline <= now {
                    due.append(item.entry)
                    remove(item.entry)
                } else {
                    index += 1
                }
            }
            if slots[slot].isEmpty, slots[slot].capacity > 64 { slots[slot] = [] }
        }
        return due
    }
}
