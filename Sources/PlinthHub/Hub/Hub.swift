// SPDX-License-Identifier: Apache-2.0

package import Metrics
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
    /// The types of the hub's own events, which publishing refuses: ``StreamOptions/gapType``, `end` and, if set,
    /// ``StreamOptions/heartbeatEvent``.
    ///
    /// A client can rely on an event of such a type to come from the hub and not from a publisher.
    public let reservedTypes: [String]
    private let observer: (any HubObserver)?
    private let fanOut: FanOut
    private let local: LocalGroup
    private let streams = Mutex(Streams())
    private let activity: TopicActivityGroup
    let metrics: HubMetrics?
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
        let head = try await history.open { fanOut.deliver($0) }
        fanOut.start(at: head)
        local.begin(at: head)
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
        let located = await locate(start, selection)
        return try await subscribe(selection, start, located, nil, nil) { local in
            try await body(
                HubUpdates(history: history, selection: selection, start: located, local: local, options: options)
            )
        }
    }

    /// Subscribes within this process, for as long as a closure runs.
    func subscribe<Result>(
        _ selection: Selection,
        _ start: StreamStart,
        _ located: LocatedStart,
        _ subject: HubSubject?,
        _ attachment: (any Sendable)?,
        _ body: (LocalGroup.Subscription) async throws -> Result
    ) async throws -> Result {
        let stream = began(selection, start, .process, subject: subject, attachment: attachment)
        let subscription = local.add(selection)
        defer {
            local.remove(subscription)
            ended(stream, .clientClosed)
        }
        return try await body(subscription)
    }

    // MARK: - Marks

    /// The ID of the last event delivered, also of an empty hub: subscribing after it misses nothing from here on.
    ///
    /// An application reads the mark, then its state, and hands both to a page, which subscribes after the mark.
    /// Whatever was acknowledged before lies at or before the mark.
    public func mark() -> EventID { history.id(at: fanOut.head) }

    /// Whether all of these topics have ended.
    ///
    /// - Parameter selection: The topics.
    /// - Returns: Whether all are exact and have ended; false with a pattern.
    /// - Throws: The history's error.
    public func haveEnded(_ selection: Selection) async throws -> Bool {
        guard selection.isExact, selection.names > 0 else { return false }
        let now = history.endsNow(of: selection)
        let ends = if let now { now } else { try await history.ends(of: selection) }
        return ends.count >= selection.names
    }

    /// Locates the start of a stream in history.
    ///
    /// - Parameters:
    ///   - start: The requested start.
    ///   - selection: The events that it receives.
    /// - Returns: Its position in history; what history has yet to answer, if it cannot now.
    package func locate(_ start: StreamStart, _ selection: Selection) async -> LocatedStart {
        guard let query = query(start) else { return LocatedStart(position: nil) }
        if let located = history.locateNow(query, selection) { return located }
        return (try? await history.locate(query, selection)) ?? query.unanswered
    }

    /// As ``locate(_:_:)``, but waits for history no longer than a time, even for one that does not return.
    package func locate(_ start: StreamStart, _ selection: Selection, within patience: Duration) async -> LocatedStart {
        guard let query = query(start) else { return LocatedStart(position: nil) }
        let first = FirstResult<LocatedStart>()
        let pause = options.pause
        let history = self.history
        let asking = Task { first.set((try? await history.locate(query, selection)) ?? query.unanswered) }
        let waiting = Task {
            try? await pause(patience)
            first.set(query.unanswered)
        }
        defer {
            asking.cancel()
            waiting.cancel()
        }
        return await first.value()
    }

    /// Locates the start of a stream without waiting; nil if the history has to wait.
    package func locateNow(_ start: StreamStart, _ selection: Selection) -> LocatedStart? {
        guard let query = query(start) else { return LocatedStart(position: nil) }
        return history.locateNow(query, selection)
    }

    /// What history is asked about a start; nil if nothing.
    func query(_ start: StreamStart) -> StartQuery? {
        switch start {
        case .live: StartQuery(live: fanOut.head)
        case .earliest: nil
        case .after(let id): StartQuery(after: id)
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
            mark: mark(),
            endedTopics: held.endedTopics,
            producers: held.producers,
            keys: held.keys,
            uptime: .nanoseconds(MonotonicTime.now().nanoseconds - start.nanoseconds),
            storage: held.storage,
            top: topics
        )
    }

    // MARK: - Operating

    /// Removes a topic's events, its end and its limits; live subscribers stay subscribed.
    ///
    /// The topic can be published to again. Its producers and the kept answers to keys stay.
    ///
    /// - Parameter topic: The topic.
    /// - Returns: The number of entries removed; an end is one.
    /// - Throws: The history's error.
    @discardableResult
    public func purge(_ topic: Topic) async throws -> Int {
        try await history.purge(topic)
    }

    /// Sets the limits of one topic, in place of those that it had of its own.
    ///
    /// - Parameters:
    ///   - limits: The limits, applied at once.
    ///   - topic: The topic; it needs no event, and may have ended.
    /// - Returns: Whether it had no limits of its own before.
    /// - Throws: The history's error.
    @discardableResult
    public func setLimits(_ limits: TopicLimits, of topic: Topic) async throws -> Bool {
        try await history.setLimits(limits, of: topic)
    }

    /// Removes what is too old, and reports what is held to the metrics; called every second.
    package func keepHouse() async {
        await history.expire()
        guard let metrics, let held = try? await history.statistics() else { return }
        metrics.holds(held)
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
        subject: HubSubject? = nil,
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
            subject: subject,
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

/// Records the activity of topics, for operators.
private final class TopicActivityGroup: DeliveryGroup {
    private let activity = Mutex(TopicActivity())

    func enqueue(_ entries: [HistoryEntry]) {
        activity.withLock { $0.record(entries) }
    }

    var topics: TopicActivity { activity.withLock { $0 } }
}
