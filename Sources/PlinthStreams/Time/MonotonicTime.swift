// SPDX-License-Identifier: Apache-2.0

/// A moment on a clock that only goes forward, in nanoseconds since an arbitrary start.
///
/// State machines take it as an argument and never read a clock themselves.
package struct MonotonicTime: Sendable, Hashable, Comparable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    private static let start = ContinuousClock.now

    /// The present of the system's clock.
    package static func now() -> MonotonicTime {
        MonotonicTime(nanoseconds: 0) + start.duration(to: .now)
    }

    package static func < (lhs: MonotonicTime, rhs: MonotonicTime) -> Bool {
        lhs.nanoseconds < rhs.nanoseconds
    }

    /// The moment a duration later; the end of time if that is past it.
    package static func + (lhs: MonotonicTime, rhs: Duration) -> MonotonicTime {
        let (sum, overflow) = lhs.nanoseconds.addingReportingOverflow(rhs.clampedNanoseconds)
        return MonotonicTime(nanoseconds: overflow ? (rhs < .zero ? .min : .max) : sum)
    }

    /// The moment so many nanoseconds later; ``distantFuture`` if that is past it, or if they are `Int64.max`.
    package func advanced(by nanoseconds: Int64) -> MonotonicTime {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return overflow || nanoseconds == .max ? .distantFuture : MonotonicTime(nanoseconds: sum)
    }

    package static let distantFuture = MonotonicTime(nanoseconds: .max)
}

extension Duration {
    /// The duration in nanoseconds, cut to what 64 bits hold (292 years).
    package var clampedNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let (sum, overflow2) = whole.addingReportingOverflow(attoseconds / 1_000_000_000)
        return overflow || overflow2 ? (seconds < 0 ? .min : .max) : sum
    }
}
