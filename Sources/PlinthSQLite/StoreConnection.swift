// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import GRDBSQLite
import PlinthHub

/// A history's database: a file of its own, or an application's.
///
/// Used on the writer's thread.
struct StoreConnection {
    let pool: DatabasePool
    /// The path of the file.
    let path: String
    /// Whether the file is the history's own: it chooses settings, bounds and checkpoints.
    let isOwn: Bool
    /// How much of the log is in use.
    let log: LogSize

    init(pool: DatabasePool, path: String, isOwn: Bool) {
        self.pool = pool
        self.path = path
        self.isOwn = isOwn
        log = LogSize()
    }

    /// Opens a file of a history's own, and creates it if there is none.
    static func open(_ path: String, _ options: SQLiteHistoryOptions) throws -> StoreConnection {
        try checkHeader(path)
        // A log that is there was left by a process that may have ended after a failed sync.
        try LogFile.writeAgain(path)
        var configuration = Configuration()
        configuration.label = "plinth.history"
        configuration.maximumReaderCount = 2
        configuration.busyMode = .timeout(5)
        configuration.prepareDatabase { db in
            guard !db.configuration.readonly else { return }
            // It cannot be switched on later. No effect on a file that has tables.
            try db.execute(sql: "PRAGMA auto_vacuum = INCREMENTAL")
        }
        let pool: DatabasePool
        do {
            pool = try DatabasePool(path: path, configuration: configuration)
        } catch let error as DatabaseError {
            throw SQLiteHistoryError(error, path)
        } catch {
            throw SQLiteHistoryError(.unusable, "cannot open \(path): \(error.localizedDescription)")
        }
        let connection = StoreConnection(pool: pool, path: path, isOwn: true)
        do {
            try connection.prepare(options)
        } catch let error as DatabaseError {
            throw SQLiteHistoryError(error, path)
        } catch let error as RowDecodingError {
            // What it contains in the place of a text, for example.
            throw SQLiteHistoryError(
                .damaged,
                "\(path) is damaged (\(error)); restore a copy of it, or move it away to begin anew"
            )
        }
        return connection
    }

    /// Refuses a file that SQLite did not write before SQLite writes into it.
    private static func checkHeader(_ path: String) throws {
        var status = stat()
        guard stat(path, &status) == 0 else { return }
        guard status.st_mode & S_IFMT == S_IFREG else { throw SQLiteHistoryError(.unusable, "\(path) is not a file") }
        guard let handle = FileHandle(forReadingAtPath: path) else { return }
        defer { try? handle.close() }
        let header: Data
        do {
            header = try handle.read(upToCount: 100) ?? Data()
        } catch {
            throw SQLiteHistoryError(.unusable, "cannot read \(path): \(error.localizedDescription)")
        }
        guard !header.isEmpty else { return }
        guard header.count == 100, header.starts(with: Array("SQLite format 3\0".utf8)) else {
            throw SQLiteHistoryError.noDatabase(path)
        }
        try checkOwner(path)
    }

    /// Refuses the database of another application, without changing it: opening it for writing would.
    private static func checkOwner(_ path: String) throws {
        var configuration = Configuration()
        configuration.readonly = true
        // What cannot be read this way, such as a file that a crash has left, is looked at again when it is open.
        guard let queue = try? DatabaseQueue(path: path, configuration: configuration) else { return }
        defer { try? queue.close() }
        let isForeign = try? queue.read { db in
            let id = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
            let hasTables = try Bool.fetchOne(db, sql: "SELECT count(*) > 0 FROM sqlite_schema") ?? false
            return hasTables && id != Schema.applicationID
        }
        if isForeign ?? false {
            throw SQLiteHistoryError.otherApplication(path)
        }
    }

