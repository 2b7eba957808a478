// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// The resume file of a producer, replaced as a whole.
///
/// Each content is written to a file beside it, synced, and renamed, so that a killed process and a power failure leave
/// the old content or the new one. A lock on a third file keeps a second process from using the same numbers.
final class ProducerFile {
    /// Maximum bytes of the file: 64 MiB.
    private static let maximumSize = 64 << 20

    let path: String
    /// The content when the file was opened; empty if there was none.
    let content: [UInt8]
    private let lock: CInt
    /// The target, if the path is a symbolic link: renaming would replace the link.
    private let target: String

    /// Opens and locks a resume file, which need not exist.
    ///
    /// - Throws: ``ResumeFile/Failure`` if another process uses the file, or it cannot be read or is not a regular file.
    init(_ path: String) throws(ResumeFile.Failure) {
        self.path = path
        if let resolved = realpath(path, nil) {
            target = String(cString: resolved)
            free(resolved)
        } else {
            target = path
        }
        lock = open(target + ".lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
        guard lock >= 0 else { throw Self.failure("open", target + ".lock", errno) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            close(lock)
            guard number == EWOULDBLOCK else { throw Self.failure("lock", target + ".lock", number) }
            throw ResumeFile.Failure(description: "another process uses the resume file \(path)")
        }
        do {
            content = try Self.read(target)
        } catch {
            close(lock)
            throw error
        }
    }

    deinit {
        // Not removed: another process may have opened it, and lock it next. Not unlocked by closing alone: a process
        // that is being started may have a copy.
        flock(lock, LOCK_UN)
        close(lock)
    }

    private static func read(_ path: String) throws(ResumeFile.Failure) -> [UInt8] {
        // Non-blocking: opening a named pipe without a writer would block.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        if descriptor < 0 {
            if errno == ENOENT { return [] }
            throw failure("open", path, errno)
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size <= maximumSize else {
            throw ResumeFile.Failure(description: "the resume file \(path) is not a regular file of at most 64 MiB")
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var at = 0
        while at < bytes.count {
            let count = bytes.withUnsafeMutableBytes { memory in
                pread(descriptor, memory.baseAddress?.advanced(by: at), memory.count - at, off_t(at))
            }
            guard count >= 0 else { throw failure("read", path, errno) }
            if count == 0 { break }
            at += count
        }
        return Array(bytes.prefix(at))
    }

    /// Replaces the content; returns once it is on disk.
    func write(_ bytes: [UInt8]) throws(ResumeFile.Failure) {
        let length = bytes.firstIndex(of: 0x0A) ?? 0
        guard length <= ResumeFile.maximumLength, bytes.count <= Self.maximumSize else {
            throw ResumeFile.Failure(
                description: "the event IDs are too long for the resume file \(path): \(bytes.count) bytes in all, "
                    + "\(length) of the last; the file keeps the previous ones"
            )
        }
        let temporary = target + ".new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw Self.failure("write", temporary, errno) }
        var number: CInt = 0
        var at = 0
        while at < bytes.count, number == 0 {
            let count = bytes.withUnsafeBytes { memory in
                pwrite(descriptor, memory.baseAddress?.advanced(by: at), memory.count - at, off_t(at))
            }
            if count < 0 { number = errno } else { at += count }
            if count == 0 { number = ENOSPC }
        }
        if number == 0, fsync(descriptor) != 0 { number = errno }
        close(descriptor)
        guard number == 0 else { throw Self.failure("write", temporary, number) }
        guard rename(temporary, target) == 0 else { throw Self.failure("replace", path, errno) }
        // The rename itself is durable once the folder is.
        let end = target.lastIndex(of: "/")
        let folder = open(
            end.map { $0 == target.startIndex ? "/" : String(target[..<$0]) } ?? ".",
            O_RDONLY | O_CLOEXEC
        )
        guard folder >= 0 else { throw Self.failure("sync the folder of", path, errno) }
        // Some file systems cannot sync a folder, and say so.
        _ = fsync(folder)
        close(folder)
    }

    private static func failure(_ what: String, _ path: String, _ number: CInt) -> ResumeFile.Failure {
        ResumeFile.Failure(description: "cannot \(what) the resume file \(path): \(String(cString: strerror(number)))")
    }
}
