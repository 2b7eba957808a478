// SPDX-License-Identifier: Apache-2.0

#if SQLite
import GRDB
import PlinthEvents
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthSQLite

/// Random requests, and what a history must then hold, deliver and tell.
@Suite("SQLite history: model")
struct ModelTests {
    @Test("A history holds, delivers and tells what it must, whatever is asked of it", arguments: 1...12)
    func model(_ seed: Int) async throws {
        var model = try await Model(UInt64(seed))
        for step in 0..<150 {
            try await model.act(step)
            if step % 10 == 9 { try await model.checkReads() }
            if step % 25 == 24 { try await model.checkTables() }
        }
        try await model.finish()
    }
}

private struct Model {
    private struct Known {
        var topics: [Topic]
        var data: String
        var isEnd: Bool
    }

    private let seed: UInt64
    private var random: SeededGenerator
    private let files = TemporaryFiles()
    private let clock = TestClock()
    private let delivered = Delivered()
    private let options: SQLiteHistoryOptions
    private let names: [Topic]
    private var history: SQLiteHistory
    /// What was acknowledged.
    private var known: [UInt64: Known] = [:]
    private var ids: Set<EventID> = []
    private var published = 0
    /// What is under way, for failures.
    private var what = "the beginning"

    init(_ seed: UInt64) async throws {
        self.seed = seed
        random = SeededGenerator(seed: seed)
        var options = SQLiteHistoryOptions()
        options.recentBytes = random.one(of: [0, 3000, 1 << 20])
        options.cacheBytes = random.one(of: [0, 100_000])
        options.sync = .normal
        options.topic = HistoryLimits(
            events: random.one(of: [5, 60, 10_000]),
            age: random.number(below: 3) == 0 ? .seconds(60) : nil
        )
        options.total = HistoryLimits(
            events: random.one(of: [100, 700, .max]),
            bytes: random.one(of: [20_000, .max]),
            age: random.number(below: 4) == 0 ? .seconds(100) : nil
        )
        options.quotas.endedTopics = 4
        options.quotas.producers = 3
        options.logger = LogRecord().logger
        self.options = options
        names = try (0..<8).map { try Topic("t/\($0)") }
        history = files.history(options, clock)
        try await open()
        try files.failInserts(of: "fault")
    }

    private func open() async throws {
        let delivered = delivered
        let head = try await history.open { delivered.add($0) }
        #expect(head.number >= known.keys.max() ?? 0, "seed \(seed), \(what)")
    }

    // MARK: - Steps

    mutating func act(_ step: Int) async throws {
        switch random.number(below: 30) {
        case 0:
            what = "step \(step), purge"
            _ = try? await history.purge(random.one(of: names))
        case 1:
            what = "step \(step), limits"
            let limits = TopicLimits(
                events: random.one(of: [0, 1, 7, 1000]),
                age: random.number(below: 2) == 0 ? nil : .seconds(20)
            )
            _ = try? await history.setLimits(limits, of: random.one(of: names))
        case 2: clock.advance(by: .seconds(random.number(below: 30)))
        case 3:
            what = "step \(step), expire"
            await history.expire()
        case 4:
            what = "step \(step), restart"
            await history.close()
            history = files.again(options, clock)
            try await open()
        case 5:
            what = "step \(step), error"
            let topic = random.one(of: names)
            let events = ["whole", "fault"].map { NewEvent(ServerSentEvent(data: $0), topics: [topic]) }
            let error = await #expect(throws: HistoryError.self) { try await history.append(AppendRequest(events)) }
            #expect(error?.code == .notTaken || error?.code == .topicEnded)
            // Nothing is taken for a second.
            clock.advance(by: .seconds(2))
        default:
            what = "step \(step), append"
            try await append(request())
        }
    }

