// SPDX-License-Identifier: Apache-2.0

import Foundation
import Plinth
import PlinthHub
import Synchronization

/// The history of the article "WritingAHistory": a journal in a file, read when the history is opened.
///
/// It does not sync: it survives a restart of the process, not a power cut.
final class JournalHistory: History {
    /// A line of the journal.
    private enum Line: Codable {
        /// One append: it is written whole or not at all.
        case append(Append)
        case purge(topic: String)
        /// The end of a topic was dropped.
        case open(topic: String)
        case limits(topic: String, events: Int?, bytes: Int?, milliseconds: Int64?)
    }

    fileprivate struct Append: Codable {
        var events: [Event]
        var published: Date
        var producer: Producer?
        var key: [UInt8]?
        var subject: [String?]?
        /// The events at the beginning of the request that were known.
        var repeated: Int
    }

    fileprivate struct Event: Codable {
        var topics: [String]
        var isRestricted = false
        var isEnd = false
        var type: String?
        var data = ""
        var retryMilliseconds: Int64?
    }

    fileprivate struct Producer: Codable {
        var id: [UInt8]
        var epoch: UInt64
        var sequence: UInt64
    }

    private struct State {
        var entries: [HistoryEntry] = []
        var head: UInt64 = 0
        /// The last position removed.
        var removed: UInt64 = 0
        var limits: [Topic: TopicLimits] = [:]
        var ledger = AppendLedger()
        var deliver: (@Sendable ([HistoryEntry]) -> Void)?
    }

    private let file: FileHandle
    let path: String
    private let epoch: String
    private let state = Mutex(State())

    /// Opens the journal at a path, or creates it; its name is the epoch of its IDs.
    init(path: String) throws {
        if !FileManager.default.fileExists(atPath: path) { try Data().write(to: URL(fileURLWithPath: path)) }
        file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
        self.path = path
        epoch = URL(fileURLWithPath: path).lastPathComponent
    }

