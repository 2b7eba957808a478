// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub

/// What the writer knows of a topic with events.
struct TopicState {
    /// The topic alone, as an array that its entries share.
    let topics: [Topic]
    /// The ordinal of its last event, and the bytes of all that it ever had, as of ``removedSum``.
    var ordinal: UInt64 = 0
    var sum: Int64 = 0
    /// The last event that it has lost, with its ordinal and sum.
    var removed: UInt64
    var removedOrdinal: UInt64 = 0
    var removedSum: Int64 = 0
    /// Whether it has a row, and whether that is out of date.
    var isStored = false
    var isChanged = false

    var count: UInt64 { ordinal > removedOrdinal ? ordinal - removedOrdinal : 0 }
    var bytes: Int64 { max(0, sum &- removedSum) }
    var isEmpty: Bool { ordinal <= removedOrdinal }

    static func checksum(_ name: [UInt8], _ ordinal: UInt64, _ removed: UInt64, _ removedOrdinal: UInt64) -> UInt64 {
        RowChecksum.of([name], [ordinal, removed, removedOrdinal])
    }
}

/// The topics that the writer has used lately; others are read when they are needed.
struct TopicStates {
    /// The most topics in memory.
    private static let maximum = 65_536

    private var states: [Topic: TopicState] = [:]
    /// Those whose rows are out of date.
    private var changed: Set<Topic> = []
    /// Those of them whose rows have to be written with what was changed: a topic that is new, or has lost events.
    private var urgent: Set<Topic> = []

    var isChanged: Bool { !changed.isEmpty }

    /// A topic's state; read if it is not in memory.
    ///
    /// - Returns: Its state; nil if it has no events.
    mutating func state(of topic: Topic, _ db: Database) throws -> TopicState? {
        if let state = states[topic] { return state }
        guard let state = try Self.read(topic, db) else { return nil }
        try makeRoom(db)
        states[topic] = state
        return state
    }

    private mutating func makeRoom(_ db: Database) throws {
        guard states.count >= Self.maximum else { return }
        // All at once, so that it is rarely done.
        try storeAll(db)
        states = [:]
    }

    /// Adds an event to a topic.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - bytes: The event's bytes.
    ///   - forgotten: The last event removed from a topic without events, which may have been this topic.
    ///   - db: The connection.
    /// - Returns: The topic's new state, and whether it had no events.
    /// - Throws: An error of the database.
    mutating func append(
        to topic: Topic,
        bytes: Int,
        forgotten: UInt64,
        _ db: Database
    ) throws -> (state: TopicState, isNew: Bool) {
        let isNew = try state(of: topic, db) == nil
        if isNew {
            try makeRoom(db)
            states[topic] = TopicState(topics: [topic], removed: forgotten)
        }
        // In place: it is in memory now.
        guard let index = states.index(forKey: topic) else { throw DatabaseError(message: "a topic is missing") }
        states.values[index].ordinal &+= 1
        states.values[index].sum &+= Int64(bytes)
        if !states.values[index].isChanged {
            states.values[index].isChanged = true
            changed.insert(topic)
            if !states.values[index].isStored { urgent.insert(topic) }
        }
        return (states.values[index], isNew)
    }

    /// Changes a topic's state, whose row is written in the same transaction if that is urgent.
    mutating func set(_ state: TopicState, of topic: Topic, isUrgent: Bool) {
        var state = state
        if !state.isChanged { changed.insert(topic) }
        if isUrgent || !state.isStored { urgent.insert(topic) }
        state.isChanged = true
        states[topic] = state
    }

    mutating func remove(_ topic: Topic) {
        states[topic] = nil
        changed.remove(topic)
        urgent.remove(topic)
    }

    /// Writes the rows that have to be.
    mutating func storeUrgent(_ db: Database) throws {
        guard !urgent.isEmpty else { return }
        for topic in urgent { try store(topic, db) }
        changed.subtract(urgent)
        urgent = []
    }

