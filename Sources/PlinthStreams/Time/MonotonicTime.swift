// SPDX-License-Identifier: Apache-2.0

/// A time on a monotonic clock, in nanoseconds since an arbitrary start.
///
/// State machines take it as an argument and never read a clock.
package struct MonotonicTime: Sendable, Hashable, Comparable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    private static let start = ContinuousClock.now

    /// The current time of the system's clock.
    package static func now() -> MonotonicTime {
        MonotonicTime(.now)
    }

    /// Converts an instant, clamped to 292 years around the start.
    package init(_ instant: ContinuousClock.Instant) {
        self = MonotonicTime(nanoseconds: 0) + Self.start.duration(to: instant)
    }

    /// The time as an instant.
    package var instant: ContinuousClock.Instant { Self.start.advanced(by: .nanoseconds(nanoseconds)) }

    package static func < (lhs: MonotonicTime, rhs: MonotonicTime) -> Bool {
        lhs.nanoseconds < rhs.nanoseconds
    }

    /// Adds a duration, saturating at both ends.
    package static func + (lhs: MonotonicTime, rhs: Duration) -> MonotonicTime {
        let (sum, overflow) = lhs.nanoseconds.addingReportingOverflow(rhs.clampedNanoseconds)
        return MonotonicTime(nanoseconds: overflow ? (rhs < .zero ? .min : .max) : sum)
    }

    /// Adds nanoseconds; ``distantFuture`` on overflow, or if `nanoseconds` is `Int64.max`.
    package func advanced(by nanoseconds: Int64) -> MonotonicTime {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return overflow || nanoseconds == .max ? .distantFuture : MonotonicTime(nanoseconds: sum)
    }

    package static let distantFuture = MonotonicTime(nanoseconds: .max)
}

extension Duration {
    /// The duration in nanoseconds, clamped to 64 bits (292 years).
    package var clampedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflow2) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || overflow2 ? (seconds < 0 ? .min : .max) : sum
    }
}
