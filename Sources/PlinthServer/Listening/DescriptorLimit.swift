// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// How many descriptors the process may have, and how many of them connections may take.
///
/// The last ones are never given to connections: libraries below, the one that keeps Swift's threads among them, open files
/// now and then and end the process if they cannot.
enum DescriptorLimit {
    /// The limit that holds now.
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

    /// How many connections never get.
    static var reserve: Int { max(8, min(64, current / 8)) }

    /// Descriptors from here on are left free: no connection is accepted while the next one would be.
    static var acceptBound: Int { max(1, current - reserve) }

    /// Descriptors from here on are not used for moving a stream, which stays where it is.
    static var handOffBound: Int { max(1, current - 2 * reserve) }

    /// How many streams there may be: some are kept for listeners, publishers, files and the hand-off itself.
    static var streams: Int { max(1, current - max(32, min(256, current / 32))) }

    /// The descriptor that the process would get next, the lowest that is free; nil if there is none.
    static var next: Int? {
        let copy = fcntl(0, F_DUPFD_CLOEXEC, 0)
        if copy >= 0 {
            close(copy)
            return Int(copy)
        }
        // Standard input may be closed, and then its number is free.
        return errno == EBADF ? 0 : nil
    }
}

#endif
