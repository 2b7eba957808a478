// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth

/// A rate: how much may be taken in a time, evenly or at once.
struct RateLimit: Sendable, Equatable {
    /// Events, requests or topics in a ``window``; nil for any number.
    let events: Int?
    /// Bytes in a ``window``; nil for any number.
    let bytes: Int?
    /// The time in nanoseconds for which both hold, and whose amount may be taken at once after a pause.
    let window: Int64

    /// Creates a rate; both numbers are clamped to 1 to 10^9.
    ///
    /// - Parameters:
    ///   - events: Events in a window; nil for any number. Default: nil.
    ///   - bytes: Bytes in a window; nil for any number. Default: nil.
    ///   - window: The time for which they hold, clamped to 1 ms to 1 day. Default: 1 s.
    init(events: Int? = nil, bytes: Int? = nil, window: Duration = .seconds(1)) {
        self.events = events.map(Self.clamped)
        self.bytes = bytes.map(Self.clamped)
        self.window = min(max(window, .milliseconds(1)), .seconds(86_400)).clampedNanoseconds
    }

    private static func clamped(_ number: Int) -> Int { min(max(1, number), 1_000_000_000) }

    /// The time in which an amount comes back, rounded down, so that a window's amount fits into it in any pieces.
    fileprivate func cost(_ amount: Int, of limit: Int?) -> Int64 {
        guard let limit, amount > 0 else { return 0 }
        return Int64(clamping: Int128(amount) * Int128(window) / Int128(limit))
    }
}

/// What a client has left of a rate: two token buckets, for events and for bytes.
///
/// A bucket is represented by the time at which it is full. One that is full allows any amount, so that nothing is refused
/// forever; what exceeds a window's amount is a debt, which has to come back first.
struct TokenBucket: Sendable {
    private var eventsFull: Int64
    private var bytesFull: Int64

    /// Full buckets.
    init(now: MonotonicTime) {
        eventsFull = now.nanoseconds
        bytesFull = now.nanoseconds
    }

    /// When both are full; then it is as good as a new one.
    var fullAt: MonotonicTime { MonotonicTime(nanoseconds: max(eventsFull, bytesFull)) }

    /// Takes from both buckets, or from none.
    ///
    /// - Returns: Nil, or how long to wait until this can be taken, unless something else is taken meanwhile.
    mutating func take(events: Int, bytes: Int, limit: RateLimit, now: MonotonicTime) -> Duration? {
        let eventCost = limit.cost(events, of: limit.events)
        let byteCost = limit.cost(bytes, of: limit.bytes)
        let wait = max(
            Self.wait(for: eventCost, full: eventsFull, window: limit.window, now: now.nanoseconds),
            Self.wait(for: byteCost, full: bytesFull, window: limit.window, now: now.nanoseconds)
        )
        guard wait == 0 else { return .nanoseconds(wait) }
        eventsFull = Self.sum(max(eventsFull, now.nanoseconds), eventCost)
        bytesFull = Self.sum(max(bytesFull, now.nanoseconds), byteCost)
        return nil
    }

    private static func wait(for cost: Int64, full: Int64, window: Int64, now: Int64) -> Int64 {
        // What costs nothing is not delayed by what others have taken.
        guard cost > 0 else { return 0 }
        // The bucket must be full to allow a window's cost, or more; else as much earlier as the cost is lower.
        let due = sum(full, min(cost, window) - window)
        let (wait, overflow) = due.subtractingReportingOverflow(now)
        return due <= now ? 0 : overflow ? .max : wait
    }

    /// A sum that saturates.
    private static func sum(_ left: Int64, _ right: Int64) -> Int64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? (right < 0 ? .min : .max) : sum
    }
}

/// Token buckets by key, of which a bounded number is held.
///
/// A full bucket is dropped without loss. Each new key looks at a few others in turn for such ones, so the table follows
/// the keys in use. If at the bound none of them is full, the one that is next to be full is dropped: its key begins anew.
struct TokenBuckets<Key: Hashable & Sendable>: Sendable {
    private struct Entry {
        let key: Key
        var bucket: TokenBucket
    }

    let limit: RateLimit
    private let maximumKeys: Int
    private var entries: [Entry] = []
    private var indices: [Key: Int] = [:]
    /// The entry to look at next.
    private var hand = 0

    /// How many entries a new key looks at, and at the bound.
    private static var looks: (usual: Int, atBound: Int) { (2, 8) }

    init(_ limit: RateLimit, maximumKeys: Int) {
        self.limit = limit
        self.maximumKeys = max(1, maximumKeys)
    }

    /// The number of keys held.
    var count: Int { entries.count }

    /// Takes from the buckets of a key.
    ///
    /// - Returns: Nil, or how long to wait until this can be taken.
    mutating func take(_ key: Key, events: Int, bytes: Int, now: MonotonicTime) -> Duration? {
        if let index = indices[key] {
            return entries[index].bucket.take(events: events, bytes: bytes, limit: limit, now: now)
        }
        makeRoom(now)
        var bucket = TokenBucket(now: now)
        // A new bucket is full, and refuses nothing.
        let wait = bucket.take(events: events, bytes: bytes, limit: limit, now: now)
        indices[key] = entries.count
        entries.append(Entry(key: key, bucket: bucket))
        return wait
    }

    /// How long a key has to wait before it may take one event; nil if it may now.
    func wait(_ key: Key, now: MonotonicTime) -> Duration? {
        guard let index = indices[key] else { return nil }
        var bucket = entries[index].bucket
        return bucket.take(events: 1, bytes: 0, limit: limit, now: now)
    }

    /// Drops full buckets among the next ones, and at the bound at least one.
    private mutating func makeRoom(_ now: MonotonicTime) {
        let isAtBound = entries.count >= maximumKeys
        var nextFull: (key: Key, fullAt: MonotonicTime)?
        for _ in 0..<(isAtBound ? Self.looks.atBound : Self.looks.usual) where !entries.isEmpty {
            if hand >= entries.count { hand = 0 }
            let entry = entries[hand]
            if entry.bucket.fullAt <= now {
                remove(at: hand)
            } else if nextFull.map({ entry.bucket.fullAt < $0.fullAt }) ?? true {
                nextFull = (entry.key, entry.bucket.fullAt)
            }
            // Also past the entry that has taken the place of a dropped one: it is the last one, and hardly full.
            hand += 1
        }
        if entries.count >= maximumKeys, let key = nextFull?.key, let index = indices[key] { remove(at: index) }
    }

    private mutating func remove(at index: Int) {
        indices[entries[index].key] = nil
        let last = entries.removeLast()
        guard index < entries.count else { return }
        entries[index] = last
        indices[last.key] = index
    }
}

#endif
