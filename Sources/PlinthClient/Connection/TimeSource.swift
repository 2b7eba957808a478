// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A type-erased clock.
struct TimeSource: Sendable {
    /// The time since this instance was created.
    let now: @Sendable () -> Duration
    let sleep: @Sendable (Duration) async throws -> Void

    init(_ clock: some Clock<Duration>) {
        let start = clock.now
        now = { start.duration(to: clock.now) }
        sleep = { try await clock.sleep(for: $0) }
    }

    /// Seconds since 1970 (UTC), for dates that servers send.
    static var date: Int { Int(Date().timeIntervalSince1970) }
}
