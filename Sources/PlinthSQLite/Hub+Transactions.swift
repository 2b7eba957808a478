// SPDX-License-Identifier: Apache-2.0

#if SQLite
public import GRDB
public import PlinthEvents
public import PlinthHub

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
    /// The event is delivered after the transaction, if it is still there: a rollback takes it back, and so does one to
    /// a savepoint.
    ///
    /// - Parameters:
    ///   - event: As for ``Hub/publish(_:to:isRestricted:)``.
    ///   - topic: Its topic.
    ///   - isRestricted: Whether to deliver it only to subscribers authorized for the topic. Default: false.
    ///   - db: The application's connection, within a transaction of the pool that the hub's ``SQLiteHistory`` has.
    /// - Returns: The ID that the event has once the transaction is committed; else another event may get it.
    /// - Throws: ``HubError`` with the code `typeReserved`; ``HistoryError`` with the code `topicEnded`;
    ///   ``SQLiteHistoryError`` with the code `unusable` if the hub has another history or there is no transaction; the
    ///   database's error.
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
        return try history.append(try accepted(request).events, in: db)
    }
}

extension SQLiteHistory {
    /// Appends events within an application's transaction.
    func append(_ events: [NewEvent], in db: Database) throws -> EventID {
        guard case .database = source else {
            throw SQLiteHistoryError(.unusable, "the history has a file of its own, not the application's database")
        }
        guard db.isInsideTransaction else {
            throw SQLiteHistoryError(.unusable, "publish within a transaction, such as that of `pool.write`")
        }
        let time = clock.read()
        // From the tables alone: what the writer has in memory knows nothing of this transaction, and waits for it.
        var store = try HistoryStore(inTransaction: writer.snapshot.epochs, options, time, db)
        let commands = try InsertCommands(db)
        var last = store.epochs.id(at: Position(store.head))
        for event in events {
            for topic in event.topics {
                let end = try Command("SELECT number FROM plinth_end WHERE topic = ?", db).bind(.bytes(topic.utf8))
                    .first { Position($0.unsigned(0)) }
                if let end { throw HistoryError.topicEnded(TopicEnd(topic: topic, position: end, id: id(at: end))) }
            }
            last = try store.insert(event, time, commands, db).id
        }
        try store.finishTransaction(db)
        try store.topics.storeAll(db)
        let (queue, writer) = (queue, writer)
        db.afterNextTransaction { _ in queue.add { writer.catchUp() } }
        return last
    }
}
#endif
