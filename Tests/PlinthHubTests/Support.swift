// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Synchronization
import Testing

@testable import PlinthHub

// MARK: - Factories

func topic(_ name: String) throws -> Topic { try Topic(name) }

func pattern(_ text: String) throws -> TopicSelector { .pattern(try TopicPattern(text)) }

func exact(_ name: String) throws -> TopicSelector { .exact(try Topic(name)) }

func event(_ data: String, _ topics: String..., isRestricted: Bool = false, id: String? = nil) throws -> NewEvent {
    NewEvent(
        ServerSentEvent(data: data),
        topics: try topics.map(topic),
        isRestricted: isRestricted,
        requestedID: id.map { EventID(trusted: Array($0.utf8)) }
    )
}

func eventID(_ text: String) -> EventID { EventID(trusted: Array(text.utf8)) }

extension ReadLimit {
    static let none = ReadLimit(events: .max, bytes: .max, work: .max)
}

/// A clock that stands still until it is moved.
final class TestClock: Sendable {
    private let time = Mutex(MonotonicTime(nanoseconds: 1_000_000_000))
    var now: MonotonicTime { time.withLock { $0 } }
    func advance(by duration: Duration) { time.withLock { $0 = $0.advanced(by: duration.clampedNanoseconds) } }
}

extension MemoryHistory {
    /// A history of the epoch 1, whose IDs begin with `1-`.
    static func make(
        topic: HistoryLimits = HistoryLimits(),
        total: HistoryLimits = HistoryLimits(),
        acceptsIDs: Bool = false,
        clock: TestClock = TestClock()
    ) -> MemoryHistory {
        MemoryHistory(topic: topic, total: total, acceptsIDs: acceptsIDs, epoch: 1, now: { clock.now })
    }

    /// The data of what is read.
    func data(after position: UInt64? = nil, _ selectors: TopicSelector...) -> [String] {
        let batch = readNow(after: position.map(Position.init), selection: Selection(selectors), limit: .none)
        return batch?.entries.map(\.event.data) ?? []
    }

    /// Up to where events are said to be missing.
    func missing(after position: UInt64, _ selectors: TopicSelector...) -> UInt64? {
        readNow(after: Position(position), selection: Selection(selectors), limit: .none)?.missingThrough?.number
    }
}

// MARK: - Histories

/// A history that answers nothing at once, and gives way before each answer.
///
/// It can be told to fail, and it counts.
final class YieldingHistory: History {
    struct Failure: Error {}

    let memory: MemoryHistory
    private let failures = Mutex(0)
    let reads = Atomic(0)

    init(_ memory: MemoryHistory) { self.memory = memory }

    func failNextAppend() { failures.withLock { $0 += 1 } }

    func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        await Task.yield()
        return try await memory.open(deliver: deliver)
    }
    func append(_ events: [NewEvent]) async throws -> [EventID] {
        await Task.yield()
        let isToFail = failures.withLock { failures in
            defer { failures = max(0, failures - 1) }
            return failures > 0
        }
        if isToFail { throw Failure() }
        let ids = try await memory.append(events)
        await Task.yield()
        return ids
    }
    func locate(_ id: EventID) async throws -> Position? {
        await Task.yield()
        return try await memory.locate(id)
    }
    func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        reads.add(1, ordering: .relaxed)
        await Task.yield()
        let batch = try await memory.read(after: position, selection: selection, limit: limit)
        await Task.yield()
        return batch
    }
    func id(at position: Position) -> EventID { memory.id(at: position) }
    func purge(_ topic: Topic) async throws -> Int {
        await Task.yield()
        return try await memory.purge(topic)
    }
    func statistics() async throws -> HistoryStatistics { try await memory.statistics() }
    func expire() async { await memory.expire() }
}

// MARK: - Waiting

/// A gate that tasks wait at until it is opened.
final class Gate: Sendable {
    private struct State {
        var count = 0
        var waiting: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    /// How often it has been signalled.
    var count: Int { state.withLock { $0.count } }

    /// Comes nearer to being open for those that wait for a number.
    func signal() {
        let ready = state.withLock { state in
            state.count += 1
            let ready = state.waiting.filter { $0.count <= state.count }
            state.waiting.removeAll { $0.count <= state.count }
            return ready
        }
        for waiting in ready { waiting.continuation.resume() }
    }

