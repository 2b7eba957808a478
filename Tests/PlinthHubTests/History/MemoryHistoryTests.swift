// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthTestSupport
import Synchronization
import Testing

@testable import PlinthHub

@Suite("Memory history")
struct MemoryHistoryTests {
    private static func append(_ count: Int, to name: String, in memory: MemoryHistory) throws {
        for number in 0..<count { _ = try memory.appendNow([event("\(name) \(number)", name)]) }
    }

    @Test("IDs are the epoch and the position, and only IDs of this epoch are located")
    func ids() async throws {
        let memory = MemoryHistory.make()
        let ids = try await memory.append([event("1", "a"), event("2", "b"), event("3", "a")])
        #expect(ids.map(\.description) == ["1-1", "1-2", "1-3"])
        #expect(memory.id(at: .zero).description == "1-0")
        let known: [(String, UInt64?)] = [
            ("1-0", 0), ("1-1", 1), ("1-3", 3), ("1-4", nil), ("2-1", nil), ("1-01", nil), ("1-", nil), ("1", nil),
            ("-1", nil), ("1-1 ", nil), ("1-+1", nil), ("1--1", nil), ("1-18446744073709551616", nil), ("01-1", nil),
            ("1-18446744073709551615", nil), ("1-x", nil), ("11-1", nil), ("1-1\u{FEFF}", nil), ("earliest", nil),
        ]
        for (text, number) in known {
            let position = try await memory.locate(eventID(text)).position
            #expect(position == number.map(Position.init), "\(text)")
            #expect(memory.locateNow(eventID(text)) == number.map { .found(Position($0)) } ?? .unknown, "\(text)")
        }
    }

    @Test("Two histories have different epochs")
    func epochs() async throws {
        let one = MemoryHistory()
        let two = MemoryHistory()
        let id = try #require(try await one.append([event("1", "a")]).first)
        _ = try await two.append([event("1", "a")])
        #expect(try await one.locate(id).position == Position(1))
        #expect(try await two.locate(id).position == nil)
    }

    @Test(
        "Decimal numbers are written and parsed exactly",
        arguments: [0, 1, 9, 10, 99, 100, 1 << 32, .max - 1, .max] as [UInt64]
    )
    func decimals(number: UInt64) {
        var bytes: [UInt8] = [0x2D]
        bytes.appendDecimal(number)
        #expect(bytes == Array("-\(number)".utf8))
        #expect(UInt64(decimal: bytes.dropFirst()) == number)
    }

    // MARK: - Bounds

    @Test("A topic's limit of events does not affect other topics")
    func eventsOfTopic() async throws {
        let memory = MemoryHistory.make(topic: HistoryLimits(events: 3))
        try Self.append(2, to: "b", in: memory)
        try Self.append(10, to: "a", in: memory)
        #expect(memory.data(after: nil, .all) == ["b 0", "b 1", "a 7", "a 8", "a 9"])
        #expect(try memory.data(exact("a")) == ["a 7", "a 8", "a 9"])
        #expect(try memory.missing(after: 0, exact("a")) == 9)
        #expect(try memory.missing(after: 8, exact("a")) == 9)
        #expect(try memory.missing(after: 9, exact("a")) == nil)
        #expect(try memory.missing(after: 0, exact("b")) == nil)
        #expect(memory.missing(after: 0, .all) == 9)
        #expect(try memory.missing(after: 0, pattern("*")) == 9)
        #expect(try await memory.statistics().events == 5)
        #expect(try await memory.statistics().topics == 2)
    }

    @Test("A topic obeys its limit of bytes")
    func bytesOfTopic() async throws {
        let size = try #require(try MemoryHistory.make().sizeOfOne("xxxx"))
        let memory = MemoryHistory.make(topic: HistoryLimits(bytes: 3 * size + size / 2))
        for number in 0..<9 { _ = try memory.appendNow([event("x\(number)xx", "a")]) }
        #expect(memory.data(.all) == ["x6xx", "x7xx", "x8xx"])
        #expect(try await memory.statistics().events == 3)
    }

