// SPDX-License-Identifier: Apache-2.0

#if SQLite
public import PlinthHub

extension SQLiteHistoryFile {
    /// What ``SQLiteHistoryFile/check(isQuick:progress:)`` has found.
    public struct Report: Sendable, Hashable {
        /// The intact events.
        public internal(set) var events = 0
        /// The topics that have events.
        public internal(set) var topics = 0
        /// The intact ends of topics.
        public internal(set) var endedTopics = 0
        /// The intact producers.
        public internal(set) var producers = 0
        /// The intact idempotency keys.
        public internal(set) var keys = 0
        /// The intact revocations of subjects.
        public internal(set) var revocations = 0
        /// What is damaged: the first problems of each kind, at most ``maximumProblems``.
        public internal(set) var problems: [Problem] = []
        /// How many problems of each kind there are; without those that there are none of.
        public internal(set) var counts: [Problem.Kind: Int] = [:]

        /// The most problems of a kind that a report lists: 20.
        public static let maximumProblems = 20

        /// Whether nothing is damaged.
        public var isWhole: Bool { counts.isEmpty }

        mutating func add(_ problem: Problem) {
            let count = counts[problem.kind, default: 0]
            counts[problem.kind] = count + 1
            if count < Self.maximumProblems { problems.append(problem) }
        }
    }

    /// Something that is not as a hub wrote it.
    public struct Problem: Sendable, Hashable, CustomStringConvertible {
        /// What is damaged.
        public struct Kind: Sendable, Hashable, CustomStringConvertible {
            /// The kind as text.
            public let description: String

            /// A page of the database, or how pages refer to each other.
            public static let page = Kind(description: "page")
            /// An event or an end in the log: it is reported as a gap to subscribers that read across it.
            public static let entry = Kind(description: "entry")
            /// A block of 256 numbers, whose sums do not fit its entries: some are missing or were added.
            public static let block = Kind(description: "block")
            /// A row of a topic's index: it is missing, refers to nothing, or is not in order.
            public static let place = Kind(description: "place")
            /// What is known of a topic besides its events.
            public static let topic = Kind(description: "topic")
            /// That a topic has ended.
            public static let end = Kind(description: "end")
            /// A producer's state: the producer is unknown to a hub.
            public static let producer = Kind(description: "producer")
            /// An idempotency key: a publish with it may be taken again.
            public static let key = Kind(description: "key")
            /// The limits of a topic.
            public static let limit = Kind(description: "limit")
            /// The revocation of a subject: ``SQLiteRevocationStore`` refuses to read the file.
            public static let revocation = Kind(description: "revocation")
            /// An epoch: IDs may be unknown, or stand for other events.
            public static let epoch = Kind(description: "epoch")
            /// What is known of removed events.
            public static let meta = Kind(description: "meta")
        }

        /// What is damaged.
        public let kind: Kind
        /// The number of the entry, or the first number of the block or of what cannot be read; nil for what has none.
        public let number: UInt64?
        /// The topic; nil if it concerns none, or several.
        public let topic: Topic?
        /// What is wrong, in words.
        public let reason: String

        /// All of it in words, such as `entry 17 of topic news: it is not as it was written`.
        ///
        /// A damaged name of a topic can contain any characters.
        public var description: String {
            var text = kind.description
            // The reason names what lies on a page.
            if let number, kind != .page { text += " \(number)" }
            if let topic, kind != .page { text += kind == .topic ? " \(topic)" : " of topic \(topic)" }
            return "\(text): \(reason)"
        }
    }

    /// Checks every page and every row.
    ///
    /// Damage is a result, not an error. It takes time that grows with the file, some seconds for 1 GiB, and reads one
    /// snapshot: beside a busy hub, check a copy instead (``copy(to:isChecked:progress:)``).
    ///
    /// - Parameters:
    ///   - isQuick: Whether to leave out the comparison of SQLite's own indexes with their tables. Rows are always
    ///     checked. Default: false.
    ///   - progress: Receives the part that is done. Default: nothing.
    /// - Returns: What was found.
    /// - Throws: ``SQLiteHistoryError`` if there is no history, or so much is damaged that SQLite cannot open it;
    ///   `CancellationError`.
    public func check(isQuick: Bool = false, progress: @escaping Progress = { _ in }) async throws -> Report {
        let report = try await HistoryFileAccess.read(path) { db, _ in
            var check = HistoryFileCheck(db, progress)
            try check.run(isQuick: isQuick)
            return check.report
        }
        progress(1)
        return report
    }
}
#endif
