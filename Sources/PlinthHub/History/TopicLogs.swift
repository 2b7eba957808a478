// SPDX-License-Identifier: Apache-2.0

/// The events of each topic of a ``MemoryHistoryState``, and the last event that each has lost.
struct TopicLogs {
    struct Log {
        /// The topic alone, as an array that its entries share; empty in a free log.
        fileprivate(set) var topics: [Topic]
        var entries = EntryList()
        /// The bytes of the entries.
        var bytes = 0
        /// The last event that was removed.
        fileprivate(set) var removed: UInt64 = 0
        /// The bytes counted for the log itself, its name and its list.
        fileprivate var held = 0

        // Links of the list of logs that lost events, ordered by when they last lost one.
        fileprivate var older: Int32 = -1
        fileprivate var newer: Int32 = -1
        fileprivate var isListed = false
        /// No log from the oldest of the list up to this one has lost an event after this position.
        fileprivate var bound: UInt64 = 0
    }

    private var numbers: [Topic: Int32] = [:]
    private var logs: ContiguousArray<Log> = []
    private var free: [Int32] = []
    /// The log that lost an event most recently.
    private var newest: Int32 = -1
    /// The memory of the logs without their entries, in bytes.
    private(set) var held = 0

    var count: Int { numbers.count }

    /// The number of topics that the tables have capacity for.
    var room: Int { max(logs.capacity, numbers.capacity) }

    /// The memory of a log and its number in the tables, averaged over their growth.
    private static let overhead = MemoryLayout<Log>.stride + 24

    subscript(number: Int) -> Log { logs[number] }

    func number(of topic: Topic) -> Int? { numbers[topic].map(Int.init) }

    // MARK: - Events

    /// The log of a topic, created if there is none.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - forgotten: The last event removed from a topic without a log, which may have been this topic.
    /// - Returns: The log's number.
    mutating func number(making topic: Topic, forgotten: UInt64) -> Int {
        if let known = numbers[topic] { return Int(known) }
        var log = Log(topics: [topic])
        log.removed = forgotten
        log.held = Self.overhead + Allocation.array(log.topics) + Allocation.array(topic.utf8)
        held += log.held
        let made: Int
        if let last = free.popLast() {
            made = Int(last)
            logs[made] = log
        } else {
            made = logs.count
            logs.append(log)
        }
        numbers[topic] = Int32(truncatingIfNeeded: made)
        return made
    }

    mutating func append(_ entry: HistoryEntry, to number: Int) {
        let before = logs[number].entries.held
        logs[number].entries.append(entry)
        logs[number].bytes += entry.size
        hold(logs[number].entries.held - before, number)
    }

    /// Removes an event.
    ///
    /// - Returns: The last event that the topic lost, if it has no events left and its log was removed.
    mutating func remove(_ entry: HistoryEntry, from number: Int) -> UInt64? {
        let before = logs[number].entries.held
        logs[number].entries.remove(entry)
        logs[number].bytes -= entry.size
        logs[number].removed = max(logs[number].removed, entry.position.number)
        guard logs[number].entries.isEmpty else {
            hold(logs[number].entries.held - before, number)
            list(number)
            return nil
        }
        let removed = logs[number].removed
        unlist(number)
        held -= logs[number].held
        if let topic = logs[number].topics.first { numbers[topic] = nil }
        logs[number] = Log(topics: [])
        free.append(Int32(truncatingIfNeeded: number))
        if logs.count > 4096, numbers.count < logs.count / 8 { shrink() }
        return removed
    }

    /// Replaces an event by itself with fewer topics.
    mutating func replace(_ entry: HistoryEntry, by rest: HistoryEntry, in number: Int) {
        logs[number].entries.replace(entry, by: rest)
        logs[number].bytes += rest.size - entry.size
    }

    /// Records that a topic with events has lost an entry that is not among them.
    mutating func lost(_ position: UInt64, in number: Int) {
        logs[number].removed = max(logs[number].removed, position)
        list(number)
    }

    private mutating func hold(_ bytes: Int, _ number: Int) {
        logs[number].held += bytes
        held += bytes
    }

