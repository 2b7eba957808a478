// SPDX-License-Identifier: Apache-2.0

package import Metrics
public import PlinthEvents
import Synchronization

/// Keeps the events published to topics and delivers them to subscribers.
///
/// ```swift
/// let hub = try await Hub()
/// let orders = try Topic("orders/7")
/// try await hub.publish(ServerSentEvent(data: "shipped"), to: orders)
///
/// try await hub.subscribe(to: .exact(orders), from: .earliest) { updates in
///     for try await update in updates { … }
/// }
/// ```
///
/// From its start on, a subscriber receives a strictly increasing sequence without gaps or duplicates, across all its
/// topics. If history no longer holds events that it needs, it is notified of a gap. A slow subscriber costs a position
/// in history and no queue.
///
/// Can be used from any task.
public final class Hub: Sendable {
    private struct Streams {
        var next: UInt64 = 0
        var presence = Presence()
    }

    package let history: any History
    /// The options of all streams.
    public let options: StreamOptions
    /// The types of the hub's own events, which ``publish(_:)`` refuses: ``StreamOptions/gapType`` and, if set,
    /// ``StreamOptions/heartbeatEvent``.
    ///
    /// A client can rely on an event of such a type to come from the hub and not from a publisher.
    public let reservedTypes: [String]
    private let observer: (any HubObserver)?
    private let fanOut: FanOut
    private let local: LocalGroup
    private let streams = Mutex(Streams())
    private let activity: TopicActivityGroup
    private let metrics: HubMetrics?
    private let start: MonotonicTime

    /// Creates a hub and opens its history.
    ///
    /// - Parameters:
    ///   - history: The history, which belongs to this hub alone. Default: a ``MemoryHistory``.
    ///   - options: Heartbeat, timeouts and gap policy of all streams.
    ///   - observer: Notified when streams begin and end. Default: nil.
    /// - Throws: ``HubError`` with the code `badOptions` if an option is invalid; the history's error if it cannot be
    ///   opened.
    public convenience init(
        history: any History = MemoryHistory(),
        options: StreamOptions = StreamOptions(),
        observer: (any HubObserver)? = nil
    ) async throws {
        try await self.init(history: history, options: options, observer: observer, factory: MetricsSystem.factory)
    }

    package init(
        history: any History,
        options: StreamOptions,
        observer: (any HubObserver)?,
        factory: any MetricsFactory
    ) async throws {
        reservedTypes = try options.reservedTypes()
        self.history = history
        self.options = options
        self.observer = observer
        metrics = HubMetrics(factory: factory)
        let fanOut = FanOut()
        self.fanOut = fanOut
        // Added before the history opens, since it may deliver at once.
        let activity = TopicActivityGroup()
        self.activity = activity
        _ = fanOut.add { _ in activity }
        local = fanOut.add { LocalGroup(head: $0) }
        // By the process's clock: operators read the uptime, and nothing is decided by it.
        start = .now()
        fanOut.start(at: try await history.open { fanOut.deliver($0) })
    }

    // MARK: - Publishing

    /// Publishes an event.
    ///
    /// - Parameters:
    ///   - event: Its type, data and reconnection time, which is clamped (``StreamOptions/maximumRetry``). Its ID is
    ///     ignored.
    ///   - topic: Its topic.
    ///   - isRestricted: Whether to deliver it only to subscribers authorized for the topic. Default: false.
    /// - Returns: The event's ID, once the event is in history; delivery is not awaited.
    /// - Throws: ``HubError`` with the code `typeReserved` for an event of one of the ``reservedTypes``; the history's
    ///   error. The event is then neither in history nor delivered.
    @discardableResult
    public func publish(_ event: ServerSentEvent, to topic: Topic, isRestricted: Bool = false) async throws -> EventID {
        let ids = try await publish([NewEvent(event, topics: [topic], isRestricted: isRestricted)])
        guard let id = ids.first else { throw HistoryContractError() }
        return id
    }

