// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import Logging
import PlinthHub
import PlinthStreams

extension HistoryStore {
    /// Reads what the tables hold: all but the events.
    ///
    /// - Throws: ``SQLiteHistoryError`` if they are those of another version, or damaged.
    static func load(_ options: SQLiteHistoryOptions, _ time: StoreClock.Reading, _ db: Database) throws -> HistoryStore
    {
        let meta = try Command("SELECT layout, forgotten, removed, running FROM plinth_meta", db).first {
            (layout: $0.number(0), forgotten: $0.unsigned(1), removed: $0.unsigned(2), running: $0.number(3))
        }
        guard let meta else { throw damaged("plinth_meta has no row") }
        guard meta.layout <= Schema.layout else {
            throw SQLiteHistoryError(
                .newer,
                "the history was made by a later version of Plinth (layout \(meta.layout), this one knows "
                    + "\(Schema.layout)); use that version"
            )
        }
        guard meta.layout == Schema.layout else {
            throw SQLiteHistoryError(
                .notMigrated,
                "the tables are those of an earlier version of Plinth (layout \(meta.layout), this one needs "
                    + "\(Schema.layout)); call SQLiteHistory.registerMigrations(in:) and migrate"
            )
        }
        let stored = try epochs(db)
        let (head, isWhole) = try self.head(after: max(meta.removed, stored.last.map { $0.first - 1 } ?? 0), db)
        guard head < largestNumber else { throw damaged("its last number is \(head)") }
        let epochs = HistoryEpochs(stored) ?? HistoryEpochs()
        if stored.isEmpty { try insert(epochs.current, db) }
        let keyTime = try Command("SELECT max(time) FROM plinth_key", db).first { $0.number(0) } ?? 0
        var store = HistoryStore(
            options: options,
            epochs: epochs,
            head: head,
            lastTime: try Command("SELECT time FROM plinth_entry ORDER BY number DESC LIMIT 1", db).first {
                $0.number(0)
            } ?? 0,
            ledger: AppendLedger(quotas: options.quotas),
            limits: TopicLimitTable(usual: options.topic, maximum: options.quotas.limitedTopics),
            forgotten: meta.forgotten,
            removed: meta.removed,
            counts: try counts(db, ends: nil),
            // Far below where adding to it would overflow.
            ranBefore: min(max(0, meta.running, keyTime), 1 << 61),
            opened: time.monotonic
        )
        store.ledger.recordsDroppedProducers = true
        let damagedRows = try store.loadLedger(time, db)
        try store.loadLimits(time, db)
        try store.findOldest(db)
        if !isWhole { options.logger.error("events are missing at the end of the history, which is damaged") }
        if damagedRows > 0 {
            options.logger.error(
                "the history is damaged: of ends, who ended the topic is lost; of producers and keys, all",
                metadata: ["rows": "\(damagedRows)"]
            )
        }
        return store
    }

    /// What is needed to insert events within an application's transaction, without what is remembered besides.
    init(
        inTransaction epochs: HistoryEpochs,
        _ options: SQLiteHistoryOptions,
        _ time: StoreClock.Reading,
        _ db: Database
    ) throws {
        let meta = try Command("SELECT forgotten, removed FROM plinth_meta", db).first {
            ($0.unsigned(0), $0.unsigned(1))
        }
        let last = try Command("SELECT number, time FROM plinth_entry ORDER BY number DESC LIMIT 1", db)
            .first { (number: $0.unsigned(0), time: $0.number(1)) }
        // In an epoch without entries the next number is its first.
        let first = epochs.current.first
        self.init(
            options: options,
            epochs: epochs,
            head: max(last?.number ?? 0, first &- 1, meta?.1 ?? 0),
            lastTime: last?.time ?? 0,
            ledger: AppendLedger(),
            limits: TopicLimitTable(usual: HistoryLimits(), maximum: 0),
            forgotten: meta?.0 ?? 0,
            removed: meta?.1 ?? 0,
            counts: Counts(),
            ranBefore: 0,
            opened: time.monotonic
        )
    }

    /// More than any history will have.
    private static let largestNumber: UInt64 = 1 << 62

    private static func damaged(_ what: String) -> SQLiteHistoryError {
        SQLiteHistoryError(.damaged, "the history is damaged: \(what); restore a copy of it, or begin a new one")
    }

    private static func epochs(_ db: Database) throws -> [HistoryEpochs.Epoch] {
        var epochs: [HistoryEpochs.Epoch] = []
        try Command("SELECT token, first, last FROM plinth_epoch ORDER BY id", db).forEach { row in
            epochs.append(
                HistoryEpochs.Epoch(
                    token: Array(row.bytes(0)),
                    first: row.unsigned(1),
                    last: row.isNull(2) ? nil : row.unsigned(2)
                )
            )
            return true
        }
        guard zip(epochs, epochs.dropFirst()).allSatisfy({ $0.first <= $1.first }),
            epochs.allSatisfy({ $0.token.count == 8 && (1..<largestNumber).contains($0.first) })
        else { throw damaged("its epochs are not as they were written") }
        return epochs
    }

