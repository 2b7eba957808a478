// SPDX-License-Identifier: Apache-2.0

/// What a history knows of earlier appends: the topics that have ended, the producers, and the answers kept under keys.
///
/// ``MemoryHistory`` decides with it what to append. A history that stores its events elsewhere can keep a ledger in
/// memory, filled from its store when it is opened, in place of rules and bounds of its own.
///
/// A value without a lock: a history checks and records under the lock under which it appends.
public struct AppendLedger: Sendable {
    /// What a history does with a request.
    public enum Verdict: Sendable, Hashable {
        /// Append its events without the first `repeated`; before, remove the end of the topic `dropping`, if any, to
        /// make room for another.
        case append(repeated: Int, dropping: Topic?)
        /// Append nothing, and answer this.
        case answer(AppendResult)
    }

    var ended: EndedTopics
    var producers: KnownProducers
    var answers: KeptAnswers
    /// The ended topics that ``check(_:now:id:)`` had dropped to make room.
    private var droppedEnds = 0

    /// Creates a ledger without entries.
    ///
    /// - Parameter quotas: How much is remembered. Default: the defaults.
    public init(quotas: HistoryQuotas = HistoryQuotas()) {
        ended = EndedTopics(quotas)
        producers = KnownProducers(quotas)
        answers = KeptAnswers(quotas)
    }

    // MARK: - Appending

    /// Decides what to do with a request, in the order that ``History/append(_:)`` promises.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - now: The time, by which keys and idle producers age.
    ///   - id: The ID of a position, as ``History/id(at:)``.
    /// - Returns: The verdict.
    /// - Throws: Why the request is refused.
    public mutating func check(
        _ request: AppendRequest,
        now: ContinuousClock.Instant = .now,
        id: (Position) -> EventID
    ) throws(HistoryError) -> Verdict {
        let digest = request.key == nil ? 0 : request.digest
        return try check(request, digest: digest, now: MonotonicTime(now), id: id)
    }

    package mutating func check(
        _ request: AppendRequest,
        digest: UInt128,
        now: MonotonicTime,
        id: (Position) -> EventID
    ) throws(HistoryError) -> Verdict {
        if isPlain(request) { return .append(repeated: 0, dropping: nil) }
        answers.expire(now: now)
        let key = key(of: request)
        if let key, let kept = answers[key] {
            guard kept.digest == digest else { throw .keyReused }
            return .answer(kept.result(id: id))
        }
        let producer = producer(of: request)
        let order = producer.map { producer in
            let state = state(of: producer.key, id: id)
            return ProducerState.order(of: producer.stamp, count: request.events.count, after: state)
        }
        var repeated = 0
        switch order {
        case .fenced(let epoch)?: throw .producerFenced(epoch: epoch)
        case .repeated?:
            guard let key = producer?.key, let state = producers[key] else { break }
            producers.touch(key, now: now)
            let last = id(Position(state.last))
            return .answer(AppendResult(ids: [], repeated: request.events.count, lastID: last))
        case .next(let known)?: repeated = known
        case .hole?, nil: break
        }
        let events = request.events[repeated...]
        if let end = end(among: events) {
            guard events.count == 1, events.first?.isEnd ?? false else { throw .topicEnded(end) }
            if let key, !answers.hasRoom(for: key) { throw Self.tooManyKeys }
            let result = AppendResult(ids: [], repeated: request.events.count, lastID: end.id)
            keep(result, at: end.position, of: request, digest, now)
            // The end takes its number, so that the producer can continue if the topic is opened again.
            if case .next? = order { setProducer(of: request, last: end.position, now) }
            return .answer(result)
        }
        if case .hole(let expected, let isKnown)? = order {
            throw .sequenceHole(expected: expected, isKnown: isKnown)
        }
        return .append(repeated: repeated, dropping: try makeRoom(request, producer?.key, key, now))
    }

    /// Whether there is nothing to check or record, as of most requests.
    package func isPlain(_ request: AppendRequest) -> Bool {
        request.producer == nil && request.key == nil && ended.isEmpty && !(request.events.last?.isEnd ?? false)
    }

    /// The end of the first topic that has ended.
    private func end(among events: ArraySlice<NewEvent>) -> TopicEnd? {
        guard !ended.isEmpty else { return nil }
        for event in events {
            for topic in event.topics { if let end = ended[topic]?.topicEnd { return end } }
        }
        return nil
    }

    /// - Returns: The ended topic to be dropped for that of the request.
    private mutating func makeRoom(
        _ request: AppendRequest,
        _ producer: KnownProducers.Key?,
        _ key: KeptAnswers.Key?,
        _ now: MonotonicTime
    ) throws(HistoryError) -> Topic? {
        if let producer, producers[producer] == nil, !producers.hasRoom(for: request.subject, now: now) {
            throw HistoryError(.quota, "too many producers have been active within the last hour; try again later")
        }
        var dropped: Topic?
        if request.endedTopic != nil {
            switch ended.room(for: request.subject) {
            case .free: break
            case .none:
                throw HistoryError(.quota, "too many topics have ended, and all of them hold events; purge some")
            case .dropping(let topic): dropped = topic
            }
        }
        if let key, !answers.hasRoom(for: key) { throw Self.tooManyKeys }
        if dropped != nil { droppedEnds += 1 }
        return dropped
    }

    private static let tooManyKeys = HistoryError(
        .notTaken,
        "too many idempotency keys are remembered; try again later, or without one"
    )

