// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthTestSupport
import Synchronization

@testable import PlinthHub

/// Connections that take as many bytes as the test allows.
final class TestSink: StreamSink {
    /// The bytes that each still takes; no limit by default.
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

    /// What a connection took since the last call, and in how many writes.
    func take(_ slot: Int) -> (text: String, writes: Int) {
        let writes = writes.removeValue(forKey: slot) ?? []
        return (String(decoding: writes.joined(), as: UTF8.self), writes.count)
    }
}

/// A distributor with its history and its connections.
struct Delivery {
    static let bare = StreamForm(isChunked: false, namesTopic: false)
    static let chunked = StreamForm(isChunked: true, namesTopic: false)
    /// The end of a stream's body, with the shortest reconnection time drawn.
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

    /// Adds a subscriber and lets it catch up.
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

    /// Appends events to history without delivering them.
    func append(_ events: NewEvent...) throws { _ = try memory.appendNow(events) }

    /// Delivers what was appended to history.
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
