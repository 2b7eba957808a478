// SPDX-License-Identifier: Apache-2.0

/// A hashed timer wheel for the deadlines of numbered slots.
///
/// Setting a timer appends to a bucket; nothing is ever searched or removed. The owner numbers the timers of each slot, and
/// ignores one whose number is no longer the slot's. A deadline more than a turn (12.8 s) away comes out early, once a turn,
/// and the owner sets it again. The wheel reads no clock and is not thread-safe.
package struct TimerWheel {
    private struct Timer {
        let slot: Int32
        let number: UInt32
    }

    /// The width of a bucket: a timer comes out at most this long after its deadline.
    package static let tick = Duration.milliseconds(50)
    private static let tickNanoseconds: Int64 = 50_000_000
    private static let bucketCount: Int64 = 256

    private var buckets: [[Timer]] = Array(repeating: [], count: Int(bucketCount))
    /// The next tick to look at.
    private var next: Int64 = 0
    /// The first tick whose bucket has a timer; `Int64.max` if none has.
    private var earliest = Int64.max
    private var isStarted = false

    /// An empty wheel.
    package init() {}

    /// Sets a timer.
    ///
    /// - Parameters:
    ///   - slot: Whose it is.
    ///   - number: Which of the slot's timers.
    ///   - deadline: When it comes out, up to a tick late; early if that is more than a turn away.
    ///   - now: The time.
    package mutating func schedule(_ slot: Int, number: UInt32, at deadline: MonotonicTime, now: MonotonicTime) {
        start(now)
        // The tick of the deadline has passed when the next one is looked at.
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

    /// Takes out the timers whose bucket's time has come.
    ///
    /// - Parameter now: The time.
    /// - Returns: Slots and numbers, in no particular order.
    package mutating func advance(to now: MonotonicTime) -> [(slot: Int, number: UInt32)] {
        start(now)
        var due: [(slot: Int, number: UInt32)] = []
        let last = now.nanoseconds / Self.tickNanoseconds
        // After a long pause each bucket is looked at once.
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

    /// When the next bucket is due that has a timer.
    ///
    /// - Parameter now: The time.
    /// - Returns: Nanoseconds until then; a turn if no bucket has a timer.
    package func untilNext(now: MonotonicTime) -> Int64 {
        earliest == .max
            ? Self.bucketCount * Self.tickNanoseconds : max(0, earliest * Self.tickNanoseconds - now.nanoseconds)
    }

    private mutating func findEarliest() {
        let first = (next..<(next + Self.bucketCount)).first { !buckets[Int($0 % Self.bucketCount)].isEmpty }
        earliest = first ?? .max
    }
}