    @Test("Beyond the total limit of events, the oldest are removed first, whatever their topic")
    func eventsInTotal() async throws {
        let memory = MemoryHistory.make(total: HistoryLimits(events: 4))
        for number in 0..<10 { _ = try memory.appendNow([event("\(number)", number % 2 == 0 ? "a" : "b")]) }
        #expect(memory.data(.all) == ["6", "7", "8", "9"])
        #expect(try memory.missing(after: 0, exact("a")) == 5)
        #expect(try memory.missing(after: 0, exact("b")) == 6)
        #expect(try memory.missing(after: 0, exact("a"), exact("b")) == 6)
    }

    @Test("All topics together obey the total limit of bytes")
    func bytesInTotal() async throws {
        let two = MemoryHistory.make()
        for name in ["c", "d"] { _ = try two.appendNow([event("x", name)]) }
        let bytes = try await two.statistics().bytes
        let memory = MemoryHistory.make(total: HistoryLimits(bytes: bytes + bytes / 4))
        for name in ["a", "b", "c", "d"] { _ = try memory.appendNow([event("x", name)]) }
        let held = try await memory.statistics()
        #expect(held.topics == 2)
        #expect(held.events == 2)
        // The allocator may return 16 bytes more than requested, and they are counted.
        #expect(abs(held.bytes - bytes) <= 128, "\(held.bytes) and \(bytes) for the same events")
        #expect(try memory.data(exact("c")) == ["x"])
        #expect(try memory.data(exact("b")) == [])
    }

    @Test("Events older than the topic's or the total limit are removed", arguments: [true, false])
    func age(isOfTopic: Bool) async throws {
        let clock = TestClock()
        let limits = HistoryLimits(age: .seconds(10))
        let memory = MemoryHistory.make(
            topic: isOfTopic ? limits : HistoryLimits(),
            total: isOfTopic ? HistoryLimits(age: .seconds(20)) : limits,
            clock: clock
        )
        _ = try memory.appendNow([event("1", "a"), event("2", "b")])
        clock.advance(by: .seconds(6))
        _ = try memory.appendNow([event("3", "a")])
        clock.advance(by: .seconds(4))
        // Exactly 10 s old.
        #expect(memory.data(.all) == ["1", "2", "3"])
        #expect(memory.missing(after: 0, .all) == nil)
        clock.advance(by: .nanoseconds(1))
        #expect(memory.data(.all) == ["3"])
        #expect(memory.missing(after: 0, .all) == 2)
        clock.advance(by: .seconds(6))
        await memory.expire()
        #expect(try await memory.statistics() == HistoryStatistics(topics: 0, events: 0, bytes: 0))
        #expect(try memory.missing(after: 2, exact("a")) == 3)
        _ = try memory.appendNow([event("4", "a")])
        #expect(memory.data(.all) == ["4"])
        #expect(try memory.missing(after: 3, exact("a")) == nil)
    }

    @Test("A history that holds nothing still delivers events and assigns IDs", arguments: [true, false])
    func nothing(isOfTopic: Bool) async throws {
        let none = HistoryLimits(events: 0)
        let memory = MemoryHistory.make(
            topic: isOfTopic ? none : HistoryLimits(),
            total: isOfTopic ? HistoryLimits() : none
        )
        let box = Delivery.Box()
        _ = try await memory.open { box.add($0) }
        let ids = try await memory.append([event("1", "a", "b"), event("2", "b"), event("3", "a", "b", "c")])
        #expect(ids.map(\.description) == ["1-1", "1-2", "1-3"])
        #expect(box.take().map(\.event.data) == ["1", "2", "3"])
        #expect(memory.data(.all) == [])
        #expect(memory.missing(after: 0, .all) == 3)
        #expect(try await memory.statistics() == HistoryStatistics(topics: 0, events: 0, bytes: 0))
    }

    @Test("An event that one of its topics cannot hold is removed from all of them, and counted once")
    func tooLargeForOneTopic() async throws {
        let memory = MemoryHistory.make(topic: HistoryLimits(bytes: 700))
        _ = try memory.appendNow([event("small", "b"), event("small", "c")])
        let large = String(repeating: "x", count: 1000)
        _ = try memory.appendNow([event(large, "a", "b", "d")])
        _ = try memory.appendNow([event("next", "a"), event("next", "c")])
        #expect(try memory.data(exact("c")) == ["small", "next"])
        #expect(try memory.data(exact("a")) == ["next"])
        #expect(try memory.missing(after: 2, exact("a")) == 3)
        #expect(try memory.missing(after: 2, exact("b")) == 3)
        #expect(try memory.missing(after: 2, exact("d")) == 3)
        let statistics = try await memory.statistics()
        let held = memory.data(.all)
        #expect(statistics.events == held.count)
        _ = try await memory.purge(topic("a"))
        _ = try await memory.purge(topic("b"))
        _ = try await memory.purge(topic("c"))
        #expect(try await memory.statistics() == HistoryStatistics(topics: 0, events: 0, bytes: 0))
    }

