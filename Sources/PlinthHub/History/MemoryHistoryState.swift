// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// The events of a ``MemoryHistory``, and a record of removals.
///
/// One log holds all events in order. A removed event leaves an empty slot, and the log is compacted when there are
/// many. Each topic also lists its own events. Ends have a list of their own, which no limit trims. Removals are
/// remembered as one position for each topic with events, and one for all other topics.
///
/// Byte counts include all of that: entries, names, and the capacity of logs and tables.
struct MemoryHistoryState {
    struct Slot {
        let position: UInt64
        var entry: HistoryEntry?
    }

    private let totalLimits: HistoryLimits
    /// In nanoseconds.
    private let maximumAge: Int64?
    private let acceptsIDs: Bool
    var epochs: HistoryEpochs
    var deliver: (@Sendable ([HistoryEntry]) -> Void)?

    var log: Deque<Slot> = []
    /// The position of the last event.
    var head = Position.zero
    var next: UInt64 = 1
    /// The most slots that the log has had since its capacity was last reduced.
    var most = 0
    var topics = TopicLogs()
    private var limits: TopicLimitTable
    var ledger: AppendLedger
    /// The last event removed from a topic that has no events left.
    var forgotten: UInt64 = 0
    /// The last event removed from any topic.
    var lastRemoved: UInt64 = 0
    /// The number of events removed so far.
    var removals = 0
    var count = 0
    /// The bytes of all entries.
    var bytes = 0
    /// The first uses of IDs chosen by publishers, while their events are held.
    private var chosen: [EventID: UInt64] = [:]

    init(topic: HistoryLimits, total: HistoryLimits, quotas: HistoryQuotas, acceptsIDs: Bool, token: [UInt8]) {
        totalLimits = total
        maximumAge = total.age?.clampedNanoseconds
        limits = TopicLimitTable(usual: topic, maximum: quotas.limitedTopics)
        ledger = AppendLedger(quotas: quotas)
        self.acceptsIDs = acceptsIDs
        epochs = HistoryEpochs(token: token)
    }

    /// The memory of all events, in bytes.
    private var held: Int { bytes + topics.held }

    var statistics: HistoryStatistics {
        var statistics = ledger.statistics
        statistics.topics = topics.count
        statistics.events = count
        statistics.bytes += held
        statistics.limitedTopics = limits.count
        return statistics
    }

    /// The topics and events that the tables have capacity for; for tests.
    var tableRoom: Int { topics.room + max(most, log.count) }

    // MARK: - IDs

    func id(at position: Position) -> EventID { epochs.id(at: position) }

    mutating func beginEpoch(_ token: [UInt8], hole: UInt64) {
        epochs.begin(token: token, after: head.number, hole: hole)
        next = head.number &+ hole &+ 1
    }

    func locate(_ id: EventID) -> Located {
        if let chosen = chosen[id] { return .found(Position(chosen)) }
        guard let position = epochs.position(of: id, head: head) else { return .unknown }
        guard position > .zero, position.number <= max(lastRemoved, forgotten) else { return .found(position) }
        return isHeld(position) ? .found(position) : .trimmed(position)
    }

    private func isHeld(_ position: Position) -> Bool {
        let index = log.index(after: position.number - 1) { $0.position }
        if index < log.count, log[index].position == position.number { return log[index].entry != nil }
        return !ledger.ends(after: position.number - 1, through: position.number).isEmpty
    }

    // MARK: - Appending

    /// Appends events, or recognises them.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - digest: Its digest, if it has a key.
    ///   - now: The time.
    /// - Returns: The entries to be delivered, and the answer.
    /// - Throws: Why the request is refused; nothing was changed.
    mutating func append(
        _ request: AppendRequest,
        digest: UInt128,
        now: MonotonicTime
    ) throws(HistoryError) -> (entries: [HistoryEntry], result: AppendResult) {
        for event in request.events {
            if let id = event.requestedID { try check(id) }
        }
        expire(now: now)
        if ledger.isPlain(request) { return add(request.events[...], repeated: 0, now: now) }
        let epochs = self.epochs
        switch try ledger.check(request, digest: digest, now: now, id: epochs.id(at:)) {
        case .answer(let result): return ([], result)
        case .append(let repeated, let dropping):
            if let dropping { removeEnd(of: dropping) }
            let (entries, result) = add(request.events[repeated...], repeated: repeated, now: now)
            ledger.record(entries, of: request, result, digest: digest, now: now)
            if let end = entries.last, end.isEnd, topics.number(of: end.topics[0]) == nil {
                ledger.isWithoutEvents(end.topics[0])
            }
            return (entries, result)
        }
    }

