// SPDX-License-Identifier: Apache-2.0

#if SQLite
public import GRDB
public import PlinthEvents
public import PlinthHub
import Synchronization

extension Hub {
    /// Publishes an event within a transaction of the application: both are committed, or neither.
    ///
    /// ```swift
    /// try await pool.write { db in
    ///     try order.insert(db)
    ///     try hub.publish(event, to: orders, in: db)
    /// }
    /// ```
    ///
    /// The event is delivered when the transaction is committed, before `write` returns, if it is still there: a rollback
    /// takes it back, and so does one to a savepoint.
    ///
    /// - Parameters:
    ///   - event: As for ``/PlinthHub/Hub/publish(_:to:isRestricted:)``.
    ///   - topic: Its topic.
    ///   - isRestricted: Whether to deliver it only to subscribers authorized for the topic. Default: false.
    ///   - db: The application's connection, within a transaction of the pool that the hub's ``SQLiteHistory`` has.
    /// - Returns: The ID that the event has once the transaction is committed; else another event may get it.
    /// - Throws: ``/PlinthHub/HubError`` with the code `typeReserved`; ``/PlinthHub/HistoryError`` with the code
    ///   `topicEnded`; ``SQLiteHistoryError`` with the code `unusable` if the hub has another history or database, or
    ///   there is no transaction; the database's error. The event is then not published.
    @discardableResult
    public func publish(
        _ event: ServerSentEvent,
        to topic: Topic,
        isRestricted: Bool = false,
        in db: Database
    ) throws -> EventID {
        guard let history = history as? SQLiteHistory else {
            throw SQLiteHistoryError(.unusable, "the hub's history is not in a database of SQLite")
        }
        let request = AppendRequest([NewEvent(event, topics: [topic], isRestricted: isRestricted)])
        return try measuringPublish({ _ in 1 }) { try history.append(try accepted(request).events, in: db) }
    }
}

extension SQLiteHistory {
    /// Appends events within an application's transaction.
    func append(_ events: [NewEvent], in db: Database) throws -> EventID {
        try check(db)
        let time = clock.read()
        let epochs = writer.snapshot.epochs
        var last = EventID(trusted: [])
        // Undone as a whole if it fails, also if the application then commits the rest.
        try db.inSavepoint {
            // From the tables alone: what the writer has in memory knows nothing of this transaction, and waits for it.
            var store = try HistoryStore(inTransaction: epochs, options, time, db)
            let commands = try InsertCommands(db)
            for event in events {
                for topic in event.topics { try checkEnd(of: topic, db) }
                last = try store.insert(event, time, commands, db).id
            }
            try store.finishTransaction(db)
            try store.topics.storeAll(db)
            return .commit
        }
        let (queue, writer, recent) = (queue, writer, recent)
        db.afterNextTransaction { db in
            // What the table holds, whatever was published meanwhile: a savepoint may have been rolled back. Before the
            // transaction returns, so that the hub's mark is at or behind the event.
            var decoder = EntryDecoder(epochs, time)
            if let entries = try? decoder.entries(after: recent.head.number, db) {
                recent.apply(entries.map { .insert($0) })
            }
            if !writer.isBehind.exchange(true, ordering: .relaxed) { queue.add { writer.catchUp() } }
        }
        return last
    }

    private func check(_ db: Database) throws {
        func refuse(_ reason: String) -> SQLiteHistoryError { SQLiteHistoryError(.unusable, reason) }
        guard case .database = source else {
            throw refuse("the history has a file of its own, not the application's database")
        }
        let snapshot = writer.snapshot
        guard let pool = snapshot.pool else { throw refuse("the history is not open") }
        guard StoreConnection.fileName(db) == snapshot.fileName else {
            throw refuse("the history is in the database \(pool.path)")
        }
        guard db.isInsideTransaction, !db.configuration.readonly else {
            throw refuse("publish within a transaction that writes, such as that of `pool.write`")
        }
    }

    private func checkEnd(of topic: Topic, _ db: Database) throws {
        let end = try Command("SELECT number FROM plinth_end WHERE topic = ?", db).bind(.bytes(topic.utf8))
            .first { Position($0.unsigned(0)) }
        if let end { throw HistoryError.topicEnded(TopicEnd(topic: topic, position: end, id: id(at: end))) }
    }
}
#endif
