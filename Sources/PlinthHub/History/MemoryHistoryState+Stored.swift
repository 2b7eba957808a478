// SPDX-License-Identifier: Apache-2.0

import DequeModule
import PlinthStreams

/// A memory history's events as the recent part of a history that is stored elsewhere.
extension MemoryHistoryState {
    /// Continues a history whose entries up to its head are stored elsewhere: here they count as removed, but for ends.
    mutating func continueStored(_ epochs: HistoryEpochs, head: Position, ends: [HistoryEntry]) {
        self.epochs = epochs
        self.head = head
        next = head.number &+ 1
        log = []
        most = 0
        topics = TopicLogs()
        count = 0
        bytes = 0
        forgotten = head.number
        lastRemoved = head.number
        removals += 1
        ledger = AppendLedger()
        for end in ends { ledger.restore(end, by: nil) }
    }

    /// Whether events after a position that a selection wants may have been removed.
    func mayLack(after position: Position?, _ selection: Selection) -> Bool {
        let after = position?.number ?? 0
        guard lastRemoved > after else { return false }
        if let only = selection.only { return removed(from: only) > after }
        // Nearly always so for a reader that is behind.
        guard forgotten <= after, !selection.wantsEverything else { return true }
        guard selection.isOfNames, selection.table.names <= Self.maximumLookups else {
            let (losses, bound) = topics.losses(after: after, limit: Self.partSize)
            return bound != nil || losses.contains { $0.topics.contains(where: selection.wants) }
        }
        var lacks = false
        selection.table.forEachName { if removed(from: $0) > after { lacks = true } }
        return lacks
    }

    /// The last event removed from a topic.
    func removed(from topic: Topic) -> UInt64 {
        topics.number(of: topic).map { topics[$0].removed } ?? forgotten
    }

    /// Applies changes of the store.
    ///
    /// - Returns: The entries that are new.
    mutating func apply(_ changes: [StoredChange], now: MonotonicTime) -> [HistoryEntry] {
        expire(now: now)
        var new: [HistoryEntry] = []
        new.reserveCapacity(changes.count)
        for change in changes {
            switch change {
            case .open(let topic): removeEnd(of: topic)
            case .insert(let entry) where entry.position > head:
                head = entry.position
                next = head.number &+ 1
                new.append(entry)
                if entry.isEnd {
                    ledger.restore(entry, by: nil)
                } else {
                    insert(entry, into: entry.topics.map { topics.number(making: $0, forgotten: forgotten) })
                }
            case .insert: break
            }
        }
        trim()
        return new
    }
}
