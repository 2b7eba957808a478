// SPDX-License-Identifier: Apache-2.0

/// Buffers the events of a channel until its connection takes them.
///
/// Implement it for a policy that ``EventBufferPolicy`` lacks, such as keeping only the latest event of each type, and
/// pass it to ``EventBufferPolicy/custom(_:)``. All calls are made under the channel's lock: return quickly, and do not
/// call the channel.
public protocol EventBuffer: Sendable {
    /// Whether the buffer holds no events.
    var isEmpty: Bool { get }

    /// Adds an event, or rejects it.
    ///
    /// - Parameter event: The event that the application has sent.
    /// - Returns: The outcome.
    mutating func append(_ event: ServerSentEvent) -> EventBufferOutcome

    /// Removes the next event for the connection.
    ///
    /// - Returns: The event; nil if the buffer is empty.
    mutating func popFirst() -> ServerSentEvent?
}

/// The outcome of adding an event to a buffer.
public struct EventBufferOutcome: Sendable, Hashable {
    enum Kind: Hashable {
        case stored(dropped: Int)
        case dropped
        case full
        case disconnect
    }

    let kind: Kind

    /// The event was stored.
    public static let stored = EventBufferOutcome(kind: .stored(dropped: 0))

    /// The event was stored, and `count` others were dropped to make room.
    ///
    /// - Parameter count: The number of dropped events, for the metrics; negative values count as 0.
    /// - Returns: The outcome.
    public static func stored(dropping count: Int) -> EventBufferOutcome {
        EventBufferOutcome(kind: .stored(dropped: max(0, count)))
    }

    /// The event was dropped.
    ///
    /// This is not an error for the sender: the channel reports the event as accepted.
    public static let dropped = EventBufferOutcome(kind: .dropped)
    /// The buffer has no room.
    ///
    /// ``EventChannel/send(_:)-(ServerSentEvent)`` waits, and ``EventChannel/offer(_:)-(ServerSentEvent)`` returns
    /// ``OfferResult/full``. Waiting events are added again once the connection has taken events. A buffer that is full
    /// while empty never gets room: `send` then treats the event as ``dropped``.
    public static let full = EventBufferOutcome(kind: .full)
    /// The event was dropped, and the stream ends with ``StreamEnd/lagged``.
    public static let disconnect = EventBufferOutcome(kind: .disconnect)
}

/// How much an event stream buffers, and what happens at the bound.
///
/// Each built-in policy has a bound in events and one in bytes of type, data and ID; the first one reached applies. An
/// empty buffer accepts an event larger than the bound in bytes.
public struct EventBufferPolicy: Sendable {
    let make: @Sendable () -> EventBufferStorage

    /// The default bound in bytes of the built-in policies: 1 MiB.
    public static let defaultMaximumBytes = 1 << 20

    /// Buffers up to `count` events; at the bound, `send` waits.
    ///
    /// - Parameters:
    ///   - count: The most events; raised to at least 1.
    ///   - maximumBytes: The most bytes of type, data and ID; raised to at least 1. Default: 1 MiB.
    /// - Returns: The policy.
    public static func bounded(_ count: Int, maximumBytes: Int = defaultMaximumBytes) -> EventBufferPolicy {
        standard(count, maximumBytes, .suspend)
    }

    /// Buffers up to `count` events; at the bound, drops new ones.
    ///
    /// - Parameters:
    ///   - count: The most events; raised to at least 1.
    ///   - maximumBytes: The most bytes of type, data and ID; raised to at least 1. Default: 1 MiB.
    /// - Returns: The policy.
    public static func dropNewest(_ count: Int, maximumBytes: Int = defaultMaximumBytes) -> EventBufferPolicy {
        standard(count, maximumBytes, .dropNewest)
    }

    /// Buffers up to `count` events; at the bound, drops the oldest to make room.
    ///
    /// - Parameters:
    ///   - count: The most events; raised to at least 1.
    ///   - maximumBytes: The most bytes of type, data and ID; raised to at least 1. Default: 1 MiB.
    /// - Returns: The policy.
    public static func dropOldest(_ count: Int, maximumBytes: Int = defaultMaximumBytes) -> EventBufferPolicy {
        standard(count, maximumBytes, .dropOldest)
    }

    /// Buffers up to `count` events; at the bound, the stream ends with ``StreamEnd/lagged``.
    ///
    /// - Parameters:
    ///   - count: The most events; raised to at least 1.
    ///   - maximumBytes: The most bytes of type, data and ID; raised to at least 1. Default: 1 MiB.
    /// - Returns: The policy.
    public static func disconnect(_ count: Int, maximumBytes: Int = defaultMaximumBytes) -> EventBufferPolicy {
        standard(count, maximumBytes, .disconnect)
    }

    /// Buffers each stream's events in a custom buffer.
    ///
    /// The buffer is responsible for its own bound.
    ///
    /// - Parameter make: Creates the buffer of a stream.
    /// - Returns: The policy.
    public static func custom(_ make: @escaping @Sendable () -> any EventBuffer) -> EventBufferPolicy {
        EventBufferPolicy { .custom(make()) }
    }

    private static func standard(
        _ count: Int,
        _ maximumBytes: Int,
        _ overflow: BoundedEventBuffer.Overflow
    ) -> EventBufferPolicy {
        EventBufferPolicy {
            .bounded(BoundedEventBuffer(count: max(1, count), maximumBytes: max(1, maximumBytes), overflow: overflow))
        }
    }
}

/// A built-in buffer, stored inline, or a custom one.
enum EventBufferStorage: Sendable {
    /// The buffer of a stream that has ended.
    case none
    case bounded(BoundedEventBuffer)
    case custom(any EventBuffer)

    var isEmpty: Bool {
        switch self {
        case .none: true
        case .bounded(let buffer): buffer.isEmpty
        case .custom(let buffer): buffer.isEmpty
        }
    }

    mutating func append(_ event: ServerSentEvent) -> EventBufferOutcome {
        switch consume self {
        case .none:
            self = .none
            return .dropped
        case .bounded(var buffer):
            let outcome = buffer.append(event)
            self = .bounded(buffer)
            return outcome
        case .custom(var buffer):
            let outcome = buffer.append(event)
            self = .custom(buffer)
            return outcome
        }
    }

    mutating func popFirst() -> ServerSentEvent? {
        switch consume self {
        case .none:
            self = .none
            return nil
        case .bounded(var buffer):
            let event = buffer.popFirst()
            self = .bounded(buffer)
            return event
        case .custom(var buffer):
            let event = buffer.popFirst()
            self = .custom(buffer)
            return event
        }
    }
}