    /// The last number used, and whether all rows of the last block are there.
    ///
    /// If some are missing, the rest of the block's numbers may have been used by them.
    private static func head(after known: UInt64, _ db: Database) throws -> (UInt64, isWhole: Bool) {
        let last = try Command("SELECT max(number) FROM plinth_entry", db).first { $0.unsigned(0) } ?? 0
        let head = max(last, known)
        let block = try Command("SELECT block, rows FROM plinth_block ORDER BY block DESC LIMIT 1", db)
            .first { (block: $0.unsigned(0), rows: $0.number(1)) }
        guard let block else { return (head, true) }
        let first = block.block &* blockSize
        let rows = try Command("SELECT count(*) FROM plinth_entry WHERE number >= ?", db).bind(.number(first))
            .first { $0.number(0) }
        guard rows != block.rows else { return (head, true) }
        return (max(head, first &+ blockSize &- 1), false)
    }

    /// What is held; the ends are counted if their number is not given.
    static func counts(_ db: Database, ends: Int?) throws -> Counts {
        var counts = Counts()
        let held = try Command("SELECT sum(rows), sum(bytes) FROM plinth_block", db).first {
            ($0.number(0), $0.number(1))
        }
        let ends = try ends ?? Int(Command("SELECT count(*) FROM plinth_end", db).first { $0.number(0) } ?? 0)
        counts.events = max(0, Int(held?.0 ?? 0) - ends)
        counts.bytes = max(0, Int(held?.1 ?? 0))
        counts.topics = try Int(Command("SELECT count(*) FROM plinth_topic", db).first { $0.number(0) } ?? 0)
        return counts
    }

    /// - Returns: The number of damaged rows.
    private mutating func loadLedger(_ time: StoreClock.Reading, _ db: Database) throws -> Int {
        let epochs = self.epochs
        var ledger = self.ledger
        let lastTime = self.lastTime
        var damaged = try max(StoredEnd.deleteDamaged(db), restoreEnds(time, db))
        try StoredEnd.forEach(db) { end, published, hasEvents in
            let position = Position(end.number)
            let entry = HistoryEntry(
                .end(of: end.topic, isRestricted: end.isRestricted),
                position: position,
                id: epochs.id(at: position),
                time: time.monotonic(of: published ?? lastTime)
            )
            ledger.restore(entry, by: end.subject)
            if !hasEvents { ledger.isWithoutEvents(end.topic) }
        }
        // All count as active now: when one was last active is not stored.
        damaged += try StoredProducer.forEach(db) { ledger.restore($0, active: time.monotonic) }
        let running = ranBefore
        damaged += try StoredKey.forEach(db) { answer, given in
            ledger.restore(answer, time: time.monotonic + .nanoseconds(-max(0, running - given)))
        }
        self.ledger = ledger
        return damaged
    }

    /// Writes rows of `plinth_end` again that are missing or damaged; who ended these topics is not known any more.
    ///
    /// - Returns: The number of rows.
    private func restoreEnds(_ time: StoreClock.Reading, _ db: Database) throws -> Int {
        var lost: [HistoryEntry] = []
        var decoder = EntryDecoder(epochs, time)
        try Command(
            """
            SELECT \(EntryDecoder.columns) FROM plinth_entry AS e
            WHERE flags & 2 AND NOT EXISTS (SELECT 1 FROM plinth_end AS n WHERE n.number = e.number)
            """,
            db
        ).forEach { row in
            if let end = decoder.decode(row), end.isEnd { lost.append(end) }
            return true
        }
        for end in lost { try StoredEnd.write(end, by: nil, db) }
        return lost.count
    }

    private mutating func loadLimits(_ time: StoreClock.Reading, _ db: Database) throws {
        for (topic, own) in try Self.ownLimits(db) {
            // More than the quota allows now were allowed when they were set.
            _ = try? limits.set(own, of: topic)
            try notice(topic, time, db)
        }
    }

    /// The topics that have limits of their own.
    static func ownLimits(_ db: Database) throws -> [(topic: Topic, limits: TopicLimits)] {
        var own: [(Topic, TopicLimits)] = []
        try Command("SELECT topic, events, bytes, age FROM plinth_limit", db).forEach { row in
            own.append(
                (
                    Topic(trusted: Array(row.bytes(0))),
                    TopicLimits(
                        events: row.isNull(1) ? nil : Int(row.number(1)),
                        bytes: row.isNull(2) ? nil : Int(row.number(2)),
                        age: row.isNull(3) ? nil : .nanoseconds(row.number(3))
                    )
                )
            )
            return true
        }
        return own
    }

    // MARK: - Epochs

    /// The most epochs remembered; an ID of an older one is unknown.
    private static let maximumEpochs = 1000

    /// Begins an epoch, in a transaction of its own that is synced before anything is appended.
    mutating func beginEpoch(hole: UInt64 = 0, _ db: Database) throws {
        epochs.begin(after: head, hole: hole)
        head += hole
        try Command("UPDATE plinth_epoch SET last = ? WHERE last IS NULL", db).bind(.number(head - hole)).run()
        // One that assigned no ID is not needed; the first stands for the position before all events.
        try Command("DELETE FROM plinth_epoch WHERE first > last AND id > (SELECT min(id) FROM plinth_epoch)", db).run()
        try Self.insert(epochs.current, db)
        try Command(
            "DELETE FROM plinth_epoch WHERE id <= (SELECT max(id) FROM plinth_epoch) - ?",
            db
        ).bind(.number(Self.maximumEpochs)).run()
    }

    private static func insert(_ epoch: HistoryEpochs.Epoch, _ db: Database) throws {
        try Command("INSERT INTO plinth_epoch (token, first) VALUES (?, ?)", db)
            .bind(.bytes(epoch.token), .number(epoch.first)).run()
    }
}
#endif