    func producer(_ id: ProducerID, of subject: HubSubject?, in topic: Topic) -> ProducerState? {
        ledger.producer(id, of: subject, in: topic, id: epochs.id(at:))
    }

    private mutating func add(
        _ events: ArraySlice<NewEvent>,
        repeated: Int,
        now: MonotonicTime
    ) -> (entries: [HistoryEntry], result: AppendResult) {
        var entries: [HistoryEntry] = []
        entries.reserveCapacity(events.count)
        var ids: [EventID] = []
        ids.reserveCapacity(events.count)
        for event in events {
            let position = Position(next)
            next &+= 1
            head = position
            let id = event.requestedID ?? id(at: position)
            if event.requestedID != nil, chosen[id] == nil { chosen[id] = position.number }
            // An end is kept by the ledger, apart from the events that limits trim.
            let isEnd = event.isEnd
            entries.append(
                isEnd
                    ? HistoryEntry(event, position: position, id: id, time: now)
                    : add(event, position, id, now)
            )
            ids.append(id)
        }
        trim()
        let last = ids.last ?? id(at: head)
        return (entries, AppendResult(ids: ids, repeated: repeated, lastID: last))
    }

    private mutating func add(
        _ event: NewEvent,
        _ position: Position,
        _ id: EventID,
        _ now: MonotonicTime
    ) -> HistoryEntry {
        let numbers = event.topics.map { topics.number(making: $0, forgotten: forgotten) }
        let entry = HistoryEntry(
            event,
            topics: numbers.count == 1 ? topics[numbers[0]].topics : numbers.flatMap { topics[$0].topics },
            position: position,
            id: id,
            time: now
        )
        insert(entry, into: numbers)
        return entry
    }

    /// Adds an entry, whose position is the last, to the logs with these numbers.
    mutating func insert(_ entry: HistoryEntry, into numbers: [Int]) {
        log.append(Slot(position: entry.position.number, entry: entry))
        most = max(most, log.count)
        count += 1
        bytes += entry.size
        // Added to all of its topics before any is trimmed: trimming may remove it again.
        for number in numbers { topics.append(entry, to: number) }
        for topic in entry.topics { trim(topic) }
        if limits.hasOwn {
            for topic in entry.topics { limits.hasEvent(topic, at: entry.time) }
        }
    }

    /// Removes the oldest events until the limits in total are kept.
    mutating func trim() {
        while count > totalLimits.events || held > totalLimits.bytes, let slot = log.first {
            if let entry = slot.entry { remove(entry) }
            dropEmptySlots()
        }
    }

    private func check(_ id: EventID) throws(HistoryError) {
        guard acceptsIDs else {
            throw HistoryError(.idNotAccepted, "this history assigns IDs; publish without one")
        }
        guard !id.isReserved, !epochs.claims(id) else {
            throw HistoryError(.idReserved, "the ID \(id) is reserved; choose another")
        }
    }

    private mutating func trim(_ topic: Topic) {
        let (events, bytes) = limits.sizes(of: topic)
        while let number = topics.number(of: topic), let oldest = topics[number].entries.first,
            topics[number].entries.count > events || topics[number].bytes > bytes
        {
            remove(oldest, from: topic)
        }
    }

    /// Sets the limits of one topic, and applies them.
    ///
    /// - Returns: Whether it had none of its own before.
    mutating func setLimits(_ own: TopicLimits, of topic: Topic, now: MonotonicTime) throws(HistoryError) -> Bool {
        let isNew = try limits.set(own, of: topic)
        trim(topic)
        expire(topic, now: now)
        dropEmptySlots()
        return isNew
    }

    // MARK: - Removing

