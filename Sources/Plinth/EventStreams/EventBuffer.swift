// SPDX-License-Identifier: Apache-2.0

/// Holds the events that were sent and that the connection has not taken yet.
///
/// Conform to it for a policy that ``EventBufferPolicy`` does not have, such as one that keeps only the latest event of
/// each type, and hand it in with ``EventBufferPolicy/custom(_:)``. Every call is made under the channel's lock: return
/// quickly, and call nothing of the channel.
public protocol EventBuffer: Sendable {
    /// Whether there is nothing to take.
    var isEmpty: Bool { get }

    /// Takes an event in, or says what becomes of it.
    ///
    /// - Parameter event: The event, which the application has just sent.
    /// - Returns: What became of it.
    mutating func append(_ event: ServerSentEvent) -> EventBufferOutcome

    /// Gives out the next event for the connection, nil if there is none.
    ///
    /// - Returns: The event, which is out of the buffer now.
    mutating func popFirst() -> ServerSentEvent?
}

/// What became of an event that was put into a buffer.
public struct EventBufferOutcome: Sendable, Hashable {
    enum Kind: Hashable {
        case stored(dropped: Int)
        case dropped
        case full
        case disconnect
    }

    let kind: Kind

    /// It is in the buffer.
    public static let stored = EventBufferOutcome(kind: .stored(dropped: 0))

    /// It is in the buffer, and `count` other events had to go for it.
    ///
    /// - Parameter count: How many, for the metrics.
    /// - Returns: The outcome.
    public static func stored(dropping count: Int) -> EventBufferOutcome {
        EventBufferOutcome(kind: .stored(dropped: max(0, count)))
    }

    /// It was dropped.
    ///
    /// For the sender that is not an error: the policy wanted it so.
    public static let dropped = EventBufferOutcome(kind: .dropped)
    /// There is no room: ``EventChannel/send(_:)-(ServerSentEvent)`` waits for some, ``EventChannel/offer(_:)-(ServerSentEvent)`` returns
    /// ``OfferResult/full``.
    ///
    /// Whoever waits is tried again when the connection has taken events. From a buffer that is empty this means that
    /// there never will be room: `send` then takes the event for ``dropped``.
    public static let full = EventBufferOutcome(kind: .full)
    /// The stream ends, because its client lags too far behind.
    public static let disconnect = EventBufferOutcome(kind: .disconnect)
}

/// How much an event stream buffers, and what happens at the bound.
///
/// Each built-in policy is bounded in events and in bytes (of type, data and ID), whichever comes first; an event that is
/// larger than the bound in bytes is accepted into an empty buffer.
public struct EventBufferPolicy: Sendable {
    let make: @Sendable () -> EventBufferStorage

    /// The bound in bytes that the built-in policies have unless told otherwise: 1 MiB.
    public static let defaultMaximumBytes = 1 << 20

    /// Holds `count` events; at the bound `send` waits.
    ///
    /// - Parameters:
    ///   - count: The most events, at least 1.
    ///   - maximumBytes: The most bytes of type, data and ID, at least 1; 1 MiB unless given.
    /// - Returns: The policy.
    public static func bounded(_ count: Int, maximumBytes: Int = defaultMaximumBytes) -> EventBufferPolicy {
        standard(count, maximumBytes, .suspend)
    }

    /// Holds `count` events; at the bound new ones are dropped.
    ///
    /// - Parameters:
    ///   - count: The most events, at least 1.
    ///   - maximumBytes: The most bytes of type, data and ID, at least 1; 1 MiB unless given.
    /// - Returns: The policy.
    public static func dropNewest(_ count: Int, maximumBytes: Int = defaultMaximumBytes) -> EventBufferPolicy {
        standard(count, maximumBytes, .dropNewest)
    }

    /// Holds `count` events; at the bound the oldest are dropped to make room.
    ///
    /// - Parameters:
    ///   - count: The most events, at least 1.
    ///   - maximumBytes: The most bytes of type, data and ID, at least 1; 1 MiB unless given.
    /// - Returns: The policy.
    public static func dropOldest(_ count: Int, maximumBytes: Int = defaultMaximumBytes) -> EventBufferPolicy {
        standard(count, maximumBytes, .dropOldest)
    }

    /// Holds `count` events; at the bound the stream ends with ``StreamEnd/lagged``.
    ///
    /// - Parameters:
    ///   - count: The most events, at least 1.
    ///   - maximumBytes: The most bytes of type, data and ID, at least 1; 1 MiB unless given.
    /// - Returns: The policy.
    public static func disconnect(_ count: Int, maximumBytes: Int = defaultMaximumBytes) -> EventBufferPolicy {
        standard(count, maximumBytes, .disconnect)
    }

    /// A buffer of one's own, made anew for each stream.
    ///
    /// Its bound is its own, too.
    ///
    /// - Parameter make: Makes the buffer of a stream.
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

/// A built-in buffer or one's own.
///
/// The built-in one is kept in place, without a box of its own.
enum EventBufferStorage: Sendable {
    /// Of a stream that is over.
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
