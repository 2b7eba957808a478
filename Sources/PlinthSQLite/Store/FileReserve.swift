// SPDX-License-Identifier: Apache-2.0

#if SQLite
#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A file that keeps some room on the disk: given up when the disk is full, so that events can still be removed.
struct FileReserve {
    private static let bytes = 2 << 20

    private let path: String
    private(set) var isThere = false

    init(path: String) {
        self.path = path
        restore()
    }

    /// Gives the room up.
    mutating func release() {
        isThere = false
        unlink(path)
    }

    /// Takes the room again, if there is enough.
    mutating func restore() {
        guard !isThere else { return }
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        #if canImport(Darwin)
        isThere = ftruncate(descriptor, off_t(Self.bytes)) == 0
        #else
        isThere = posix_fallocate(descriptor, 0, off_t(Self.bytes)) == 0
        #endif
        if !isThere { unlink(path) }
    }
}
#endif
