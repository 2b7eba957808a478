// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The process's limit of file descriptors, and the share of it for connections.
///
/// Connections never get the last ones: libraries, among them the one that runs Swift's threads, open files at times
/// and end the process if they cannot.
enum DescriptorLimit {
    /// The current soft limit.
    static var current: Int {
        var limit = rlimit()
        #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        #else
        let resource = RLIMIT_NOFILE
        #endif
        guard getrlimit(resource, &limit) == 0 else { return 1024 }
        return Int(clamping: limit.rlim_cur)
    }

    /// The number of descriptors that connections never get.
    static var reserve: Int { reserve(of: current) }

    private static func reserve(of limit: Int) -> Int { max(8, min(64, limit / 8)) }

    /// No connection is accepted while the next descriptor is this or higher.
    static var acceptBound: Int {
        let limit = current
        return max(1, limit - reserve(of: limit))
    }

    /// No stream is handed off with this descriptor or a higher one; it stays on its event loop.
    static var handOffBound: Int {
        let limit = current
        return max(1, limit - 2 * reserve(of: limit))
    }

    /// The most streams; the rest is for listeners, publishers, files and the hand-off itself.
    static var streams: Int {
        let limit = current
        return max(1, limit - max(32, min(256, limit / 32)))
    }

    /// The lowest free descriptor, which the process would get next; nil if none is free.
    static var next: Int? {
        let copy = fcntl(0, F_DUPFD_CLOEXEC, 0)
        if copy >= 0 {
            close(copy)
            return Int(copy)
        }
        // If standard input is closed, its number is free.
        return errno == EBADF ? 0 : nil
    }
}

#endif
