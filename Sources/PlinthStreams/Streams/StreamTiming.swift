// SPDX-License-Identifier: Apache-2.0

/// The times of a stream: heartbeat, write timeout, maximum age.
///
/// One value serves all streams with the same options; each stream keeps its own moments.
package struct StreamTiming: Sendable {
    // In nanoseconds, `Int64.max` for never: these are looked at for every event of every stream.
    private let heartbeat: Int64
    private let writeTimeout: Int64
    private let maximumAge: Int64

    /// Times; nil stands for never.
    ///
    /// - Parameters:
    ///   - heartbeat: The time without a write after which a heartbeat is due, at least 1 ms.
    ///   - writeTimeout: How long a connection may take nothing of what waits for it, at least 0.
    ///   - maximumAge: How long a stream lasts, at least 0.
    package init(heartbeat: Duration?, writeTimeout: Duration?, maximumAge: Duration?) {
        self.heartbeat = max(1_000_000, heartbeat?.clampedNanoseconds ?? .max)
        self.writeTimeout = max(0, writeTimeout?.clampedNanoseconds ?? .max)
        self.maximumAge = max(0, maximumAge?.clampedNanoseconds ?? .max)
    }

    /// When a heartbeat is due.
    ///
    /// Up to a tenth of the interval early and never late, so that streams opened together do not all wake at once.
    ///
    /// - Parameters:
    ///   - lastWrite: When the stream was last written to.
    ///   - spread: A number of the stream's own, of which 6 bits count.
    /// - Returns: The moment; ``MonotonicTime/distantFuture`` without heartbeats.
    package func heartbeatDue(after lastWrite: MonotonicTime, spread: Int) -> MonotonicTime {
        guard heartbeat != .max else { return .distantFuture }
        let early = heartbeat / 10 / 64 * Int64(spread.multipliedReportingOverflow(by: 37).partialValue & 63)
        return lastWrite.advanced(by: heartbeat - early)
    }

    /// When a connection is given up that has taken nothing since then.
    package func writeDeadline(since stalled: MonotonicTime) -> MonotonicTime { stalled.advanced(by: writeTimeout) }

    /// When a stream ends that began then.
    package func expiry(of opened: MonotonicTime) -> MonotonicTime { opened.advanced(by: maximumAge) }
}

// The defaults of every stream's options, which are public and so need these from outside of the package's modules.
extension Duration {
    /// The default time without a write after which a heartbeat is sent: 10 s.
    @usableFromInline package static var defaultHeartbeat: Duration { .seconds(10) }
    /// The default time that a client may take nothing of what waits for it: 60 s.
    @usableFromInline package static var defaultWriteTimeout: Duration { .seconds(60) }
}
