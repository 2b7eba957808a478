// SPDX-License-Identifier: Apache-2.0

#if canImport(Darwin)
import Darwin
#elseif canImport(Musl)
import Musl
#else
import Glibc
#endif

/// What the file system knows about a path.
package struct FileStatus: Sendable {
    package enum Kind: Sendable {
        case regular, directory, other
    }

    package var kind: Kind
    package var size: Int
    /// The last change of the content, since 1970.
    package var modifiedSeconds: Int
    package var modifiedNanoseconds: Int

    /// The status of what a path leads to, symbolic links followed; nil if it leads nowhere that this process may look.
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

/// Paths and contents, through POSIX calls.
package enum Files {
    /// The absolute path without symbolic links, `.` and `..`; nil if there is nothing at it.
    package static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// The bytes of a file, or those of a range, which is cut to the file's size.
    ///
    /// - Returns: Nil if the file cannot be opened or read.
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
