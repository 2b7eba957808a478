// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// The events of a ``MemoryHistory``, and a record of removals.
///
/// One log holds all events in order. A removed event leaves an empty slot, and the log is compacted when there are
/// many. Each topic also lists its own events. Removals are remembered as one position for each topic with events, and
/// one for all other topics.
///
/// Byte counts include all of that: entries, names, and the capacity of logs and tables.
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
    /// The prefix of every ID of this history.
    private let prefix: [UInt8]
    var deliver: (@Sendable ([HistoryEntry]) -> Void)?

    private var log: Deque<Slot> = []
    private var next: UInt64 = 1
    /// The most slots that the log has had since its capacity was last reduced.
    private var most = 0
    private var topics = TopicLogs()
    /// The last event removed from a topic that has no events left.
    private var forgotten: UInt64 = 0
    /// The last event removed from any topic.
    private var lastRemoved: UInt64 = 0
    /// The number of events removed so far.
    private var removals = 0
    private var count = 0
    /// The bytes of all entries.
    private var bytes = 0
    /// The first uses of IDs chosen by publishers, while their events are held.
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

    /// The memory of all that is held, in bytes.
    private var held: Int { bytes + topics.held }

    var statistics: HistoryStatistics { HistoryStatistics(topics: topics.count, events: count, bytes: held) }

    /// The topics and events that the tables have capacity for; for tests.
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
            // Added to all of its topics before any is trimmed: trimming may remove it again.
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
            throw HistoryError(code: .idNotAccepted, description: "this history assigns IDs; publish without one")
        }
        guard !id.isReserved, !id.utf8.starts(with: prefix) else {
            throw HistoryError(code: .idReserved, description: "the ID \(id) is reserved; choose another")
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
        let removed = number.map { topics[$0].removed } ?? forgotten
        if removed > after { reading.misses(removed) }
        guard let number else { return }
        for entry in topics[number].entries.entries(after: after) where !reading.take(entry) { return }
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
    private static let partSize = 256
    /// The maximum number of names looked up for a part.
    private static let maximumLookups = 64

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
        for index in start..<end { if let entry = log[index].entry { part.entries.append(entry) } }
        if end < log.count {
            part.hasMore = true
            part.through = log[end - 1].position
        }
        // The common case: nothing was removed since.
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
            // Losses up to `forgotten` are covered by it, including those that new logs begin with.
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
        // The log is ordered by time.
        while let slot = log.first {
            if let entry = slot.entry {
                guard now.nanoseconds - entry.time.nanoseconds > maximumAge else { return }
                remove(entry)
            }
            dropEmptySlots()
        }
    }

    /// Removes an event; its slot in the log stays, empty.
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
        // Otherwise one old event would retain the slots of all events removed after it.
        if log.count > 2 * count + 1024 { log = Deque(log.lazy.filter { $0.entry != nil }) }
    }

    private mutating func dropEmptySlots() {
        while let slot = log.first, slot.entry == nil { log.removeFirst() }
        // A deque does not shrink by itself.
        guard most > 4096, log.count < most / 8 else { return }
        log = Deque(Array(log))
        most = log.count
    }
}

extension Deque {
    /// The index of the first element with a number greater than `number`; the elements are in increasing order.
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
    /// Parses a number exactly as ``Swift/Array/appendDecimal(_:)`` writes it: digits alone, no leading zeros.
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
