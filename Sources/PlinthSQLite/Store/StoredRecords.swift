// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthHub

/// Who publishes, as a column; empty for an anonymous publisher.
enum StoredSubject {
    static func encode(_ subject: HubSubject?) -> [UInt8] {
        guard let subject else { return [] }
        var writer = ByteWriter()
        writer.write(subject.source.utf8)
        writer.write(subject.name.utf8)
        if let issuer = subject.issuer { writer.write(issuer.utf8) }
        return writer.bytes
    }

    static func decode(_ bytes: UnsafeRawBufferPointer) -> HubSubject? {
        var reader = ByteReader(bytes)
        guard let source = reader.string(), let name = reader.string() else { return nil }
        let issuer = reader.isAtEnd ? nil : reader.string()
        return HubSubject(
            source: String(decoding: source, as: UTF8.self),
            issuer: issuer.map { String(decoding: $0, as: UTF8.self) },
            name: String(decoding: name, as: UTF8.self)
        )
    }
}

/// A row of `plinth_end`: that a topic has ended.
enum StoredEnd {
    static func checksum(
        _ number: UInt64,
        _ topic: UnsafeRawBufferPointer,
        _ subject: UnsafeRawBufferPointer,
        _ isRestricted: Bool
    ) -> UInt64 {
        var checksum = RowChecksum()
        checksum.add(number)
        checksum.add(topic)
        checksum.add(subject)
        checksum.add(isRestricted ? 1 : 0)
        return checksum.value
    }

    static func write(_ end: HistoryEntry, by subject: HubSubject?, _ db: Database) throws {
        guard let topic = end.topics.first?.utf8 else { return }
        let subject = StoredSubject.encode(subject)
        let checksum = topic.withUnsafeBytes { topic in
            subject.withUnsafeBytes { Self.checksum(end.position.number, topic, $0, end.isRestricted) }
        }
        try Command("INSERT OR REPLACE INTO plinth_end VALUES (?, ?, ?, ?, ?)", db)
            .bind(
                .number(end.position.number),
                .bytes(topic),
                .bytes(subject),
                .number(end.isRestricted ? 1 : 0),
                .number(checksum)
            ).run()
    }

    /// Deletes damaged rows.
    ///
    /// - Returns: Their number.
    static func deleteDamaged(_ db: Database) throws -> Int {
        var damaged: [Int64] = []
        try Command("SELECT number, topic, subject, restricted, checksum FROM plinth_end", db).forEach { row in
            if row.unsigned(4) != checksum(row.unsigned(0), row.bytes(1), row.bytes(2), row.number(3) != 0) {
                damaged.append(row.number(0))
            }
            return true
        }
        for number in damaged {
            try Command("DELETE FROM plinth_end WHERE number = ?", db).bind(.number(number)).run()
        }
        return damaged.count
    }

    /// Calls a closure with each end, in order; with when it was published, and whether its topic has events.
    static func forEach(
        _ db: Database,
        _ body: (
            _ end: (number: UInt64, topic: Topic, subject: HubSubject?, isRestricted: Bool), _ time: Int64?,
            _ hasEvents: Bool
        ) -> Void
    ) throws {
        try Command(
            """
            SELECT n.number, n.topic, n.subject, n.restricted, e.time, t.name IS NOT NULL
            FROM plinth_end AS n LEFT JOIN plinth_entry AS e ON e.number = n.number
            LEFT JOIN plinth_topic AS t ON t.name = n.topic ORDER BY n.number
            """,
            db
        ).forEach { row in
            let topic = Topic(trusted: Array(row.bytes(1)))
            let subject = StoredSubject.decode(row.bytes(2))
            body(
                (row.unsigned(0), topic, subject, row.number(3) != 0),
                row.isNull(4) ? nil : row.number(4),
                row.number(5) != 0
            )
            return true
        }
    }
}

/// A row of `plinth_producer`.
enum StoredProducer {
    static func write(_ record: ProducerRecord, _ db: Database) throws {
        let (topic, subject, id) = (record.topic.utf8, StoredSubject.encode(record.subject), record.id.bytes)
        try Command(
            """
            INSERT INTO plinth_producer VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET
                epoch = excluded.epoch, sequence = excluded.sequence, last = excluded.last,
                checksum = excluded.checksum
            """,
            db
        ).bind(
            .bytes(topic),
            .bytes(subject),
            .bytes(id),
            .number(record.epoch),
            .number(record.sequence),
            .number(record.last),
            .number(RowChecksum.of([topic, subject, id], [record.epoch, record.sequence, record.last]))
        ).run()
    }

