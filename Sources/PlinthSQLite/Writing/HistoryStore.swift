// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub
import PlinthStreams

/// What the writer knows of the tables, and how it changes them.
///
/// Changed within transactions of one connection; after one that failed it no longer fits the tables, and is loaded
/// anew.
struct HistoryStore {
    let options: SQLiteHistoryOptions
    var epochs: HistoryEpochs
    /// The number of the last entry.
    var head: UInt64
    /// The last time stored: times never go back.
    var lastTime: Int64
    var ledger: AppendLedger
    var limits: TopicLimitTable
    var topics = TopicStates()
    /// The last entry removed from a topic that has no events left, and from any topic.
    var forgotten: UInt64
    var removed: UInt64
    var counts: Counts
    /// When the oldest entry was published, in nanoseconds since 1970, as it was last looked up.
    var oldest: Int64?
    /// How long hubs had run on this history when this one was opened, in nanoseconds; and when that was.
    let ranBefore: Int64
    let opened: MonotonicTime

    /// Topics that hold more than their limits allow.
    var overfull: [Topic] = []
    var isOverfull: Set<Topic> = []
    /// The entries up to here are ends, or removed.
    var front: UInt64 = 0
    /// How rows of blocks change in this transaction.
    var blocks: [UInt64: BlockChange] = [:]
    var isMetaChanged = false
    /// What this transaction adds, and which topics it opens again, in order: passed on when it is committed.
    var changes: [StoredChange] = []
    /// Whether this transaction has removed anything.
    var hasRemoved = false

    /// What is held.
    struct Counts {
        var events = 0
        var bytes = 0
        var topics = 0
    }

    struct BlockChange {
        var rows = 0
        var bytes = 0
        var checksum: UInt64 = 0
    }

    /// The numbers that a block has.
    static let blockSize: UInt64 = 256
    static func block(of number: UInt64) -> UInt64 { number / blockSize }

    // MARK: - Appending

    /// Appends a request's events, or recognises them.
    ///
    /// - Throws: ``HistoryError`` if it is refused: nothing was changed. Any other error leaves the transaction to be
    ///   rolled back.
    mutating func append(
        _ request: AppendRequest,
        at time: StoreClock.Reading,
        _ commands: InsertCommands,
        _ db: Database
    ) throws -> AppendResult {
        for event in request.events where event.requestedID != nil {
            throw HistoryError(.idNotAccepted, "a history in SQLite assigns IDs; publish without one")
        }
        let epochs = self.epochs
        let digest = request.key == nil ? 0 : request.digest
        switch try ledger.check(request, digest: digest, now: time.monotonic, id: epochs.id(at:)) {
        case .answer(let result):
            // An end that is repeated takes its number, and its answer is kept.
            if !result.isReplayed { try storeRecords(of: request, time, db) }
            return result
        case .append(let repeated, let dropping):
            if let dropping { try removeEnd(of: dropping, db) }
            var entries: [HistoryEntry] = []
            entries.reserveCapacity(request.events.count - repeated)
            for event in request.events[repeated...] { entries.append(try insert(event, time, commands, db)) }
            let ids = entries.map(\.id)
            let result = AppendResult(
                ids: ids,
                repeated: repeated,
                lastID: ids.last ?? epochs.id(at: Position(head))
            )
            guard !ledger.isPlain(request) else { return result }
            ledger.record(entries, of: request, result, digest: digest, now: time.monotonic)
            if let end = entries.last, end.isEnd {
                try StoredEnd.write(end, by: request.subject, db)
                if try topics.state(of: end.topics[0], db) == nil { ledger.isWithoutEvents(end.topics[0]) }
            }
            try storeRecords(of: request, time, db)
            return result
        }
    }

    /// Inserts an event or an end.
    mutating func insert(
        _ event: NewEvent,
        _ time: StoreClock.Reading,
        _ commands: InsertCommands,
        _ db: Database
    ) throws -> HistoryEntry {
        head += 1
        lastTime = max(lastTime, time.wall)
        if oldest == nil { oldest = lastTime }
        let flags = (event.isRestricted ? StoredEntry.isRestricted : 0) | (event.isEnd ? StoredEntry.isEnd : 0)
        let stored: StoredEntry
        var topics = event.topics
        if topics.count == 1 {
            var ordinal: UInt64 = 0
            if !event.isEnd {
                let state = try place(event, in: topics[0], time, commands, db)
                ordinal = state.ordinal
                topics = state.topics
            }
            stored = StoredEntry(
                number: head,
                time: lastTime,
                flags: flags,
                topic: topics[0],
                ordinal: ordinal,
                lines: event.bytes
            )
        } else {
            let places = try topics.map { topic in
                StoredEntry.Place(topic: topic, ordinal: try place(event, in: topic, time, commands, db).ordinal)
            }
            stored = StoredEntry(
                number: head,
                time: lastTime,
                flags: flags,
                places: places,
                held: places.count,
                lines: event.bytes
            )
        }
        try commands.insert(stored)
        change(block: head, rows: 1, bytes: stored.weight, checksum: stored.checksum)
        if !event.isEnd { counts.events += 1 }
        counts.bytes += stored.weight
        let position = Position(head)
        let entry = HistoryEntry(
            event,
            topics: topics,
            position: position,
            id: epochs.id(at: position),
            time: time.monotonic(of: lastTime)
        )
        changes.append(.insert(entry))
        return entry
    }

