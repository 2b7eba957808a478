// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthSQLite

extension TemporaryFiles {
    /// Runs statements in the database that was made last, as another program would.
    func execute(_ sql: String) throws {
        let queue = try DatabaseQueue(path: lastPath)
        defer { try? queue.close() }
        try queue.inDatabase { try $0.execute(sql: sql) }
    }

    /// The number that a query of the database made last has as its result.
    func number(_ sql: String) throws -> Int {
        let queue = try DatabaseQueue(path: lastPath)
        defer { try? queue.close() }
        return try queue.inDatabase { try Int.fetchOne($0, sql: sql) ?? 0 }
    }

    /// Makes each transaction fail that inserts an event whose data contains a text.
    func failInserts(of text: String) throws {
        try execute(
            """
            CREATE TRIGGER fault BEFORE INSERT ON plinth_entry WHEN instr(NEW.lines, CAST('\(text)' AS BLOB)) > 0
            BEGIN SELECT RAISE(ABORT, 'fault'); END
            """
        )
    }

    /// A new database of an application, with the tables of a history.
    ///
    /// - Parameters:
    ///   - path: Its path. Default: one of this directory.
    ///   - configuration: Its configuration. Default: GRDB's.
    /// - Returns: The database.
    /// - Throws: The database's error.
    func pool(at path: String? = nil, _ configuration: Configuration = Configuration()) throws -> DatabasePool {
        let pool = try DatabasePool(path: path ?? self.path(), configuration: configuration)
        var migrator = DatabaseMigrator()
        SQLiteHistory.registerMigrations(in: &migrator)
        try migrator.migrate(pool)
        return pool
    }
}

extension Configuration {
    /// Calls a closure after each statement, on the thread that ran it, with whether its connection is a reader's.
    mutating func afterStatements(_ body: @escaping @Sendable (_ isReader: Bool, _ sql: String) -> Void) {
        prepareDatabase { db in
            let isReader = db.configuration.readonly
            db.trace(options: .profile) { body(isReader, $0.description) }
        }
    }
}

/// A connection that reads a file, as a copy by another process does: from its beginning to its end it has a snapshot.
final class ForeignReader {
    private let queue: DatabaseQueue

    init(_ path: String) throws {
        var configuration = Configuration()
        // One that is longer than an access.
        configuration.allowsUnsafeTransactions = true
        queue = try DatabaseQueue(path: path, configuration: configuration)
        try queue.inDatabase { try $0.execute(sql: "BEGIN; SELECT count(*) FROM plinth_entry") }
    }

    func end() throws {
        try queue.inDatabase { try $0.execute(sql: "COMMIT") }
        try queue.close()
    }
}
#endif