    /// Releases the memory of removed topics: the tables do not shrink by themselves.
    private mutating func shrink() {
        var moved: [Int32: Int32] = [-1: -1]
        var kept: ContiguousArray<Log> = []
        kept.reserveCapacity(numbers.count)
        for number in logs.indices where !logs[number].topics.isEmpty {
            moved[Int32(truncatingIfNeeded: number)] = Int32(truncatingIfNeeded: kept.count)
            kept.append(logs[number])
        }
        numbers = Dictionary(minimumCapacity: kept.count)
        for number in kept.indices {
            kept[number].older = moved[kept[number].older] ?? -1
            kept[number].newer = moved[kept[number].newer] ?? -1
            if let topic = kept[number].topics.first { numbers[topic] = Int32(truncatingIfNeeded: number) }
        }
        newest = moved[newest] ?? -1
        logs = kept
        free = []
    }

    // MARK: - What was lost

    /// Moves a log to the newest end of the list of those that lost events.
    private mutating func list(_ number: Int) {
        unlist(number)
        let last = newest
        logs[number].isListed = true
        logs[number].older = last
        logs[number].bound = max(logs[number].removed, last < 0 ? 0 : logs[Int(last)].bound)
        if last >= 0 { logs[Int(last)].newer = Int32(truncatingIfNeeded: number) }
        newest = Int32(truncatingIfNeeded: number)
    }

    private mutating func unlist(_ number: Int) {
        guard logs[number].isListed else { return }
        let older = logs[number].older
        let newer = logs[number].newer
        if older >= 0 { logs[Int(older)].newer = newer }
        if newer >= 0 { logs[Int(newer)].older = older } else { newest = older }
        logs[number].older = -1
        logs[number].newer = -1
        logs[number].isListed = false
    }

    /// The topics that lost an event after a position and still have events.
    ///
    /// - Parameters:
    ///   - position: The position.
    ///   - limit: The maximum number of logs examined.
    /// - Returns: The topics with the last event that each lost; and, if the limit was reached, a position after which
    ///   the remaining logs lost none.
    func losses(after position: UInt64, limit: Int) -> (losses: [Loss], bound: UInt64?) {
        var losses: [Loss] = []
        var number = newest
        var looked = 0
        while number >= 0, logs[Int(number)].bound > position {
            guard looked < limit else { return (losses, logs[Int(number)].bound) }
            looked += 1
            let log = logs[Int(number)]
            if log.removed > position { losses.append(Loss(topics: log.topics, position: log.removed)) }
            number = log.older
        }
        return (losses, nil)
    }

    /// The last event that a topic lost.
    struct Loss {
        /// The topic alone.
        let topics: [Topic]
        let position: UInt64
    }
}

/// The events of one topic, in order.
struct EntryList {
    private var items: [HistoryEntry?] = []
    /// The index of the first event that has not been removed.
    private var start = 0

    var count: Int { items.count - start }
    var isEmpty: Bool { count == 0 }
    var first: HistoryEntry? { isEmpty ? nil : items[start] }
    /// Its memory in bytes.
    var held: Int { Allocation.array(items) }

    mutating func append(_ entry: HistoryEntry) {
        if start > 0, items.count == items.capacity { close() }
        items.append(entry)
    }

    mutating func remove(_ entry: HistoryEntry) {
        if first === entry {
            items[start] = nil
            start += 1
            if start >= 64, start > items.count / 2 { close() }
        } else {
            let index = index(after: entry.position.number - 1)
            if index < items.count, items[index] === entry { items.remove(at: index) }
        }
    }

    mutating func replace(_ entry: HistoryEntry, by other: HistoryEntry) {
        let index = index(after: entry.position.number - 1)
        if index < items.count, items[index] === entry { items[index] = other }
    }

    /// Removes the free places at the front, and releases capacity that is no longer needed.
    private mutating func close() {
        if items.capacity > 64, count < items.capacity / 4 {
            items = Array(items[start...])
        } else {
            items.removeFirst(start)
        }
        start = 0
    }

    /// The index of the first entry after a position.
    private func index(after position: UInt64) -> Int {
        var low = start
        var high = items.count
        while low < high {
            let middle = (low + high) / 2
            if (items[middle]?.position.number ?? 0) > position { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The entries after a position, in order.
    func entries(after position: UInt64) -> some Sequence<HistoryEntry> {
        items[index(after: position)...].lazy.compactMap { $0 }
    }
}
