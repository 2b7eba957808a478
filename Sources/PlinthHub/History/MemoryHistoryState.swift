// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// The events of a ``MemoryHistory``, and what has been removed of them.
///
/// All events stand in one log in their order; an event that is removed leaves an empty slot, and when there are many of
/// these they are closed up. Each topic has its events, too. What was removed is remembered by one position for each topic
/// that is held, and by one for all others.
struct MemoryHistoryState {
    private struct Slot {
        let position: UInt64
        var entry: HistoryEntry?
    }

    private final class TopicLog {
        var entries: Deque<HistoryEntry> = []
        var bytes = 0
        /// The last event that was removed.
        var removed: UInt64 = 0
    }

    private let topicLimits: HistoryLimits
    private let totalLimits: HistoryLimits
    /// In nanoseconds.
    private let maximumAge: Int64?
    private let acceptsIDs: Bool
    /// What every ID of this history begins with.
    private let prefix: [UInt8]
    var deliver: (@Sendable ([HistoryEntry]) -> Void)?

    private var log: Deque<Slot> = []
    private var next: UInt64 = 1
    private var topics: [Topic: TopicLog] = [:]
    /// The last event that was removed of a topic that has none any more.
    private var forgotten: UInt64 = 0
    /// The last event that was removed of any.
    private var lastRemoved: UInt64 = 0
    private var count = 0
    private var bytes = 0
    /// Where IDs of publishers' choice were first used, while their events are held.
    private var chosen: [EventID: UInt64] = [:]

    init(topic: HistoryLimits, total: HistoryLimits, acceptsIDs: Bool, epoch: UInt64) {
        topicLimits = topic
        totalLimits = total
        maximumAge = [topic.age, total.age].compactMap { $0?.clampedNanoseconds }.min()
        self.acceptsIDs = acceptsIDs
        prefix = Array(String(epoch, radix: 36).utf8) + [0x2D]
    }

    /// The position of the last event.
    var head: Position { Position(next - 1) }

    var statistics: HistoryStatistics { HistoryStatistics(topics: topics.count, events: count, bytes: bytes) }

    // MARK: - IDs

    func id(at position: Position) -> EventID {
        var id: [UInt8] = []
        id.reserveCapacity(prefix.count + 20)
        id.append(contentsOf: prefix)
        id.appendDecimal(position.number)
        return EventID(trusted: id)
    }

    func locate(_ id: EventID) -> Position? {
        if let chosen = chosen[id] { return Position(chosen) }
        guard id.utf8.starts(with: prefix), let number = UInt64(decimal: id.utf8.dropFirst(prefix.count)),
            number < next
        else { return nil }
        return Position(number)
    }

    // MARK: - Appending

    mutating func append(_ events: [NewEvent], now: HubTime) throws(HistoryError) -> [HistoryEntry] {
        for event in events {
            if let id = event.requestedID { try check(id) }
        }
        expire(now: now)
        var entries: [HistoryEntry] = []
        entries.reserveCapacity(events.count)
        for event in events {
            let position = Position(next)
            next += 1
            let id = event.requestedID ?? id(at: position)
            if event.requestedID != nil, chosen[id] == nil { chosen[id] = position.number }
            let entry = HistoryEntry(event, position: position, id: id, time: now)
            log.append(Slot(position: position.number, entry: entry))
            count += 1
            bytes += entry.size
            // It stands in all of its topics before the first of them is trimmed: that may remove it again.
            for topic in entry.topics { add(entry, to: topic) }
            for topic in entry.topics { trim(topic) }
            entries.append(entry)
        }
        while count > totalLimits.events || bytes > totalLimits.bytes, let slot = log.first {
            if let entry = slot.entry { remove(entry) }
            dropEmptySlots()
        }
        return entries
    }

    private func check(_ id: EventID) throws(HistoryError) {
        guard acceptsIDs else {
            throw HistoryError(code: .idNotAccepted, description: "this history gives events their IDs itself")
        }
        guard !id.isReserved, !id.utf8.starts(with: prefix) else {
            throw HistoryError(code: .idReserved, description: "the ID \(id) is reserved")
        }
    }

    private mutating func add(_ entry: HistoryEntry, to topic: Topic) {
        let log: TopicLog
        if let known = topics[topic] {
            log = known
        } else {
            log = TopicLog()
            // It may have had events before.
            log.removed = forgotten
            topics[topic] = log
        }
        log.entries.append(entry)
        log.bytes += entry.size
    }

    private mutating func trim(_ topic: Topic) {
        guard let log = topics[topic] else { return }
        while log.entries.count > topicLimits.events || log.bytes > topicLimits.bytes, let oldest = log.entries.first {
            remove(oldest)
        }
    }

    // MARK: - Reading