    /// Publishes events, all or none.
    ///
    /// - Parameter events: The events, in order.
    /// - Returns: Their IDs, once they are in history.
    /// - Throws: ``HubError`` with the code `typeReserved` and the event's index if an event has one of the
    ///   ``reservedTypes``; the history's error. None of the events is then in history or delivered.
    @discardableResult
    public func publish(_ events: [NewEvent]) async throws -> [EventID] {
        if let ids = try publishNow(events) { return ids }
        let events = try accepted(events)
        let start = metrics.map { _ in MonotonicTime.now() }
        do {
            let ids = try await history.append(events)
            published(events, since: start)
            return ids
        } catch {
            metrics?.publishFailed()
            throw error
        }
    }

    /// Publishes events, all or none, if the history can take them without waiting, as one in memory does.
    ///
    /// - Parameter events: The events, in order.
    /// - Returns: Their IDs, once they are in history; nil if the history has to wait. Then nothing is published, and
    ///   ``publish(_:)-([NewEvent])`` waits.
    /// - Throws: As ``publish(_:)-([NewEvent])``.
    public func publishNow(_ events: [NewEvent]) throws -> [EventID]? {
        let events = try accepted(events)
        guard !events.isEmpty else { return [] }
        let start = metrics.map { _ in MonotonicTime.now() }
        do {
            guard let ids = try history.appendNow(events) else { return nil }
            published(events, since: start)
            return ids
        } catch {
            metrics?.publishFailed()
            throw error
        }
    }

    /// By the process's clock: what metrics report is how long it really took, and nothing is decided by it.
    private func published(_ events: [NewEvent], since start: MonotonicTime?) {
        guard let start else { return }
        metrics?.published(events.count, in: MonotonicTime.now().nanoseconds - start.nanoseconds)
    }

    /// The events with their reconnection times clamped.
    private func accepted(_ events: [NewEvent]) throws -> [NewEvent] {
        let retry = options.publishedRetry
        var events = events
        for (index, event) in events.enumerated() {
            if let type = event.type, isReserved(type) { throw HubError.typeReserved(type, index: index) }
            if let wanted = event.retry, !retry.contains(wanted) { events[index] = event.clampingRetry(to: retry) }
        }
        return events
    }

    /// Whether a type is one of the ``reservedTypes``, compared by bytes as clients do.
    package func isReserved(_ type: String) -> Bool {
        reservedTypes.contains { $0.utf8.elementsEqual(type.utf8) }
    }

    // MARK: - Subscribing

    /// Subscribes within this process, for as long as a closure runs.
    ///
    /// - Parameters:
    ///   - selectors: Topics to receive; an event is delivered if any selector matches any of its topics.
    ///   - start: Where to begin. Default: with what is published from now on.
    ///   - body: Receives the updates in order; history is read no faster than it iterates.
    /// - Returns: The closure's result.
    /// - Throws: The closure's error; the history's error if the start cannot be located.
    public func subscribe<Result>(
        to selectors: TopicSelector...,
        from start: StreamStart = .live,
        _ body: (HubUpdates) async throws -> Result
    ) async throws -> Result {
        try await subscribe(Selection(selectors), from: start, body)
    }

    /// Subscribes within this process, for as long as a closure runs.
    ///
    /// - Parameters:
    ///   - selection: Topics to receive, and those that the subscriber is authorized for.
    ///   - start: Where to begin. Default: with what is published from now on.
    ///   - body: Receives the updates in order; history is read no faster than it iterates.
    /// - Returns: The closure's result.
    /// - Throws: The closure's error; the history's error if the start cannot be located.
    public func subscribe<Result>(
        _ selection: Selection,
        from start: StreamStart = .live,
        _ body: (HubUpdates) async throws -> Result
    ) async throws -> Result {
        let located = try await locate(start)
        let stream = began(selection, start, .process, attachment: nil)
        let subscription = local.add(selection)
        defer {
            local.remove(subscription)
            ended(stream, .clientClosed)
        }
        return try await body(
            HubUpdates(
                history: history,
                selection: selection,
                start: located,
                local: subscription,
                gapPolicy: options.gapPolicy
            )
        )
    }

    /// Locates the start of a stream in history.
    ///
    /// - Parameter start: The requested start.
    /// - Returns: Its position in history.
    /// - Throws: The history's error.
    package func locate(_ start: StreamStart) async throws -> LocatedStart {
        if let located = locateNow(start) { return located }
        // Only an ID has to wait; the others have been located.
        guard case .after(let id) = start else { return LocatedStart(position: nil) }
        let position = try await history.locate(id)
        return LocatedStart(position: position, unknown: position == nil ? id : nil)
    }

