// SPDX-License-Identifier: Apache-2.0

#if SQLite
/// The reason why a file cannot be used as a history.
public struct SQLiteHistoryError: Error, Hashable, CustomStringConvertible {
    /// The reason: a bounded set.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code as text.
        public let description: String

        /// Another process uses the history.
        public static let locked = Code(description: "locked")
        /// The file is no database, or that of another application.
        public static let foreign = Code(description: "foreign")
        /// The tables were made by a later version of Plinth.
        public static let newer = Code(description: "newer")
        /// The file is damaged.
        public static let damaged = Code(description: "damaged")
        /// The file cannot be opened, read or written.
        public static let unusable = Code(description: "unusable")
        /// The database has no tables of a history, or those of an earlier version.
        public static let notMigrated = Code(description: "not-migrated")
        /// An option is out of range.
        public static let badOptions = Code(description: "bad-options")
    }

    /// The reason.
    public let code: Code
    /// The reason in words, and what to do.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    static func otherApplication(_ path: String) -> SQLiteHistoryError {
        SQLiteHistoryError(.foreign, "\(path) is the database of another application")
    }

    static func noDatabase(_ path: String) -> SQLiteHistoryError {
        SQLiteHistoryError(.foreign, "\(path) is not a database of SQLite, or its beginning is damaged")
    }

    static func later(_ path: String) -> SQLiteHistoryError {
        SQLiteHistoryError(.newer, "\(path) was made by a later version of Plinth; use that version")
    }
}
#endif
