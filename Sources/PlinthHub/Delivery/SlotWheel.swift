// SPDX-License-Identifier: Apache-2.0

/// A timer wheel for the slots of a distributor.
///
/// Nothing is taken out: each timer has a number, and whoever is handed one that does not count any more leaves it.
struct SlotWheel {
    private struct Item {
        let slot: Int32
        let timer: UInt32
    }

    /// In nanoseconds: 50 ms.
    private static let tick: Int64 = 50_000_000
    private static let slots: Int64 = 256
    private var items: [[Item]] = Array(repeating: [], count: Int(slots))
    /// The number of the next tick to be looked at.
    private var next: Int64 = 0
    /// The number of the first tick whose bucket has anything; the largest number if none has.
    private var earliest = Int64.max
    private var isStarted = false

    /// Has a slot looked at when its time has come, or earlier.
    mutating func add(_ slot: Int, _ timer: UInt32, at deadline: Int64, now: Int64) {
        start(now)
        // The tick after the deadline. If that is more than a turn away, it is looked at in between.
        let wanted = deadline / Self.tick + 1
        let number = min(max(wanted, next), next + Self.slots - 1)
        items[Int(number % Self.slots)].append(Item(slot: Int32(slot), timer: timer))
        earliest = min(earliest, number)
    }

    private mutating func start(_ now: Int64) {
        guard !isStarted else { return }
        isStarted = true
        next = now / Self.tick
    }

    /// What is to be looked at up to a time.
    mutating func advance(to now: Int64) -> [(Int, UInt32)] {
        start(now)
        var due: [(Int, UInt32)] = []
        let last = now / Self.tick
        // After a long sleep each bucket is looked at once.
        if last - next >= Self.slots { next = last - Self.slots + 1 }
        while next <= last {
            let bucket = Int(next % Self.slots)
            for item in items[bucket] { due.append((Int(item.slot), item.timer)) }
            items[bucket].removeAll(keepingCapacity: items[bucket].capacity <= 1024)
            next += 1
        }
        if earliest < next { findEarliest() }
        return due
    }

    /// Nanoseconds until the next bucket that has anything; no more than a turn.
    func untilNext(now: Int64) -> Int64 {
        earliest == .max ? Self.slots * Self.tick : max(0, earliest * Self.tick - now)
    }

    private mutating func findEarliest() {
        let first = (next..<(next + Self.slots)).first { !items[Int($0 % Self.slots)].isEmpty }
        earliest = first ?? .max
    }
}
