// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

/// What is sent when a stream has been idle, so that proxies keep it open and both sides learn of a dead peer.
///
/// A heartbeat is due an interval after the last write, not at fixed times: a busy stream has none. To spread the load of
/// many streams that were opened together, each one's comes up to a tenth of the interval early.
public struct Heartbeat: Sendable {
    package let interval: Duration?
    package let bytes: [UInt8]

    private init(interval: Duration?, bytes: [UInt8]) {
        self.interval = interval
        self.bytes = bytes
    }

    /// A comment, which clients ignore, after this time without a write.
    ///
    /// - Parameter interval: The time; anything below a millisecond is taken for a millisecond.
    /// - Returns: The heartbeat.
    public static func every(_ interval: Duration) -> Heartbeat {
        Heartbeat(interval: max(interval, .milliseconds(1)), bytes: comment)
    }

    /// An event, for clients that want to see heartbeats, after this time without a write.
    ///
    /// - Parameters:
    ///   - event: The event, the same each time.
    ///   - interval: The time; anything below a millisecond is taken for a millisecond.
    /// - Returns: The heartbeat.
    public static func event(_ event: ServerSentEvent, every interval: Duration) -> Heartbeat {
        var bytes: [UInt8] = []
        event.encode(into: &bytes)
        return Heartbeat(interval: max(interval, .milliseconds(1)), bytes: bytes)
    }

    /// A comment after this many seconds without a write.
    ///
    /// - Parameter seconds: The time; anything below a millisecond is taken for a millisecond.
    /// - Returns: The heartbeat.
    public static func seconds(_ seconds: Double) -> Heartbeat { every(.seconds(seconds)) }

    /// None.
    ///
    /// A peer that vanished without a word is then only found when an event is sent.
    public static let off = Heartbeat(interval: nil, bytes: comment)

    /// An empty comment: a colon and a line end.
    ///
    /// No blank line follows: some clients take one for the end of an event, and report an empty event.
    package static let comment: [UInt8] = Array(":\n".utf8)
}
