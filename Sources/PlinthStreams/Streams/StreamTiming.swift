// SPDX-License-Identifier: Apache-2.0

/// The durations of a stream: heartbeat interval, write timeout, maximum age.
///
/// Streams with the same options share a value; each stream stores its own times.
package struct StreamTiming: Sendable {
    // In nanoseconds, `Int64.max` for never: read for every event of every stream.
    private let heartbeat: Int64
    private let writeTimeout: Int64
    private let maximumAge: Int64

    /// Creates a value; nil stands for never.
    ///
    /// - Parameters:
    ///   - heartbeat: The time without a write after which a heartbeat is due; raised to at least 1 ms.
    ///   - writeTimeout: How long a connection may accept none of the pending bytes; raised to at least 0.
    ///   - maximumAge: How long a stream lasts; raised to at least 0.
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
    ///   - spread: A number that differs per stream; 6 bits of it are used.
    /// - Returns: The time; ``MonotonicTime/distantFuture`` without heartbeats.
    package func heartbeatDue(after lastWrite: MonotonicTime, spread: Int) -> MonotonicTime {
        guard heartbeat != .max else { return .distantFuture }
        let early = heartbeat / 10 / 64 * Int64(spread.multipliedReportingOverflow(by: 37).partialValue & 63)
        return lastWrite.advanced(by: heartbeat - early)
    }

    /// When to give up a connection that has accepted nothing since `stalled`.
    package func writeDeadline(since stalled: MonotonicTime) -> MonotonicTime { stalled.advanced(by: writeTimeout) }

    /// When a stream opened at `opened` reaches its maximum age.
    package func expiry(of opened: MonotonicTime) -> MonotonicTime { opened.advanced(by: maximumAge) }
}

extension Duration {
    /// The default write timeout: 60 s.
    ///
    /// Usable from inline because public default arguments refer to it.
    @usableFromInline package static var defaultWriteTimeout: Duration { .seconds(60) }
}
