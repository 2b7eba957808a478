// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub

/// Where events are held: a checksum of each place, added up so that their order does not matter.
struct PlaceSum: Equatable {
    private(set) var count = 0
    private var sum: UInt64 = 0

    /// Adds a place; `bytes` are the event's part of the topic's.
    mutating func add(_ topic: [UInt8], number: UInt64, ordinal: UInt64, bytes: Int64) {
        var checksum = RowChecksum()
        checksum.add(topic)
        checksum.add(number)
        checksum.add(ordinal)
        checksum.add(UInt64(bitPattern: bytes))
        sum &+= checksum.value
        count += 1
    }
}

/// Topics: their rows, and their indexes, whose ordinals are dense and whose sums add the bytes up.
extension HistoryFileCheck {
    // MARK: - All at once

    /// Whether the topics' rows, their indexes and the log fit together.
    ///
    /// Reads the index in its order only. If it finds anything, the slower ``checkTopics()`` tells what and where: it looks
    /// at the log once for each place.
    mutating func topicsFit() throws -> Bool {
        var sum = PlaceSum()
        var topics = 0
        var name: [UInt8] = []
        var stored: StoredTopic?
        var last = TopicIndex.Place(number: 0, ordinal: 0, sum: 0)
        var fits = damaged.isEmpty
        do {
            try Command("SELECT topic, number, ordinal, sum FROM plinth_place ORDER BY topic, number", db).forEach {
                row in
                try pass()
                if !row.bytes(0).elementsEqual(name) {
                    fits = fits && last.ordinal >= stored?.ordinal ?? 0
                    name = Array(row.bytes(0))
                    stored = try StoredTopic.read(name, db)
                    topics += 1
                    guard let stored, stored.isIntact, stored.removed <= removed else {
                        fits = false
                        return false
                    }
                    last = TopicIndex.Place(number: 0, ordinal: stored.removedOrdinal, sum: stored.removedSum)
                }
                let place = TopicIndex.Place(number: row.unsigned(1), ordinal: row.unsigned(2), sum: row.number(3))
                sum.add(name, number: place.number, ordinal: place.ordinal, bytes: place.sum &- last.sum)
                fits = fits && place.ordinal == last.ordinal &+ 1
                last = place
                return fits
            }
            fits = fits && last.ordinal >= stored?.ordinal ?? 0
            let rows = try Command("SELECT count(*) FROM plinth_topic", db).first { $0.number(0) } ?? 0
            fits = try fits && rows == topics && sum == held && placesWithoutTopic() == 0
        } catch let error as DatabaseError where error.isUnreadable {
            return false
        }
        if fits { report.topics = topics }
        return fits
    }

    /// Names are strings of bytes, which SQLite puts behind all other values.
    private func placesWithoutTopic() throws -> Int64 {
        try Command("SELECT count(*) FROM plinth_place WHERE topic <= x''", db).first { $0.number(0) } ?? 0
    }

    // MARK: - Topic by topic

    mutating func checkTopics() throws {
        let foreign = try tolerating("plinth_place") { try $0.placesWithoutTopic() } ?? 0
        if foreign > 0 { add(.place, "rows without a topic: \(foreign)") }
        var name: [UInt8] = []
        while let next = try nextName(after: name) {
            name = next
            let topic = Topic(trusted: name)
            do {
                try check(topic)
            } catch let error as DatabaseError where error.isUnreadable {
                addUnreadable("the index of topic \(topic)", error, of: topic)
            }
        }
    }

    /// The next topic that has a row or an index.
    private mutating func nextName(after name: [UInt8]) throws -> [UInt8]? {
        var names: [[UInt8]] = []
        for (table, column) in [("plinth_topic", "name"), ("plinth_place", "topic")] {
            let next = try tolerating("the next topic of \(table)") { check in
                try Command("SELECT \(column) FROM \(table) WHERE \(column) > ? ORDER BY \(column) LIMIT 1", check.db)
                    .bind(.bytes(name)).first { Array($0.bytes(0)) }
            }
            if let next = next ?? nil { names.append(next) }
        }
        return names.min { $0.lexicographicallyPrecedes($1) }
    }

