// SPDX-License-Identifier: Apache-2.0

/// The result of checking a stream's deadlines.
package enum EventStreamTick: Sendable, Equatable {
    /// Nothing is due before this time.
    case next(MonotonicTime)
    /// A heartbeat is due and ready to be pulled.
    case heartbeat
    /// The stream has to end now: its write timed out, or it reached its maximum age.
    case end(StreamEnd)
    /// The stream has ended.
    case none
}

/// The deadlines of one stream: heartbeat, write timeout, maximum age.
struct EventStreamTiming {
    private let timing: StreamTiming
    /// Spreads the heartbeats of streams opened together.
    private let spread = UInt8.random(in: 0..<64)
    private var heartbeatDue = MonotonicTime.distantFuture
    private var expires = MonotonicTime.distantFuture
    let heartbeatBytes: [UInt8]

    init(_ options: EventStreamOptions) {
        timing = StreamTiming(
            heartbeat: options.heartbeat.interval,
            writeTimeout: options.writeTimeout,
            maximumAge: options.maximumAge
        )
        heartbeatBytes = options.heartbeat.bytes
    }

    mutating func opened(at now: MonotonicTime) {
        wrote(at: now)
        expires = timing.expiry(of: now)
    }

    mutating func wrote(at now: MonotonicTime) {
        heartbeatDue = timing.heartbeatDue(after: now, spread: Int(spread))
    }

    /// Checks the deadlines.
    ///
    /// - Parameters:
    ///   - now: The current time.
    ///   - stalledSince: Since when the connection has accepted none of its pending bytes; nil if it has not stalled.
    ///   - isEnding: Whether the stream is only writing its remaining bytes.
    /// - Returns: What is due, or when to check again.
    mutating func tick(now: MonotonicTime, stalledSince: MonotonicTime?, isEnding: Bool) -> EventStreamTick {
        var next = MonotonicTime.distantFuture
        if let stalledSince {
            let deadline = timing.writeDeadline(since: stalledSince)
            if now >= deadline { return .end(.timedOut) }
            next = min(next, deadline)
        }
        if !isEnding {
            if now >= expires { return .end(.expired) }
            next = min(next, expires)
            // While the connection is stalled, a heartbeat would only queue behind the pending bytes.
            if stalledSince == nil {
                if now >= heartbeatDue {
                    wrote(at: now)
                    return .heartbeat
                }
                next = min(next, heartbeatDue)
            }
        }
        // Without deadlines, or with none until the connection takes bytes again: check once an hour.
        return .next(min(next, now + .seconds(3600)))
    }

    /// The first time to check.
    var first: MonotonicTime { min(heartbeatDue, expires) }
}
