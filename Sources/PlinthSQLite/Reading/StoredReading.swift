// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub

/// A read of what is stored, within one transaction.
///
/// One or a few topics are read from their index; everything else by blocks of the log. What was removed and what is
/// damaged is reported as missing.
struct StoredReading {
    let selection: Selection
    let limit: ReadLimit
    /// The position after which to read.
    let after: UInt64
    /// The last position to read: that of the last delivered entry.
    let head: UInt64
    /// The ends of the topics that are read from their indexes, as they are known in memory.
    let ends: [TopicEnd]
    let cache: BlockCache
    /// The version of the cache before the transaction began; nil if it cannot be used.
    let version: UInt64?

    /// The most topics that are read from their indexes.
    static let maximumNames = 16
    /// The most blocks of one transaction: some milliseconds, so that the log can shrink.
    private static let maximumBlocks = 40

    /// Whether it reads a few topics from their indexes.
    private var isOfTopics: Bool { selection.isOfNames && selection.names <= Self.maximumNames }

    func read(_ decoder: inout EntryDecoder, _ db: Database) throws -> HistoryBatch {
        if isOfTopics {
            do {
                return try readTopics(&decoder, db)
            } catch let error as DatabaseError where error.isDamage {
                // The index is damaged; the log has the same events.
            }
        }
        return try readLog(&decoder, db)
    }

    // MARK: - The log

    private func readLog(_ decoder: inout EntryDecoder, _ db: Database) throws -> HistoryBatch {
        var reading = HistoryReading(selection, limit, after: Position(after))
        if let missing = try removedThrough(db) { reading.misses(missing) }
        var at = after
        var blocks = 0
        while at < head, blocks < Self.maximumBlocks {
            guard let block = try block(from: at + 1, &decoder, db) else {
                at = head
                break
            }
            blocks += 1
            guard take(block, &at, &reading) else {
                if block.isWhole { try readAhead(after: block.last, &decoder, db) }
                return reading.batch
            }
            guard reading.batch.work < max(1, limit.work) else { break }
        }
        reading.begin(head: at)
        return reading.batch
    }

    /// Reads the log as far as its blocks are in memory.
    ///
    /// - Returns: The batch; nil if the next block is not there, or events may have been removed.
    func readCached() -> HistoryBatch? {
        guard let version, after < head, !isOfTopics else { return nil }
        var reading = HistoryReading(selection, limit, after: Position(after))
        var at = after
        while at < head, let block = cache.block(of: at + 1, version: version) {
            guard take(block, &at, &reading) else { break }
            reading.begin(head: at)
            guard reading.batch.work < max(1, limit.work) else { break }
        }
        // Looked at last: whatever a block lacks was announced before.
        guard reading.batch.through.number > after, cache.removed <= after else { return nil }
        return reading.batch
    }

    /// Takes the entries of a block.
    ///
    /// - Returns: Whether to continue after it.
    private func take(_ block: Block, _ at: inout UInt64, _ reading: inout HistoryReading) -> Bool {
        if let damaged = block.damagedThrough, damaged > at { reading.misses(min(damaged, head)) }
        for entry in block.entries where entry.position.number > at && entry.position.number <= head {
            if !reading.take(entry) { return false }
        }
        at = max(at, min(block.last, head))
        return true
    }

    /// The first block that holds anything from a number on.
    private func block(from number: UInt64, _ decoder: inout EntryDecoder, _ db: Database) throws -> Block? {
        if let version, let known = cache.block(of: number, version: version) { return known }
        guard let stored = try Block.read(from: number, most: max(limit.bytes, cache.maximumBlock), &decoder, db) else {
            return nil
        }
        // The last block of the log still grows.
        if let version, stored.isWhole, stored.last <= head { cache.keep(stored, version: version) }
        return stored
    }

    /// The blocks that are read ahead for a reader of the log, which will ask for them next.
    private static let blocksAhead = 3

    private func readAhead(after last: UInt64, _ decoder: inout EntryDecoder, _ db: Database) throws {
        guard version != nil else { return }
        var at = last
        for _ in 0..<Self.blocksAhead {
            guard at < head, let block = try block(from: at + 1, &decoder, db), block.isWhole else { return }
            at = block.last
        }
    }

    /// The last event after the position that the selection may include and that was removed.
    private func removedThrough(_ db: Database) throws -> UInt64? {
        let meta = try Command("SELECT forgotten, removed FROM plinth_meta", db).first {
            ($0.unsigned(0), $0.unsigned(1))
        }
        guard let meta, meta.1 > after else { return nil }
        let (forgotten, removed) = meta
        if selection.wantsEverything { return removed }
        var last = max(forgotten, after)
        var looked = 0
        // The latest first: the first that is wanted decides.
        try Command("SELECT name, removed FROM plinth_topic WHERE removed > ? ORDER BY removed DESC LIMIT 257", db)
            .bind(.number(last)).forEach { row in
                looked += 1
                // A needless gap is better than one that is not told.
                guard looked > 256 || selection.wants(Topic(trusted: Array(row.bytes(0)))) else { return true }
                last = row.unsigned(1)
                return false
            }
        return last > after ? last : nil
    }

    // MARK: - Topics