    /// Waits until it has been signalled so often.
    func wait(for count: Int = 1) async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if state.count >= count { return true }
                state.waiting.append((count, continuation))
                return false
            }
            if isOpen { continuation.resume() }
        }
    }
}

// MARK: - Delivery

/// Connections that take as many bytes as they are told to.
final class TestSink: StreamSink {
    /// What they take from now on; everything unless told.
    var room: [Int: Int] = [:]
    private(set) var writes: [Int: [[UInt8]]] = [:]
    var failures: [Int: StreamEnd] = [:]

    func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) -> StreamWrite {
        if let failure = failures[slot] { return .failed(failure) }
        let taken = min(bytes.count, room[slot] ?? .max)
        if room[slot] != nil { room[slot]? -= taken }
        writes[slot, default: []].append(Array(bytes.prefix(taken)))
        return .took(taken)
    }

    /// What a connection got since this was last asked, and in how many writes.
    func take(_ slot: Int) -> (text: String, writes: Int) {
        let writes = writes.removeValue(forKey: slot) ?? []
        return (String(decoding: writes.joined(), as: UTF8.self), writes.count)
    }
}

/// A distributor with its history and its connections.
struct Delivery {
    static let bare = StreamForm(isChunked: false, namesTopic: false)
    static let chunked = StreamForm(isChunked: true, namesTopic: false)
    /// What a stream gets before its body is complete, where the shortest reconnection time is drawn.
    static let bareFarewell = "retry: 2000\n\n"
    static let chunkedFarewell = "d\r\n\(bareFarewell)\r\n0\r\n\r\n"

    final class Box: Sendable {
        private let entries = Mutex<[HistoryEntry]>([])
        func add(_ new: [HistoryEntry]) { entries.withLock { $0 += new } }
        func take() -> [HistoryEntry] {
            entries.withLock { entries in
                defer { entries = [] }
                return entries
            }
        }
    }

    let memory: MemoryHistory
    let clock: TestClock
    var distributor: Distributor
    let sink = TestSink()
    let box = Box()
    var now: MonotonicTime { clock.now }

    init(
        options: StreamOptions = StreamOptions(),
        topic: HistoryLimits = HistoryLimits(),
        total: HistoryLimits = HistoryLimits(),
        isLate: Bool = false
    ) async throws {
        let clock = TestClock()
        self.clock = clock
        memory = .make(topic: topic, total: total, clock: clock)
        let history: any History = isLate ? YieldingHistory(memory) : memory
        var options = options
        options.random = { $0.lowerBound }
        distributor = Distributor(history: history, options: options, head: .zero)
        let box = self.box
        _ = try await memory.open { box.add($0) }
    }

    /// Adds a subscriber, and lets it catch up.
    mutating func add(
        _ selectors: TopicSelector...,
        allowed: [TopicSelector] = [.all],
        from start: LocatedStart? = nil,
        form: StreamForm = bare
    ) -> Int {
        let start = start ?? LocatedStart(position: distributor.head)
        let slot = distributor.add(Selection(selectors, allowed: allowed), start, form, now: now)
        proceed()
        return slot
    }

    mutating func proceed() {
        while !distributor.unfinished.isEmpty { distributor.proceed(sink, now: now) }
    }

    /// Puts events into history without bringing them out.
    func append(_ events: NewEvent...) throws { _ = try memory.appendNow(events) }

    /// Brings out what is in history.
    mutating func deliver() {
        distributor.deliver(box.take(), sink, now: now)
    }

    mutating func publish(_ events: NewEvent...) throws {
        _ = try memory.appendNow(events)
        deliver()
    }

    mutating func isWritable(_ slot: Int, room: Int? = nil) {
        sink.room[slot] = room
        distributor.isWritable(slot, sink, now: now)
        proceed()
    }

    mutating func advance(by duration: Duration) {
        clock.advance(by: duration)
        distributor.tick(sink, now: now)
    }

    mutating func takeEnded() -> [String] {
        defer { distributor.ended = [] }
        return distributor.ended.map { "\($0.slot) \($0.reason)" }
    }
}

/// An event as a stream of one topic has it.
func sent(_ data: String, _ position: Int) -> String { "data: \(data)\nid: 1-\(position)\n\n" }
