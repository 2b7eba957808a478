// SPDX-License-Identifier: Apache-2.0

/// A moment on a clock that only goes forward, in nanoseconds since an arbitrary start.
///
/// Nothing in this module but the hub itself reads a clock.
package struct HubTime: Sendable, Hashable, Comparable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    private static let start = ContinuousClock.now

    /// The present of the system's clock.
    package static func now() -> HubTime {
        HubTime(nanoseconds: start.duration(to: .now).clampedNanoseconds)
    }

    package static func < (left: HubTime, right: HubTime) -> Bool { left.nanoseconds < right.nanoseconds }

    /// The moment so many nanoseconds later, or the end of time.
    package func advanced(by nanoseconds: Int64) -> HubTime {
        let (sum, overflow) = self.nanoseconds.addingReportingOverflow(nanoseconds)
        return HubTime(nanoseconds: overflow ? .max : sum)
    }
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
