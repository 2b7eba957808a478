// SPDX-License-Identifier: Apache-2.0

#if SQLite
package import PlinthStreams

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The times that a stored history needs: one that only goes forward, and the calendar's, which lasts over restarts.
package struct StoreClock: Sendable {
    package var monotonic: @Sendable () -> MonotonicTime
    /// In nanoseconds since 1970.
    package var wall: @Sendable () -> Int64

    package init(monotonic: @escaping @Sendable () -> MonotonicTime, wall: @escaping @Sendable () -> Int64) {
        self.monotonic = monotonic
        self.wall = wall
    }

    /// The system's clocks.
    package static let system = StoreClock(
        monotonic: { MonotonicTime.now() },
        wall: {
            var time = timespec()
            clock_gettime(CLOCK_REALTIME, &time)
            let (seconds, overflow) = Int64(time.tv_sec).multipliedReportingOverflow(by: 1_000_000_000)
            return overflow ? .max : seconds + Int64(time.tv_nsec)
        }
    )

    func read() -> Reading { Reading(monotonic: monotonic(), wall: wall()) }

    /// Both times at one moment.
    struct Reading {
        let monotonic: MonotonicTime
        let wall: Int64

        /// The time in this process at which something stored was published.
        func monotonic(of stored: Int64) -> MonotonicTime {
            let (age, overflow) = wall.subtractingReportingOverflow(stored)
            guard !overflow, age > 0 else { return monotonic }
            return MonotonicTime(nanoseconds: monotonic.nanoseconds.subtractingReportingOverflow(age).partialValue)
        }
    }
}
#endif
