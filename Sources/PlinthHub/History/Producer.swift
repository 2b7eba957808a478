// SPDX-License-Identifier: Apache-2.0

/// The ID of a producer: a publisher that numbers its events, so that none is taken twice.
public struct ProducerID: Sendable, Hashable, CustomStringConvertible {
    /// The ID.
    public let bytes: [UInt8]

    /// The maximum length of an ID in bytes: 255.
    public static let maximumLength = 255

    /// Creates an ID; nil if it is empty or too long.
    ///
    /// - Parameter bytes: 1 to ``maximumLength`` bytes.
    public init?(_ bytes: [UInt8]) {
        guard (1...Self.maximumLength).contains(bytes.count) else { return nil }
        self.bytes = bytes
    }

    /// The ID as text.
    public var description: String { String(decoding: bytes, as: UTF8.self) }
}

/// A producer's number for the first event of a request; each of the others has the next.
public struct ProducerStamp: Sendable, Hashable {
    /// The producer, unique within its topic and subject.
    public var id: ProducerID
    /// The producer's epoch: a later one fences all earlier ones, and begins at sequence 0.
    public var epoch: UInt64
    /// The number of the first event, from 0.
    public var sequence: UInt64

    /// The largest epoch and number: 2^53 − 1, the largest whole number that every JSON parser reads exactly.
    public static let maximumNumber: UInt64 = 1 << 53 - 1

    /// Creates a stamp.
    ///
    /// - Parameters:
    ///   - id: The producer.
    ///   - epoch: Its epoch.
    ///   - sequence: The number of the first event.
    public init(id: ProducerID, epoch: UInt64, sequence: UInt64) {
        self.id = id
        self.epoch = epoch
        self.sequence = sequence
    }
}

/// What a history knows of a producer in a topic.
public struct ProducerState: Sendable, Hashable {
    /// Its current epoch.
    public var epoch: UInt64
    /// The number of the last event taken.
    public var sequence: UInt64
    /// The ID of that event.
    public var lastID: EventID

    /// Creates a state.
    ///
    /// - Parameters:
    ///   - epoch: The producer's current epoch.
    ///   - sequence: The number of the last event taken.
    ///   - lastID: The ID of that event.
    public init(epoch: UInt64, sequence: UInt64, lastID: EventID) {
        self.epoch = epoch
        self.sequence = sequence
        self.lastID = lastID
    }

    /// How a request with a stamp follows a state.
    public enum Order: Sendable, Hashable {
        /// The first events, this many, were taken before; the others are next. Not all events are known.
        case next(repeated: Int)
        /// All events were taken before.
        case repeated
        /// Events in between are missing, or the producer is unknown and does not begin at 0.
        case hole(expected: UInt64, isKnown: Bool)
        /// A later epoch has begun.
        case fenced(epoch: UInt64)
    }

    /// Compares a stamp with a state: the rules that all histories share.
    ///
    /// - Parameters:
    ///   - stamp: The stamp of the first event.
    ///   - count: The number of events, at least 1.
    ///   - state: The producer's state in the topic; nil if it has none.
    /// - Returns: How the events follow.
    public static func order(of stamp: ProducerStamp, count: Int, after state: ProducerState?) -> Order {
        guard let state else {
            return stamp.sequence == 0 ? .next(repeated: 0) : .hole(expected: 0, isKnown: false)
        }
        guard stamp.epoch >= state.epoch else { return .fenced(epoch: state.epoch) }
        guard stamp.epoch == state.epoch else {
            return stamp.sequence == 0 ? .next(repeated: 0) : .hole(expected: 0, isKnown: true)
        }
        let next = state.sequence + 1
        guard stamp.sequence <= next else { return .hole(expected: next, isKnown: true) }
        let known = next - stamp.sequence
        return known >= UInt64(count) ? .repeated : .next(repeated: Int(known))
    }
}
