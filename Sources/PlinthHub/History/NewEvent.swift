// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

/// An event on its way into history.
///
/// It is encoded here, by whoever publishes and outside of all locks: what remains for the history is to write its ID.
public struct NewEvent: Sendable {
    /// One or more topics, without repetition; the first is the one that clients of many topics are told.
    public let topics: [Topic]
    /// Whether only those may see it to whom one of its topics is allowed.
    public let isRestricted: Bool
    /// The ID that its publisher chose, where that is allowed.
    public let requestedID: EventID?
    /// Its type; nil for `message`.
    public let type: String?
    /// Its reconnection time; nil if it has none.
    ///
    /// A hub publishes it clamped: ``StreamOptions/maximumRetry``.
    public let retry: Duration?
    /// The lines of the event without its ID, with room for what stands before them.
    let encoded: [UInt8]

    /// Room for the size of a chunk, 16 digits, and its line end.
    static let prefix = ChunkFraming.maximumPrefix
    /// What comes behind the fields besides the ID: its name, its line end, and the chunk's.
    private static let suffix = 7
    /// The bytes of an ID of a memory history: an epoch of 8 digits, and up to 100 billion events.
    private static let usualIDLength = 20

    /// An event.
    ///
    /// - Parameters:
    ///   - event: Its type, data and reconnection time. Its own ID is not used: IDs are given by the history.
    ///   - topics: One or more.
    ///   - isRestricted: Whether only those may see it to whom one of its topics is allowed.
    ///   - requestedID: The ID that its publisher chose, where that is allowed.
    public init(
        _ event: ServerSentEvent,
        topics: [Topic],
        isRestricted: Bool = false,
        requestedID: EventID? = nil
    ) {
        var bytes: [UInt8] = []
        let event = event.withID(nil)
        // Exactly what it will need, since history keeps it: the blank line is in the size already.
        let id = requestedID?.utf8.count ?? Self.usualIDLength
        bytes.reserveCapacity(Self.prefix + event.encodedByteCount + Self.suffix + id)
        bytes.append(contentsOf: repeatElement(0, count: Self.prefix))
        event.encode(into: &bytes)
        // Without the blank line, which comes behind the ID.
        bytes.removeLast()
        self.init(
            encoded: bytes,
            type: event.type,
            retry: event.retry,
            topics: topics,
            isRestricted: isRestricted,
            requestedID: requestedID
        )
    }

    init(
        encoded: [UInt8],
        type: String? = nil,
        retry: Duration? = nil,
        topics: [Topic],
        isRestricted: Bool,
        requestedID: EventID?
    ) {
        precondition(!topics.isEmpty, "an event has at least one topic")
        self.encoded = encoded
        self.type = type
        self.retry = retry
        self.topics = topics.count == 1 ? topics : topics.uniqued()
        self.isRestricted = isRestricted
        self.requestedID = requestedID
    }

    /// The same event with a reconnection time within a range, if it has one.
    func clampingRetry(to range: ClosedRange<Duration>) -> NewEvent {
        guard let retry, !range.contains(retry) else { return self }
        var parser = ServerSentEventParser(maximumLineSize: .max, maximumEventSize: .max)
        var event: ServerSentEvent?
        // It was encoded here, and without limits there is nothing that could be thrown.
        try? parser.parse(encoded[Self.prefix...] + [0x0A]) { event = $0 }
        let clamped = min(max(retry, range.lowerBound), range.upperBound)
        guard let event, let copy = try? ServerSentEvent(type: event.type, data: event.data, retry: clamped) else {
            return self
        }
        return NewEvent(copy, topics: topics, isRestricted: isRestricted, requestedID: requestedID)
    }

    /// Roughly the bytes that it will take in memory.
    public var size: Int { Allocation.array(encoded) + HistoryEntry.overhead }
}

extension [Topic] {
    /// The topics, each once, in their order.
    func uniqued() -> [Topic] {
        var seen: Set<Topic> = []
        return filter { seen.insert($0).inserted }
    }
}
