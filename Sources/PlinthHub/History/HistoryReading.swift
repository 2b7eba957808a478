// SPDX-License-Identifier: Apache-2.0

/// A read of a ``MemoryHistory`` under way: picks what a selection includes, up to a limit.
struct HistoryReading {
    private let selection: Selection
    private let limit: ReadLimit
    private(set) var batch: HistoryBatch
    private var bytes = 0
    /// Whether an event was looked at: one is, whatever finding out what is missing took, or a reader would never get on.
    private var hasBegun = false
    /// How many events had been removed when what is missing was last found.
    private(set) var removals: Int?
    private var answers = TopicAnswers()

    init(_ selection: Selection, _ limit: ReadLimit, after position: Position?) {
        self.selection = selection
        self.limit = limit
        batch = HistoryBatch(entries: [], through: position ?? .zero, missingThrough: nil)
    }

    /// Nothing is left out up to here, unless an event is refused.
    mutating func begin(head: UInt64) { batch.through = Position(head) }

    /// Events that are wanted were lost up to here.
    mutating func misses(_ position: UInt64) {
        batch.missingThrough = max(batch.missingThrough ?? .zero, Position(position))
    }

    /// Takes an event if it is included.
    ///
    /// - Returns: Whether to go on: not if the limit does not allow it, whether or not it is included.
    mutating func take(_ entry: HistoryEntry) -> Bool {
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
    /// - Returns: Whether to go on behind it.
    mutating func take(_ part: MemoryHistoryState.Part) -> Bool {
        let missing = missing(part)
        if let missing {
            // What was removed since the last part was taken lies behind what has been picked: the next read says so.
            guard batch.entries.isEmpty else { return false }
            misses(missing)
        }
        removals = part.removals
        batch.through = Position(part.through)
        for entry in part.entries where !take(entry) { return false }
        return batch.work < max(1, limit.work)
    }

    /// The last event that the selection may include and that is not held any more.
    private mutating func missing(_ part: MemoryHistoryState.Part) -> UInt64? {
        var last = max(part.forgotten, part.bound ?? 0)
        for loss in part.losses where loss.position > last {
            // Beyond the limit it is taken for one that is wanted: rather a gap without need than none where one is.
            var work = 0
            if batch.work >= max(1, limit.work) || answers.wants(loss.topics, selection, work: &work) {
                last = loss.position
            }
            batch.work += work
        }
        return last > 0 ? last : nil
    }
}

/// What a selection answered for the topics of a read, by the lists that entries of one topic share.
///
/// A table of 64 answers: a list has four places, and takes the first of them if others have all four.
private struct TopicAnswers {
    private static let size = 64
    private static let ways = 4
    private var known: [(topics: [Topic], isWanted: Bool)] = []

    mutating func includes(_ entry: HistoryEntry, _ selection: Selection, work: inout Int) -> Bool {
        wants(entry.topics, selection, work: &work) && (!entry.isRestricted || selection.allows(entry.topics))
    }

    mutating func wants(_ topics: [Topic], _ selection: Selection, work: inout Int) -> Bool {
        if selection.only != nil { return topics.contains { selection.wants($0, work: &work) } }
        // Lists in the table are alive, so that no other can have their address.
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
