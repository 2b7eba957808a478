// SPDX-License-Identifier: Apache-2.0

/// A read of a history in progress: collects the events that a selection includes, up to a limit.
package struct HistoryReading {
    private let selection: Selection
    private let limit: ReadLimit
    package private(set) var batch: HistoryBatch
    private var bytes = 0
    /// Whether an event was examined: one always is, whatever work the search for losses took, so that a reader
    /// advances.
    private var hasBegun = false
    /// The number of removals when losses were last determined.
    private(set) var removals: Int?
    private var answers = TopicAnswers()

    package init(_ selection: Selection, _ limit: ReadLimit, after position: Position?) {
        self.selection = selection
        self.limit = limit
        batch = HistoryBatch(entries: [], through: position ?? .zero, missingThrough: nil)
    }

    /// Marks the read as complete up to the head, unless an event is refused.
    package mutating func begin(head: UInt64) { batch.through = Position(head) }

    /// Records that wanted events were lost up to a position.
    package mutating func misses(_ position: UInt64) {
        batch.missingThrough = max(batch.missingThrough ?? .zero, Position(position))
    }

    /// Takes an event if the selection includes it.
    ///
    /// - Returns: Whether to continue: false if the limit is reached, whether or not the event is included.
    package mutating func take(_ entry: HistoryEntry) -> Bool {
        guard !hasBegun || batch.work < max(1, limit.work) else { return refuse(entry) }
        hasBegun = true
        var work = 0
        let isIncluded = answers.includes(entry, selection, work: &work)
        batch.work += max(1, work)
        guard isIncluded else { return true }
        let size = entry.frame.bytes.count
        let isFull = batch.entries.count >= max(1, limit.events) || bytes + size > limit.bytes
        guard !isFull || batch.entries.isEmpty else { return refuse(entry) }
        batch.entries.append(entry)
        bytes += size
        return true
    }

    private mutating func refuse(_ entry: HistoryEntry) -> Bool {
        batch.through = Position(entry.position.number - 1)
        return false
    }

    /// Takes a part of the log.
    ///
    /// - Returns: Whether to continue after it.
    mutating func take(_ part: MemoryHistoryState.Part) -> Bool {
        let missing = missing(part)
        if let missing {
            // Events removed since the last part lie after those collected; the next read reports them.
            guard batch.entries.isEmpty else { return false }
            misses(missing)
        }
        removals = part.removals
        batch.through = Position(part.through)
        for entry in part.entries where !take(entry) { return false }
        return batch.work < max(1, limit.work)
    }

    /// The last event that the selection may include and that is no longer held.
    private mutating func missing(_ part: MemoryHistoryState.Part) -> UInt64? {
        var last = max(part.forgotten, part.bound ?? 0)
        for loss in part.losses where loss.position > last {
            // Beyond the limit a loss counts as wanted: a needless gap is better than an unreported one.
            var work = 0
            if batch.work >= max(1, limit.work) || answers.wants(loss.topics, selection, work: &work) {
                last = loss.position
            }
            batch.work += work
        }
        return last > 0 ? last : nil
    }
}

/// Caches whether a selection wants the topics of a read, keyed by the arrays that entries of one topic share.
///
/// The table has 64 places. An array may be in any of four, and replaces the first of them if all are taken.
private struct TopicAnswers {
    private static let size = 64
    private static let ways = 4
    private var known: [(topics: [Topic], isWanted: Bool)] = []

    mutating func includes(_ entry: HistoryEntry, _ selection: Selection, work: inout Int) -> Bool {
        wants(entry.topics, selection, work: &work) && (!entry.isRestricted || selection.allows(entry.publishedTopics))
    }

    mutating func wants(_ topics: [Topic], _ selection: Selection, work: inout Int) -> Bool {
        if selection.only != nil { return topics.contains { selection.wants($0, work: &work) } }
        // Arrays in the table are alive, so no other can have their address.
        let address = Self.address(of: topics)
        if known.isEmpty { known = Array(repeating: ([], false), count: Self.size) }
        let first = Int(truncatingIfNeeded: (address >> 4) % UInt(Self.size))
        var place = first
        for way in 0..<Self.ways {
            let next = (first + way) % Self.size
            if known[next].topics.isEmpty {
                place = next
                break
            }
            if Self.address(of: known[next].topics) == address { return known[next].isWanted }
        }
        let isWanted = topics.contains { selection.wants($0, work: &work) }
        known[place] = (topics, isWanted)
        return isWanted
    }

    private static func address(of topics: [Topic]) -> UInt {
        topics.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) }
    }
}
