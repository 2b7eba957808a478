// SPDX-License-Identifier: Apache-2.0

/// The reason why a history refused a request, or could not say whether it took one.
public struct HistoryError: Error, Hashable, CustomStringConvertible {
    /// The reason: a bounded set, suitable as a metric label.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code as text, as the hub's endpoints send it.
        public let description: String

        /// The publisher chose an ID, and this history assigns IDs itself.
        public static let idNotAccepted = Code(description: "id-not-accepted")
        /// The chosen ID is reserved.
        public static let idReserved = Code(description: "id-reserved")
        /// A topic of the request has ended; ``HistoryError/lastID`` is its end's.
        public static let topicEnded = Code(description: "topic-ended")
        /// Events of the producer are missing before these; ``HistoryError/expectedSequence`` is the first of them.
        public static let sequenceHole = Code(description: "sequence-hole")
        /// The history has no state of the producer, which does not begin at 0.
        public static let producerUnknown = Code(description: "producer-unknown")
        /// The producer has a later epoch, ``HistoryError/currentEpoch``.
        public static let producerFenced = Code(description: "producer-fenced")
        /// The key stands for another request.
        public static let keyReused = Code(description: "key-reused")
        /// Too many producers, ended topics or limits of topics, of all or of the subject.
        public static let quota = Code(description: "quota")
        /// Nothing was taken: the request may be sent again as it is.
        public static let notTaken = Code(description: "not-taken")
        /// The history does not know whether the events were taken.
        ///
        /// Only this code leaves it open; after every other error of an append, nothing was taken.
        public static let outcomeUnknown = Code(description: "outcome-unknown")
    }

    /// The reason.
    public let code: Code
    /// The reason in words.
    public let description: String
    /// The ID of the topic's end, with ``Code/topicEnded``.
    public var lastID: EventID?
    /// The topic that has ended, with ``Code/topicEnded``.
    public var topic: Topic?
    /// The producer's next number, with ``Code/sequenceHole`` and ``Code/producerUnknown``.
    public var expectedSequence: UInt64?
    /// The producer's epoch, with ``Code/producerFenced``.
    public var currentEpoch: UInt64?

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: The reason.
    ///   - description: The reason in words, and what to do.
    public init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }

    /// A topic of the request has ended.
    ///
    /// - Parameter end: Its end.
    /// - Returns: The error.
    public static func topicEnded(_ end: TopicEnd) -> HistoryError {
        var error = HistoryError(.topicEnded, "the topic \(end.topic) has ended; purge it to open it again")
        error.lastID = end.id
        error.topic = end.topic
        return error
    }

    /// Events of a producer are missing, or the producer is unknown.
    ///
    /// - Parameters:
    ///   - expected: Its next number.
    ///   - isKnown: Whether the history has any state of it.
    /// - Returns: The error.
    public static func sequenceHole(expected: UInt64, isKnown: Bool) -> HistoryError {
        var error =
            isKnown
            ? HistoryError(.sequenceHole, "events of this producer are missing before these; \(expected) is next")
            : HistoryError(.producerUnknown, "this producer is not known; its first event has the number 0")
        error.expectedSequence = expected
        return error
    }

    /// A producer has a later epoch.
    ///
    /// - Parameter epoch: Its current epoch.
    /// - Returns: The error.
    public static func producerFenced(epoch: UInt64) -> HistoryError {
        var error = HistoryError(.producerFenced, "this producer has begun the later epoch \(epoch)")
        error.currentEpoch = epoch
        return error
    }

    /// A key was used for another request.
    public static var keyReused: HistoryError {
        HistoryError(.keyReused, "this key was used for another request; choose a new key for each")
    }
}
