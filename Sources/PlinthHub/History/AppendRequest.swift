// SPDX-License-Identifier: Apache-2.0

/// What one call of ``History/append(_:)`` adds: events, all or none, and how to recognise a repetition.
public struct AppendRequest: Sendable {
    /// The events in order; at most the last is an end.
    public var events: [NewEvent]
    /// The producer's number of the first event; nil if the publisher does not number its events.
    ///
    /// With a stamp, all events have the same one topic.
    public var producer: ProducerStamp?
    /// A key under which a successful answer is kept; nil for none.
    public var key: IdempotencyKey?
    /// Who publishes; producers, keys and ends are counted for each subject.
    ///
    /// Nil for an anonymous publisher, to whom only the limits of all apply.
    public var subject: HubSubject?

    /// Creates a request.
    ///
    /// - Parameters:
    ///   - events: The events, in order; may be empty if the request ends a topic.
    ///   - topic: The topic to end after the events, all of which must be of this topic alone. Default: nil.
    ///   - isEndRestricted: Whether to deliver the end only to subscribers authorized for the topic. Default: false.
    ///   - producer: The producer's number of the first event. Default: nil.
    ///   - key: A key under which a successful answer is kept. Default: nil.
    ///   - subject: Who publishes. Default: nil.
    public init(
        _ events: [NewEvent],
        ending topic: Topic? = nil,
        isEndRestricted: Bool = false,
        producer: ProducerStamp? = nil,
        key: IdempotencyKey? = nil,
        subject: HubSubject? = nil
    ) {
        self.events = events
        if let topic { self.events.append(.end(of: topic, isRestricted: isEndRestricted)) }
        self.producer = producer
        self.key = key
        self.subject = subject
    }

    /// The topic that the request ends; nil if it ends none.
    public var endedTopic: Topic? { events.last.flatMap { $0.isEnd ? $0.topics.first : nil } }

    /// Whether the request only ends a topic.
    public var onlyEnds: Bool { events.count == 1 && endedTopic != nil }

    /// A digest of all that is published, by which a history decides whether a key stands for the same request.
    ///
    /// FNV-1a of 128 bits over topics, restriction, end and the encoded lines. It finds mistakes, not forgeries: a
    /// publisher who makes two requests collide is answered as if it had sent the first again.
    public var digest: UInt128 {
        var digest = Digest()
        for event in events {
            digest.add(UInt64(event.topics.count))
            for topic in event.topics { digest.add(topic.utf8[...]) }
            digest.add((event.isRestricted ? 1 : 0) | (event.isEnd ? 2 : 0))
            digest.add(event.requestedID?.utf8[...] ?? [])
            digest.add(event.bytes)
        }
        return digest.value
    }
}

/// FNV-1a with 128 bits, over parts that each begin with their length.
private struct Digest {
    private(set) var value: UInt128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d

    private mutating func add(byte: UInt8) {
        value = (value ^ UInt128(byte)) &* 0x0000_0000_0100_0000_0000_0000_0000_013b
    }

    mutating func add(_ number: UInt64) {
        for shift in stride(from: UInt64(0), to: 64, by: 8) { add(byte: UInt8(truncatingIfNeeded: number >> shift)) }
    }

    mutating func add(_ bytes: ArraySlice<UInt8>) {
        add(UInt64(bytes.count))
        for byte in bytes { add(byte: byte) }
    }
}

/// The answer to an ``AppendRequest`` whose events are all in history.
public struct AppendResult: Sendable, Hashable {
    /// The IDs of the events that this request added, in order; empty if all were known.
    public var ids: [EventID]
    /// The number of events added; by the first request with the same key, if ``isReplayed``.
    public var count: Int
    /// The number of events, from the first, that history had taken before.
    public var repeated: Int
    /// The ID of the last event added; without one, the last ID that history knows of the producer, or the end's.
    public var lastID: EventID
    /// Whether the answer is the one kept under the request's key.
    public var isReplayed: Bool

    /// Creates the answer to a request that added events.
    ///
    /// - Parameters:
    ///   - ids: The IDs of the events added, in order.
    ///   - count: The number of events added. Default: nil, the number of IDs.
    ///   - repeated: The number of events that history had taken before. Default: 0.
    ///   - lastID: The last ID.
    ///   - isReplayed: Whether the answer was kept under a key. Default: false.
    public init(ids: [EventID], count: Int? = nil, repeated: Int = 0, lastID: EventID, isReplayed: Bool = false) {
        self.ids = ids
        self.count = count ?? ids.count
        self.repeated = repeated
        self.lastID = lastID
        self.isReplayed = isReplayed
    }
}

/// A key that a publisher chose for a request, so that it can be sent again: `Idempotency-Key` over HTTP.
///
/// Compared by bytes, within one subject.
public struct IdempotencyKey: Sendable, Hashable {
    /// The key.
    public let bytes: [UInt8]

    /// The maximum length of a key in bytes: 255.
    public static let maximumLength = 255

    /// Creates a key; nil if it is empty or too long.
    ///
    /// - Parameter bytes: 1 to ``maximumLength`` bytes.
    public init?(_ bytes: [UInt8]) {
        guard (1...Self.maximumLength).contains(bytes.count) else { return nil }
        self.bytes = bytes
    }
}
