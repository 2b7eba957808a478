// SPDX-License-Identifier: Apache-2.0

#if SQLite
#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The lock by which one process owns a history: `flock` on a file beside it.
///
/// Not on the database itself: closing any descriptor of it would drop SQLite's own locks. The lock ends with the
/// process; the file stays, with the process ID of its last owner.
final class FileLock: Sendable {
    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Takes the lock, waiting for another process to release it.
    ///
    /// - Parameters:
    ///   - path: The path of the lock's file.
    ///   - patience: How long to wait.
    /// - Returns: The lock, held until it is released from memory.
    /// - Throws: ``SQLiteHistoryError`` with the code `locked`, or `unusable` if the file cannot be opened.
    static func take(_ path: String, patience: Duration) async throws -> FileLock {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw SQLiteHistoryError(.unusable, "cannot open the lock \(path): \(String(cString: strerror(errno)))")
        }
        let lock = FileLock(descriptor: descriptor)
        let deadline = ContinuousClock.now + patience
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            guard errno == EWOULDBLOCK || errno == EINTR else {
                throw SQLiteHistoryError(.unusable, "cannot lock \(path): \(String(cString: strerror(errno)))")
            }
            guard ContinuousClock.now < deadline else {
                let owner = lock.owner.map { "process \($0)" } ?? "another process"
                throw SQLiteHistoryError(
                    .locked,
                    "\(owner) uses this history (\(path) is locked); stop it, or choose another file"
                )
            }
            // `flock` would block a thread, and cannot be given a time.
            try await Task.sleep(for: .milliseconds(20))
        }
        lock.write(owner: getpid())
        return lock
    }

    private var owner: Int? {
        var bytes = [UInt8](repeating: 0, count: 20)
        let count = pread(descriptor, &bytes, bytes.count, 0)
        guard count > 0 else { return nil }
        return Int(String(decoding: bytes[..<count], as: UTF8.self).filter(\.isNumber))
    }

    private func write(owner: Int32) {
        let text = Array("\(owner)\n".utf8)
        // For messages only: a failure does no harm.
        _ = ftruncate(descriptor, 0)
        _ = pwrite(descriptor, text, text.count, 0)
    }
}
#endif
