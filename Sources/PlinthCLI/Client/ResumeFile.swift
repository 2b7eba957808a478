// SPDX-License-Identifier: Apache-2.0

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// A file that holds the event ID from which the next run resumes.
///
/// The ID is the first line; empty lines may follow. A single `pwrite` overwrites the whole content, so a process that
/// is killed leaves either the old ID or the new one. The file is not synced: a power failure may lose the latest IDs,
/// and their events are then repeated.
final class ResumeFile {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Maximum bytes of an ID: 32 KiB.
    static let maximumLength = 32 * 1024

    let path: String
    private let descriptor: CInt
    private var length: Int
    /// The stored ID; empty if there is none.
    private(set) var id: String

    /// Opens a resume file.
    ///
    /// - Parameters:
    ///   - path: The path of the file.
    ///   - isWritten: Whether to open the file for writing, creating it if needed. If false, it need not exist.
    /// - Throws: ``Failure`` if the file cannot be opened or read, is not a regular file, or does not hold an event ID.
    init(_ path: String, isWritten: Bool = true) throws(Failure) {
        self.path = path
        // Non-blocking: opening a named pipe without a writer would block.
        let flags = (isWritten ? O_RDWR | O_CREAT : O_RDONLY) | O_CLOEXEC | O_NONBLOCK
        descriptor = open(path, flags, 0o644)
        length = 0
        id = ""
        if descriptor < 0 {
            if !isWritten, errno == ENOENT { return }
            throw Failure(description: "cannot open the resume file \(path): \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw Failure(description: "the resume file \(path) is not a regular file")
        }
        var count = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: 2 * Self.maximumLength) { buffer, filled in
            count = pread(descriptor, buffer.baseAddress, buffer.count, 0)
            filled = max(0, count)
        }
        guard count >= 0 else {
            throw Failure(description: "cannot read the resume file \(path): \(String(cString: strerror(errno)))")
        }
        length = bytes.count
        let line = bytes.prefix { $0 != 0x0A }
        guard let text = String(validating: line, as: UTF8.self), !text.utf8.contains(0),
            line.count <= Self.maximumLength
        else {
            throw Failure(description: "the resume file \(path) does not hold an event ID; remove it to start over")
        }
        if isWritten, bytes.dropFirst(line.count).contains(where: { $0 != 0x0A }) {
            throw Failure(
                description:
                    "the resume file \(path) holds more than an event ID: it belongs to plinth publish --producer"
            )
        }
        id = text
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    /// Stores an ID.
    ///
    /// - Throws: ``Failure`` if the ID exceeds 32 KiB, so that the file keeps the previous ID, or if writing fails.
    func write(_ id: String) throws(Failure) {
        guard id != self.id else { return }
        var bytes = Array(id.utf8)
        guard bytes.count <= Self.maximumLength else {
            throw Failure(
                description: "an event ID of \(bytes.count) bytes exceeds the limit of "
                    + "\(Self.maximumLength); the resume file \(path) keeps the previous ID"
            )
        }
        bytes.append(0x0A)
        // Pads with line feeds, to overwrite the rest of a longer ID.
        if bytes.count < length { bytes.append(contentsOf: repeatElement(0x0A, count: length - bytes.count)) }
        let written = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
        guard written == bytes.count else {
            // A full disk causes a partial write.
            let reason = written < 0 ? String(cString: strerror(errno)) : "no space left for the ID"
            throw Failure(description: "cannot write the resume file \(path): \(reason)")
        }
        length = bytes.count
        self.id = id
    }
}
