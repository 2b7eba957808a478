// SPDX-License-Identifier: Apache-2.0

/// The store of what a hub has published, and the source of all that it delivers, live or later.
///
/// A history orders events and assigns their IDs. The hub reads from it what subscribers missed, and receives from it
/// every event that enters it, wherever the event was published. `HistoryContract` in `PlinthHubTesting` checks this
/// contract:
///
/// - An appended event is in history before it is delivered, and is delivered before ``append(_:)`` returns. If ``append(_:)``
///   throws, the event is never delivered, unless the error's code is ``HistoryError/Code/outcomeUnknown``.
/// - Positions increase in one order across all topics; they need not be consecutive. `deliver` is called in that
///   order, once for each event, and leaves none out.
/// - ``read(after:selection:limit:)`` leaves nothing out without reporting it.
/// - An end is an entry like an event: it has a position, and is delivered and read. Nothing is appended to its topic
///   after it, and limits and age do not remove it, until the topic is purged or the end is dropped at a bound.
/// - An event whose producer's number or whose key was taken before is not appended again.
public protocol History: Sendable {
    /// Opens the history; called once, before any other method.
    ///
    /// - Parameter deliver: Called with every event that enters history from now on, one call at a time and in order.
    ///   It returns quickly and does not call the history.
    /// - Returns: The position of the last event in history.
    /// - Throws: If the history cannot be used.
    func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position

    /// Appends events, all or none.
    ///
    /// Checks in this order: a kept answer to the key; the producer's epoch; events taken before; ended topics; missing
    /// events of the producer; quotas. `ProducerState.order(of:count:after:)` has the rules of producers.
    ///
    /// - Parameter request: The events, one or more, and how to recognise a repetition.
    /// - Returns: The answer, once the events are in history. If it repeats an earlier answer, what that one answered
    ///   is as durable as if it had been appended now.
    /// - Throws: ``HistoryError`` with the reason. After any error but ``HistoryError/Code/outcomeUnknown``, the events
    ///   are not in history and never will be.
    func append(_ request: AppendRequest) async throws -> AppendResult

    /// Appends events if that requires no waiting.
    ///
    /// - Parameter request: The events, one or more, and how to recognise a repetition.
    /// - Returns: The answer; nil if appending has to wait: the hub then calls ``append(_:)``. Default: nil.
    /// - Throws: As ``append(_:)``.
    func appendNow(_ request: AppendRequest) throws -> AppendResult?

    /// Finds the position of an ID.
    ///
    /// - Parameter id: The last ID that a client has seen.
    /// - Returns: Whether the ID is known, and its position.
    /// - Throws: If that cannot be determined now; the hub asks again.
    func locate(_ id: EventID) async throws -> Located

    /// Finds the position of an ID if that requires no waiting.
    ///
    /// - Parameter id: The last ID that a client has seen.
    /// - Returns: The result of ``locate(_:)``; nil if that has to wait. Default: nil.
    func locateNow(_ id: EventID) -> Located?

    /// The ends of the topics that a selection names.
    ///
    /// - Parameter selection: The subscriber's selection; its patterns do not count.
    /// - Returns: The end of each named topic that has ended and that the subscriber may receive, in any order.
    /// - Throws: If that cannot be determined now; the hub asks again.
    func ends(of selection: Selection) async throws -> [TopicEnd]

    /// The ends of the topics that a selection names, if that requires no waiting.
    ///
    /// - Parameter selection: The subscriber's selection; its patterns do not count.
    /// - Returns: The result of ``ends(of:)``; nil if that has to wait. Default: nil.
    func endsNow(of selection: Selection) -> [TopicEnd]?

    /// What is known of a producer in a topic.
    ///
    /// - Parameters:
    ///   - id: The producer.
    ///   - subject: Who publishes.
    ///   - topic: The topic.
    /// - Returns: Its state; nil if there is none.
    /// - Throws: If the history cannot be read now.
    func producer(_ id: ProducerID, of subject: HubSubject?, in topic: Topic) async throws -> ProducerState?

    /// Reads events after a position.
    ///
    /// - Parameters:
    ///   - position: The last event that the reader has; nil to begin with the oldest event held.
    ///   - selection: The events to return.
    ///   - limit: The limits of the read.
    /// - Returns: Events in order, and how far the read went. At least one event, unless none is included up to there.
    /// - Throws: If the history cannot be read now; the hub asks again.
    func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch

    /// Reads events after a position if that requires no waiting.
    ///
    /// - Parameters:
    ///   - position: As for ``read(after:selection:limit:)``.
    ///   - selection: The events to return.
    ///   - limit: The limits of the read.
    /// - Returns: The result of ``read(after:selection:limit:)``; nil if that has to wait. Default: nil.
    func readNow(after position: Position?, selection: Selection, limit: ReadLimit) -> HistoryBatch?

    /// The ID that stands for a position, for streams that report a position without an event.
    func id(at position: Position) -> EventID

    /// Removes the events, the end and the limits of a topic; its producers and the kept answers stay.
    ///
    /// To readers that still need them, they are missing like any event that is no longer held.
    ///
    /// - Parameter topic: The topic. An event that also has other topics stays in history for them.
    /// - Returns: The number of entries removed from the topic; its end is one.
    /// - Throws: If they could not be removed.
    func purge(_ topic: Topic) async throws -> Int

