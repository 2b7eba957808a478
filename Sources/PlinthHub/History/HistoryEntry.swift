// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents
import Synchronization

/// An event in history: encoded once, shared by all who get it.
public final class HistoryEntry: Sendable {
    /// Its place in the hub's order.
    public let position: Position
    /// The ID that clients know it by.
    public let id: EventID
    /// One or more topics.
    public let topics: [Topic]
    /// Whether only those may see it to whom one of its topics is allowed.
    public let isRestricted: Bool
    /// When it was published.
    package let time: HubTime
    /// The event as clients of one topic get it.
    package let frame: EventFrame
    private let withTopic = Mutex<EventFrame?>(nil)

    /// An entry of an event that has got its place.
    ///
    /// - Parameters:
    ///   - event: The event.
    ///   - position: Its place, which is its own.
    ///   - id: Its ID.
    ///   - time: When it was published.
    package init(_ event: consuming NewEvent, position: Position, id: EventID, time: HubTime) {
        self.position = position
        self.id = id
        self.time = time
        topics = event.topics
        isRestricted = event.isRestricted
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

    /// What an entry takes in memory besides the bytes of its frame.
    static let overhead = 200

    /// Roughly the bytes that it takes in memory.
    public var size: Int { frame.bytes.count + Self.overhead }

    /// The event as clients of several topics get it: behind its ID stand a tab and its topic.
    ///
    /// Made when somebody first needs it.
    package var frameWithTopic: EventFrame {
        withTopic.withLock { frame in
            if let frame { return frame }
            let made = EventFrame(
                fields: self.frame.fields(idLength: id.utf8.count),
                id: id.utf8 + [0x09] + topics[0].utf8
            )
            frame = made
            return made
        }
    }

    /// The event, with its ID.
    ///
    /// Line ends in its data are LF, whatever they were: it is what a client reads.
    public var event: ServerSentEvent {
        var parser = ServerSentEventParser(maximumLineSize: .max, maximumEventSize: .max)
        var event: ServerSentEvent?
        // Without limits there is nothing that it could throw.
        try? parser.parse(Array(frame.bytes[frame.bare])) { event = $0 }
        return event ?? ServerSentEvent(data: "")
    }
}
