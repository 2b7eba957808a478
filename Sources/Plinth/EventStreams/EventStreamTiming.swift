// SPDX-License-Identifier: Apache-2.0

/// What is due on a stream.
package enum EventStreamTick: Sendable, Equatable {
    /// Nothing before this moment.
    case next(MonotonicTime)
    /// A heartbeat, which is ready to be pulled.
    case heartbeat
    /// The end, at once: the connection is given up, or has had its time.
    case end(StreamEnd)
    /// Nothing any more.
    case none
}

/// The times of one stream: heartbeat, progress of writes, age.
struct EventStreamTiming {
    private let timing: StreamTiming
    /// Spreads the heartbeats of streams that were opened together.
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

    /// Looks at the time.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - stalledSince: Since when the connection has taken nothing although there was something for it.
    ///   - isEnding: Whether only the rest is still going out.
    /// - Returns: What is due, or when to look again.
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
            // While the connection takes nothing a heartbeat would only wait behind what is already there.
            if stalledSince == nil {
                if now >= heartbeatDue {
                    wrote(at: now)
                    return .heartbeat
                }
                next = min(next, heartbeatDue)
            }
        }
        // A stream without deadlines, or one that will have them again when its socket moves, is looked at rarely.
        return .next(min(next, now + .seconds(3600)))
    }

    /// The first moment to look.
    var first: MonotonicTime { min(heartbeatDue, expires) }
}
