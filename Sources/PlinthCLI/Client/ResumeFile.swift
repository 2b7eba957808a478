// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A file that holds an event ID: where the next run goes on.
///
/// The ID is its first line; blanks may follow. It is written with one call that covers all of what was there, so that a
/// process that is killed leaves the old ID or the new one. It is not forced to the disk: a machine that loses power may
/// lose the last of them, and events come again then.
final class ResumeFile {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// The bytes that an ID may have: 32 KiB.
    private static let maximumLength = 32 * 1024

    let path: String
    private let descriptor: CInt
    private var length: Int
    /// The ID that it holds; empty if none.
    private(set) var id: String

    /// Opens a file, or makes it.
    ///
    /// - Parameters:
    ///   - path: Its path.
    ///   - isWritten: Whether it is to be written; one that is only read need not exist.
    /// - Throws: ``Failure`` if it cannot be opened or read, is no regular file, or holds something else.
    init(_ path: String, isWritten: Bool = true) throws(Failure) {
        self.path = path
        // Opening a named pipe without a writer would wait for one.
        let flags = (isWritten ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NONBLOCK
        descriptor = open(path, flags, 0o644)
        length = 0
        id = ""
        if descriptor < 0 {
            if !isWritten, errno == ENOENT { return }
            throw Failure(description: "the resume file \(path) cannot be opened: \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(description: "the resume file \(path) is no regular file, so that it cannot hold an event ID")
        }
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 2 * Self.maximumLength) { buffer, filled in
            count = pread(descriptor, buffer.baseAddress, buffer.count, 0)
            filled = max(0, count)
        }
        guard count >= 0 else {
            throw Failure(description: "the resume file \(path) cannot be read: \(String(cString: strerror(errno)))")
        }
        length = bytes.count
        let line = bytes.prefix { $0 != 0x0A }
        guard let text = String(validating: line, as: UTF8.self), !text.utf8.contains(0),
            line.count <= Self.maximumLength
        else {
            throw Failure(description: "the resume file \(path) does not hold an event ID; remove it to begin anew")
        }
        id = text
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Keeps an ID.
    func write(_ id: String) throws(Failure) {
        guard id != self.id else { return }
        var bytes = Array(id.utf8)
        guard bytes.count <= Self.maximumLength else {
            throw Failure(
                description: "an event ID of \(bytes.count) bytes is too long to be kept, which may be "
                    + "\(Self.maximumLength); the resume file \(path) holds the one before"
            )
        }
        bytes.append(0x0A)
        // Over all that was there: no rest of a longer one is left.
        if bytes.count < length { bytes.append(contentsOf: repeatElement(0x0A, count: length - bytes.count)) }
        let written = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        guard written == bytes.count else {
            // A part is written where the disk becomes full.
            let reason = written < 0 ? String(cString: strerror(errno)) : "no space is left for all of the ID"
            throw Failure(description: "the resume file \(path) cannot be written: \(reason)")
        }
        length = bytes.count
        self.id = id
    }
}