    /// Locates the start of a stream without waiting; nil if the history has to wait.
    package func locateNow(_ start: StreamStart) -> LocatedStart? {
        switch start {
        case .live: LocatedStart(position: fanOut.head)
        case .earliest: LocatedStart(position: nil)
        case .after(let id):
            switch history.locateNow(id) {
            case .found(let position)?: LocatedStart(position: position)
            case .unknown?: LocatedStart(position: nil, unknown: id)
            case nil: nil
            }
        }
    }

    // MARK: - Counts

    /// The number of subscribers of a topic, including those of matching patterns.
    public func subscriberCount(of topic: Topic) -> Int { streams.withLock { $0.presence.count(of: topic) } }

    /// The number of open streams.
    public var subscriberCount: Int { streams.withLock { $0.presence.count } }

    /// A snapshot of the hub.
    ///
    /// Runs on the global executor and not on its caller's: counting a topic's subscribers takes a step for each stream
    /// with a pattern that matches it.
    ///
    /// - Parameter top: The number of topics to list, latest events first; at least the latest 1,000 are known.
    ///   Default: 0.
    /// - Returns: The status.
    /// - Throws: The history's error.
    @concurrent
    public func status(top: Int = 0) async throws -> HubStatus {
        let held = try await history.statistics()
        // Sorted outside the lock, since publishers wait for it.
        let recent = top > 0 ? activity.topics.recent(top) : []
        // The lock is taken for each topic anew, so that streams can begin and end meanwhile.
        let topics = recent.map { recent in
            HubStatus.TopicStatus(
                topic: recent.topic,
                subscribers: subscriberCount(of: recent.topic),
                published: recent.published
            )
        }
        return HubStatus(
            topics: held.topics,
            subscribers: subscriberCount,
            events: held.events,
            bytes: held.bytes,
            published: fanOut.published,
            uptime: .nanoseconds(MonotonicTime.now().nanoseconds - start.nanoseconds),
            top: topics
        )
    }

    // MARK: - Operating

    /// Removes a topic's events from history; live subscribers stay subscribed.
    ///
    /// - Parameter topic: The topic.
    /// - Returns: The number of events removed.
    /// - Throws: The history's error.
    @discardableResult
    public func purge(_ topic: Topic) async throws -> Int {
        try await history.purge(topic)
    }

    // MARK: - For servers of streams

    /// Adds a group of subscribers.
    ///
    /// - Parameter make: Creates the group, which receives all events after the position passed to it.
    /// - Returns: The group.
    package func add<Group: DeliveryGroup>(group make: (Position) throws -> Group) rethrows -> Group {
        try fanOut.add(make)
    }

    package func remove(group: any DeliveryGroup) {
        fanOut.remove(group)
    }

    /// Records that a stream begins.
    package func began(
        _ selection: Selection,
        _ start: StreamStart,
        _ transport: HubStream.Transport,
        attachment: (any Sendable)?
    ) -> HubStream {
        let id = streams.withLock { streams in
            streams.next += 1
            streams.presence.add(selection, id: streams.next)
            return streams.next
        }
        let stream = HubStream(
            id: id,
            selection: selection,
            start: start,
            transport: transport,
            attachment: attachment
        )
        metrics?.began(transport)
        observer?.streamBegan(stream)
        return stream
    }

    /// Records that a stream has ended.
    package func ended(_ stream: HubStream, _ end: StreamEnd) {
        streams.withLock { $0.presence.remove(stream.selection, id: stream.id) }
        metrics?.ended(stream.transport, end)
        observer?.streamEnded(stream, end)
    }

    /// Adds a group's counts to the metrics.
    package func add(_ tally: DeliveryTally, _ transport: HubStream.Transport) {
        metrics?.add(tally, transport)
    }
}

/// A history broke its contract.
struct HistoryContractError: Error, CustomStringConvertible {
    var description: String { "the history appended an event and returned no ID for it" }
}

/// Records the activity of topics, for operators.
private final class TopicActivityGroup: DeliveryGroup {
    private let activity = Mutex(TopicActivity())

    func enqueue(_ entries: [HistoryEntry]) {
        activity.withLock { $0.record(entries) }
    }

    var topics: TopicActivity { activity.withLock { $0 } }
}
