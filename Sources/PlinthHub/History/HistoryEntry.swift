// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

/// An event in history, encoded once and shared by all subscribers that receive it.
public final class HistoryEntry: Sendable {
    /// Its position in the hub's order.
    public let position: Position
    /// When it was published, as ``published``.
    package let time: MonotonicTime
    /// Its topics, one or more.
    public let topics: [Topic]
    /// The event as streams of one topic send it.
    package let frame: EventFrame
    /// Whether to deliver it only to subscribers authorized for one of its topics.
    public let isRestricted: Bool
    private let idLength: UInt16

    /// Creates the entry of an event.
    ///
    /// - Parameters:
    ///   - event: The event.
    ///   - topics: Its topics, if the history already has them. Default: the event's own.
    ///   - position: Its position, which no other event has.
    ///   - id: Its ID.
    ///   - time: When it was published.
    package init(
        _ event: consuming NewEvent,
        topics: [Topic]? = nil,
        position: Position,
        id: EventID,
        time: MonotonicTime
    ) {
        self.position = position
        self.time = time
        self.topics = topics ?? event.topics
        isRestricted = event.isRestricted
        idLength = UInt16(clamping: id.utf8.count)
        frame = EventFrame(fields: event.encoded, id: id.utf8)
    }

    /// Creates the entry of an event; for custom histories.
    ///
    /// - Parameters:
    ///   - event: The event.
    ///   - position: Its position, which no other event has.
    ///   - id: Its ID, which no other event has.
    ///   - published: When it was published; for a stored event, now less its age. Default: now.
    public convenience init(
        _ event: NewEvent,
        position: Position,
        id: EventID,
        published: ContinuousClock.Instant = .now
    ) {
        self.init(event, position: position, id: id, time: MonotonicTime(published))
    }

    /// When the event was published.
    public var published: ContinuousClock.Instant { time.instant }

    /// The ID by which clients identify it, read from the last line of its frame.
    public var id: EventID { EventID(trusted: Array(frame.bytes[frame.id(length: Int(idLength))])) }

    /// The memory of an entry besides its frame and a list of several topics: the object, and its place in a log.
    static let overhead = Allocation.size(16 + 56) + 24

    /// Its memory in bytes as the system's allocator counts it, without its topics' names.
    public var size: Int {
        var size = Self.overhead + Allocation.array(frame.bytes)
        if topics.count > 1 { size += Allocation.array(topics) }
        return size
    }

    /// The event as streams of several topics send it: a tab and its first topic follow its ID.
    ///
    /// Encoded on each access: history stores an event once.
    package var frameWithTopic: EventFrame { frame.naming(topics[0], idLength: Int(idLength)) }

    /// The event, with its ID.
    ///
    /// Line ends in its data are LF, as a client reads them, whatever was published.
    public var event: ServerSentEvent { Self.event(frame) }

    /// The event as a stream sends it.
    ///
    /// - Parameter namesTopic: Whether a tab and the topic follow the ID.
    /// - Returns: The event.
    package func event(namesTopic: Bool) -> ServerSentEvent {
        Self.event(namesTopic ? frameWithTopic : frame)
    }

    private static func event(_ frame: EventFrame) -> ServerSentEvent {
        var parser = ServerSentEventParser(maximumLineSize: .max, maximumEventSize: .max)
        var event: ServerSentEvent?
        // Without limits, parsing cannot throw.
        try? parser.parse(Array(frame.bytes[frame.bare])) { event = $0 }
        return event ?? ServerSentEvent(data: "")
    }
}