    /// Records what was appended.
    ///
    /// - Parameters:
    ///   - entries: The entries appended, one or more, in order.
    ///   - request: The request, as it was made or as it was stored.
    ///   - repeated: The number of events that were known. Default: 0.
    ///   - now: The time. Default: now.
    /// - Returns: The answer to the request.
    @discardableResult
    public mutating func record(
        _ entries: [HistoryEntry],
        of request: AppendRequest,
        repeated: Int = 0,
        now: ContinuousClock.Instant = .now
    ) -> AppendResult {
        let ids = entries.map(\.id)
        let result = AppendResult(ids: ids, repeated: repeated, lastID: ids.last ?? EventID(trusted: []))
        let digest = request.key == nil ? 0 : request.digest
        record(entries, of: request, result, digest: digest, now: MonotonicTime(now))
        return result
    }

    package mutating func record(
        _ entries: [HistoryEntry],
        of request: AppendRequest,
        _ result: AppendResult,
        digest: UInt128,
        now: MonotonicTime
    ) {
        guard let last = entries.last else { return }
        if last.isEnd { ended.add(last, by: request.subject) }
        setProducer(of: request, last: last.position, now)
        keep(result, at: last.position, of: request, digest, now)
    }

    private mutating func setProducer(of request: AppendRequest, last: Position, _ now: MonotonicTime) {
        guard let producer = producer(of: request) else { return }
        guard producers[producer.key] != nil || producers.hasRoom(for: request.subject, now: now) else { return }
        let (sequence, overflow) = producer.stamp.sequence.addingReportingOverflow(
            UInt64(max(1, request.events.count) - 1)
        )
        guard !overflow else { return }
        producers.set(
            KnownProducers.State(
                epoch: producer.stamp.epoch,
                sequence: sequence,
                last: last.number,
                active: now
            ),
            for: producer.key
        )
    }

    private mutating func keep(
        _ result: AppendResult,
        at position: Position,
        of request: AppendRequest,
        _ digest: UInt128,
        _ now: MonotonicTime
    ) {
        guard let key = key(of: request) else { return }
        let chosenID = request.events.last?.requestedID
        answers.keep(
            KeptAnswers.Answer(result, chosenID: chosenID, at: position, digest: digest, time: now),
            for: key
        )
    }

    func key(of request: AppendRequest) -> KeptAnswers.Key? {
        request.key.map { KeptAnswers.Key(subject: request.subject, key: $0) }
    }

    func producer(of request: AppendRequest) -> (stamp: ProducerStamp, key: KnownProducers.Key)? {
        guard let stamp = request.producer, let topic = request.events.first?.topics.first else { return nil }
        return (stamp, KnownProducers.Key(topic: topic, subject: request.subject, id: stamp.id))
    }

    private func state(of key: KnownProducers.Key, id: (Position) -> EventID) -> ProducerState? {
        producers[key].map {
            ProducerState(epoch: $0.epoch, sequence: $0.sequence, lastID: id(Position($0.last)))
        }
    }

    // MARK: - Asking

    /// What is known of a producer in a topic, as ``History/producer(_:of:in:)`` returns it.
    ///
    /// - Parameters:
    ///   - producer: The producer.
    ///   - subject: Who publishes.
    ///   - topic: The topic.
    ///   - id: The ID of a position.
    /// - Returns: Its state; nil if there is none.
    public func producer(
        _ producer: ProducerID,
        of subject: HubSubject?,
        in topic: Topic,
        id: (Position) -> EventID
    ) -> ProducerState? {
        state(of: KnownProducers.Key(topic: topic, subject: subject, id: producer), id: id)
    }

    /// The ends of the topics that a selection names, as ``History/ends(of:)`` returns them.
    public func ends(of selection: Selection) -> [TopicEnd] {
        guard !ended.isEmpty else { return [] }
        var ends: [TopicEnd] = []
        selection.forEachName { topic in
            guard let entry = ended[topic], selection.includes(entry), let end = entry.topicEnd else { return }
            ends.append(end)
        }
        return ends
    }

    /// Whether no topic has ended.
    public var isWithoutEnds: Bool { ended.isEmpty }

    /// The entry of a topic's end; nil if it has not ended.
    public func end(of topic: Topic) -> HistoryEntry? { ended[topic] }

    /// The ends after a position, up to another, in order.
    ///
    /// - Parameters:
    ///   - position: The position.
    ///   - last: The last position. Default: no limit.
    /// - Returns: Their entries.
    public func ends(after position: Position, through last: Position = Position(.max)) -> [HistoryEntry] {
        Array(ends(after: position.number, through: last.number))
    }

    func ends(after position: UInt64, through last: UInt64) -> EndedTopics.Ends {
        ended.ends(after: position, through: last)
    }

    /// The counts of all that is remembered, in statistics without events.
    public var statistics: HistoryStatistics {
        var statistics = HistoryStatistics(topics: 0, events: 0, bytes: ended.bytes)
        statistics.endedTopics = ended.count
        statistics.droppedEnds = droppedEnds
        statistics.producers = producers.count
        statistics.keys = answers.count
        statistics.keyBytes = answers.bytes
        return statistics
    }

    // MARK: - Removing

    /// Removes a topic's end, so that it can be used again.
    ///
    /// - Parameter topic: The topic.
    /// - Returns: The end's entry; nil if the topic had not ended.
    @discardableResult
    public mutating func open(_ topic: Topic) -> HistoryEntry? { ended.remove(topic) }

    /// Records that a topic holds no events: if it has ended, it may be dropped at the bound.
    ///
    /// - Parameter topic: The topic.
    public mutating func isWithoutEvents(_ topic: Topic) {
        if !ended.isEmpty { ended.isWithoutEvents(topic) }
    }

    package mutating func expire(now: MonotonicTime) { answers.expire(now: now) }
}
