// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub
import PlinthStreams

/// Removing what limits and ages no longer allow, in small steps: with each commit about as much as it adds, and the
/// rest every second.
extension HistoryStore {
    /// Records that a topic may hold too much.
    mutating func noticeSize(of topic: Topic, _ state: TopicState) {
        guard isAboveLimits(topic, state), isOverfull.insert(topic).inserted else { return }
        overfull.append(topic)
    }

    private func isAboveLimits(_ topic: Topic, _ state: TopicState) -> Bool {
        let (events, bytes) = limits.sizes(of: topic)
        return state.count > UInt64(events) || state.bytes > Int64(bytes)
    }

    /// Removes what is due, as many entries as the budget has, which is lessened by them; ages count if there is a time.
    mutating func removeDue(_ budget: inout Int, now: StoreClock.Reading?, isFileFull: Bool, _ db: Database) throws {
        while budget > 0, let topic = overfull.last {
            try trim(topic, &budget, db)
            if let state = try topics.state(of: topic, db), isAboveLimits(topic, state) { continue }
            overfull.removeLast()
            isOverfull.remove(topic)
        }
        while budget > 0,
            counts.events > options.total.events || counts.bytes > options.total.bytes || isFileFull
        {
            let before = budget
            try removeOldest(&budget, olderThan: nil, isFileFull: isFileFull, db)
            if budget == before || isFileFull { break }
        }
        guard let now else { return }
        if let age = options.total.age {
            try removeOldest(&budget, olderThan: now.wall &- max(0, age.clampedNanoseconds), isFileFull: false, db)
        }
        while budget > 0, let topic = limits.nextDue(now: now.monotonic) {
            try expire(topic, now, &budget, db)
        }
        try expireUsual(now, &budget, db)
    }

    /// Looks up when the oldest event was published.
    mutating func findOldest(_ db: Database) throws {
        let first = try Command(
            "SELECT number, time FROM plinth_entry WHERE number > ? AND flags & 2 = 0 ORDER BY number LIMIT 1",
            db
        ).bind(.number(front)).first { (number: $0.unsigned(0), time: $0.number(1)) }
        oldest = first?.time
        // What lies before it are ends.
        if let first, first.number > 0 { front = max(front, first.number - 1) }
    }

    /// Removes the oldest events of a topic beyond its limits.
    mutating func trim(_ topic: Topic, _ budget: inout Int, _ db: Database) throws {
        while budget > 0, let state = try topics.state(of: topic, db), isAboveLimits(topic, state) {
            let numbers = try oldest(of: topic, limit: min(budget, 256), db)
            guard !numbers.isEmpty else { return try forget(topic, db) }
            for number in numbers {
                guard let state = try topics.state(of: topic, db), isAboveLimits(topic, state) else { return }
                try remove(number, from: topic, db)
                budget -= 1
            }
        }
    }

    func oldest(of topic: Topic, limit: Int, _ db: Database) throws -> [UInt64] {
        var numbers: [UInt64] = []
        try Command("SELECT number FROM plinth_place WHERE topic = ? ORDER BY number LIMIT ?", db)
            .bind(.bytes(topic.utf8), .number(limit)).forEach {
                numbers.append($0.unsigned(0))
                return true
            }
        return numbers
    }

    /// Removes the oldest events of all: those published before a time, or without one as many as the limits ask for.
    private mutating func removeOldest(
        _ budget: inout Int,
        olderThan time: Int64?,
        isFileFull: Bool,
        _ db: Database
    ) throws {
        guard budget > 0 else { return }
        var due: [(number: UInt64, isEnd: Bool)] = []
        var events = counts.events
        var bytes = counts.bytes
        let limits = options.total
        try Command(
            """
            SELECT number, time, flags, length(topics), length(lines) FROM plinth_entry WHERE number > ?
            ORDER BY number LIMIT ?
            """,
            db
        ).bind(.number(front), .number(budget)).forEach { row in
            if let time {
                guard row.number(1) < time else { return false }
            } else {
                guard events > limits.events || bytes > limits.bytes || isFileFull else { return false }
            }
            let isEnd = row.number(2) & StoredEntry.isEnd != 0
            due.append((row.unsigned(0), isEnd))
            if !isEnd {
                events -= 1
                bytes -= StoredEntry.weight(topics: Int(row.number(3)), lines: Int(row.number(4)))
            }
            return true
        }
        for (number, isEnd) in due {
            if !isEnd { try removeWholly(number, db) }
            front = number
        }
        budget -= due.count
    }

    /// Removes the events of a topic that are older than its own age.
    private mutating func expire(
        _ topic: Topic,
        _ now: StoreClock.Reading,
        _ budget: inout Int,
        _ db: Database
    ) throws {
        guard let age = limits.age(of: topic) else { return }
        while true {
            let oldest = try Command(
                """
                SELECT p.number, e.time FROM plinth_place AS p JOIN plinth_entry AS e ON e.number = p.number
                WHERE p.topic = ? ORDER BY p.number LIMIT 1
                """,
                db
            ).bind(.bytes(topic.utf8)).first { (number: $0.unsigned(0), time: $0.number(1)) }
            guard let oldest else { return }
            guard budget > 0, now.wall &- oldest.time > age else {
                return limits.hasEvent(topic, at: now.monotonic(of: oldest.time))
            }
            try remove(oldest.number, from: topic, db)
            budget -= 1
        }
    }

