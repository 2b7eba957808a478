// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// The events of a ``MemoryHistory``, and what has been removed of them.
///
/// All events stand in one log in their order; an event that is removed leaves an empty slot, and when there are many of
/// these they are closed up. Each topic has its events, too. What was removed is remembered by one position for each topic
/// that is held, and by one for all others.
///
/// What it counts is what all that takes in memory: entries, names, and the room of logs and tables.
struct MemoryHistoryState {
    private struct Slot {
        let position: UInt64
        var entry: HistoryEntry?
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
    /// The most slots that the log has had since its room was last fitted to them.
    private var most = 0
    private var topics = TopicLogs()
    /// The last event that was removed of a topic that has none any more.
    private var forgotten: UInt64 = 0
    /// The last event that was removed of any.
    private var lastRemoved: UInt64 = 0
    /// How many events were removed.
    private var removals = 0
    private var count = 0
    /// The bytes of all entries.
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

    /// What all that is held takes in memory.
    private var held: Int { bytes + topics.held }

    var statistics: HistoryStatistics { HistoryStatistics(topics: topics.count, events: count, bytes: held) }

    /// The topics and events that its tables have room for, for tests of whether it is given back.
    var tableRoom: Int { topics.room + max(most, log.count) }

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

    mutating func append(
        _ events: [NewEvent],
        now: MonotonicTime
    ) throws(HistoryError) -> (entries: [HistoryEntry], ids: [EventID]) {
        for event in events {
            if let id = event.requestedID { try check(id) }
        }
        expire(now: now)
        var entries: [HistoryEntry] = []
        entries.reserveCapacity(events.count)
        var ids: [EventID] = []
        ids.reserveCapacity(events.count)
        for event in events {
            let position = Position(next)
            next += 1
            let id = event.requestedID ?? id(at: position)
            if event.requestedID != nil, chosen[id] == nil { chosen[id] = position.number }
            let numbers = event.topics.map { topics.number(making: $0, forgotten: forgotten) }
            let entry = HistoryEntry(
                event,
                topics: numbers.count == 1 ? topics[numbers[0]].topics : numbers.flatMap { topics[$0].topics },
                position: position,
                id: id,
                time: now
            )
            log.append(Slot(position: position.number, entry: entry))
            most = max(most, log.count)
            count += 1
            bytes += entry.size
            // It stands in all of its topics before the first of them is trimmed: that may remove it again.
            for number in numbers { topics.append(entry, to: number) }
            for topic in entry.topics { trim(topic) }
            entries.append(entry)
            ids.append(id)
        }
        while count > totalLimits.events || held > totalLimits.bytes, let slot = log.first {
            if let entry = slot.entry { remove(entry) }
            dropEmptySlots()
        }
        return (entries, ids)
    }

    private func check(_ id: EventID) throws(HistoryError) {
        guard acceptsIDs else {
            throw HistoryError(code: .idNotAccepted, description: "this history gives events their IDs itself")
        }
        guard !id.isReserved, !id.utf8.starts(with: prefix) else {
            throw HistoryError(code: .idReserved, description: "the ID \(id) is reserved")
        }
    }

    private mutating func trim(_ topic: Topic) {
        while let number = topics.number(of: topic), let oldest = topics[number].entries.first,
            topics[number].entries.count > topicLimits.events || topics[number].bytes > topicLimits.bytes
        {
            remove(oldest)
        }
    }

    // MARK: - Reading

    /// Reads on for a subscriber of one topic, by the topic's own events: what that costs does not grow with the log.
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
        let removed = number.map { topics[$0].removed } ?? forgotten
        if removed > after { reading.misses(removed) }
        guard let number else { return }
        for entry in topics[number].entries.entries(after: after) where !reading.take(entry) { return }
    }

    /// A part of the log, to be looked at outside of the lock.
    struct Part {
        /// The events, in their order.
        var entries: [HistoryEntry] = []
        /// How far they go.
        var through: UInt64
        /// Whether there are more.
        var hasMore = false
        /// Up to where events were removed of topics that have none any more.
        var forgotten: UInt64 = 0
        /// Topics that lost events and have others.
        var losses: [TopicLogs.Loss] = []
        /// Up to where others may have lost events that are not among these.
        var bound: UInt64?
        /// How many events have been removed until now.
        var removals = 0
        /// Whether ``forgotten`` counts: a topic that was named has no events.
        var lacksTopic = true
    }

    /// How much a part has: some ten microseconds' worth, since publishers wait meanwhile.
    private static let partSize = 256
    /// How many names are looked up for a part.
    private static let maximumLookups = 64

    /// What comes behind a position, whether or not a subscriber wants it; the price does not depend on what it named.
    ///
    /// - Parameters:
    ///   - position: The position.
    ///   - selection: What the subscriber wants.
    ///   - known: How many events had been removed when what is missing was last found, for this read; nil for its first part.
    ///   - now: The time.
    /// - Returns: The part; without losses if none came since.
    mutating func part(after position: Position?, _ selection: Selection, known: Int?, now: MonotonicTime) -> Part {
        expire(now: now)
        let after = position?.number ?? 0
        var part = Part(through: max(head.number, after))
        part.removals = removals
        let start = log.index(after: after) { $0.position }
        let end = min(log.count, start + Self.partSize)
        for index in start..<end { if let entry = log[index].entry { part.entries.append(entry) } }
        if end < log.count {
            part.hasMore = true
            part.through = log[end - 1].position
        }
        // The way of nearly all: nothing at all was removed since.
        guard lastRemoved > after, known != removals else { return part }
        if selection.isExact, selection.table.names <= Self.maximumLookups {
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
        if !selection.isExact || selection.table.names > Self.maximumLookups {
            // A log that was made since has lost nothing that is not in `forgotten`.
            (part.losses, part.bound) = topics.losses(after: max(after, part.forgotten), limit: Self.partSize)
        }
        return part
    }

    // MARK: - Removing

    mutating func purge(_ topic: Topic) -> Int {
        guard let number = topics.number(of: topic) else { return 0 }
        let entries = Array(topics[number].entries.entries(after: 0))
        for entry in entries { remove(entry) }
        dropEmptySlots()
        return entries.count
    }

    mutating func expire(now: MonotonicTime) {
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
        removals += 1
        count -= 1
        bytes -= entry.size
        lastRemoved = max(lastRemoved, position)
        if !chosen.isEmpty {
            let id = entry.id
            if chosen[id] == position { chosen[id] = nil }
        }
        for topic in entry.topics {
            guard let number = topics.number(of: topic) else { continue }
            if let removed = topics.remove(entry, from: number) { forgotten = max(forgotten, removed) }
        }
        // Otherwise one old event would keep the slots of all that came and went after it.
        if log.count > 2 * count + 1024 { log = Deque(log.lazy.filter { $0.entry != nil }) }
    }

    private mutating func dropEmptySlots() {
        while let slot = log.first, slot.entry == nil { log.removeFirst() }
        // A log does not give back by itself the room that it once needed.
        guard most > 4096, log.count < most / 8 else { return }
        log = Deque(Array(log))
        most = log.count
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
