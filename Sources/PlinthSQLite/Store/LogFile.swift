// SPDX-License-Identifier: Apache-2.0

#if SQLite
#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The file of the log (WAL), after a sync has failed.
///
/// What a failed sync did not write may never be written: the system takes it for written, and the next sync succeeds
/// without it. If the log were then copied into the database and begun anew, a power cut could leave an old part of it to
/// be copied over what is newer.
enum LogFile {
    /// Writes the log's bytes again, in place, and syncs them.
    ///
    /// By a descriptor of its own: SQLite's locks are on other files.
    ///
    /// - Parameter path: The path of the database.
    /// - Throws: ``SQLiteHistoryError`` if that fails, too.
    static func writeAgain(_ path: String) throws {
        let descriptor = open(path + "-wal", O_RDWR | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return }
            throw failure(path)
        }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var offset: off_t = 0
        while true {
            let count = pread(descriptor, &buffer, buffer.count, offset)
            guard count >= 0 else { throw failure(path) }
            guard count > 0 else { break }
            guard pwrite(descriptor, buffer, count, offset) == count else { throw failure(path) }
            offset += off_t(count)
        }
        guard fsync(descriptor) == 0 else { throw failure(path) }
    }

    private static func failure(_ path: String) -> SQLiteHistoryError {
        SQLiteHistoryError(.unusable, "the log of \(path) cannot be written: \(String(cString: strerror(errno)))")
    }
}
#endif