    private func prepare(_ options: SQLiteHistoryOptions) throws {
        try pool.writeWithoutTransaction { db in
            let id = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
            let tables = try String.fetchAll(db, sql: "SELECT name FROM sqlite_schema WHERE type = 'table'")
            guard tables.isEmpty || id == Schema.applicationID else {
                throw SQLiteHistoryError.otherApplication(path)
            }
            if tables.isEmpty { try db.execute(sql: "PRAGMA application_id = \(Schema.applicationID)") }
            // GRDB sets NORMAL when a pool opens.
            try setSync(.full, db)
            // Debian's default writes each freed page through the log.
            try db.execute(sql: "PRAGMA secure_delete = FAST")
            // The writer checkpoints, and no commit does.
            try db.execute(sql: "PRAGMA wal_autocheckpoint = 0")
            try db.execute(sql: "PRAGMA journal_size_limit = \(options.logBytes)")
            let pageSize = try Int.fetchOne(db, sql: "PRAGMA page_size") ?? 4096
            log.observe(db, pageSize: pageSize)
            try db.execute(sql: "PRAGMA max_page_count = \((options.fileBytes - options.logBytes) / pageSize)")
        }
        var migrator = DatabaseMigrator()
        SQLiteHistory.registerMigrations(in: &migrator)
        if try pool.read({ try migrator.hasBeenSuperseded($0) }) {
            throw SQLiteHistoryError.later(path)
        }
        try migrator.migrate(pool)
    }

    func setSync(_ sync: SQLiteHistoryOptions.Sync, _ db: Database) throws {
        try db.execute(sql: "PRAGMA synchronous = \(sync == .full ? "FULL" : "NORMAL")")
    }

    /// Runs a closure with every commit synced; then the setting is as before.
    func withFullSync<Result>(_ db: Database, _ body: () throws -> Result) throws -> Result {
        let before = try Int.fetchOne(db, sql: "PRAGMA synchronous") ?? 1
        try db.execute(sql: "PRAGMA synchronous = \(max(2, before))")
        defer { try? db.execute(sql: "PRAGMA synchronous = \(before)") }
        return try body()
    }

    /// The path of a connection's file; nil for one without.
    static func fileName(_ db: Database) -> String? {
        guard let connection = db.sqliteConnection, let name = sqlite3_db_filename(connection, "main") else {
            return nil
        }
        return String(cString: name)
    }

    // MARK: - Sizes

    /// The bytes of the database, and of the log beside it.
    func measure() -> (file: Int, log: Int) { (Self.bytes(of: path), Self.bytes(of: path + "-wal")) }

    /// Which file is at the path: its device and number; nil if there is none.
    func identity() -> [UInt64]? {
        var status = stat()
        return stat(path, &status) == 0 ? [UInt64(status.st_dev), UInt64(status.st_ino)] : nil
    }

    private static func bytes(of path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    /// The bytes of pages in use.
    static func usedBytes(_ db: Database) throws -> Int {
        let pages = try Command("PRAGMA page_count", db).first { $0.number(0) } ?? 0
        let free = try Command("PRAGMA freelist_count", db).first { $0.number(0) } ?? 0
        let size = try Command("PRAGMA page_size", db).first { $0.number(0) } ?? 0
        return Int((pages - free) * size)
    }

    /// Copies the log into the database, and begins it anew if it `empties`, which readers prevent.
    func checkpoint(empties: Bool, _ db: Database) throws {
        // A reader of another process is not waited for.
        sqlite3_busy_timeout(db.sqliteConnection, 0)
        defer { sqlite3_busy_timeout(db.sqliteConnection, 5000) }
        try db.checkpoint(empties ? .truncate : .passive)
        // Begun anew by the next commit, if no reader is in the way; that reports its size.
        log.reset()
    }

    /// Closes all connections; with the log copied into the database.
    func close() {
        _ = try? pool.writeWithoutTransaction { try $0.checkpoint(.truncate) }
        try? pool.close()
    }
}

extension SQLiteHistoryError {
    /// Puts an error of SQLite into words.
    init(_ error: DatabaseError, _ path: String) {
        let reason = error.message ?? error.resultCode.description
        switch error.resultCode {
        case .SQLITE_NOTADB: self = .noDatabase(path)
        case .SQLITE_CORRUPT:
            self.init(.damaged, "\(path) is damaged (\(reason)); restore a copy of it, or move it away to begin anew")
        case .SQLITE_FULL:
            self.init(.unusable, "there is no room for \(path): free some, or raise its limit (\(reason))")
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN:
            self.init(
                .unusable,
                "\(path) cannot be opened for writing (\(reason)); check its directory and permissions"
            )
        default: self.init(.unusable, "\(path) cannot be used: \(reason)")
        }
    }
}
#endif