    private func readTopics(_ decoder: inout EntryDecoder, _ db: Database) throws -> HistoryBatch {
        var reading = HistoryReading(selection, limit, after: Position(after))
        var names: [Topic] = []
        selection.forEachName { names.append($0) }
        let forgotten = try Command("SELECT forgotten FROM plinth_meta", db).first { $0.unsigned(0) } ?? 0
        var found: [TopicPart.Row] = []
        // Up to where all topics have been read.
        var through = head
        let most = max(1, min(limit.events, 256))
        for topic in names {
            var part = try TopicPart.read(
                topic,
                after: after,
                through: through,
                limit: (most, limit.bytes),
                forgotten,
                &decoder,
                db
            )
            if let missing = part.missingThrough, missing > after { reading.misses(min(missing, head)) }
            if part.isFull { through = min(through, part.rows.last?.number ?? through) }
            let end = try TopicPart.end(of: topic, &decoder, db)
            if let end, end.number > after, end.number <= head { part.rows.append(end) }
            // A page of another table in the place of the ends' index.
            if let known = ends.first(where: { $0.topic == topic })?.position.number, known > after, known <= head,
                end?.number != known
            {
                reading.misses(known)
            }
            found += part.rows
        }
        found.sort { $0.number < $1.number }
        reading.begin(head: max(through, after))
        var last: UInt64 = 0
        for row in found where row.number <= through {
            if row.isDamaged { reading.misses(row.number) }
            // An event of several topics is found in each.
            guard let entry = row.entry, row.number > last else { continue }
            last = row.number
            if !reading.take(entry) { return reading.batch }
        }
        return reading.batch
    }
}

/// A topic's entries after a position, from its index.
private struct TopicPart {
    struct Row {
        let number: UInt64
        /// The entry; nil if it is damaged or missing.
        var entry: HistoryEntry?
        /// Whether it, or what lies before it, is damaged or missing.
        var isDamaged = false
    }

    /// The entries in order.
    var rows: [Row] = []
    /// Whether there may be more.
    var isFull = false
    var missingThrough: UInt64?

    static func read(
        _ topic: Topic,
        after: UInt64,
        through: UInt64,
        limit: (events: Int, bytes: Int),
        _ forgotten: UInt64,
        _ decoder: inout EntryDecoder,
        _ db: Database
    ) throws -> TopicPart {
        var part = TopicPart()
        let name = topic.utf8
        let stored = try StoredTopic.read(name, db)
        // The ordinal of the last row before those that are read.
        var ordinal =
            try Command(
                "SELECT ordinal FROM plinth_place WHERE topic = ? AND number <= ? ORDER BY number DESC LIMIT 1",
                db
            ).bind(.bytes(name), .number(after)).first { $0.unsigned(0) } ?? stored?.removedOrdinal ?? 0
        var bytes = 0
        var last = after
        var isInOrder = true
        var isLastWhole = true
        try Command(
            """
            SELECT \(EntryDecoder.columns), p.number, p.ordinal FROM plinth_place AS p
            LEFT JOIN plinth_entry AS e ON e.number = p.number
            WHERE p.topic = ? AND p.number > ? AND p.number <= ? ORDER BY p.number LIMIT ?
            """,
            db
        ).bind(.bytes(name), .number(after), .number(through), .number(limit.events)).forEach { row in
            let number = row.unsigned(6)
            // A page that lies in the place of another.
            guard number > last else {
                isInOrder = false
                return true
            }
            last = number
            // Ordinals are dense: a row before this one is missing.
            let isDamaged = row.unsigned(7) != ordinal &+ 1 || !isLastWhole
            ordinal = row.unsigned(7)
            var entry = row.isNull(0) ? nil : decoder.decode(row)
            if entry != nil, !decoder.lastIs(topic, ordinal) { entry = nil }
            // Its number may be what is damaged: what it stood for lies before the next.
            isLastWhole = entry != nil
            part.rows.append(Row(number: number, entry: entry, isDamaged: isDamaged || entry == nil))
            bytes += entry?.size ?? 0
            part.isFull = part.rows.count >= limit.events || bytes > limit.bytes
            return !part.isFull
        }
        if let stored {
            if stored.removed > after { part.missingThrough = stored.removed }
            // Damage of the row itself, or rows that are missing at the end of the index.
            let isWhole = try part.isFull || isFollowed(ordinal, name, through, stored, db)
            if !stored.isIntact || !isWhole { part.missingThrough = through }
        } else {
            if forgotten > after { part.missingThrough = forgotten }
            // A topic with events has a row.
            if !part.rows.isEmpty { part.missingThrough = through }
        }
        if !isInOrder || !isLastWhole { part.missingThrough = through }
        return part
    }

    /// Whether nothing is missing behind the last row that was read.
    ///
    /// Events that are committed and not delivered yet may follow.
    private static func isFollowed(
        _ ordinal: UInt64,
        _ name: [UInt8],
        _ through: UInt64,
        _ stored: StoredTopic,
        _ db: Database
    ) throws -> Bool {
        let next = try Command(
            "SELECT ordinal FROM plinth_place WHERE topic = ? AND number > ? ORDER BY number LIMIT 1",
            db
        ).bind(.bytes(name), .number(through)).first { $0.unsigned(0) }
        return next.map { $0 == ordinal &+ 1 } ?? (ordinal >= stored.ordinal)
    }

    /// A topic's end, as the transaction has it.
    static func end(of topic: Topic, _ decoder: inout EntryDecoder, _ db: Database) throws -> Row? {
        try Command(
            """
            SELECT \(EntryDecoder.columns), n.number FROM plinth_end AS n
            LEFT JOIN plinth_entry AS e ON e.number = n.number WHERE n.topic = ?
            """,
            db
        ).bind(.bytes(topic.utf8)).first { row in
            let entry = row.isNull(0) ? nil : decoder.decode(row)
            return Row(number: row.unsigned(6), entry: entry, isDamaged: entry == nil)
        }
    }
}
#endif