    func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        let lines = try file.readToEnd()?.split(separator: 0x0A) ?? []
        return try state.withLock { state in
            for line in lines { try apply(JSONDecoder().decode(Line.self, from: line), to: &state) }
            state.deliver = deliver
            return Position(state.head)
        }
    }

    // MARK: - Appending

    func append(_ request: AppendRequest) async throws -> AppendResult {
        guard request.events.allSatisfy({ $0.requestedID == nil }) else {
            throw HistoryError(.idNotAccepted, "the journal assigns IDs; publish without one")
        }
        return try state.withLock { state in
            switch try state.ledger.check(request, id: id(at:)) {
            case .answer(let result): return result
            case .append(let repeated, let dropping):
                if let dropping {
                    try write(.open(topic: dropping.name))
                    open(dropping, &state)
                }
                try write(.append(Append(request, repeated: repeated)))
                let entries = add(Array(request.events[repeated...]), published: .now, to: &state)
                let result = record(entries, of: request, repeated, .now, in: &state)
                // Under the lock, so that deliveries keep the order of positions.
                state.deliver?(entries)
                return result
            }
        }
    }

    private func add(
        _ events: [NewEvent],
        published: ContinuousClock.Instant,
        to state: inout State
    ) -> [HistoryEntry] {
        let entries = events.map { event in
            state.head += 1
            let position = Position(state.head)
            return HistoryEntry(event, position: position, id: id(at: position), published: published)
        }
        state.entries += entries
        for topic in state.limits.keys { trim(topic, &state) }
        return entries
    }

    /// Records what was appended, for repetitions.
    private func record(
        _ entries: [HistoryEntry],
        of request: AppendRequest,
        _ repeated: Int,
        _ now: ContinuousClock.Instant,
        in state: inout State
    ) -> AppendResult {
        let result = state.ledger.record(entries, of: request, repeated: repeated, now: now)
        if let topic = request.endedTopic { noticeEmpty(topic, &state) }
        return result
    }

    // MARK: - Reading

    func locate(_ id: EventID) async throws -> Located {
        let parts = id.description.split(separator: "-", omittingEmptySubsequences: false)
        guard let last = parts.last, let number = UInt64(last) else { return .unknown }
        let position = Position(number)
        return state.withLock { state in
            guard number <= state.head, self.id(at: position) == id else { return .unknown }
            let isHeld = number == 0 || state.entries.contains { $0.position == position }
            return isHeld ? .found(position) : .trimmed(position)
        }
    }

    func ends(of selection: Selection) async throws -> [TopicEnd] {
        state.withLock { $0.ledger.ends(of: selection) }
    }

    func producer(_ producer: ProducerID, of subject: HubSubject?, in topic: Topic) async throws -> ProducerState? {
        state.withLock { $0.ledger.producer(producer, of: subject, in: topic, id: id(at:)) }
    }

    func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        state.withLock { state in
            let start = position ?? .zero
            var batch = HistoryBatch(entries: [], through: max(start, Position(state.head)), missingThrough: nil)
            if state.removed > start.number { batch.missingThrough = Position(state.removed) }
            var bytes = 0
            for entry in state.entries where entry.position > start {
                guard batch.work < max(1, limit.work) else {
                    batch.through = Position(entry.position.number - 1)
                    break
                }
                batch.work += 1
                guard selection.includes(entry) else { continue }
                let isFull = batch.entries.count >= limit.events || bytes + entry.size > limit.bytes
                if isFull, !batch.entries.isEmpty {
                    batch.through = Position(entry.position.number - 1)
                    break
                }
                batch.entries.append(entry)
                bytes += entry.size
            }
            return batch
        }
    }

    func id(at position: Position) -> EventID { EventID(trusted: Array("\(epoch)-\(position)".utf8)) }

    func statistics() async throws -> HistoryStatistics {
        state.withLock { state in
            let events = state.entries.filter { !$0.isEnd }
            var statistics = state.ledger.statistics
            statistics.topics = Set(events.flatMap(\.topics)).count
            statistics.events = events.count
            statistics.bytes = state.entries.reduce(0) { $0 + $1.size }
            return statistics
        }
    }

    // MARK: - Removing

    func purge(_ topic: Topic) async throws -> Int {
        try state.withLock { state in
            try write(.purge(topic: topic.name))
            return purge(topic, &state)
        }
    }

    func setLimits(_ limits: TopicLimits, of topic: Topic) async throws -> Bool {
        try state.withLock { state in
            let milliseconds = limits.age.map { Int64($0 / .milliseconds(1)) }
            let line = Line.limits(
                topic: topic.name,
                events: limits.events,
                bytes: limits.bytes,
                milliseconds: milliseconds
            )
            try write(line)
            let isNew = state.limits.updateValue(limits, forKey: topic) == nil
            trim(topic, &state)
            return isNew
        }
    }

    func expire() async {
        state.withLock { state in
            for topic in state.limits.keys { trim(topic, &state) }
        }
    }

    @discardableResult
    private func purge(_ topic: Topic, _ state: inout State) -> Int {
        state.limits[topic] = nil
        state.ledger.open(topic)
        return remove(from: topic, &state) { _ in true }
    }

    /// Applies a topic's own limits: its end stays.
    private func trim(_ topic: Topic, _ state: inout State) {
        guard let limits = state.limits[topic] else { return }
        let now = ContinuousClock.now
        var (events, bytes) = (0, 0)
        // From the newest to the oldest: what exceeds a limit goes with all before it.
        let kept = state.entries.reversed().prefix { entry in
            guard entry.topics.contains(topic), !entry.isEnd else { return true }
            events += 1
            bytes += entry.size
            return events <= limits.events ?? .max && bytes <= limits.bytes ?? .max
                && entry.published.duration(to: now) <= limits.age ?? .seconds(Int64.max)
        }
        let first = kept.last?.position ?? Position(state.head + 1)
        remove(from: topic, &state) { !$0.isEnd && $0.position < first }
    }

    /// Removes events from one topic; each leaves the journal with its last.
    @discardableResult
    private func remove(from topic: Topic, _ state: inout State, where isMeant: (HistoryEntry) -> Bool) -> Int {
        var count = 0
        var last: UInt64 = 0
        state.entries = state.entries.compactMap { entry in
            guard entry.topics.contains(topic), isMeant(entry) else { return entry }
            count += 1
            last = entry.position.number
            return entry.removing(topic)
        }
        state.removed = max(state.removed, last)
        noticeEmpty(topic, &state)
        return count
    }

    /// Removes a topic's end alone.
    private func open(_ topic: Topic, _ state: inout State) {
        state.ledger.open(topic)
        remove(from: topic, &state) { $0.isEnd }
    }

    /// Tells the ledger if a topic holds no events.
    private func noticeEmpty(_ topic: Topic, _ state: inout State) {
        let isEmpty = !state.entries.contains { $0.topics.contains(topic) && !$0.isEnd }
        if isEmpty { state.ledger.isWithoutEvents(topic) }
    }

    // MARK: - The file

    /// Writes a line, or throws and leaves the journal as it was.
    private func write(_ line: Line) throws {
        let end = try file.seekToEnd()
        do {
            try file.write(contentsOf: JSONEncoder().encode(line) + [0x0A])
        } catch {
            try? file.truncate(atOffset: end)
            throw error
        }
    }

    /// Applies a line of the journal.
    private func apply(_ line: Line, to state: inout State) throws {
        switch line {
        case .append(let append):
            let age = Duration.seconds(max(0, Date.now.timeIntervalSince(append.published)))
            let published = ContinuousClock.now.advanced(by: .zero - age)
            let request = try append.request()
            let entries = add(Array(request.events[append.repeated...]), published: published, to: &state)
            _ = record(entries, of: request, append.repeated, published, in: &state)
        case .open(let name): open(try Topic(name), &state)
        case .purge(let name): purge(try Topic(name), &state)
        case .limits(let name, let events, let bytes, let milliseconds):
            let age = milliseconds.map { Duration.milliseconds($0) }
            state.limits[try Topic(name)] = TopicLimits(events: events, bytes: bytes, age: age)
        }
    }
}

