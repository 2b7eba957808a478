// SPDX-License-Identifier: Apache-2.0

/// What a hub has published: the source of all that is delivered, live or later.
///
/// A history decides the order of events and gives them their IDs. The hub asks it for what subscribers missed, and is told
/// by it of every event that comes into it, from wherever. The contract, which `PlinthHubTesting`'s suite checks:
///
/// - An event that was appended is in history before ``append(_:)`` returns, and before anybody is told of it. If that
///   throws, nobody has been told, nor ever will be.
/// - Positions increase by one order for all topics; they need not be dense. `deliver` is called in that order, once for
///   each event, with no event left out.
/// - ``read(after:selection:limit:)`` leaves nothing out, or says so.
public protocol History: Sendable {
    /// Begins, once, before anything else is asked.
    ///
    /// - Parameter deliver: To be called for all that comes into history from now on, one call at a time, with entries in
    ///   their order. It returns quickly and calls nothing of the history.
    /// - Returns: The position of the last event in history.
    /// - Throws: If the history cannot be used.
    func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position

    /// Puts events into history, all or none.
    ///
    /// - Parameter events: One or more, in their order.
    /// - Returns: Their IDs, in that order, once they are in history.
    /// - Throws: If they are not in history and will not be.
    func append(_ events: [NewEvent]) async throws -> [EventID]

    /// Puts events into history if that takes no waiting.
    ///
    /// - Parameter events: One or more, in their order.
    /// - Returns: Their IDs; nil where appending waits for something, which is the default: then ``append(_:)`` is called.
    /// - Throws: As ``append(_:)``.
    func appendNow(_ events: [NewEvent]) throws -> [EventID]?

    /// Finds where a stream begins.
    ///
    /// - Parameter id: The last ID that a client has seen.
    /// - Returns: Its position, whether or not the event itself is still held; nil if it is not from this history.
    /// - Throws: If the history cannot say.
    func locate(_ id: EventID) async throws -> Position?

    /// Finds where a stream begins if that takes no waiting.
    ///
    /// - Parameter id: The last ID that a client has seen.
    /// - Returns: The answer of ``locate(_:)``; nil where that waits for something, which is the default.
    func locateNow(_ id: EventID) -> Located?

    /// Reads on from a position.
    ///
    /// - Parameters:
    ///   - position: The last event that the reader has; nil to begin with the oldest that is held.
    ///   - selection: Which events.
    ///   - limit: How much at most.
    /// - Returns: Events in their order, and how far was looked. At least one event, unless there is none up to there.
    /// - Throws: If the history cannot be read now.
    func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch

    /// Reads on if that takes no waiting.
    ///
    /// - Parameters:
    ///   - position: As for ``read(after:selection:limit:)``.
    ///   - selection: Which events.
    ///   - limit: How much at most.
    /// - Returns: The answer of ``read(after:selection:limit:)``; nil where that waits for something, which is the default.
    func readNow(after position: Position?, selection: Selection, limit: ReadLimit) -> HistoryBatch?

    /// The ID that stands for a position, for streams that tell how far they are without an event.
    func id(at position: Position) -> EventID

    /// Removes the events of a topic; whoever still needed one of them is told as of any that is no longer held.
    ///
    /// - Parameter topic: The topic. An event that has other topics too is removed for all of them.
    /// - Returns: How many.
    /// - Throws: If they could not be removed.
    func purge(_ topic: Topic) async throws -> Int

    /// What it holds.
    func statistics() async throws -> HistoryStatistics

    /// Removes what is too old; called now and then.
    func expire() async
}

extension History {
    /// Appends if that takes no waiting.
    public func appendNow(_ events: [NewEvent]) throws -> [EventID]? { nil }
    /// Finds where a stream begins if that takes no waiting.
    public func locateNow(_ id: EventID) -> Located? { nil }
    /// Reads on if that takes no waiting.
    public func readNow(after position: Position?, selection: Selection, limit: ReadLimit) -> HistoryBatch? { nil }
    /// Removes what is too old.
    public func expire() async {}
}

/// Where an ID is.
public enum Located: Sendable, Hashable {
    /// At this position, whether or not the event is still held.
    case found(Position)
    /// Not in this history, or not any more in any that it knows.
    case unknown
}

/// How much one read takes at most.
public struct ReadLimit: Sendable, Hashable {
    /// Events that are returned.
    public var events: Int
    /// Bytes of what is returned; one event is returned even if it has more.
    public var bytes: Int
    /// What is looked at: one for each event, also those that the reader does not get, and more for one that takes more than
    /// one pattern or matcher to decide.
    public var work: Int

    /// A limit.
    ///
    /// - Parameters:
    ///   - events: Events that are returned; 256 unless given.
    ///   - bytes: Bytes of what is returned; 64 KiB unless given.
    ///   - work: What is looked at, in events and patterns; 10,000 unless given.
    public init(events: Int = 256, bytes: Int = 64 * 1024, work: Int = 10_000) {
        self.events = events
        self.bytes = bytes
        self.work = work
    }
}

/// What a read found.
public struct HistoryBatch: Sendable {
    /// The events, in their order.
    public var entries: [HistoryEntry]
    /// How far was looked: the reader has all that it gets up to here.
    public var through: Position
    /// Up to where events may be missing that the reader should have got, because they are no longer held; nil if none is.
    ///
    /// They need not lie before the first of these: topics lose their events at different times. Where only the floor of
    /// the whole log is known this may be said without need, never the reverse.
    public var missingThrough: Position?
    /// What was looked at, as ``ReadLimit/work`` counts it; 0 where that took the hub no time.
    ///
    /// A thread that reads for many subscribers turns to those who are live after 20,000.
    public var work: Int

    /// A batch.
    ///
    /// - Parameters:
    ///   - entries: The events.
    ///   - through: How far was looked.
    ///   - missingThrough: Up to where events may be missing that are no longer held.
    ///   - work: What was looked at; 0 unless given.
    public init(entries: [HistoryEntry], through: Position, missingThrough: Position?, work: Int = 0) {
        self.entries = entries
        self.through = through
        self.missingThrough = missingThrough
        self.work = work
    }
}

/// What a history holds.
public struct HistoryStatistics: Sendable, Hashable {
    /// Topics with at least one event.
    public var topics: Int
    /// Events.
    public var events: Int
    /// Bytes, roughly.
    public var bytes: Int

    /// Statistics.
    ///
    /// - Parameters:
    ///   - topics: Topics with at least one event.
    ///   - events: Events.
    ///   - bytes: Bytes, roughly.
    public init(topics: Int, events: Int, bytes: Int) {
        self.topics = topics
        self.events = events
        self.bytes = bytes
    }
}