    /// Writes some rows that are out of date.
    ///
    /// - Returns: Whether these were all.
    mutating func storeSome(_ limit: Int, _ db: Database) throws -> Bool {
        try storeUrgent(db)
        let some = Array(changed.prefix(limit))
        for topic in some { try store(topic, db) }
        changed.subtract(some)
        return changed.isEmpty
    }

    /// Writes all rows that are out of date.
    mutating func storeAll(_ db: Database) throws {
        for topic in changed { try store(topic, db) }
        changed = []
        urgent = []
    }

    private mutating func store(_ topic: Topic, _ db: Database) throws {
        guard var state = states[topic] else { return }
        try Self.store(state, of: topic, db)
        state.isStored = true
        state.isChanged = false
        states[topic] = state
    }

    private static func store(_ state: TopicState, of topic: Topic, _ db: Database) throws {
        let checksum = TopicState.checksum(topic.utf8, state.ordinal, state.removed, state.removedOrdinal)
        try Command(
            """
            INSERT INTO plinth_topic VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET
                ordinal = excluded.ordinal, removed = excluded.removed, removed_ordinal = excluded.removed_ordinal,
                removed_sum = excluded.removed_sum, checksum = excluded.checksum
            """,
            db
        ).bind(
            .bytes(topic.utf8),
            .number(state.ordinal),
            .number(state.removed),
            .number(state.removedOrdinal),
            .number(state.removedSum),
            .number(checksum)
        ).run()
    }

    private static func read(_ topic: Topic, _ db: Database) throws -> TopicState? {
        let name = topic.utf8
        let row = try StoredTopic.read(name, db)
        let last = try Command(
            "SELECT ordinal, sum, number FROM plinth_place WHERE topic = ? ORDER BY number DESC LIMIT 1",
            db
        ).bind(.bytes(name)).first { (ordinal: $0.unsigned(0), sum: $0.number(1), number: $0.unsigned(2)) }
        guard row != nil || last != nil else { return nil }
        var state = TopicState(topics: [topic], removed: row?.removed ?? 0)
        state.removedOrdinal = row?.removedOrdinal ?? 0
        state.removedSum = row?.removedSum ?? 0
        // Rows of the index that are missing at its end would otherwise have their ordinals used again.
        state.ordinal = max(last?.ordinal ?? 0, row?.ordinal ?? 0)
        state.sum = last?.sum ?? state.removedSum
        state.isStored = row != nil
        if let row, !row.isIntact {
            // What it has lost is not known: all of it may be.
            let first = try Command(
                "SELECT ordinal, sum FROM plinth_place WHERE topic = ? ORDER BY number LIMIT 1",
                db
            ).bind(.bytes(name)).first { (ordinal: $0.unsigned(0), sum: $0.number(1)) }
            state.ordinal = last?.ordinal ?? 0
            state.removedOrdinal = (first?.ordinal ?? 1) &- 1
            state.removedSum = first?.sum ?? 0
            state.removed = last?.number ?? 0
        }
        return state
    }
}

/// A row of `plinth_topic`.
struct StoredTopic {
    let ordinal: UInt64
    let removed: UInt64
    let removedOrdinal: UInt64
    let removedSum: Int64
    /// Whether the row is as it was written.
    let isIntact: Bool

    static func read(_ name: [UInt8], _ db: Database) throws -> StoredTopic? {
        try Command(
            "SELECT ordinal, removed, removed_ordinal, removed_sum, checksum FROM plinth_topic WHERE name = ?",
            db
        ).bind(.bytes(name)).first { row in
            StoredTopic(
                ordinal: row.unsigned(0),
                removed: row.unsigned(1),
                removedOrdinal: row.unsigned(2),
                removedSum: row.number(3),
                isIntact: row.unsigned(4)
                    == TopicState.checksum(name, row.unsigned(0), row.unsigned(1), row.unsigned(2))
            )
        }
    }
}
#endif
