// SPDX-License-Identifier: Apache-2.0

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// The kind, size and modification time of a file.
package struct FileStatus: Sendable {
    package enum Kind: Sendable {
        case regular, directory, other
    }

    package var kind: Kind
    package var size: Int
    /// The modification time, in seconds since 1970.
    package var modifiedSeconds: Int
    package var modifiedNanoseconds: Int

    /// Stats a path, following symbolic links; nil if `stat` fails.
    package init?(path: String) {
        var status = stat()
        guard stat(path, &status) == 0 else { return nil }
        switch status.st_mode & mode_t(S_IFMT) {
        case mode_t(S_IFREG): kind = .regular
        case mode_t(S_IFDIR): kind = .directory
        default: kind = .other
        }
        size = Int(status.st_size)
        #if canImport(Darwin)
        modifiedSeconds = Int(status.st_mtimespec.tv_sec)
        modifiedNanoseconds = Int(status.st_mtimespec.tv_nsec)
        #else
        modifiedSeconds = Int(status.st_mtim.tv_sec)
        modifiedNanoseconds = Int(status.st_mtim.tv_nsec)
        #endif
    }
}

/// File access through POSIX calls.
package enum Files {
    /// Resolves a path to an absolute one without symbolic links, `.` and `..`; nil if it does not exist.
    package static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// Reads a file, or a range of it, clamped to the file's size.
    ///
    /// - Returns: The bytes, or nil if the file cannot be opened or read.
    package static func read(_ path: String, range: Range<Int>? = nil) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var position = range?.lowerBound ?? 0
        let end = range?.upperBound ?? .max
        var piece = [UInt8](repeating: 0, count: 65_536)
        while position < end {
            let wanted = min(piece.count, end - position)
            let count = piece.withUnsafeMutableBytes { pread(descriptor, $0.baseAddress, wanted, off_t(position)) }
            if count == 0 { break }
            if count < 0 {
                if errno == EINTR { continue }
                return nil
            }
            bytes.append(contentsOf: piece[..<count])
            position += count
        }
        return bytes
    }
}
