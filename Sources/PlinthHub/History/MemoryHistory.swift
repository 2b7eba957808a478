// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A history in memory, which is lost when the process exits.
///
/// Its IDs contain an epoch, a random value chosen on creation, so that an ID from before a restart is recognised as
/// unknown and never mistaken for a current one.
public final class MemoryHistory: History {
    let state: Mutex<MemoryHistoryState>
    let now: @Sendable () -> MonotonicTime

    /// Creates a history without events.
    ///
    /// - Parameters:
    ///   - topic: The limits of each topic. Default: 10,000 events, 16 MiB.
    ///   - total: The limits of all topics together. Default: 1,000,000 events, 256 MiB.
    ///   - quotas: How much is remembered besides events: ended topics, producers, keys. Default: the defaults.
    ///   - acceptsIDs: Whether publishers may choose IDs. An ID that is used again is located at its first use.
    ///     Default: false.
    public convenience init(
        topic: HistoryLimits = .defaultOfTopic,
        total: HistoryLimits = .defaultInTotal,
        quotas: HistoryQuotas = HistoryQuotas(),
        acceptsIDs: Bool = false
    ) {
        self.init(
            topic: topic,
            total: total,
            quotas: quotas,
            acceptsIDs: acceptsIDs,
            token: HistoryEpochs.randomToken(),
            now: { MonotonicTime.now() }
        )
    }

    package init(
        topic: HistoryLimits = .defaultOfTopic,
        total: HistoryLimits = .defaultInTotal,
        quotas: HistoryQuotas = HistoryQuotas(),
        acceptsIDs: Bool = false,
        token: [UInt8],
        now: @escaping @Sendable () -> MonotonicTime
    ) {
        state = Mutex(
            MemoryHistoryState(topic: topic, total: total, quotas: quotas, acceptsIDs: acceptsIDs, token: token)
        )
        self.now = now
    }

    /// Starts the delivery of appended events.
    public func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        state.withLock { state in
            state.deliver = deliver
            return state.head
        }
    }

    /// Appends events, all or none; throws ``HistoryError`` if the request is refused.
    public func append(_ request: AppendRequest) async throws -> AppendResult {
        try take(request)
    }

    /// Appends events without waiting; throws ``HistoryError`` if the request is refused.
    public func appendNow(_ request: AppendRequest) throws -> AppendResult? {
        try take(request)
    }

    private func take(_ request: AppendRequest) throws -> AppendResult {
        let now = self.now()
        // Outside the lock: it reads every byte.
        let digest = request.key == nil ? 0 : request.digest
        // Delivered under the lock, to keep the order.
        return try state.withLock { state in
            let (entries, result) = try state.append(request, digest: digest, now: now)
            if !entries.isEmpty { state.deliver?(entries) }
            return result
        }
    }

    /// Finds the position of an ID.
    public func locate(_ id: EventID) async throws -> Located {
        state.withLock { $0.locate(id) }
    }

    /// Finds the position of an ID without waiting.
    public func locateNow(_ id: EventID) -> Located? {
        state.withLock { $0.locate(id) }
    }

    /// The ends of the topics that a selection names.
    public func ends(of selection: Selection) async throws -> [TopicEnd] { namedEnds(selection) }

    /// The ends of the topics that a selection names, without waiting.
    public func endsNow(of selection: Selection) -> [TopicEnd]? { namedEnds(selection) }

    private func namedEnds(_ selection: Selection) -> [TopicEnd] {
        // The common case: one name, or no topic that has ended.
        if selection.names == 1 || state.withLock({ $0.ledger.isWithoutEnds }) {
            return state.withLock { $0.ledger.ends(of: selection) }
        }
        var names: [Topic] = []
        selection.forEachName { names.append($0) }
        var ends: [TopicEnd] = []
        var next = 0
        // In parts: publishers wait for the lock.
        while next < names.count {
            let part = names[next..<min(names.count, next + 64)]
            let entries = state.withLock { state in part.compactMap { state.ledger.end(of: $0) } }
            ends += entries.lazy.filter { selection.includes($0) }.compactMap(\.topicEnd)
            next += part.count
        }
        return ends
    }

    /// What is known of a producer in a topic.
    public func producer(_ id: ProducerID, of subject: HubSubject?, in topic: Topic) async throws -> ProducerState? {
        state.withLock { $0.producer(id, of: subject, in: topic) }
    }

    /// Sets the limits of one topic; throws ``HistoryError`` with the code `quota` at the bound.
    public func setLimits(_ limits: TopicLimits, of topic: Topic) async throws -> Bool {
        let now = self.now()
        return try state.withLock { try $0.setLimits(limits, of: topic, now: now) }
    }

    /// Begins an epoch, as a history does that is opened again; for tests.
    package func beginEpoch(_ token: [UInt8], hole: UInt64 = 0) {
        state.withLock { $0.beginEpoch(token, hole: hole) }
    }

    /// Reads events after a position.
    public func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        select(after: position, selection, limit)
    }

    /// Reads events after a position without waiting.
    public func readNow(after position: Position?, selection: Selection, limit: ReadLimit) -> HistoryBatch? {
        select(after: position, selection, limit)
    }

    private func select(after position: Position?, _ selection: Selection, _ limit: ReadLimit) -> HistoryBatch {
        let now = self.now()
        var reading = HistoryReading(selection, limit, after: position)
        if let only = selection.only {
            state.withLock { $0.read(after: position, only: only, &reading, now: now) }
            return reading.batch
        }
        // Patterns are tested outside the lock, which publishers wait for; it is held only to copy a part of the log.
        var next = position
        while true {
            let part = state.withLock { $0.part(after: next, selection, known: reading.removals, now: now) }
            guard reading.take(part), part.hasMore else { return reading.batch }
            next = Position(part.through)
        }
    }

    /// The ID that stands for a position.
    public func id(at position: Position) -> EventID {
        state.withLock { $0.id(at: position) }
    }

    /// Removes the events, the end and the limits of a topic.
    public func purge(_ topic: Topic) async throws -> Int {
        state.withLock { $0.purge(topic) }
    }

    /// What the history holds.
    public func statistics() async throws -> HistoryStatistics {
        state.withLock { $0.statistics }
    }

    /// Removes events that are too old.
    public func expire() async {
        let now = self.now()
        state.withLock { $0.expire(now: now) }
    }
}
