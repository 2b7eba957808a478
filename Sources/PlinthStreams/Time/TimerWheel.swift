// SPDX-License-Identifier: Apache-2.0

/// A hashed timer wheel for the deadlines of numbered slots.
///
/// Scheduling appends to a bucket; timers are never searched for or removed. The owner numbers the timers of each slot,
/// and ignores a timer whose number is not the slot's latest. A timer more than a turn (12.8 s) away is due early,
/// within a turn, and the owner reschedules it. The wheel reads no clock and is not thread-safe.
package struct TimerWheel {
    private struct Timer {
        let slot: Int32
        let number: UInt32
    }

    /// The width of a bucket: a timer is due at most this long after its deadline.
    package static let tick = Duration.milliseconds(50)
    private static let tickNanoseconds: Int64 = 50_000_000
    private static let bucketCount: Int64 = 256

    private var buckets: [[Timer]] = Array(repeating: [], count: Int(bucketCount))
    /// The next tick to process.
    private var next: Int64 = 0
    /// The first tick whose bucket has a timer; `Int64.max` for none.
    private var earliest = Int64.max
    private var isStarted = false

    /// Creates an empty wheel.
    package init() {}

    /// Schedules a timer.
    ///
    /// - Parameters:
    ///   - slot: The timer's slot.
    ///   - number: The timer's number within the slot.
    ///   - deadline: When it is due: up to a tick late, and early if the deadline is more than a turn away.
    ///   - now: The current time.
    package mutating func schedule(_ slot: Int, number: UInt32, at deadline: MonotonicTime, now: MonotonicTime) {
        start(now)
        // The deadline has passed when the tick after it is processed.
        let wanted = deadline.nanoseconds / Self.tickNanoseconds + 1
        let tick = min(max(wanted, next), next + Self.bucketCount - 1)
        buckets[Int(tick % Self.bucketCount)].append(Timer(slot: Int32(slot), number: number))
        earliest = min(earliest, tick)
    }

    private mutating func start(_ now: MonotonicTime) {
        guard !isStarted else { return }
        isStarted = true
        next = now.nanoseconds / Self.tickNanoseconds
    }

    /// Removes and returns the timers that are due.
    ///
    /// - Parameter now: The current time.
    /// - Returns: Slots and numbers, in no particular order.
    package mutating func advance(to now: MonotonicTime) -> [(slot: Int, number: UInt32)] {
        start(now)
        var due: [(slot: Int, number: UInt32)] = []
        let last = now.nanoseconds / Self.tickNanoseconds
        // After a long pause, processes each bucket once.
        if last - next >= Self.bucketCount { next = last - Self.bucketCount + 1 }
        while next <= last {
            let bucket = Int(next % Self.bucketCount)
            for timer in buckets[bucket] { due.append((Int(timer.slot), timer.number)) }
            buckets[bucket].removeAll(keepingCapacity: buckets[bucket].capacity <= 1024)
            next += 1
        }
        if earliest < next { findEarliest() }
        return due
    }

    /// The time until the next bucket with a timer is due.
    ///
    /// - Parameter now: The current time.
    /// - Returns: Nanoseconds; a turn if there are no timers.
    package func untilNext(now: MonotonicTime) -> Int64 {
        earliest == .max
            ? Self.bucketCount * Self.tickNanoseconds : max(0, earliest * Self.tickNanoseconds - now.nanoseconds)
    }

    private mutating func findEarliest() {
        let first = (next..<(next + Self.bucketCount)).first { !buckets[Int($0 % Self.bucketCount)].isEmpty }
        earliest = first ?? .max
    }
}