    /// Removes the events, the end and the limits of a topic.
    mutating func purge(_ topic: Topic) -> Int {
        limits.remove(topic)
        var removed = 0
        while let number = topics.number(of: topic), let entry = topics[number].entries.first {
            remove(entry, from: topic)
            removed += 1
        }
        if removeEnd(of: topic) { removed += 1 }
        dropEmptySlots()
        return removed
    }

    /// Removes a topic's end: the topic is new.
    ///
    /// - Returns: Whether it had ended.
    @discardableResult
    mutating func removeEnd(of topic: Topic) -> Bool {
        guard let end = ledger.open(topic) else { return false }
        let position = end.position.number
        removals += 1
        lastRemoved = max(lastRemoved, position)
        if let number = topics.number(of: topic) {
            topics.lost(position, in: number)
        } else {
            forgotten = max(forgotten, position)
        }
        return true
    }

    mutating func expire(now: MonotonicTime) {
        ledger.expire(now: now)
        if let maximumAge {
            // The log is ordered by time.
            while let slot = log.first {
                if let entry = slot.entry {
                    guard now.nanoseconds - entry.time.nanoseconds > maximumAge else { break }
                    remove(entry)
                }
                dropEmptySlots()
            }
        }
        while let topic = limits.nextDue(now: now) { expire(topic, now: now) }
        guard let usual = limits.usualAge else { return }
        // So is the age of most topics looked at in order; topics with an age of their own are passed over.
        while true {
            let index = log.index(after: limits.expiredThrough) { $0.position }
            guard index < log.count else { break }
            let position = log[index].position
            if let entry = log[index].entry {
                guard now.nanoseconds - entry.time.nanoseconds > usual else { break }
                for topic in entry.topics where !limits.hasAge(topic) { remove(position, from: topic) }
            }
            limits.expiredThrough = position
        }
        dropEmptySlots()
    }

    /// Removes the events of a topic that are too old.
    private mutating func expire(_ topic: Topic, now: MonotonicTime) {
        guard let age = limits.age(of: topic) else { return }
        while let number = topics.number(of: topic), let oldest = topics[number].entries.first {
            guard now.nanoseconds - oldest.time.nanoseconds > age else {
                return limits.hasEvent(topic, at: oldest.time)
            }
            remove(oldest, from: topic)
        }
    }

    /// Removes the event at a position from one of its topics.
    private mutating func remove(_ position: UInt64, from topic: Topic) {
        let index = log.index(after: position - 1) { $0.position }
        guard index < log.count, log[index].position == position, let entry = log[index].entry else { return }
        remove(entry, from: topic)
    }

    /// Removes an event from one of its topics; it leaves history with its last.
    private mutating func remove(_ entry: HistoryEntry, from topic: Topic) {
        guard entry.publishedTopics.count > 1, let rest = entry.removing(topic) else { return remove(entry) }
        let position = entry.position.number
        log[log.index(after: position - 1) { $0.position }].entry = rest
        removals += 1
        lastRemoved = max(lastRemoved, position)
        bytes += rest.size - entry.size
        leave(entry, topic)
        for other in rest.topics {
            if let number = topics.number(of: other) { topics.replace(entry, by: rest, in: number) }
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
        // Most have one.
        if entry.publishedTopics.count == 1 {
            leave(entry, entry.publishedTopics[0])
        } else {
            for topic in entry.topics { leave(entry, topic) }
        }
        // Otherwise one old event would retain the slots of all events removed after it.
        if log.count > 2 * count + 1024 { log = Deque(log.lazy.filter { $0.entry != nil }) }
    }

    private mutating func leave(_ entry: HistoryEntry, _ topic: Topic) {
        guard let number = topics.number(of: topic) else { return }
        guard let removed = topics.remove(entry, from: number) else { return }
        forgotten = max(forgotten, removed)
        ledger.isWithoutEvents(topic)
    }

    private mutating func dropEmptySlots() {
        while let slot = log.first, slot.entry == nil { log.removeFirst() }
        // A deque does not shrink by itself.
        guard most > 4096, log.count < most / 8 else { return }
        log = Deque(Array(log))
        most = log.count
    }
}