    /// Removes events of topics without an age of their own, in the order of the log.
    private mutating func expireUsual(_ now: StoreClock.Reading, _ budget: inout Int, _ db: Database) throws {
        guard let usual = limits.usualAge, budget > 0 else { return }
        var due: [(number: UInt64, topics: [Topic])] = []
        var looked = limits.expiredThrough
        var examined = 0
        try Command(
            "SELECT number, time, flags, topics FROM plinth_entry WHERE number > ? ORDER BY number LIMIT ?",
            db
        ).bind(.number(limits.expiredThrough), .number(budget)).forEach { row in
            guard now.wall &- row.number(1) > usual else { return false }
            looked = row.unsigned(0)
            examined += 1
            guard row.number(2) & StoredEntry.isEnd == 0, let (places, held) = StoredEntry.places(row.bytes(3)) else {
                return true
            }
            due.append((looked, places.prefix(held).map(\.topic)))
            return true
        }
        for (number, topics) in due {
            for topic in topics where !limits.hasAge(topic) { try remove(number, from: topic, db) }
        }
        limits.expiredThrough = looked
        // Ends, too: with the limit reached there may be more.
        budget -= examined
    }

    /// Whether something may have to be removed or stored, such as, if it is time for that, how long the hub has run.
    func needsHouseKeeping(forgets: Bool) -> Bool {
        topics.isChanged || !overfull.isEmpty || counts.events > options.total.events
            || counts.bytes > options.total.bytes || options.total.age != nil || limits.usualAge != nil || limits.hasOwn
            || (forgets && (ledger.statistics.keys > 0 || ledger.statistics.producers > 0))
    }

    /// Looks at some topics after a name, since limits may be lower than when they were published to.
    ///
    /// - Returns: The name to continue after; nil if all were looked at.
    mutating func sweep(after name: [UInt8], _ now: StoreClock.Reading, _ db: Database) throws -> [UInt8]? {
        var names: [[UInt8]] = []
        try Command("SELECT name FROM plinth_topic WHERE name > ? ORDER BY name LIMIT 256", db).bind(.bytes(name))
            .forEach {
                names.append(Array($0.bytes(0)))
                return true
            }
        for name in names { try notice(Topic(trusted: name), now, db) }
        return names.count < 256 ? nil : names.last
    }

    /// Deletes the rows of producers that were dropped, and of keys that are too old.
    ///
    /// - Returns: Whether all are deleted.
    mutating func forgetRecords(_ now: StoreClock.Reading, _ db: Database) throws -> Bool {
        let epochs = self.epochs
        for producer in ledger.takeDroppedProducers() {
            // It may be back.
            let known = ledger.producer(producer.id, of: producer.subject, in: producer.topic, id: epochs.id(at:))
            guard known == nil else { continue }
            try StoredProducer.delete(topic: producer.topic, subject: producer.subject, id: producer.id, db)
        }
        ledger.expire(now: now.monotonic)
        let running = running(now.monotonic)
        try Command("UPDATE plinth_meta SET running = ?", db).bind(.number(running)).run()
        return try StoredKey.delete(
            before: running &- max(0, options.quotas.keyAge.clampedNanoseconds),
            limit: 4096,
            db
        )
    }

    // MARK: - Removing entries

    /// Removes an event from one of its topics; it leaves history with its last.
    mutating func remove(_ number: UInt64, from topic: Topic, _ db: Database) throws {
        try removePlace(number, topic, db)
        let entry = try Command("SELECT \(EntryDecoder.columns) FROM plinth_entry AS e WHERE number = ?", db)
            .bind(.number(number)).first { row in
                // A damaged event is removed from all of its topics: what is left of it is not written as if it were whole.
                let decoded = EntryDecoder.isIntact(row) ? StoredEntry.places(row.bytes(3)) : nil
                // Only an event of several topics is written again.
                let lines = (decoded?.held ?? 1) > 1 ? Array(row.bytes(5)) : []
                return (time: row.number(1), flags: row.number(2), decoded: decoded, lines: lines)
            }
        guard let entry else { return }
        guard let (places, held) = entry.decoded, held > 1,
            let index = places[..<held].firstIndex(where: { $0.topic == topic })
        else { return try deleteEntry(number, db) }
        var rest = places
        let gone = rest.remove(at: index)
        rest.insert(gone, at: held - 1)
        try deleteEntry(number, db)
        let stored = StoredEntry(
            number: number,
            time: entry.time,
            flags: entry.flags,
            places: rest,
            held: held - 1,
            lines: entry.lines[...]
        )
        try InsertCommands(db).insert(stored)
        change(block: number, rows: 1, bytes: stored.weight, checksum: stored.checksum)
        counts.bytes += stored.weight
        counts.events += 1
    }

