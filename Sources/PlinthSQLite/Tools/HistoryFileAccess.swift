// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import Logging

/// How tools open a history's file.
enum HistoryFileAccess {
    // MARK: - Reading

    /// Reads a file within one transaction, without changing it, also beside the hub that uses it.
    ///
    /// The connection is read-only: it never checkpoints. It is opened by SQLite alone, since closing any other
    /// descriptor of the file would drop the locks of a hub in the same process.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - body: Receives the connection, and whether the file is the history's own rather than an application's.
    /// - Returns: The closure's result.
    /// - Throws: ``SQLiteHistoryError`` if there is no file, or it holds no history that can be read;
    ///   `CancellationError`; the closure's errors.
    static func read<Result: Sendable>(
        _ path: String,
        _ body: @Sendable (_ db: Database, _ isOwn: Bool) throws -> Result
    ) async throws -> Result {
        guard kind(of: path) != nil else { throw SQLiteHistoryError(.unusable, "there is no file \(path)") }
        guard kind(of: path) == S_IFREG else { throw SQLiteHistoryError(.unusable, "\(path) is not a file") }
        return try await translating(path) {
            let queue = try open(path)
            defer { try? queue.close() }
            return try await queue.read { db in try body(db, try identify(db, path)) }
        }
    }

    private static func open(_ path: String) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.label = "plinth.history.tool"
        configuration.readonly = true
        configuration.busyMode = .timeout(5)
        // Topics are read across the file: 32 MiB instead of SQLite's 2.
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA cache_size = -32768") }
        do {
            return try DatabaseQueue(path: path, configuration: configuration)
        } catch let error as DatabaseError
            where [.SQLITE_CANTOPEN, .SQLITE_READONLY].contains(error.resultCode) && isReadOnlyCopy(path)
        {
            // SQLite would create the index of the log. If it cannot, and there is no log, no other process writes either.
            let escaped = path.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) ?? path
            return try DatabaseQueue(path: "file:\(escaped)?immutable=1", configuration: configuration)
        }
    }

    /// Whether a file lies in a directory that cannot be written to, has no log, and is not used by a hub.
    private static func isReadOnlyCopy(_ path: String) -> Bool {
        let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
        return access(directory, W_OK) != 0 && bytes(of: path + "-wal") == 0 && !isLocked(path + "-lock")
    }

    private static func isLocked(_ path: String) -> Bool {
        let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return flock(descriptor, LOCK_SH | LOCK_NB) != 0
    }

    /// Finds out whether a database holds a history that this version can read.
    ///
    /// - Returns: Whether the file is the history's own.
    static func identify(_ db: Database, _ path: String) throws -> Bool {
        let id = try Int.fetchOne(db, sql: "PRAGMA application_id") ?? 0
        let isOwn = id == Schema.applicationID
        let tables = try String.fetchAll(db, sql: "SELECT name FROM sqlite_schema WHERE type = 'table'")
        guard tables.contains("plinth_meta") else {
            guard isOwn || tables.isEmpty else {
                throw SQLiteHistoryError.otherApplication(path)
            }
            throw SQLiteHistoryError(.notMigrated, "\(path) holds no history yet: no hub has used it")
        }
        let layout = try Int.fetchOne(db, sql: "SELECT layout FROM plinth_meta")
        guard let layout else {
            throw SQLiteHistoryError(.damaged, "\(path) is damaged: plinth_meta has no row; restore a copy of it")
        }
        var migrator = DatabaseMigrator()
        SQLiteHistory.registerMigrations(in: &migrator)
        let isNewer = try isOwn && migrator.hasBeenSuperseded(db)
        guard layout <= Schema.layout, !isNewer else {
            throw SQLiteHistoryError.later(path)
        }
        return isOwn
    }

    // MARK: - Changing

    /// Changes a file, which no other process may use meanwhile.
    ///
    /// - Parameters:
    ///   - path: The path of the file, which exists.
    ///   - body: Receives the connection, with the options that it was opened with.
    /// - Returns: The closure's result.
    /// - Throws: ``SQLiteHistoryError`` as for ``read(_:_:)``, and with the code `locked`; the closure's errors.
    static func change<Result: Sendable>(
        _ path: String,
        _ body: (_ connection: StoreConnection, _ options: SQLiteHistoryOptions) async throws -> Result
    ) async throws -> Result {
        // A file that is refused gets no lock beside it, and no tables.
        let isOwn = try await read(path) { _, isOwn in isOwn }
        guard isOwn else { throw foreign(path) }
        let lock = try await FileLock.take(path + "-lock", patience: SQLiteHistoryFile.lockTimeout)
        defer { withExtendedLifetime(lock) {} }
        var options = SQLiteHistoryOptions()
        // The file may be larger than a hub's default.
        options.fileBytes = .max
        options.logger = Logger(label: "plinth.history") { _ in SwiftLogNoOpLogHandler() }
        return try await translating(path) {
            let connection = try StoreConnection.open(path, options)
            defer { connection.close() }
            return try await body(connection, options)
        }
    }

    static func foreign(_ path: String) -> SQLiteHistoryError {
        SQLiteHistoryError(.foreign, "\(path) is an application's database; use that application's own tools for it")
    }

    // MARK: - Errors

    private static func translating<Result>(
        _ path: String,
        _ body: () async throws -> Result
    ) async throws -> Result {
        do {
            return try await body()
        } catch let error as DatabaseError {
            switch error.resultCode {
            case .SQLITE_INTERRUPT: throw CancellationError()
            case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_READONLY:
                throw SQLiteHistoryError(
                    .unusable,
                    "\(path) cannot be opened (\(error.message ?? "no reason given")); check its permissions and those of "
                        + "its directory"
                )
            case .SQLITE_BUSY: throw SQLiteHistoryError(.unusable, "\(path) is in use by another process; try again")
            default: throw SQLiteHistoryError(error, path)
            }
        }
    }

    /// An error of the system's last call.
    static func failed(_ what: String) -> SQLiteHistoryError {
        SQLiteHistoryError(.unusable, "\(what): \(String(cString: strerror(errno)))")
    }

    // MARK: - Files

    /// Creates an empty file, which only those can read who can read another.
    static func create(_ path: String, like original: String) throws {
        var status = stat()
        let mode = stat(original, &status) == 0 ? status.st_mode & 0o777 : 0o600
        let descriptor = Foundation.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw failed("cannot create \(path)") }
        close(descriptor)
    }

    /// The kind of a file, such as `S_IFREG`; nil if there is none.
    static func kind(of path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & S_IFMT : nil
    }

    /// The bytes of a file; 0 if there is none.
    static func bytes(of path: String) -> Int {
        var status = stat()
        return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }

    /// Throws unless the disk of a path has room.
    ///
    /// - Parameters:
    ///   - bytes: How much is needed.
    ///   - path: A file in the directory.
    ///   - what: What needs it, for the message.
    /// - Throws: ``SQLiteHistoryError`` with the code `unusable`.
    static func requireRoom(_ bytes: Int, beside path: String, for what: String) throws {
        let directory = URL(fileURLWithPath: path).deletingLastPathComponent().path
        var status = statvfs()
        // A file system that cannot say lets the work begin; it then fails where the disk is full.
        guard statvfs(directory, &status) == 0 else { return }
        let (free, overflow) = UInt64(status.f_bavail).multipliedReportingOverflow(by: UInt64(status.f_frsize))
        guard !overflow, free < UInt64(bytes) else { return }
        throw SQLiteHistoryError(
            .unusable,
            "\(what) needs \(bytes) bytes in \(directory), and \(free) are free there; nothing was changed"
        )
    }
}
#endif
