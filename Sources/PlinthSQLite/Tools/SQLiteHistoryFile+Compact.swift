// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB
import GRDBSQLite

extension SQLiteHistoryFile {
    /// The sizes of a file before and after ``SQLiteHistoryFile/compact(freePagesOnly:progress:)``.
    public struct Compaction: Sendable, Hashable {
        /// The bytes of the file and its log before.
        public let bytesBefore: Int
        /// The bytes of the file and its log after.
        public let bytesAfter: Int
    }

    /// Gives space that is not in use back to the system.
    ///
    /// A hub reuses the space of removed events, and never shrinks the file. This writes it anew, without free pages and
    /// with full ones: into a file beside it (`-rebuild`), and from there back in one transaction. It needs twice the
    /// bytes in use on the disk, beside the file.
    ///
    /// Where there is not as much room, pages that are wholly free can be cut off alone, in small steps of a transaction
    /// each. It takes little disk, but gives back less: where topics of different age are mixed, most pages stay
    /// partly in use.
    ///
    /// - Parameters:
    ///   - freePagesOnly: Whether to cut off free pages alone. Default: false.
    ///   - progress: Receives the part that is done. Default: nothing.
    /// - Returns: The sizes before and after.
    /// - Throws: ``SQLiteHistoryError`` if there is no history, another process uses it, it cannot be written, or the
    ///   disk has no room; `CancellationError`. Steps that were taken are not taken back.
    @discardableResult
    public func compact(
        freePagesOnly: Bool = false,
        progress: @escaping Progress = { _ in }
    ) async throws -> Compaction {
        let before = sizes
        try await HistoryFileAccess.change(path) { connection, _ in
            if freePagesOnly {
                try await Self.cut(connection, progress)
            } else {
                try await HistoryRebuild(connection: connection, progress: progress).run()
            }
        }
        progress(1)
        return Compaction(bytesBefore: before, bytesAfter: sizes)
    }

    private var sizes: Int { HistoryFileAccess.bytes(of: path) + HistoryFileAccess.bytes(of: path + "-wal") }

    /// The most and the least pages that are cut off in one transaction: 8 MiB and 64 KiB with SQLite's usual pages.
    private static let steps = (most: 2048, least: 16)

    private static func cut(_ connection: StoreConnection, _ progress: Progress) async throws {
        let (isIncremental, free) = try await connection.pool.writeWithoutTransaction { db in
            let mode = try Int.fetchOne(db, sql: "PRAGMA auto_vacuum")
            return (mode == 2, try Self.freePages(db))
        }
        guard isIncremental else {
            throw SQLiteHistoryError(
                .unusable,
                "\(connection.path) was not made by a hub, and its free pages cannot be cut off; compact it wholly"
            )
        }
        var rest = free
        var step = steps.most
        while rest > 0 {
            try Task.checkCancellation()
            progress(Double(free - rest) / Double(free))
            let now: Int
            do {
                now = try await connection.pool.writeWithoutTransaction { [step] db in
                    try Command("PRAGMA incremental_vacuum(\(step))", db).run()
                    // So that the log stays small: the next step begins it anew.
                    try connection.checkpoint(empties: false, db)
                    return try Self.freePages(db)
                }
            } catch let error as DatabaseError where error.resultCode == .SQLITE_FULL && step > steps.least {
                step /= 4
                // The hub keeps some room for this, and takes it again when it starts.
                unlink(connection.path + "-reserve")
                try await connection.pool.writeWithoutTransaction { try connection.checkpoint(empties: true, $0) }
                continue
            }
            guard now < rest else { break }
            rest = now
        }
    }

    private static func freePages(_ db: Database) throws -> Int {
        try Int.fetchOne(db, sql: "PRAGMA freelist_count") ?? 0
    }
}

/// Writes a history's file anew: into a file beside it, and back in one transaction.
///
/// As `VACUUM` does, whose temporary file however lies wherever SQLite chooses, perhaps on a smaller disk.
private struct HistoryRebuild {
    let connection: StoreConnection
    let progress: SQLiteHistoryFile.Progress

    private var copy: String { connection.path + "-rebuild" }
    /// The part of the time that the copy takes, about.
    private static let firstPart = 0.5

    func run() async throws {
        let (progress, copy) = (progress, copy)
        progress(0)
        remove()
        defer { remove() }
        let bytes = try await connection.pool.writeWithoutTransaction { try StoreConnection.usedBytes($0) }
        try HistoryFileAccess.requireRoom(bytes * 2, beside: connection.path, for: "compacting the file")
        try HistoryFileAccess.create(copy, like: connection.path)
        try await connection.pool.writeWithoutTransaction { db in
            let watch = GrowthWatch(db, path: copy, bytes: bytes) { progress($0 * Self.firstPart) }
            defer { watch.end() }
            try db.execute(sql: "VACUUM INTO ?", arguments: [copy])
        }
        progress(Self.firstPart)
        try Task.checkCancellation()
        let source = try DatabaseQueue(path: copy)
        defer { try? source.close() }
        try await connection.pool.barrierWriteWithoutTransaction { db in
            try source.read { copy in
                let pages = try Int.fetchOne(copy, sql: "PRAGMA page_count") ?? 0
                try copy.backup(to: db, pagesPerStep: CInt(clamping: max(16, pages / 100))) { step in
                    try Task.checkCancellation()
                    let part = Double(step.completedPageCount) / Double(max(1, step.totalPageCount))
                    progress(Self.firstPart + part * (1 - Self.firstPart))
                }
            }
        }
    }

    /// Removes the file beside it, also one that a crash has left.
    private func remove() {
        for end in ["", "-journal", "-wal", "-shm"] { unlink(copy + end) }
    }
}

/// Reports how far a file has grown while a connection works.
private final class GrowthWatch {
    private let connection: OpaquePointer?
    private let path: String
    private let bytes: Int
    private let report: (Double) -> Void

    /// Reports until ``end()``.
    init(_ db: Database, path: String, bytes: Int, _ report: @escaping (Double) -> Void) {
        connection = db.sqliteConnection
        self.path = path
        self.bytes = bytes
        self.report = report
        let context = Unmanaged.passUnretained(self).toOpaque()
        sqlite3_progress_handler(
            connection,
            100_000,
            { context in
                guard let context else { return 0 }
                Unmanaged<GrowthWatch>.fromOpaque(context).takeUnretainedValue().look()
                return 0
            },
            context
        )
    }

    func end() { sqlite3_progress_handler(connection, 0, nil, nil) }

    private func look() { report(min(1, Double(HistoryFileAccess.bytes(of: path)) / Double(max(1, bytes)))) }
}
#endif