extension JournalHistory.Append {
    fileprivate init(_ request: AppendRequest, repeated: Int) {
        events = request.events.map { event in
            JournalHistory.Event(
                topics: event.topics.map(\.name),
                isRestricted: event.isRestricted,
                isEnd: event.isEnd,
                type: event.type,
                data: event.event.data,
                retryMilliseconds: event.retry.map { Int64($0 / .milliseconds(1)) }
            )
        }
        published = .now
        producer = request.producer.map {
            JournalHistory.Producer(id: $0.id.bytes, epoch: $0.epoch, sequence: $0.sequence)
        }
        key = request.key?.bytes
        subject = request.subject.map { [$0.source, $0.issuer, $0.name] }
        self.repeated = repeated
    }

    fileprivate func request() throws -> AppendRequest {
        var new: [NewEvent] = []
        for event in events {
            let topics = try event.topics.map { try Topic($0) }
            if event.isEnd {
                new.append(.end(of: topics[0], isRestricted: event.isRestricted))
                continue
            }
            let retry = event.retryMilliseconds.map { Duration.milliseconds($0) }
            let plain = try ServerSentEvent(type: event.type, data: event.data, retry: retry)
            new.append(NewEvent(plain, topics: topics, isRestricted: event.isRestricted))
        }
        let producer = producer.flatMap { stored in
            ProducerID(stored.id).map { ProducerStamp(id: $0, epoch: stored.epoch, sequence: stored.sequence) }
        }
        let subject = subject.flatMap { names -> HubSubject? in
            guard names.count == 3, let source = names[0], let name = names[2] else { return nil }
            return HubSubject(source: source, issuer: names[1], name: name)
        }
        return AppendRequest(new, producer: producer, key: key.flatMap { IdempotencyKey($0) }, subject: subject)
    }
}
