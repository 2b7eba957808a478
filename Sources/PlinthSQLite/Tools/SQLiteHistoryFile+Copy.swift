// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Foundation
import GRDB

extension SQLiteHistoryFile {
    /// What ``SQLiteHistoryFile/copy(to:isChecked:progress:)`` has copied.
    public struct Copy: Sendable, Hashable {
        /// The number of events.
        public let events: Int
        /// The bytes of the new file.
        public let bytes: Int
        /// What the check of the new file has found; nil if it was not checked.
        public let report: Report?
    }

    /// Copies the history into a new file, also while a hub uses it and publishes.
    ///
    /// The copy is a snapshot with everything that belongs to it: events and their IDs, epochs, ends, producers, keys,
    /// limits and revocations. A hub that opens the copy begins an epoch, so that it never gives an ID that the other file's hub gives.
    ///
    /// The new file appears under its name once it is complete and on the disk. Until then it is called `-partial`; the
    /// next copy removes one that a crash has left. Beside it stays the lock (`-lock`) that a hub would create too.
    ///
    /// - Parameters:
    ///   - destination: The path of the new file. A file there is refused unless it is empty.
    ///   - isChecked: Whether to check the new file as ``check(isQuick:progress:)`` does. A damaged one stays: its damage
    ///     is most likely that of the original. Default: false.
    ///   - progress: Receives the part that is done. Default: nothing.
    /// - Returns: What was copied.
    /// - Throws: ``SQLiteHistoryError`` if there is no history, the new file cannot be written, another process is
    ///   writing it, or there is no room; `CancellationError`.
    @discardableResult
    public func copy(
        to destination: String,
        isChecked: Bool = false,
        progress: @escaping Progress = { _ in }
    ) async throws -> Copy {
        let isOwn = try await HistoryFileAccess.read(path) { _, isOwn in isOwn }
        guard isOwn else { throw HistoryFileAccess.foreign(path) }
        // Twice, so that a refusal leaves no lock.
        try Self.requireNothing(at: destination)
        let lock = try await FileLock.take(destination + "-lock", patience: Self.lockTimeout)
        defer { withExtendedLifetime(lock) {} }
        try Self.requireNothing(at: destination)
        let partial = PartialCopy(path: path, destination: destination)
        defer { partial.remove() }
        let copyPart = isChecked ? 0.5 : 1
        let events = try await partial.fill { progress($0 * copyPart) }
        let bytes = try partial.sync()
        var report: Report?
        if isChecked {
            report = try await SQLiteHistoryFile(path: partial.partial).check {
                progress(copyPart + $0 * (1 - copyPart))
            }
        }
        try Task.checkCancellation()
        try partial.publish()
        progress(1)
        return Copy(events: events, bytes: bytes, report: report)
    }

    private static func requireNothing(at destination: String) throws {
        // Of a link, itself: the copy would replace it.
        var status = stat()
        if lstat(destination, &status) == 0 {
            guard status.st_mode & S_IFMT == S_IFREG, status.st_size == 0 else {
                throw SQLiteHistoryError(.unusable, "\(destination) exists already; nothing was copied")
            }
        }
        // SQLite would take the log of a file that is gone for that of the copy.
        for end in ["-wal", "-journal"] where HistoryFileAccess.bytes(of: destination + end) > 0 {
            throw SQLiteHistoryError(
                .unusable,
                "\(destination + end) is left of another file; remove it, or choose another name"
            )
        }
    }
}

/// A copy that is not complete yet.
private struct PartialCopy {
    let path: String
    let destination: String

    var partial: String { destination + "-partial" }

    /// Copies a snapshot.
    ///
    /// - Returns: The number of events.
    func fill(_ progress: @escaping SQLiteHistoryFile.Progress) async throws -> Int {
        remove()
        try HistoryFileAccess.create(partial, like: path)
        let (partial, destination) = (partial, destination)
        return try await HistoryFileAccess.read(path) { source, _ in
            // The first read begins the snapshot, which the copy then keeps.
            let events = try HistoryStore.counts(source, ends: nil).events
            let pages = try Int.fetchOne(source, sql: "PRAGMA page_count") ?? 0
            let size = try Int.fetchOne(source, sql: "PRAGMA page_size") ?? 0
            try HistoryFileAccess.requireRoom(pages * size, beside: destination, for: "the copy")
            do {
                let queue = try DatabaseQueue(path: partial)
                defer { try? queue.close() }
                try queue.writeWithoutTransaction { copy in
                    // An incomplete copy is removed, and a complete one synced at once.
                    try copy.execute(sql: "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
                    try source.backup(to: copy, pagesPerStep: CInt(clamping: max(16, pages / 100))) { step in
                        try Task.checkCancellation()
                        progress(Double(step.completedPageCount) / Double(max(1, step.totalPageCount)))
                    }
                }
            } catch let error as DatabaseError where error.resultCode != .SQLITE_INTERRUPT {
                let reason = error.message ?? error.resultCode.description
                throw SQLiteHistoryError(.unusable, "\(path) cannot be copied to \(destination): \(reason)")
            }
            return events
        }
    }

    /// Writes the copy to the disk.
    ///
    /// - Returns: Its bytes.
    func sync() throws -> Int {
        let descriptor = open(partial, O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else { throw HistoryFileAccess.failed("cannot open \(partial)") }
        defer { close(descriptor) }
        guard Self.sync(descriptor) else { throw HistoryFileAccess.failed("cannot write \(partial) to the disk") }
        return HistoryFileAccess.bytes(of: partial)
    }

    /// Gives the copy its name.
    func publish() throws {
        guard rename(partial, destination) == 0 else {
            throw HistoryFileAccess.failed("cannot rename \(partial) to \(destination)")
        }
        let directory = URL(fileURLWithPath: destination).deletingLastPathComponent().path
        let descriptor = open(directory, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HistoryFileAccess.failed("cannot open \(directory)") }
        defer { close(descriptor) }
        guard Self.sync(descriptor) else { throw HistoryFileAccess.failed("cannot write \(directory) to the disk") }
    }

    /// Removes what is there, under the copy's lock.
    func remove() {
        for end in ["", "-wal", "-shm", "-journal"] { unlink(partial + end) }
    }

    private static func sync(_ descriptor: CInt) -> Bool {
        #if canImport(Darwin)
        if fcntl(descriptor, F_FULLFSYNC) == 0 { return true }
        #endif
        return fsync(descriptor) == 0
    }
}
#endif