    /// Sets the limits of one topic, which replace those that it had of its own, and applies them.
    ///
    /// - Parameters:
    ///   - limits: The limits.
    ///   - topic: The topic; it needs no event, and may have ended.
    /// - Returns: Whether the topic had no limits of its own before.
    /// - Throws: ``HistoryError`` with the code `quota` if too many topics have limits of their own.
    func setLimits(_ limits: TopicLimits, of topic: Topic) async throws -> Bool

    /// What the history holds.
    func statistics() async throws -> HistoryStatistics

    /// Removes events that are too old; called periodically.
    func expire() async
}

extension History {
    /// Returns nil: appending has to wait.
    public func appendNow(_ request: AppendRequest) throws -> AppendResult? { nil }
    /// Returns nil: locating has to wait.
    public func locateNow(_ id: EventID) -> Located? { nil }
    /// Returns nil: reading the ends has to wait.
    public func endsNow(of selection: Selection) -> [TopicEnd]? { nil }
    /// Returns nil: reading has to wait.
    public func readNow(after position: Position?, selection: Selection, limit: ReadLimit) -> HistoryBatch? { nil }
    /// Does nothing.
    public func expire() async {}
}

/// The result of locating an ID.
public enum Located: Sendable, Hashable {
    /// The ID's position.
    case found(Position)
    /// The position of an ID whose event is no longer held.
    case trimmed(Position)
    /// The ID is not known to this history, or no longer is.
    case unknown

    /// The ID's position, whether or not its event is held; nil if the ID is unknown.
    public var position: Position? {
        switch self {
        case .found(let position), .trimmed(let position): position
        case .unknown: nil
        }
    }
}

/// The limits of one read.
public struct ReadLimit: Sendable, Hashable {
    /// The maximum number of events returned.
    public var events: Int
    /// The maximum number of bytes returned; one event is returned even if it has more.
    public var bytes: Int
    /// The maximum work: 1 for each event examined, returned or not, and more if several patterns or matchers are
    /// tested for it.
    public var work: Int

    /// Creates limits.
    ///
    /// - Parameters:
    ///   - events: The maximum number of events returned. Default: 256.
    ///   - bytes: The maximum number of bytes returned. Default: 64 KiB.
    ///   - work: The maximum work, in events and patterns examined. Default: 10,000.
    public init(events: Int = 256, bytes: Int = 64 * 1024, work: Int = 10_000) {
        self.events = events
        self.bytes = bytes
        self.work = work
    }
}

/// The result of a read.
public struct HistoryBatch: Sendable {
    /// The events, in order.
    public var entries: [HistoryEntry]
    /// The end of the read: the reader has all of its events up to here.
    public var through: Position
    /// The position up to which events for the reader may be missing because they are no longer held; nil if none is.
    ///
    /// It may lie after the first of ``entries``: topics lose their events at different times. A history that knows
    /// only the oldest event of its whole log may report missing events needlessly, never the reverse.
    public var missingThrough: Position?
    /// The work done, as ``ReadLimit/work`` counts it; 0 if it took the hub no time.
    ///
    /// After 20,000, a thread that reads for many subscribers returns to its live ones.
    public var work: Int

    /// Creates a batch.
    ///
    /// - Parameters:
    ///   - entries: The events, in order.
    ///   - through: The end of the read.
    ///   - missingThrough: The position up to which events may be missing; nil if none is.
    ///   - work: The work done. Default: 0.
    public init(entries: [HistoryEntry], through: Position, missingThrough: Position?, work: Int = 0) {
        self.entries = entries
        self.through = through
        self.missingThrough = missingThrough
        self.work = work
    }
}

/// Where a history keeps its events besides memory, for operators.
public struct HistoryStorage: Sendable, Hashable {
    /// The kind of store, such as `sqlite`.
    public var kind: String
    /// The bytes that it takes.
    public var bytes: Int
    /// The time since the oldest event held was published; nil without events.
    public var age: Duration?
    /// The time since events were last written; nil if none have been since the history was opened.
    public var sinceLastSync: Duration?

    /// Creates a description.
    ///
    /// - Parameters:
    ///   - kind: The kind of store.
    ///   - bytes: The bytes that it takes.
    ///   - age: The time since the oldest event held was published. Default: nil.
    ///   - sinceLastSync: The time since events were last written. Default: nil.
    public init(kind: String, bytes: Int, age: Duration? = nil, sinceLastSync: Duration? = nil) {
        self.kind = kind
        self.bytes = bytes
        self.age = age
        self.sinceLastSync = sinceLastSync
    }
}

/// What a history holds.
public struct HistoryStatistics: Sendable, Hashable {
    /// The number of topics with at least one event.
    public var topics: Int
    /// The number of events.
    public var events: Int
    /// The approximate number of bytes.
    public var bytes: Int
    /// The number of ended topics.
    public var endedTopics = 0
    /// The number of ended topics that were dropped at a bound since the history was opened.
    public var droppedEnds = 0
    /// The number of topics with limits of their own.
    public var limitedTopics = 0
    /// The number of producers, each with its topic.
    public var producers = 0
    /// The number of idempotency keys remembered.
    public var keys = 0
    /// The bytes of these keys with their answers.
    public var keyBytes = 0
    /// Where the events are kept besides memory; nil if they are lost with the process.
    public var storage: HistoryStorage?

    /// Creates statistics; everything else is 0.
    ///
    /// - Parameters:
    ///   - topics: The number of topics with at least one event.
    ///   - events: The number of events.
    ///   - bytes: The approximate number of bytes.
    public init(topics: Int, events: Int, bytes: Int) {
        self.topics = topics
        self.events = events
        self.bytes = bytes
    }
}