    static func delete(topic: Topic, subject: HubSubject?, id: ProducerID, _ db: Database) throws {
        try Command("DELETE FROM plinth_producer WHERE topic = ? AND subject = ? AND id = ?", db)
            .bind(.bytes(topic.utf8), .bytes(StoredSubject.encode(subject)), .bytes(id.bytes)).run()
    }

    /// Calls a closure with each producer.
    ///
    /// - Returns: The number of damaged rows.
    static func forEach(_ db: Database, _ body: (ProducerRecord) -> Void) throws -> Int {
        try Command("SELECT topic, subject, id, epoch, sequence, last, checksum FROM plinth_producer", db).countDamaged
        {
            row in
            let (topic, subject, id) = (Array(row.bytes(0)), Array(row.bytes(1)), Array(row.bytes(2)))
            let numbers = [row.unsigned(3), row.unsigned(4), row.unsigned(5)]
            guard row.unsigned(6) == RowChecksum.of([topic, subject, id], numbers), let producer = ProducerID(id) else {
                return false
            }
            body(
                ProducerRecord(
                    topic: Topic(trusted: topic),
                    subject: StoredSubject.decode(row.bytes(1)),
                    id: producer,
                    epoch: numbers[0],
                    sequence: numbers[1],
                    last: numbers[2]
                )
            )
            return true
        }
    }
}

/// A row of `plinth_key`.
enum StoredKey {
    /// Adds an answer; its time is how long hubs had run on the history when it was given, in nanoseconds.
    static func write(_ record: AnswerRecord, time: Int64, _ db: Database) throws {
        let subject = StoredSubject.encode(record.subject)
        let digest = withUnsafeBytes(of: record.digest.littleEndian) { Array($0) }
        let numbers = [UInt64(record.count), UInt64(record.repeated), record.position, UInt64(bitPattern: time)]
        try Command(
            """
            INSERT INTO plinth_key (subject, key, digest, count, repeated, position, time, checksum)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            """,
            db
        ).bind(
            .bytes(subject),
            .bytes(record.key.bytes),
            .bytes(digest),
            .number(numbers[0]),
            .number(numbers[1]),
            .number(numbers[2]),
            .number(time),
            .number(RowChecksum.of([subject, record.key.bytes, digest], numbers))
        ).run()
    }

    /// Deletes answers that were given before a time, as many as `limit` at most.
    ///
    /// - Returns: Whether there are no more.
    static func delete(before time: Int64, limit: Int, _ db: Database) throws -> Bool {
        // In order of time, so that only those that are deleted are read.
        var old: [Int64] = []
        try Command("SELECT id, time FROM plinth_key ORDER BY id LIMIT ?", db).bind(.number(limit)).forEach { row in
            guard row.number(1) < time else { return false }
            old.append(row.number(0))
            return true
        }
        guard let last = old.last else { return true }
        try Command("DELETE FROM plinth_key WHERE id <= ?", db).bind(.number(last)).run()
        return old.count < limit
    }

    /// Calls a closure with each answer, the oldest first.
    ///
    /// - Returns: The number of damaged rows.
    static func forEach(_ db: Database, _ body: (AnswerRecord, _ time: Int64) -> Void) throws -> Int {
        try Command(
            "SELECT subject, key, digest, count, repeated, position, time, checksum FROM plinth_key ORDER BY id",
            db
        ).countDamaged { row in
            let (subject, key, digest) = (Array(row.bytes(0)), Array(row.bytes(1)), Array(row.bytes(2)))
            let numbers = (3...6).map { row.unsigned($0) }
            guard row.unsigned(7) == RowChecksum.of([subject, key, digest], numbers), let key = IdempotencyKey(key),
                digest.count == 16, let count = Int(exactly: numbers[0]), let repeated = Int(exactly: numbers[1])
            else {
                return false
            }
            body(
                AnswerRecord(
                    subject: StoredSubject.decode(row.bytes(0)),
                    key: key,
                    digest: digest.reversed().reduce(0) { $0 << 8 | UInt128($1) },
                    count: count,
                    repeated: repeated,
                    position: numbers[2]
                ),
                row.number(6)
            )
            return true
        }
    }
}
#endif