    mutating func read(after position: Position?, selection: Selection, limit: ReadLimit, now: HubTime) -> HistoryBatch
    {
        expire(now: now)
        let after = position?.number ?? 0
        var batch = HistoryBatch(
            entries: [],
            through: max(head, Position(after)),
            missingThrough: missing(after, selection)
        )
        if let only = selection.only {
            // By the topic's own events: what a read costs does not grow with the log.
            guard let entries = topics[only]?.entries else { return batch }
            let start = entries.index(after: after) { $0.position.number }
            read(entries[start...], selection, limit, &batch)
        } else {
            let start = log.index(after: after) { $0.position }
            read(log[start...].lazy.compactMap(\.entry), selection, limit, &batch)
        }
        return batch
    }

    private func read(
        _ entries: some Sequence<HistoryEntry>,
        _ selection: Selection,
        _ limit: ReadLimit,
        _ batch: inout HistoryBatch
    ) {
        var work = 0
        var bytes = 0
        for entry in entries {
            let size = entry.frame.bytes.count
            let isIncluded = selection.includes(entry.topics, isRestricted: entry.isRestricted)
            let isFull = isIncluded && (batch.entries.count >= max(1, limit.events) || bytes + size > limit.bytes)
            guard work < max(1, limit.work), !isFull || batch.entries.isEmpty else {
                batch.through = Position(entry.position.number - 1)
                return
            }
            work += 1
            if isIncluded {
                batch.entries.append(entry)
                bytes += size
            }
        }
    }

    /// The last event after a position that the selection may include and that is no longer held.
    private func missing(_ after: UInt64, _ selection: Selection) -> Position? {
        // The way of nearly all: nothing at all was removed since.
        guard lastRemoved > after else { return nil }
        var last = selection.exact == nil ? forgotten : 0
        if let exact = selection.exact {
            for topic in exact { last = max(last, topics[topic]?.removed ?? forgotten) }
        } else {
            for (topic, log) in topics where log.removed > max(after, last) && selection.wants(topic) {
                last = log.removed
            }
        }
        return last > after ? Position(last) : nil
    }

    // MARK: - Removing

    mutating func purge(_ topic: Topic) -> Int {
        guard let entries = topics[topic]?.entries else { return 0 }
        for entry in entries { remove(entry) }
        dropEmptySlots()
        return entries.count
    }

    mutating func expire(now: HubTime) {
        guard let maximumAge else { return }
        // The log is in the order of time.
        while let slot = log.first {
            if let entry = slot.entry {
                guard now.nanoseconds - entry.time.nanoseconds > maximumAge else { return }
                remove(entry)
            }
            dropEmptySlots()
        }
    }

    /// Removes an event from everywhere.
    ///
    /// Its slot in the log stays, empty.
    private mutating func remove(_ entry: HistoryEntry) {
        let position = entry.position.number
        let index = log.index(after: position - 1) { $0.position }
        log[index].entry = nil
        count -= 1
        bytes -= entry.size
        lastRemoved = max(lastRemoved, position)
        if !chosen.isEmpty, chosen[entry.id] == position { chosen[entry.id] = nil }
        for topic in entry.topics {
            guard let held = topics[topic] else { continue }
            if held.entries.first === entry {
                held.entries.removeFirst()
            } else {
                held.entries.remove(at: held.entries.index(after: position - 1) { $0.position.number })
            }
            held.bytes -= entry.size
            held.removed = max(held.removed, position)
            if held.entries.isEmpty {
                forgotten = max(forgotten, held.removed)
                topics[topic] = nil
            }
        }
        // Otherwise one old event would keep the slots of all that came and went after it.
        if log.count > 2 * count + 1024 { log.removeAll { $0.entry == nil } }
    }

    private mutating func dropEmptySlots() {
        while let slot = log.first, slot.entry == nil { log.removeFirst() }
    }
}

extension Deque {
    /// The index of the first element, of those in increasing order, whose number is beyond another.
    fileprivate func index(after number: UInt64, _ key: (Element) -> UInt64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if key(self[middle]) > number { high = middle } else { low = middle + 1 }
        }
        return low
    }
}

extension [UInt8] {
    /// Appends a number in decimal digits.
    mutating func appendDecimal(_ number: UInt64) {
        var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
        Swift.withUnsafeMutableBytes(of: &digits) { digits in
            var rest = number
            var start = digits.count
            repeat {
                start -= 1
                digits[start] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            } while rest > 0
            append(contentsOf: digits[start...])
        }
    }
}

extension UInt64 {
    /// A number written in decimal digits and nothing else, as ``Swift/Array/appendDecimal(_:)`` writes it.
    init?(decimal digits: ArraySlice<UInt8>) {
        guard let leading = digits.first, leading != 0x30 || digits.count == 1 else { return nil }
        var number: UInt64 = 0
        for digit in digits {
            guard (0x30...0x39).contains(digit) else { return nil }
            let (product, overflow) = number.multipliedReportingOverflow(by: 10)
            let (sum, overflow2) = product.addingReportingOverflow(UInt64(digit - 0x30))
            guard !overflow, !overflow2 else { return nil }
            number = sum
        }
        self = number
    }
}