    /// Adds the entry under way to one of its topics.
    private mutating func place(
        _ event: NewEvent,
        in topic: Topic,
        _ time: StoreClock.Reading,
        _ commands: InsertCommands,
        _ db: Database
    ) throws -> TopicState {
        // About as the stored entry counts it: closely enough for a limit.
        let weight = StoredEntry.weight(topics: topic.utf8.count + 8, lines: event.bytes.count)
        let (state, isNew) = try topics.append(to: topic, bytes: weight, forgotten: forgotten, db)
        if isNew { counts.topics += 1 }
        try commands.insertPlace(topic, head, state)
        noticeSize(of: topic, state)
        if limits.hasOwn { limits.hasEvent(topic, at: time.monotonic) }
        return state
    }

    mutating func change(block number: UInt64, rows: Int, bytes: Int, checksum: UInt64) {
        var change = blocks[Self.block(of: number)] ?? BlockChange()
        change.rows += rows
        change.bytes += bytes
        change.checksum ^= checksum
        blocks[Self.block(of: number)] = change
    }

    /// Writes what a transaction has gathered; called before it is committed.
    mutating func finishTransaction(_ db: Database) throws {
        for (block, change) in blocks {
            try Command(
                """
                INSERT INTO plinth_block VALUES (?, ?, ?, ?) ON CONFLICT (block) DO UPDATE SET
                    rows = rows + excluded.rows, bytes = bytes + excluded.bytes,
                    checksum = (checksum | excluded.checksum) & ~(checksum & excluded.checksum)
                """,
                db
            ).bind(.number(block), .number(change.rows), .number(change.bytes), .number(change.checksum)).run()
        }
        for (block, change) in blocks where change.rows < 0 && block < Self.block(of: head) {
            try Command("DELETE FROM plinth_block WHERE block = ? AND rows = 0", db).bind(.number(block)).run()
        }
        blocks = [:]
        try topics.storeUrgent(db)
        if isMetaChanged {
            try Command("UPDATE plinth_meta SET forgotten = ?, removed = ?", db)
                .bind(.number(forgotten), .number(removed)).run()
            isMetaChanged = false
        }
    }

    // MARK: - Producers, keys, ends

    private func storeRecords(of request: AppendRequest, _ time: StoreClock.Reading, _ db: Database) throws {
        if let producer = ledger.producerRecord(of: request) { try StoredProducer.write(producer, db) }
        if let answer = ledger.answerRecord(of: request) {
            try StoredKey.write(answer, time: running(time.monotonic), db)
        }
    }

    /// How long hubs have run on this history, in nanoseconds.
    func running(_ now: MonotonicTime) -> Int64 { ranBefore &+ max(0, now.nanoseconds &- opened.nanoseconds) }

    /// Removes a topic's end: the topic is new.
    ///
    /// - Returns: Whether it had ended.
    @discardableResult
    mutating func removeEnd(of topic: Topic, _ db: Database) throws -> Bool {
        guard let end = ledger.open(topic) else { return false }
        changes.append(.open(topic))
        let number = end.position.number
        try Command("DELETE FROM plinth_end WHERE number = ?", db).bind(.number(number)).run()
        try deleteEntry(number, db)
        if var state = try topics.state(of: topic, db) {
            state.removed = max(state.removed, number)
            topics.set(state, of: topic, isUrgent: true)
        } else {
            forgotten = max(forgotten, number)
        }
        noticeRemoval(number)
        return true
    }

    /// Takes note of entries that an application's transactions have added.
    mutating func absorb(_ time: StoreClock.Reading, _ db: Database) throws {
        let added = try Command(
            """
            SELECT max(number), max(time), count(*), sum(length(topics) + length(lines)) FROM plinth_entry
            WHERE number > ?
            """,
            db
        ).bind(.number(head)).first {
            (last: $0.unsigned(0), time: $0.number(1), count: Int($0.number(2)), bytes: Int($0.number(3)))
        }
        guard let added, added.last > head else { return }
        var decoder = EntryDecoder(epochs, time)
        let entries = try decoder.entries(after: head, db)
        head = added.last
        lastTime = max(lastTime, added.time)
        counts.events += added.count
        counts.bytes += added.bytes + added.count * StoredEntry.weight(topics: 0, lines: 0)
        var counted: [Topic: UInt64] = [:]
        for entry in entries {
            changes.append(.insert(entry))
            for topic in entry.topics { counted[topic, default: 0] += 1 }
        }
        for (topic, count) in counted {
            topics.remove(topic)
            // It had no events before.
            if try topics.state(of: topic, db)?.count == count { counts.topics += 1 }
            try notice(topic, time, db)
        }
    }

    mutating func noticeRemoval(_ number: UInt64) {
        removed = max(removed, number)
        isMetaChanged = true
        hasRemoved = true
    }
}
#endif
