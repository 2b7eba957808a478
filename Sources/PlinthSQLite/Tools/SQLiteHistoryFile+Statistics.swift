// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
public import PlinthHub

extension SQLiteHistoryFile {
    /// What a file holds.
    public struct Statistics: Sendable, Hashable {
        /// An event at an end of the history.
        public struct Event: Sendable, Hashable {
            /// Its ID.
            public let id: EventID
            /// When it was published, counted from 1970-01-01 00:00 UTC.
            public let published: Duration
        }

        /// What a topic holds.
        public struct TopicSize: Sendable, Hashable {
            /// The topic.
            public let topic: Topic
            /// Its events.
            public let events: Int
            /// Their bytes, as limits count them.
            public let bytes: Int
        }

        /// The events of all topics.
        public internal(set) var events = 0
        /// Their bytes, as limits count them.
        public internal(set) var bytes = 0
        /// The topics that have events.
        public internal(set) var topics = 0
        /// The topics that have ended.
        public internal(set) var endedTopics = 0
        /// The producers remembered.
        public internal(set) var producers = 0
        /// The idempotency keys remembered.
        public internal(set) var keys = 0
        /// The topics with limits of their own.
        public internal(set) var limitedTopics = 0
        /// The revocations of subjects, with those that are no longer kept and not yet removed.
        public internal(set) var revocations = 0
        /// The oldest event; nil without events.
        public internal(set) var oldest: Event?
        /// The newest event; nil without events.
        public internal(set) var newest: Event?
        /// The epochs, the current one last; at most 1,000, and none before a hub has first opened the file.
        public internal(set) var epochs: [HistoryEpochs.Epoch] = []
        /// The largest topics by bytes, at most 10, the largest first.
        public internal(set) var largestTopics: [TopicSize] = []
        /// The bytes of a page.
        public internal(set) var pageSize = 0
        /// The pages of the database, as of the log's last transaction.
        public internal(set) var pages = 0
        /// The pages that are not in use: what ``SQLiteHistoryFile/compact(freePagesOnly:progress:)`` gives back.
        public internal(set) var freePages = 0
        /// The bytes of the file.
        public internal(set) var fileBytes = 0
        /// The bytes of its log (WAL).
        public internal(set) var logBytes = 0
    }

    /// Measures the file.
    ///
    /// Looks at each topic once, not at each event.
    ///
    /// - Returns: What it holds.
    /// - Throws: ``SQLiteHistoryError`` if there is no history, or it cannot be read; `CancellationError`.
    public func statistics() async throws -> Statistics {
        var statistics = try await HistoryFileAccess.read(path) { db, _ in try Statistics(db) }
        statistics.fileBytes = HistoryFileAccess.bytes(of: path)
        statistics.logBytes = HistoryFileAccess.bytes(of: path + "-wal")
        return statistics
    }
}

extension SQLiteHistoryFile.Statistics {
    private static let maximumTopics = 10

    fileprivate init(_ db: Database) throws {
        func count(_ table: String) throws -> Int {
            try Command("SELECT count(*) FROM \(table)", db).first { Int($0.number(0)) } ?? 0
        }
        endedTopics = try count("plinth_end")
        let counts = try HistoryStore.counts(db, ends: endedTopics)
        events = counts.events
        bytes = counts.bytes
        topics = counts.topics
        producers = try count("plinth_producer")
        keys = try count("plinth_key")
        limitedTopics = try count("plinth_limit")
        if try Schema.hasRevocations(db) { revocations = try count("plinth_revocation") }
        epochs = try HistoryEpochs.stored(db)
        oldest = try event("ORDER BY number", db)
        newest = try event("ORDER BY number DESC", db)
        largestTopics = try Self.largestTopics(db)
        pageSize = try Int.fetchOne(db, sql: "PRAGMA page_size") ?? 0
        pages = try Int.fetchOne(db, sql: "PRAGMA page_count") ?? 0
        freePages = try Int.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0
    }

    private func event(_ order: String, _ db: Database) throws -> Event? {
        let ids = HistoryEpochs(epochs) ?? HistoryEpochs()
        return try Command(
            "SELECT number, time FROM plinth_entry WHERE flags & \(StoredEntry.isEnd) = 0 \(order) LIMIT 1",
            db
        ).first { Event(id: ids.id(at: Position($0.unsigned(0))), published: .nanoseconds($0.number(1))) }
    }

    private static func largestTopics(_ db: Database) throws -> [TopicSize] {
        var largest: [TopicSize] = []
        var looked = 0
        // A topic's own row may be a second behind its events.
        try Command(
            """
            SELECT t.name, t.removed_ordinal, t.removed_sum, p.ordinal, p.sum FROM plinth_topic AS t
            JOIN plinth_place AS p ON p.topic = t.name
                AND p.number = (SELECT max(number) FROM plinth_place WHERE topic = t.name)
            """,
            db
        ).forEach { row in
            looked += 1
            if looked % 4096 == 0 { try Task.checkCancellation() }
            let bytes = Int(clamping: row.number(4) &- row.number(2))
            if largest.count == maximumTopics, let last = largest.last, last.bytes >= bytes { return true }
            let size = TopicSize(
                topic: Topic(trusted: Array(row.bytes(0))),
                events: Int(clamping: row.number(3) &- row.number(1)),
                bytes: bytes
            )
            largest.insert(size, at: largest.firstIndex { $0.bytes < bytes } ?? largest.endIndex)
            if largest.count > maximumTopics { largest.removeLast() }
            return true
        }
        return largest
    }
}
#endif
