// SPDX-License-Identifier: Apache-2.0

/// The store of what a hub has published, and the source of all that it delivers, live or later.
///
/// A history orders events and assigns their IDs. The hub reads from it what subscribers missed, and receives from it
/// every event that enters it, wherever the event was published. `HistoryContract` in `PlinthHubTesting` checks this
/// contract:
///
/// - An appended event is in history before ``append(_:)`` returns, and before it is delivered. If ``append(_:)``
///   throws, the event is never delivered.
/// - Positions increase in one order across all topics; they need not be consecutive. `deliver` is called in that
///   order, once for each event, and leaves none out.
/// - ``read(after:selection:limit:)`` leaves nothing out without reporting it.
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
    /// - Parameter events: One or more events, in order.
    /// - Returns: Their IDs in the same order, once the events are in history.
    /// - Throws: If the events are not in history and never will be.
    func append(_ events: [NewEvent]) async throws -> [EventID]

    /// Appends events if that requires no waiting.
    ///
    /// - Parameter events: One or more events, in order.
    /// - Returns: Their IDs; nil if appending has to wait: the hub then calls ``append(_:)``. Default: nil.
    /// - Throws: As ``append(_:)``.
    func appendNow(_ events: [NewEvent]) throws -> [EventID]?

    /// Finds the position of an ID.
    ///
    /// - Parameter id: The last ID that a client has seen.
    /// - Returns: Its position, whether or not the event is still held; nil if the ID is not from this history.
    /// - Throws: If the position cannot be determined.
    func locate(_ id: EventID) async throws -> Position?

    /// Finds the position of an ID if that requires no waiting.
    ///
    /// - Parameter id: The last ID that a client has seen.
    /// - Returns: The result of ``locate(_:)``; nil if that has to wait. Default: nil.
    func locateNow(_ id: EventID) -> Located?

    /// Reads events after a position.
    ///
    /// - Parameters:
    ///   - position: The last event that the reader has; nil to begin with the oldest event held.
    ///   - selection: The events to return.
    ///   - limit: The limits of the read.
    /// - Returns: Events in order, and how far the read went. At least one event, unless none is included up to there.
    /// - Throws: If the history cannot be read now.
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

    /// Removes the events of a topic.
    ///
    /// To readers that still need them, they are missing like any event that is no longer held.
    ///
    /// - Parameter topic: The topic. An event that also has other topics is removed from all of them.
    /// - Returns: The number of events removed.
    /// - Throws: If the events could not be removed.
    func purge(_ topic: Topic) async throws -> Int

    /// What the history holds.
    func statistics() async throws -> HistoryStatistics

    /// Removes events that are too old; called periodically.
    func expire() async
}

extension History {
    /// Returns nil: appending has to wait.
    public func appendNow(_ events: [NewEvent]) throws -> [EventID]? { nil }
    /// Returns nil: locating has to wait.
    public func locateNow(_ id: EventID) -> Located? { nil }
    /// Returns nil: reading has to wait.
    public func readNow(after position: Position?, selection: Selection, limit: ReadLimit) -> HistoryBatch? { nil }
    /// Does nothing.
    public func expire() async {}
}

/// The result of locating an ID.
public enum Located: Sendable, Hashable {
    /// The ID's position, whether or not the event is still held.
    case found(Position)
    /// The ID is not known to this history, or no longer is.
    case unknown
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

/// What a history holds.
public struct HistoryStatistics: Sendable, Hashable {
    /// The number of topics with at least one event.
    public var topics: Int
    /// The number of events.
    public var events: Int
    /// The approximate number of bytes.
    public var bytes: Int

    /// Creates statistics.
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
