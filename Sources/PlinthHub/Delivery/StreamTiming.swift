// SPDX-License-Identifier: Apache-2.0

/// The times of all streams of a distributor, in nanoseconds.
struct StreamTiming {
    private let interval: Int64
    private let writeTimeout: Int64
    private let maximumAge: Int64

    init(_ options: StreamOptions) {
        interval = max(1_000_000, options.heartbeat?.clampedNanoseconds ?? .max)
        writeTimeout = max(0, options.writeTimeout?.clampedNanoseconds ?? .max)
        maximumAge = max(0, options.maximumAge?.clampedNanoseconds ?? .max)
    }

    /// When a heartbeat is due after a write: up to a tenth early, never late, so that streams that were opened together do
    /// not all wake at the same moment.
    func heartbeat(_ lastWrite: Int64, _ slot: Int) -> Int64 {
        guard interval != .max else { return .max }
        let early = interval / 10 / 64 * Int64(slot.multipliedReportingOverflow(by: 37).partialValue & 63)
        return Self.add(lastWrite, interval - early)
    }

    func stall(_ since: Int64) -> Int64 { Self.add(since, writeTimeout) }

    func expiry(_ now: HubTime) -> Int64 { Self.add(now.nanoseconds, maximumAge) }

    private static func add(_ time: Int64, _ duration: Int64) -> Int64 {
        let (sum, overflow) = time.addingReportingOverflow(duration)
        return overflow || duration == .max ? .max : sum
    }
}
