// SPDX-License-Identifier: Apache-2.0

import DequeModule
import PlinthStreams

extension MemoryHistoryState {
    /// Reads the events of one topic from its own list: the cost does not grow with the log.
    mutating func read(
        after position: Position?,
        only topic: Topic,
        _ reading: inout HistoryReading,
        now: MonotonicTime
    ) {
        expire(now: now)
        let after = position?.number ?? 0
        reading.begin(head: max(head.number, after))
        let number = topics.number(of: topic)
        let removed = removed(from: topic)
        if removed > after { reading.misses(removed) }
        if let number {
            for entry in topics[number].entries.entries(after: after) where !reading.take(entry) { return }
        }
        // An end follows all events of its topic.
        if let end = ledger.end(of: topic), end.position.number > after { _ = reading.take(end) }
    }

    /// A part of the log, to be examined outside the lock.
    struct Part {
        /// The events, in order.
        var entries: [HistoryEntry] = []
        /// The position up to which the part goes.
        var through: UInt64
        /// Whether the log continues after it.
        var hasMore = false
        /// The last event removed from a topic that has no events left.
        var forgotten: UInt64 = 0
        /// Topics that lost events and still have some.
        var losses: [TopicLogs.Loss] = []
        /// The position up to which topics not in ``losses`` may have lost events.
        var bound: UInt64?
        /// The number of events removed so far.
        var removals = 0
        /// Whether ``forgotten`` applies: a named topic has no events.
        var lacksTopic = true
    }

    /// The slots of a part: some ten microseconds of work, during which publishers wait.
    static let partSize = 256
    /// The maximum number of names looked up for a part.
    static let maximumLookups = 64

    /// The part of the log after a position, wanted or not; its cost does not depend on the selection.
    ///
    /// - Parameters:
    ///   - position: The position.
    ///   - selection: The events that the subscriber wants.
    ///   - known: The number of removals when this read last determined losses; nil for its first part.
    ///   - now: The time.
    /// - Returns: The part; without losses if nothing was removed since.
    mutating func part(after position: Position?, _ selection: Selection, known: Int?, now: MonotonicTime) -> Part {
        expire(now: now)
        let after = position?.number ?? 0
        var part = Part(through: max(head.number, after))
        part.removals = removals
        let start = log.index(after: after) { $0.position }
        let end = min(log.count, start + Self.partSize)
        if end < log.count {
            part.hasMore = true
            part.through = log[end - 1].position
        }
        var ends = ledger.ends(after: after, through: part.through)
        if ends.count > Self.partSize {
            ends = ends.prefix(Self.partSize)
            part.hasMore = true
            part.through = ends.last?.position.number ?? part.through
        }
        for index in start..<end {
            let slot = log[index]
            guard slot.position <= part.through else { break }
            while let first = ends.first, first.position.number < slot.position {
                part.entries.append(first)
                ends.removeFirst()
            }
            if let entry = slot.entry { part.entries.append(entry) }
        }
        part.entries.append(contentsOf: ends)
        // The common case: nothing was removed since.
        guard lastRemoved > after, known != removals else { return part }
        if selection.isOfNames, selection.table.names <= Self.maximumLookups {
            part.lacksTopic = false
            selection.table.forEachName { topic in
                if let number = topics.number(of: topic) {
                    let log = topics[number]
                    if log.removed > after {
                        part.losses.append(TopicLogs.Loss(topics: log.topics, position: log.removed))
                    }
                } else {
                    part.lacksTopic = true
                }
            }
        }
        if part.lacksTopic, forgotten > after { part.forgotten = forgotten }
        if !selection.isOfNames || selection.table.names > Self.maximumLookups {
            // Losses up to `forgotten` are covered by it, including those that new logs begin with.
            (part.losses, part.bound) = topics.losses(after: max(after, part.forgotten), limit: Self.partSize)
        }
        return part
    }
}