    @Test(
        "Statistics equal what is held after any appends, trims and purges",
        arguments: [1, 2, 3, 4] as [UInt64]
    )
    func model(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let clock = TestClock()
        let memory = MemoryHistory.make(
            topic: HistoryLimits(events: 6, bytes: 2000, age: .seconds(5)),
            total: HistoryLimits(events: 20, bytes: 6000),
            clock: clock
        )
        let names = ["a", "b", "c", "d", "e"]
        for step in 0..<3000 {
            switch Int.random(in: 0..<20, using: &random) {
            case 0: _ = try await memory.purge(topic(names.randomElement(using: &random) ?? "a"))
            case 1: clock.advance(by: .milliseconds(Int.random(in: 0...3000, using: &random)))
            default:
                let topics = try names.shuffled(using: &random).prefix(Int.random(in: 1...3, using: &random)).map(topic)
                let length = Int.random(in: 0..<(step % 50 == 0 ? 3000 : 200), using: &random)
                let new = NewEvent(ServerSentEvent(data: String(repeating: "x", count: length)), topics: topics)
                _ = try memory.appendNow([new])
            }
            guard step % 10 == 0 else { continue }
            await memory.expire()
            let batch = try #require(memory.readNow(after: nil, selection: Selection([.all]), limit: .none))
            let held = try await memory.statistics()
            let topics = Set(batch.entries.flatMap(\.topics)).count
            #expect(held.topics == topics, "seed \(seed), step \(step)")
            #expect(held.events == batch.entries.count, "seed \(seed), step \(step)")
            // For each topic its name, its log and a list of 1 to 32 places; nothing without topics.
            let rest = held.bytes - batch.entries.reduce(0) { $0 + $1.size }
            #expect((topics * 200...topics * 600).contains(rest), "\(rest) for \(topics); seed \(seed), step \(step)")
            for name in names {
                let one = try memory.readNow(after: nil, selection: Selection([exact(name)]), limit: .none)
                let expected = try batch.entries.filter { $0.topics.contains(try topic(name)) }.map(\.id)
                #expect(one?.entries.map(\.id) == expected, "seed \(seed), step \(step)")
                #expect(expected.count <= 6, "seed \(seed), step \(step)")
            }
            #expect(held.events <= 20 && held.bytes <= 6000, "seed \(seed), step \(step)")
        }
    }

    @Test("One old event of a quiet topic does not retain the slots of events removed after it")
    func quietTopic() throws {
        let clock = TestClock()
        var state = MemoryHistoryState(
            topic: HistoryLimits(events: 2),
            total: HistoryLimits(),
            quotas: HistoryQuotas(),
            acceptsIDs: false,
            token: [0x31]
        )
        _ = try state.append(AppendRequest([event("quiet", "quiet")]), digest: 0, now: clock.now)
        let busy = try event("busy", "busy")
        for _ in 0..<50_000 { _ = try state.append(AppendRequest([busy]), digest: 0, now: clock.now) }
        #expect(state.statistics.events == 3)
        #expect((3..<2000).contains(state.slots), "\(state.slots) slots for 3 events")
        var read: [String] = []
        var position: Position?
        var parts = 0
        while position ?? .zero < state.head {
            let part = state.part(after: position, Selection([.all]), known: nil, now: clock.now)
            read += part.entries.map(\.event.data)
            #expect(part.hasMore == (part.through < state.head.number))
            position = Position(part.through)
            parts += 1
        }
        #expect(read == ["quiet", "busy", "busy"])
        #expect(parts < 10, "\(parts) parts for 3 events")
    }

