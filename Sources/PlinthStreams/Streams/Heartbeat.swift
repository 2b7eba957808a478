// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

/// What to send on an idle stream, so that proxies keep it open and both peers detect a dead connection.
///
/// A heartbeat is due one interval after the last write, so a busy stream has none. It is sent up to a tenth of the
/// interval early, which spreads the load of streams that were opened together. The default interval is 10 s.
///
/// An application's stream queues it in `EventChannelState.tick`, and its connection writes it with the next pull; a hub's
/// writes it in `Distributor.tick`. Both are called by a timer of whatever serves the stream.
public struct Heartbeat: Sendable {
    package let interval: Duration?
    package let bytes: [UInt8]

    private init(interval: Duration?, bytes: [UInt8]) {
        self.interval = interval
        self.bytes = bytes
    }

    /// Sends a comment, which clients ignore, after an interval without a write.
    ///
    /// - Parameter interval: The interval, at least 1 ms; smaller values are raised to 1 ms.
    /// - Returns: The heartbeat.
    public static func every(_ interval: Duration) -> Heartbeat {
        Heartbeat(interval: max(interval, .milliseconds(1)), bytes: comment)
    }

    /// Sends an event after an interval without a write, for clients that observe heartbeats.
    ///
    /// - Parameters:
    ///   - event: The event, the same each time.
    ///   - interval: The interval, at least 1 ms; smaller values are raised to 1 ms.
    /// - Returns: The heartbeat.
    public static func event(_ event: ServerSentEvent, every interval: Duration) -> Heartbeat {
        var bytes: [UInt8] = []
        event.encode(into: &bytes)
        return Heartbeat(interval: max(interval, .milliseconds(1)), bytes: bytes)
    }

    /// Sends a comment after an interval in seconds without a write.
    ///
    /// - Parameter seconds: The interval, at least 0.001 s; smaller values are raised to it.
    /// - Returns: The heartbeat.
    public static func seconds(_ seconds: Double) -> Heartbeat { every(.seconds(seconds)) }

    /// No heartbeats.
    ///
    /// The server then detects a client that vanished without closing only when it sends an event.
    public static let off = Heartbeat(interval: nil, bytes: comment)

    /// An empty comment: a colon and a line end.
    ///
    /// Without a blank line, for which some clients report an empty event.
    package static let comment: [UInt8] = Array(":\n".utf8)
}

extension Duration {
    /// The default heartbeat interval of all streams: 10 s.
    ///
    /// Usable from inline because public default arguments refer to it.
    @usableFromInline package static var defaultHeartbeat: Duration { .seconds(10) }
}