    private mutating func request() -> AppendRequest {
        var topics: [Topic] = []
        for _ in 0..<(random.number(below: 3) == 0 ? 3 : 1) { topics.append(random.one(of: names)) }
        var request = AppendRequest([])
        let ends = random.number(below: 12) == 0
        if ends { topics = [topics[0]] }
        let most = random.number(below: 5) == 0 ? 200 : 6
        for _ in 0..<(ends ? random.number(below: 3) : 1 + random.number(below: most)) {
            published += 1
            let text = String(repeating: "y", count: random.number(below: 100))
            request.events.append(NewEvent(ServerSentEvent(data: "\(published)\(text)"), topics: topics))
        }
        if ends { request.events.append(.end(of: topics[0])) }
        if random.number(below: 5) == 0 { request.key = IdempotencyKey(Array("\(published)".utf8)) }
        if topics.count == 1, random.number(below: 6) == 0, let id = ProducerID([UInt8(random.number(below: 3))]) {
            request.producer = ProducerStamp(id: id, epoch: 0, sequence: 0)
        }
        return request
    }

    private mutating func append(_ request: AppendRequest) async throws {
        do {
            let result = try await history.append(request)
            for (id, event) in zip(result.ids, request.events.suffix(result.ids.count)) {
                #expect(ids.insert(id).inserted, "seed \(seed), \(what): \(id) twice")
                // It may be removed already: its number is the last part.
                let number = try #require(id.description.split(separator: "-").last.flatMap { UInt64($0) })
                #expect(known[number] == nil, "seed \(seed), \(what): \(number) twice")
                known[number] = Known(topics: event.topics, data: event.event.data, isEnd: event.isEnd)
            }
            let last = delivered.entries.suffix(result.ids.count).map(\.id)
            #expect(last == result.ids, "seed \(seed), \(what): not delivered")
        } catch let error as HistoryError {
            #expect(error.code != .outcomeUnknown, "seed \(seed), \(what)")
        }
    }

    // MARK: - Checks

    mutating func checkReads() async throws {
        for _ in 0..<3 {
            let after = Position(UInt64(random.number(below: known.count + 1)))
            let selection: Selection
            switch random.number(below: 4) {
            case 0: selection = Selection([.all])
            case 1: selection = Selection([.pattern(try TopicPattern("t/*"))])
            case 2: selection = Selection([.exact(random.one(of: names))])
            default: selection = Selection([.exact(random.one(of: names)), .exact(random.one(of: names))])
            }
            let limit = ReadLimit(events: 5 + random.number(below: 50))
            let read = try await history.readThrough(after: after, selection, limit: limit)
            let context = "seed \(seed), \(what), \(selection.names) topics after \(after)"
            for entry in read.entries {
                guard let published = known[entry.position.number], entry.id == history.id(at: entry.position),
                    published.isEnd == entry.isEnd, entry.isEnd || published.data == entry.event.data
                else {
                    Issue.record("\(context): \(entry.position) was not published so")
                    continue
                }
            }
            let got = Set(read.numbers)
            #expect(
                read.numbers == read.numbers.sorted() && got.count == read.numbers.count,
                "\(context): out of order"
            )
            let told = read.missing ?? .zero
            for (number, published) in known where number > max(after, told).number && !got.contains(number) {
                #expect(
                    !published.topics.contains { selection.wants($0) },
                    "\(context): \(number) is missing, told is \(told)"
                )
            }
        }
    }

    func checkTables() async throws {
        clock.advance(by: .seconds(2))
        await history.expire()
        let statistics = try await history.statistics()
        let queue = try DatabaseQueue(path: files.lastPath)
        let held = try await queue.read { try TableCounts($0) }
        try queue.close()
        #expect(held.faults.isEmpty && held.isEqual(to: statistics), "seed \(seed), \(what): \(held), \(statistics)")
    }

    func finish() async throws {
        let numbers = delivered.numbers
        #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }, "seed \(seed): delivered out of order")
        #expect(Set(numbers) == Set(known.keys), "seed \(seed): delivered is not what was acknowledged")
        await history.close()
    }
}
#endif