    @Test("A topic without events is dropped, and its losses are still reported")
    func forgotten() async throws {
        let memory = MemoryHistory.make(total: HistoryLimits(events: 10))
        for number in 0..<1000 { _ = try memory.appendNow([event("\(number)", "topic/\(number)")]) }
        #expect(try await memory.statistics().topics == 10)
        #expect(try memory.missing(after: 4, exact("topic/500")) != nil)
        #expect(try memory.missing(after: 4, pattern("topic/*")) != nil)
        // After the last event removed from any topic, nothing is missing.
        #expect(try memory.missing(after: 990, exact("topic/500")) == nil)
        // A topic that returns still counts as one that lost events.
        _ = try memory.appendNow([event("again", "topic/500")])
        #expect(try memory.missing(after: 500, exact("topic/500")).map { $0 >= 501 } == true)
    }

    // MARK: - Chosen IDs

    @Test("Chosen IDs are accepted only if allowed, and reserved ones never")
    func refused() async throws {
        let strict = MemoryHistory.make()
        let error = #expect(throws: HistoryError.self) { try strict.appendNow([event("1", "a", id: "mine")]) }
        #expect(error?.code == .idNotAccepted)
        let open = MemoryHistory.make(acceptsIDs: true)
        for id in ["earliest", "#", "#1", "1-1", "1-", "1-99", "1-x"] {
            let error = #expect(throws: HistoryError.self) {
                try open.appendNow([event("1", "a"), event("2", "a", id: id)])
            }
            #expect(error?.code == .idReserved, "\(id)")
        }
        #expect(open.data(.all) == [])
        #expect(try open.appendNow([event("1", "a")]).map { $0.map(\.description) } == ["1-1"])
        #expect(try open.appendNow([event("1", "a", id: "2-1")]).map { $0.map(\.description) } == ["2-1"])
    }

    @Test("A chosen ID is located at its first use while that event is held")
    func chosen() async throws {
        let memory = MemoryHistory.make(total: HistoryLimits(events: 4), acceptsIDs: true)
        _ = try memory.appendNow([event("1", "a", id: "x"), event("2", "a", id: "y"), event("3", "a", id: "x")])
        #expect(try await memory.locate(eventID("x")).position == Position(1))
        #expect(try await memory.locate(eventID("y")).position == Position(2))
        #expect(try await memory.locate(memory.id(at: Position(2))).position == Position(2))
        _ = try memory.appendNow([event("4", "a"), event("5", "a")])
        // What followed its first use is no longer known: a gap, not a wrong position.
        #expect(try await memory.locate(eventID("x")).position == nil)
        #expect(try await memory.locate(eventID("y")).position == Position(2))
        _ = try await memory.purge(topic("a"))
        #expect(try await memory.locate(eventID("y")).position == nil)
    }

    // MARK: - Counted memory

    @Test("Long names, and all names of an event, are counted")
    func names() async throws {
        func bytes(_ names: String...) async throws -> Int {
            let memory = MemoryHistory.make()
            let topics = try names.map(topic)
            _ = try memory.appendNow([NewEvent(ServerSentEvent(data: "x"), topics: topics)])
            return try await memory.statistics().bytes
        }
        let short = try await bytes("a")
        let long = try await bytes(String(repeating: "a", count: 1000))
        #expect((940...1060).contains(long - short))
        #expect(try await bytes("a", "b") - short > 150)
    }

    @Test("Events of one topic share its name")
    func sharedNames() throws {
        let memory = MemoryHistory.make()
        for number in 0..<3 { _ = try memory.appendNow([event("\(number)", "shared")]) }
        let batch = memory.readNow(after: nil, selection: Selection([.all]), limit: .none)
        let names = Set(batch?.entries.map { $0.topics[0].utf8.withUnsafeBytes { $0.baseAddress } } ?? [])
        #expect(names.count == 1)
    }

    @Test("The memory of many topics and events is released when they are removed")
    func room() throws {
        let clock = TestClock()
        var state = MemoryHistoryState(
            topic: HistoryLimits(),
            total: HistoryLimits(age: .seconds(1)),
            quotas: HistoryQuotas(),
            acceptsIDs: false,
            token: [0x31]
        )
        for number in 0..<20_000 {
            _ = try state.append(AppendRequest([event("x", "topic/\(number)")]), digest: 0, now: clock.now)
        }
        clock.advance(by: .seconds(2))
        _ = try state.append(AppendRequest([event("x", "topic/1")]), digest: 0, now: clock.now)
        #expect(state.statistics.topics == 1)
        #expect(state.statistics.bytes < 1000)
        // The capacity of the tables, which is not counted one by one.
        #expect(state.tableRoom < 10_000, "capacity for \(state.tableRoom) after all but one were removed")
    }

    // MARK: - Reading

    @Test("A read that reaches a limit of events, bytes or work reports its end")
    func limits() async throws {
        let memory = MemoryHistory.make()
        for number in 1...20 { _ = try memory.appendNow([event("\(number)", number % 5 == 0 ? "a" : "b")]) }
        func read(_ selector: TopicSelector, _ limit: ReadLimit) -> String {
            let batch = memory.readNow(after: nil, selection: Selection([selector]), limit: limit)
            return (batch?.entries.map(\.event.data) ?? []).joined(separator: " ") + " | \(batch?.through.number ?? 0)"
        }
        #expect(try read(exact("a"), ReadLimit()) == "5 10 15 20 | 20")
        #expect(try read(exact("a"), ReadLimit(events: 2)) == "5 10 | 14")
        #expect(read(.all, ReadLimit(events: 2)) == "1 2 | 2")
        #expect(read(.all, ReadLimit(events: 0)) == "1 | 1")
        #expect(read(.all, ReadLimit(bytes: 0)) == "1 | 1")
        #expect(read(.all, ReadLimit(work: 3)) == "1 2 3 | 3")
        #expect(try read(pattern("a"), ReadLimit(work: 4)) == " | 4")
        #expect(try read(pattern("a"), ReadLimit(work: 7)) == "5 | 7")
        #expect(try read(pattern("a"), ReadLimit(events: 1)) == "5 | 9")
    }

    // MARK: - The cost of reading

    /// Counts its calls and uses the history in each of them, which therefore must not be locked.
    private final class Curious: TopicMatcher {
        let memory: MemoryHistory
        let count = Atomic(0)
        init(_ memory: MemoryHistory) { self.memory = memory }
        var description: String { "curious" }
        func matches(_ topic: Topic) -> Bool {
            count.add(1, ordering: .relaxed)
            _ = memory.id(at: .zero)
            return false
        }
    }

    @Test("Matchers are called outside the lock, once per topic of a read")
    func askingOutside() throws {
        let memory = MemoryHistory.make()
        for number in 0..<2000 { _ = try memory.appendNow([event("x", "topic/\(number % 3)")]) }
        let curious = Curious(memory)
        let batch = memory.readNow(after: nil, selection: Selection([.matching(curious)]), limit: ReadLimit())
        #expect(batch?.through == Position(2000))
        #expect(curious.count.load(ordering: .relaxed) == 3)
    }

    @Test("A read calls a bounded number of matchers and still advances")
    func boundedAsking() throws {
        let memory = MemoryHistory.make()
        for number in 0..<3000 { _ = try memory.appendNow([event("x", "topic/\(number)")]) }
        let curious = Curious(memory)
        let selection = Selection((0..<100).map { _ in .matching(curious) })
        var position: Position? = nil
        var reads = 0
        while position != Position(3000) {
            let before = curious.count.load(ordering: .relaxed)
            let batch = try #require(memory.readNow(after: position, selection: selection, limit: ReadLimit()))
            let asked = curious.count.load(ordering: .relaxed) - before
            #expect(asked <= 10_100, "\(asked) matchers called in a read")
            #expect(batch.work >= asked)
            #expect(batch.through > position ?? .zero)
            position = batch.through
            reads += 1
        }
        #expect(reads >= 30)
    }

    @Test("Losses before a read do not shorten it")
    func longAfterLosses() throws {
        let memory = MemoryHistory.make(topic: HistoryLimits(events: 2))
        for number in 0..<3000 { _ = try memory.appendNow([event("x", "topic/\(number % 1000)")]) }
        let batch = try #require(memory.readNow(after: Position(500), selection: Selection([.all]), limit: .none))
        #expect(batch.missingThrough == Position(1000))
        #expect(batch.entries.count == 2000)
        #expect(batch.through == Position(3000))
    }

    @Test("A read advances, however much work the search for losses takes")
    func progress() throws {
        let memory = MemoryHistory.make(topic: HistoryLimits(events: 1))
        for round in 0..<2 {
            for number in 0..<300 { _ = try memory.appendNow([event("\(round)", "topic/\(number)")]) }
        }
        let curious = Curious(memory)
        let selection = Selection((0..<10).map { _ in .matching(curious) })
        var position = Position(1)
        var reads = 0
        while position < Position(600) {
            let limit = ReadLimit(work: 50)
            let batch = try #require(memory.readNow(after: position, selection: selection, limit: limit))
            #expect(batch.through > position)
            // It examines about ten losses, not all of them.
            #expect(batch.work <= 50 + 20)
            position = batch.through
            reads += 1
        }
        #expect(reads < 600)
    }

    @Test("Work counts branches for patterns, and events for a name or for all topics")
    func work() throws {
        let memory = MemoryHistory.make()
        for number in 0..<100 { _ = try memory.appendNow([event("x", "a/b/\(number)")]) }
        func work(_ selectors: [TopicSelector]) -> Int? {
            memory.readNow(after: nil, selection: Selection(selectors), limit: .none)?.work
        }
        #expect(try work([exact("a/b/1")]) == 1)
        #expect(work([.all]) == 100)
        #expect(try work([pattern("q")]) == 100)
        #expect(try work((0..<1000).map { try pattern("q\($0)/*") }) == 100)
        // The root, a and b; after `*`, no segment is left.
        #expect(try work((0..<1000).map { try pattern("a/b/*/\($0)") }) == 300)
    }

    @Test(
        "Losses are reported for selections of any kind, and needlessly only if topics were dropped",
        arguments: [1, 2, 3, 4] as [UInt64]
    )
    func missingModel(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        // With the small limit topics are dropped and return; with the large one each keeps some events.
        let total = HistoryLimits(events: seed.isMultiple(of: 2) ? 60 : .max)
        let memory = MemoryHistory.make(topic: HistoryLimits(events: 4), total: total)
        let names = (0..<100).map { "t/\($0 % 10)/\($0)" }
        var published: [Topic] = []
        for _ in 0..<800 {
            // Some topics have far more events than others.
            let name = names[min(Int.random(in: 0..<100, using: &random), Int.random(in: 0..<100, using: &random))]
            published.append(try topic(name))
            _ = try memory.appendNow([event("x", name)])
            if seed.isMultiple(of: 2), Int.random(in: 0..<40, using: &random) == 0 {
                _ = try await memory.purge(topic(names[Int.random(in: 0..<100, using: &random)]))
            }
            guard published.count.isMultiple(of: 20) else { continue }
            let all = try #require(memory.readNow(after: nil, selection: Selection([.all]), limit: .none))
            let held = Set(all.entries.map(\.position.number))
            let kinds: [[TopicSelector]] = [
                [try pattern("t/3/*")], [try pattern("t/*/17"), try pattern("t/1/**")], [.all],
                try names.prefix(10).map(exact), try names.suffix(80).map(exact), [try exact(names[0])],
            ]
            for selectors in kinds {
                let selection = Selection(selectors)
                let after = UInt64.random(in: 0...UInt64(published.count), using: &random)
                let lost = published.indices.map { UInt64($0 + 1) }.filter {
                    $0 > after && !held.contains($0) && selection.wants(published[Int($0 - 1)])
                }
                let said = memory.readNow(after: Position(after), selection: selection, limit: .none)?.missingThrough
                if let last = lost.last {
                    #expect(said ?? .zero >= Position(last), "\(selectors) after \(after); seed \(seed)")
                }
                // If topics were dropped, their losses may count for others.
                if !seed.isMultiple(of: 2) {
                    #expect(said?.number == lost.last, "\(selectors) after \(after); seed \(seed)")
                }
            }
        }
    }

    @Test("Opening returns the current position and delivers later events")
    func opening() async throws {
        let memory = MemoryHistory.make()
        _ = try await memory.append([event("1", "a")])
        let box = Delivery.Box()
        #expect(try await memory.open { box.add($0) } == Position(1))
        _ = try await memory.append([event("2", "a")])
        #expect(box.take().map(\.event.data) == ["2"])
    }
}

extension MemoryHistory {
    /// The size of an event whose ID has three bytes.
    fileprivate func sizeOfOne(_ data: String) throws -> Int? {
        _ = try appendNow([event(data, "a")])
        return readNow(after: nil, selection: Selection([.all]), limit: .none)?.entries.first?.size
    }
}

extension MemoryHistoryState {
    /// The number of slots of its log, including empty ones.
    fileprivate var slots: Int {
        Mirror(reflecting: self).children.first { $0.label == "log" }.map {
            Mirror(reflecting: $0.value).children.count
        } ?? 0
    }
}