    private mutating func check(_ topic: Topic) throws {
        let stored = try StoredTopic.read(topic.utf8, db)
        if let stored {
            if !stored.isIntact { add(.topic, "its row is not as it was written", of: topic) }
            if stored.removed > removed {
                add(.topic, "it has lost event \(stored.removed), of which nothing else is known", of: topic)
            }
        } else {
            add(.topic, "it has events, and no row", of: topic)
        }
        // Of a damaged row nothing can be expected.
        let isKnown = stored?.isIntact ?? false
        var index = TopicIndex(topic: topic)
        if let stored, isKnown {
            index.last = TopicIndex.Place(number: 0, ordinal: stored.removedOrdinal, sum: stored.removedSum)
        }
        try checkIndex(&index)
        if index.rows > 0 { report.topics += 1 }
        guard let stored, isKnown else { return }
        let last = index.last?.ordinal ?? 0
        // The row may be a second behind the index, but not before it.
        if last < stored.ordinal {
            add(.topic, "events missing at the end of its index: \(stored.ordinal - last)", of: topic)
        } else if index.rows == 0 {
            add(.topic, "it has a row, and no events", of: topic)
        }
    }

    /// What a topic's index has shown so far.
    private struct TopicIndex {
        struct Place {
            var number: UInt64
            var ordinal: UInt64
            var sum: Int64
        }

        let topic: Topic
        /// The row before; at first, the last event removed; nil if nothing is known of it.
        var last: Place?
        var rows = 0
    }

    /// The most events of a topic that are skipped because they cannot be read.
    private static let maximumUnreadable = 1000

    private mutating func checkIndex(_ index: inout TopicIndex) throws {
        var after: UInt64 = 0
        for _ in 0..<Self.maximumUnreadable {
            do {
                return try Command(
                    """
                    SELECT p.number, p.ordinal, p.sum, e.topics, length(e.lines), e.flags FROM plinth_place AS p
                    LEFT JOIN plinth_entry AS e ON e.number = p.number WHERE p.topic = ? AND p.number > ?
                    ORDER BY p.number
                    """,
                    db
                ).bind(.bytes(index.topic.utf8), .number(after)).forEach { row in
                    try pass()
                    check(row, &index)
                    after = row.unsigned(0)
                    return true
                }
            } catch let error as DatabaseError where error.isUnreadable {
                // If it is the event, and not the index, the next one may be readable.
                guard let unreadable = try place(after: after, in: index.topic) else { throw error }
                after = unreadable.number
                addUnreadable("event \(after) of topic \(index.topic)", error, at: after, of: index.topic)
                damaged.insert(after)
                index.last = unreadable
                index.rows += 1
            }
        }
    }

    private func place(after number: UInt64, in topic: Topic) throws -> TopicIndex.Place? {
        try Command(
            "SELECT number, ordinal, sum FROM plinth_place WHERE topic = ? AND number > ? ORDER BY number LIMIT 1",
            db
        ).bind(.bytes(topic.utf8), .number(number)).first {
            TopicIndex.Place(number: $0.unsigned(0), ordinal: $0.unsigned(1), sum: $0.number(2))
        }
    }

    private mutating func check(_ row: Command.Row, _ index: inout TopicIndex) {
        let place = TopicIndex.Place(number: row.unsigned(0), ordinal: row.unsigned(1), sum: row.number(2))
        let topic = index.topic
        let last = index.last
        index.last = place
        index.rows += 1
        let follows = last.map { place.ordinal == $0.ordinal &+ 1 } ?? true
        if let last, !follows {
            let missing = place.ordinal > last.ordinal ? place.ordinal - last.ordinal - 1 : nil
            let reason = missing.map { "events missing before it: \($0)" } ?? "its ordinal is out of order"
            add(.place, reason, at: place.number, of: topic)
        }
        guard !damaged.contains(place.number) else { return }
        guard !row.isNull(3), row.number(5) & StoredEntry.isEnd == 0 else {
            return add(.place, "there is no such event", at: place.number, of: topic)
        }
        guard let (places, held) = StoredEntry.places(row.bytes(3)),
            let found = places[..<held].first(where: { $0.topic == topic })
        else { return add(.place, "the event is not one of this topic", at: place.number, of: topic) }
        placed += 1
        guard found.ordinal == place.ordinal else {
            return add(.place, "the event has another ordinal", at: place.number, of: topic)
        }
        guard let last, follows else { return }
        let bytes = HistoryStore.bytes(inTopic: topic, lines: Int(row.number(4)))
        if place.sum &- last.sum != bytes { add(.place, "its bytes do not add up", at: place.number, of: topic) }
    }
}

extension HistoryStore {
    /// The bytes by which an event changes the sum of a topic, as inserting it counts them.
    static func bytes(inTopic topic: Topic, lines: Int) -> Int64 {
        Int64(StoredEntry.weight(topics: topic.utf8.count + 8, lines: lines))
    }
}
#endif
