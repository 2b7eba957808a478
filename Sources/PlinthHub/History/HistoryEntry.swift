// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

/// An event in history, encoded once and shared by all subscribers that receive it.
public final class HistoryEntry: Sendable {
    /// Its position in the hub's order.
    public let position: Position
    /// When it was published, as ``published``.
    package let time: MonotonicTime
    /// The topics that it was published to; first those that still have it, which are all when it is delivered live.
    package let publishedTopics: [Topic]
    /// The event as streams of one topic send it.
    package let frame: EventFrame
    /// Whether to deliver it only to subscribers authorized for one of its topics.
    public let isRestricted: Bool
    /// Whether it is the end of its topic.
    public let isEnd: Bool
    private let idLength: UInt16
    /// The number of topics that still have it.
    private let held: UInt16

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
        publishedTopics = topics ?? event.topics
        held = UInt16(clamping: publishedTopics.count)
        isRestricted = event.isRestricted
        isEnd = event.isEnd
        idLength = UInt16(clamping: id.utf8.count)
        frame = EventFrame(fields: event.encoded, id: id.utf8)
    }

    /// Creates the entry of a stored event.
    ///
    /// - Parameters:
    ///   - lines: Its ``NewEvent/bytes``.
    ///   - topics: Its topics; first those that still have it.
    ///   - held: How many of them still have it.
    ///   - isRestricted: Whether to deliver it only to subscribers authorized for one of its topics.
    ///   - isEnd: Whether it is the end of its topic.
    ///   - position: Its position.
    ///   - epochs: Assigns its ID.
    ///   - time: When it was published.
    package init(
        stored lines: UnsafeRawBufferPointer,
        topics: [Topic],
        held: Int,
        isRestricted: Bool,
        isEnd: Bool,
        position: Position,
        epochs: HistoryEpochs,
        time: MonotonicTime
    ) {
        self.position = position
        self.time = time
        publishedTopics = topics
        self.held = UInt16(clamping: min(held, topics.count))
        self.isRestricted = isRestricted
        self.isEnd = isEnd
        var idLength = 0
        frame = EventFrame(stored: lines, position, epochs, idLength: &idLength)
        self.idLength = UInt16(clamping: idLength)
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

    /// The same event, held by the first of its topics only.
    private init(_ entry: HistoryEntry, publishedTopics: [Topic], held: Int) {
        position = entry.position
        time = entry.time
        self.publishedTopics = publishedTopics
        self.held = UInt16(clamping: held)
        frame = entry.frame
        isRestricted = entry.isRestricted
        isEnd = entry.isEnd
        idLength = entry.idLength
    }

    /// The same event without one of its topics; nil if it has no other.
    ///
    /// A topic that is purged or trimmed loses its events, which stay in history for their other topics. Who may
    /// receive a restricted event is still decided by all topics that it was published to.
    ///
    /// - Parameter topic: The topic.
    /// - Returns: The entry; nil without another topic.
    public func removing(_ topic: Topic) -> HistoryEntry? {
        let topics = self.topics
        let rest = topics.filter { $0 != topic }
        guard !rest.isEmpty, rest.count < topics.count else { return rest.isEmpty ? nil : self }
        let gone = [topic] + publishedTopics.dropFirst(topics.count)
        return HistoryEntry(self, publishedTopics: rest + gone, held: rest.count)
    }

    /// The topics that have it, one or more, in the order of publishing.
    public var topics: [Topic] {
        Int(held) == publishedTopics.count ? publishedTopics : Array(publishedTopics.prefix(Int(held)))
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
        if publishedTopics.count > 1 { size += Allocation.array(publishedTopics) }
        return size
    }

    /// The event as streams of several topics send it: a tab and a topic follow its ID.
    ///
    /// Encoded by each call: history stores an event once.
    package func frame(naming topic: Topic) -> EventFrame { frame.naming(topic, idLength: Int(idLength)) }

    /// The topic that a subscriber's stream names: the first, in the order of publishing, that it receives.
    package func topic(for selection: Selection) -> Topic {
        topics.count == 1 ? topics[0] : topics.first(where: selection.wants) ?? topics[0]
    }

    /// The event, with its ID.
    ///
    /// Line ends in its data are LF, as a client reads them, whatever was published.
    public var event: ServerSentEvent { Self.event(frame) }

    /// The event as a stream sends it.
    ///
    /// - Parameter topic: The topic that follows the ID, after a tab; nil for the ID alone.
    /// - Returns: The event.
    package func event(naming topic: Topic?) -> ServerSentEvent {
        Self.event(topic.map(frame(naming:)) ?? frame)
    }

    private static func event(_ frame: EventFrame) -> ServerSentEvent {
        var parser = ServerSentEventParser(maximumLineSize: .max, maximumEventSize: .max)
        var event: ServerSentEvent?
        // Without limits, parsing cannot throw.
        try? parser.parse(Array(frame.bytes[frame.bare])) { event = $0 }
        return event ?? ServerSentEvent(data: "")
    }
}
