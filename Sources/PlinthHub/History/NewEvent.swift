// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

/// An event to be published.
///
/// The publisher encodes it, outside all locks; the history only adds its ID.
public struct NewEvent: Sendable {
    /// One or more topics, without duplicates; a stream of several topics names the first that it
    /// receives.
    public let topics: [Topic]
    /// Whether to deliver it only to subscribers authorized for one of its topics.
    public let isRestricted: Bool
    /// Whether it is the end of its topic.
    public let isEnd: Bool
    /// The ID chosen by its publisher; nil if the history assigns one.
    public let requestedID: EventID?
    /// Its type; nil for `message`.
    public let type: String?
    /// Its reconnection time; nil if it has none.
    ///
    /// A hub clamps it when publishing: ``StreamOptions/maximumRetry``.
    public let retry: Duration?
    /// The lines of the event without its ID, after ``prefix`` bytes of room.
    package let encoded: [UInt8]

    /// Room for the size of a chunk, 16 digits, and its line end.
    static let prefix = ChunkFraming.maximumPrefix
    /// The bytes after the fields besides the ID: its field name, its line end, and the chunk's.
    private static let suffix = 7
    /// The bytes of a memory history's ID: an epoch of 8 digits, and up to 100 billion events.
    private static let usualIDLength = 20

    /// Creates an event.
    ///
    /// - Parameters:
    ///   - event: Its type, data and reconnection time. Its own ID is ignored: the history assigns IDs.
    ///   - topics: 1 to 65,535 topics.
    ///   - isRestricted: Whether to deliver it only to subscribers authorized for one of its topics. Default: false.
    ///   - requestedID: The ID chosen by its publisher, for a history that accepts it. Default: nil.
    public init(
        _ event: ServerSentEvent,
        topics: [Topic],
        isRestricted: Bool = false,
        requestedID: EventID? = nil
    ) {
        self.init(event, topics: topics, isRestricted: isRestricted, isEnd: false, requestedID: requestedID)
    }

    init(
        _ event: ServerSentEvent,
        topics: [Topic],
        isRestricted: Bool,
        isEnd: Bool,
        requestedID: EventID? = nil
    ) {
        let event = event.withID(nil)
        let size = event.encodedByteCount
        let id = requestedID?.utf8.count ?? Self.usualIDLength
        // Exactly the final size, which already counts the blank line: appending to an array could reserve twice that.
        let encoded = [UInt8](unsafeUninitializedCapacity: Self.prefix + size + Self.suffix + id) { memory, count in
            memory[..<Self.prefix].initialize(repeating: 0)
            let bytes = UnsafeMutableRawBufferPointer(memory)
            _ = event.encode(into: UnsafeMutableRawBufferPointer(rebasing: bytes[Self.prefix..<Self.prefix + size]))
            // Without the blank line, which belongs after the ID.
            count = Self.prefix + size - 1
        }
        self.init(
            encoded: encoded,
            type: event.type,
            retry: event.retry,
            topics: topics,
            isRestricted: isRestricted,
            isEnd: isEnd,
            requestedID: requestedID
        )
    }

    init(
        encoded: [UInt8],
        type: String? = nil,
        retry: Duration? = nil,
        topics: [Topic],
        isRestricted: Bool,
        isEnd: Bool = false,
        requestedID: EventID?
    ) {
        precondition((1...Int(UInt16.max)).contains(topics.count), "an event has 1 to 65,535 topics")
        self.encoded = encoded
        self.type = type
        self.retry = retry
        self.topics = topics.count == 1 ? topics : topics.uniqued()
        self.isRestricted = isRestricted
        self.isEnd = isEnd
        self.requestedID = requestedID
    }

    /// The same event with its reconnection time, if any, clamped to a range.
    func clampingRetry(to range: ClosedRange<Duration>) -> NewEvent {
        guard let retry, !range.contains(retry) else { return self }
        let clamped = min(max(retry, range.lowerBound), range.upperBound)
        guard let copy = try? ServerSentEvent(type: type, data: event.data, retry: clamped) else { return self }
        return NewEvent(copy, topics: topics, isRestricted: isRestricted, requestedID: requestedID)
    }

    /// Its type, data and reconnection time, without an ID.
    ///
    /// Decoded on each access; line ends in the data are LF.
    public var event: ServerSentEvent {
        var parser = ServerSentEventParser(maximumLineSize: .max, maximumEventSize: .max)
        var event: ServerSentEvent?
        // The bytes were encoded by this type, and without limits parsing cannot throw.
        try? parser.parse(bytes + [0x0A]) { event = $0 }
        return event ?? ServerSentEvent(data: "")
    }

    /// Its lines as a stream sends them, each with its line end: without an ID, and without the blank line at the end.
    public var bytes: ArraySlice<UInt8> { encoded[Self.prefix...] }

    /// Its approximate memory in history, in bytes.
    public var size: Int { Allocation.array(encoded) + HistoryEntry.overhead }
}

extension [Topic] {
    /// The topics without duplicates, in order.
    func uniqued() -> [Topic] {
        var seen: Set<Topic> = []
        return filter { seen.insert($0).inserted }
    }
}
