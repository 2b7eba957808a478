// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

/// An event in history: encoded once, shared by all who get it.
public final class HistoryEntry: Sendable {
    /// Its place in the hub's order.
    public let position: Position
    /// When it was published.
    package let time: MonotonicTime
    /// One or more topics.
    public let topics: [Topic]
    /// The event as clients of one topic get it.
    package let frame: EventFrame
    /// Whether only those may see it to whom one of its topics is allowed.
    public let isRestricted: Bool
    private let idLength: UInt16

    /// An entry of an event that has got its place.
    ///
    /// - Parameters:
    ///   - event: The event.
    ///   - topics: Its topics, where a history has them already; the event's own unless given.
    ///   - position: Its place, which is its own.
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

    /// An entry of an event that has just got its place, for histories of one's own.
    ///
    /// - Parameters:
    ///   - event: The event.
    ///   - position: Its place, which is its own.
    ///   - id: Its ID, which no other event has.
    public convenience init(_ event: NewEvent, position: Position, id: EventID) {
        self.init(event, position: position, id: id, time: .now())
    }

    /// The ID that clients know it by; read from the event's last line.
    public var id: EventID { EventID(trusted: Array(frame.bytes[frame.id(length: Int(idLength))])) }

    /// What an entry takes in memory besides its frame and a list of several topics: itself, and its place in a log.
    static let overhead = Allocation.size(16 + 56) + 24

    /// The bytes that it takes in memory, as the system's allocator gives them out, without those of its topics' names.
    public var size: Int {
        var size = Self.overhead + Allocation.array(frame.bytes)
        if topics.count > 1 { size += Allocation.array(topics) }
        return size
    }

    /// The event as clients of several topics get it: behind its ID stand a tab and its first topic.
    ///
    /// Made anew each time: history keeps an event once.
    package var frameWithTopic: EventFrame { frame.naming(topics[0], idLength: Int(idLength)) }

    /// The event, with its ID.
    ///
    /// Line ends in its data are LF, whatever they were: it is what a client reads.
    public var event: ServerSentEvent { Self.event(frame) }

    /// The event as a stream has it.
    ///
    /// - Parameter namesTopic: Whether a tab and the topic follow the ID.
    /// - Returns: The event.
    package func event(namesTopic: Bool) -> ServerSentEvent {
        Self.event(namesTopic ? frameWithTopic : frame)
    }

    private static func event(_ frame: EventFrame) -> ServerSentEvent {
        var parser = ServerSentEventParser(maximumLineSize: .max, maximumEventSize: .max)
        var event: ServerSentEvent?
        // Without limits there is nothing that it could throw.
        try? parser.parse(Array(frame.bytes[frame.bare])) { event = $0 }
        return event ?? ServerSentEvent(data: "")
    }
}
