// SPDX-License-Identifier: Apache-2.0

package import Metrics
public import PlinthEvents
import Synchronization

/// Topics, their events, and those who subscribe to them.
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
/// A subscriber sees, over all its topics, a strictly increasing sequence without gap or duplicate from where it asked; where
/// history no longer holds what it needs it is told so. One that does not keep up costs a position in history and no queue.
///
/// Usable from any task.
public final class Hub: Sendable {
    private struct Streams {
        var next: UInt64 = 0
        var presence = Presence()
    }

    package let history: any History
    /// What holds for all streams.
    public let options: StreamOptions
    /// The types of the hub's own events, which ``publish(_:)`` refuses: ``StreamOptions/gapType`` and, if there is one,
    /// ``StreamOptions/heartbeatEvent``.
    ///
    /// What a client reads in an event of such a type is the hub's word and no publisher's.
    public let reservedTypes: [String]
    private let observer: (any HubObserver)?
    private let fanOut: FanOut
    private let local: LocalGroup
    private let streams = Mutex(Streams())
    private let activity: TopicActivityGroup
    private let metrics: HubMetrics?
    private let start: MonotonicTime

    /// A hub.
    ///
    /// - Parameters:
    ///   - history: Where events are kept; in memory unless given. It belongs to one hub.
    ///   - options: Heartbeat, timeouts and what is done about gaps, for all streams.
    ///   - observer: Is told of streams as they begin and end.
    /// - Throws: ``HubError`` with the code `badOptions` if an option cannot be used; what the history throws if it cannot
    ///   be opened.
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
        // Made before the history opens: it may deliver at once.
        let activity = TopicActivityGroup()
        self.activity = activity
        _ = fanOut.add { _ in activity }
        local = fanOut.add { LocalGroup(head: $0) }
        start = .now()
        fanOut.start(at: try await history.open { fanOut.deliver($0) })
    }

    // MARK: - Publishing

    /// Publishes an event.
    ///
    /// - Parameters:
    ///   - event: Its type, data and reconnection time, which is clamped (``StreamOptions/maximumRetry``); its ID is not
    ///     used.
    ///   - topic: Its topic.
    ///   - isRestricted: Whether only those may see it to whom the topic is allowed.
    /// - Returns: The event's ID, once the event is in history. Subscribers get it soon after.
    /// - Throws: ``HubError`` with the code `typeReserved` for an event of one of the ``reservedTypes``; what the history
    ///   throws. The event is then in no history and reaches no subscriber.
    @discardableResult
    public func publish(_ event: ServerSentEvent, to topic: Topic, isRestricted: Bool = false) async throws -> EventID {
        let ids = try await publish([NewEvent(event, topics: [topic], isRestricted: isRestricted)])
        guard let id = ids.first else { throw HistoryContractError() }
        return id
    }

    /// Publishes events, all or none.
    ///
    /// - Parameter events: The events, in their order.
    /// - Returns: Their IDs, once they are in history.
    /// - Throws: ``HubError`` with the code `typeReserved` and the event's index if one is of one of the
    ///   ``reservedTypes``; what the history throws. None of the events is then in history or reaches a subscriber.
    @discardableResult
    public func publish(_ events: [NewEvent]) async throws -> [EventID] {
        guard !events.isEmpty else { return [] }
        for (index, event) in events.enumerated() {
            if let type = event.type, isReserved(type) { throw HubError.typeReserved(type, index: index) }
        }
        guard let metrics else { return try await append(events) }
        let start = MonotonicTime.now()
        do {
            let ids = try await append(events)
            metrics.published(events.count, in: MonotonicTime.now().nanoseconds - start.nanoseconds)
            return ids
        } catch {
            metrics.publishFailed()
            throw error
        }
    }

    /// Whether a type is one of the ``reservedTypes``, compared by bytes as clients do.
    package func isReserved(_ type: String) -> Bool {
        reservedTypes.contains { $0.utf8.elementsEqual(type.utf8) }
    }

    private func append(_ events: [NewEvent]) async throws -> [EventID] {
        let retry = options.publishedRetry
        var events = events
        for (index, event) in events.enumerated() where event.retry.map({ !retry.contains($0) }) ?? false {
            events[index] = event.clampingRetry(to: retry)
        }
        if let ids = try history.appendNow(events) { return ids }
        return try await history.append(events)
    }

    // MARK: - Subscribing

    /// Subscribes within this process, for as long as a closure runs.
    ///
    /// - Parameters:
    ///   - selectors: What to get; at least one of them has to mean a topic of an event.
    ///   - start: Where to begin; with what is published from now on unless given.
    ///   - body: Gets the updates, in order; it is read no faster than it asks.
    /// - Returns: What the closure returns.
    /// - Throws: What the closure throws; what the history throws if it cannot find the start.
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
    ///   - selection: What to get.
    ///   - start: Where to begin; with what is published from now on unless given.
    ///   - body: Gets the updates, in order; it is read no faster than it asks.
    /// - Returns: What the closure returns.
    /// - Throws: What the closure throws; what the history throws if it cannot find the start.
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

    /// Finds where a stream begins.
    ///
    /// - Parameter start: Where it is to begin.
    /// - Returns: That place in history.
    /// - Throws: What the history throws.
    package func locate(_ start: StreamStart) async throws -> LocatedStart {
        switch start {
        case .live: return LocatedStart(position: fanOut.head)
        case .earliest: return LocatedStart(position: nil)
        case .after(let id):
            switch history.locateNow(id) {
            case .found(let position)?: return LocatedStart(position: position)
            case .unknown?: return LocatedStart(position: nil, unknown: id)
            case nil:
                guard let position = try await history.locate(id) else {
                    return LocatedStart(position: nil, unknown: id)
                }
                return LocatedStart(position: position)
            }
        }
    }

    // MARK: - Counts

    /// How many subscribe to a topic, those of patterns included.
    public func subscriberCount(of topic: Topic) -> Int { streams.withLock { $0.presence.count(of: topic) } }

    /// How many streams are open.
    public var subscriberCount: Int { streams.withLock { $0.presence.count } }

    /// What the hub holds and does now.
    ///
    /// Runs on the system's pool of threads, not on its caller's: naming topics takes a step for each stream of patterns that
    /// gets one of them.
    ///
    /// - Parameter top: How many topics to name, those with the latest events first, of at least 1,000 that are known.
    /// - Returns: The status.
    /// - Throws: What the history throws.
    @concurrent
    public func status(top: Int = 0) async throws -> HubStatus {
        let held = try await history.statistics()
        // Sorted outside the lock, since publishers wait for it.
        let recent = top > 0 ? activity.topics.recent(top) : []
        // The lock is taken for each topic anew, so that streams come and go meanwhile.
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

    /// Removes a topic's events from history; live subscribers stay.
    ///
    /// - Parameter topic: The topic.
    /// - Returns: How many events were removed.
    /// - Throws: What the history throws.
    @discardableResult
    public func purge(_ topic: Topic) async throws -> Int {
        try await history.purge(topic)
    }

    // MARK: - For those who serve streams

    /// Adds a group of subscribers.
    ///
    /// - Parameter make: Makes the group, which gets all that comes after the position that it is given.
    /// - Returns: The group.
    package func add<Group: DeliveryGroup>(group make: (Position) throws -> Group) rethrows -> Group {
        try fanOut.add(make)
    }

    package func remove(group: any DeliveryGroup) {
        fanOut.remove(group)
    }

    /// A stream begins.
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

    /// A stream that began has ended.
    package func ended(_ stream: HubStream, _ end: StreamEnd) {
        streams.withLock { $0.presence.remove(stream.selection, id: stream.id) }
        metrics?.ended(stream.transport, end)
        observer?.streamEnded(stream, end)
    }

    /// Counts what a group has done.
    package func add(_ tally: DeliveryTally, _ transport: HubStream.Transport) {
        metrics?.add(tally, transport)
    }
}

/// A history that did not do what it has to.
struct HistoryContractError: Error, CustomStringConvertible {
    var description: String { "the history took an event and returned no ID for it" }
}

/// Watches what is published, for operators.
private final class TopicActivityGroup: DeliveryGroup {
    private let activity = Mutex(TopicActivity())

    func enqueue(_ entries: [HistoryEntry]) {
        activity.withLock { $0.record(entries) }
    }

    var topics: TopicActivity { activity.withLock { $0 } }
}
