// SPDX-License-Identifier: Apache-2.0

/// What is due on a stream.
package enum EventStreamTick: Sendable, Equatable {
    /// Nothing before this moment.
    case next(MonotonicTime)
    /// A heartbeat, which is ready to be pulled.
    case heartbeat
    /// The end, at once: the connection is given up, or has had its time.
    case end(DisconnectReason)
    /// Nothing any more.
    case none
}

/// The times of one stream: heartbeat, progress of writes, age.
struct EventStreamTiming {
    // In nanoseconds, `Int64.max` for never: these are looked at for every event of every stream.
    private let heartbeat: Int64
    private var heartbeatDue = MonotonicTime.distantFuture
    private let writeTimeout: Int64
    private let maximumAge: Int64
    private var expires = MonotonicTime.distantFuture
    let heartbeatBytes: [UInt8]

    init(_ options: EventStreamOptions) {
        // Up to a tenth early, never late: streams that were opened together do not all wake at the same moment.
        heartbeat = options.heartbeat.interval.map { ($0 * Double.random(in: 0.9...1)).clampedNanoseconds } ?? .max
        heartbeatBytes = options.heartbeat.bytes
        writeTimeout = options.writeTimeout?.clampedNanoseconds ?? .max
        maximumAge = options.maximumAge?.clampedNanoseconds ?? .max
    }

    mutating func opened(at now: MonotonicTime) {
        wrote(at: now)
        expires = now.advanced(by: maximumAge)
    }

    mutating func wrote(at now: MonotonicTime) {
        heartbeatDue = now.advanced(by: heartbeat)
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
            let deadline = stalledSince.advanced(by: writeTimeout)
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