    /// Removes an event from all of its topics.
    mutating func removeWholly(_ number: UInt64, _ db: Database) throws {
        let places = try Command("SELECT topics FROM plinth_entry WHERE number = ?", db).bind(.number(number))
            .first { StoredEntry.places($0.bytes(0)) }
        if case .some(.some((let places, let held))) = places {
            for place in places[..<held] { try removePlace(number, place.topic, db) }
        }
        try deleteEntry(number, db)
        noticeRemoval(number)
    }

    private mutating func removePlace(_ number: UInt64, _ topic: Topic, _ db: Database) throws {
        let place = try Command("SELECT ordinal, sum FROM plinth_place WHERE topic = ? AND number = ?", db)
            .bind(.bytes(topic.utf8), .number(number)).first { (ordinal: $0.unsigned(0), sum: $0.number(1)) }
        noticeRemoval(number)
        guard let place, var state = try topics.state(of: topic, db) else { return }
        try Command("DELETE FROM plinth_place WHERE topic = ? AND number = ?", db)
            .bind(.bytes(topic.utf8), .number(number)).run()
        state.removed = max(state.removed, number)
        state.removedOrdinal = max(state.removedOrdinal, place.ordinal)
        state.removedSum = place.sum
        topics.set(state, of: topic, isUrgent: true)
        if state.isEmpty { try forget(topic, db) }
    }

    /// Removes what is known of a topic that has no events left.
    private mutating func forget(_ topic: Topic, _ db: Database) throws {
        guard let state = try topics.state(of: topic, db) else { return }
        forgotten = max(forgotten, state.removed)
        isMetaChanged = true
        counts.topics -= 1
        if state.isStored {
            try Command("DELETE FROM plinth_topic WHERE name = ?", db).bind(.bytes(topic.utf8)).run()
        }
        topics.remove(topic)
        ledger.isWithoutEvents(topic)
    }

    /// Deletes a row of `plinth_entry`.
    mutating func deleteEntry(_ number: UInt64, _ db: Database) throws {
        let row = try Command(
            "SELECT flags, length(topics), length(lines), checksum FROM plinth_entry WHERE number = ?",
            db
        ).bind(.number(number)).first { row in
            (
                isEnd: row.number(0) & StoredEntry.isEnd != 0,
                weight: StoredEntry.weight(topics: Int(row.number(1)), lines: Int(row.number(2))),
                checksum: row.unsigned(3)
            )
        }
        guard let row else { return }
        try Command("DELETE FROM plinth_entry WHERE number = ?", db).bind(.number(number)).run()
        change(block: number, rows: -1, bytes: -row.weight, checksum: row.checksum)
        if !row.isEnd { counts.events -= 1 }
        counts.bytes -= row.weight
    }

    // MARK: - Purging and limits

    /// Removes the oldest events of a topic.
    ///
    /// - Returns: How many; fewer than `limit` if there are no more.
    mutating func removeEvents(of topic: Topic, limit: Int, _ db: Database) throws -> Int {
        let numbers = try oldest(of: topic, limit: limit, db)
        for number in numbers { try remove(number, from: topic, db) }
        return numbers.count
    }

    mutating func setLimits(_ own: TopicLimits, of topic: Topic, _ now: StoreClock.Reading, _ db: Database) throws
        -> Bool
    {
        let isNew = try limits.set(own, of: topic)
        try Command("INSERT OR REPLACE INTO plinth_limit VALUES (?, ?, ?, ?)", db)
            .bind(
                .bytes(topic.utf8),
                own.events.map { .number($0) } ?? .null,
                own.bytes.map { .number($0) } ?? .null,
                own.age.map { .number($0.clampedNanoseconds) } ?? .null
            ).run()
        try notice(topic, now, db)
        // The housekeeping has passed those that an own age kept so far: it looks again, some at a time.
        if !limits.hasAge(topic), let oldest = try oldest(of: topic, limit: 1, db).first {
            limits.expiredThrough = min(limits.expiredThrough, oldest &- 1)
        }
        return isNew
    }

    /// Looks whether a topic is above its limits, and when its oldest event is too old.
    mutating func notice(_ topic: Topic, _ now: StoreClock.Reading, _ db: Database) throws {
        guard let state = try topics.state(of: topic, db) else { return }
        noticeSize(of: topic, state)
        guard limits.hasAge(topic), let oldest = try oldest(of: topic, limit: 1, db).first else { return }
        let time = try Command("SELECT time FROM plinth_entry WHERE number = ?", db).bind(.number(oldest))
            .first { $0.number(0) }
        limits.hasEvent(topic, at: now.monotonic(of: time ?? lastTime))
    }

    mutating func removeLimits(of topic: Topic, _ db: Database) throws {
        limits.remove(topic)
        try Command("DELETE FROM plinth_limit WHERE topic = ?", db).bind(.bytes(topic.utf8)).run()
    }
}
#endif
