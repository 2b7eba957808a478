// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthTestSupport
import Synchronization
import Testing

@testable import PlinthHub

/// Ends, marks and long-polls within the process.
@Suite("Hub: ends, marks and long-polls", .timeLimit(.minutes(2)))
struct HubEndTests {
    /// The kinds of history: one that answers at once, one that answers later.
    enum Kind: CaseIterable {
        case now, later

        func hub() async throws -> Hub {
            let memory = MemoryHistory.make()
            var options = StreamOptions()
            // However long history takes to answer.
            options.pause = { _ in try await untilCancelled() }
            return try await Hub(history: self == .now ? memory : YieldingHistory(memory), options: options)
        }
    }

    private func text(_ update: HubUpdate) -> String {
        switch update {
        case .event(let event): event.event.data
        case .end(let end): "end of \(end.topic) at \(end.id)"
        case .gap: "gap"
        }
    }

    private func all(_ updates: HubUpdates) async throws -> [String] {
        var all: [String] = []
        for try await update in updates { all.append(text(update)) }
        return all
    }

    private func publish(_ data: String, _ topic: Topic, _ hub: Hub) async throws {
        try await hub.publish(ServerSentEvent(data: data), to: topic)
    }

    // MARK: - Ends

    @Test("Updates finish after the ends of all topics", arguments: Kind.allCases)
    func finish(kind: Kind) async throws {
        let hub = try await kind.hub()
        let (a, b) = (try topic("a"), try topic("b"))
        let updates = try await hub.subscribe(to: .exact(a), .exact(b)) { updates in
            try await publish("1", a, hub)
            try await hub.end(a)
            try await publish("2", b, hub)
            try await hub.end(b)
            return try await all(updates)
        }
        #expect(updates == ["1", "end of a at 1-2", "2", "end of b at 1-4"])
        // From its beginning, live, and after its end.
        let again = try await hub.subscribe(to: .exact(a), from: .earliest) { try await all($0) }
        #expect(again == ["1", "end of a at 1-2"])
        let live = try await hub.subscribe(to: .exact(a), .exact(b)) { try await all($0) }
        #expect(Set(live) == ["end of a at 1-4", "end of b at 1-4"])
        let after = try await hub.subscribe(to: .exact(a), .exact(b), from: .after(eventID("1-4"))) {
            try await all($0)
        }
        #expect(after == [])
        #expect(hub.subscriberCount == 0)
    }

    @Test("A pattern never finishes, and a topic that was opened again goes on", arguments: Kind.allCases)
    func goesOn(kind: Kind) async throws {
        let hub = try await kind.hub()
        let (a, b) = (try topic("a"), try topic("b"))
        let updates = try await hub.subscribe(to: .exact(a), .exact(b), from: .earliest) { updates in
            try await hub.end(a)
            var iterator = updates.makeAsyncIterator()
            var seen = [try await iterator.next()]
            try await hub.purge(a)
            try await publish("again", a, hub)
            try await hub.end(b)
            seen += [try await iterator.next(), try await iterator.next()]
            try await hub.end(a)
            seen += [try await iterator.next(), try await iterator.next()]
            return seen.map { $0.map(text) ?? "finished" }
        }
        #expect(updates == ["end of a at 1-1", "again", "end of b at 1-3", "end of a at 1-4", "finished"])
        let pattern = try await hub.subscribe(to: .all) { updates in
            try await publish("last", try topic("c"), hub)
            var iterator = updates.makeAsyncIterator()
            return try await iterator.next().map(text)
        }
        #expect(pattern == "last")
    }

    @Test("A restricted end is told only to those who may receive it, and nobody else's updates finish")
    func restricted() async throws {
        let hub = try await Kind.now.hub()
        let a = try topic("a")
        try await publish("1", a, hub)
        try await hub.end(a, isRestricted: true)
        let stranger = Selection([.exact(a)], allowed: [])
        #expect(try await !hub.haveEnded(stranger))
        let poll = try await hub.poll(stranger, from: .earliest) {}
        #expect(poll.updates.map(text) == ["1"])
        #expect(!poll.hasEnded)
        #expect(try await hub.haveEnded(Selection([.exact(a)])))
    }

    @Test("A request that contradicts itself is refused", arguments: Kind.allCases)
    func contradictions(kind: Kind) async throws {
        let hub = try await kind.hub()
        let (a, b) = (try topic("a"), try topic("b"))
        let id = try #require(ProducerID([0x70]))
        let stamp = ProducerStamp(id: id, epoch: 0, sequence: 0)
        let last = ProducerStamp(id: id, epoch: 0, sequence: ProducerStamp.maximumNumber)
        let largest = ProducerStamp(id: id, epoch: .max, sequence: .max)
        let requests = [
            AppendRequest([]), AppendRequest([try event("1", "a", "b")], producer: stamp),
            AppendRequest([try event("1", "a"), try event("1", "b")], producer: stamp),
            AppendRequest([try event("1", "b")], ending: a),
            AppendRequest([.end(of: a), try event("late", "a")]), AppendRequest([.end(of: a)], ending: a),
            AppendRequest([try event("1", "a")], ending: a, producer: last),
            AppendRequest([try event("1", "a")], producer: largest),
        ]
        for request in requests {
            let error = await #expect(throws: HubError.self) { try await hub.publish(request) }
            #expect(error?.code == .badRequest)
        }
        #expect(try await hub.status().published == 0)
        _ = b
    }

    // MARK: - Marks

    @Test("What was acknowledged lies at or before every later mark", arguments: Kind.allCases)
    func marks(kind: Kind) async throws {
        let hub = try await kind.hub()
        let a = try topic("a")
        #expect(hub.mark().description == "1-0")
        for number in 1...20 {
            let id = try await hub.publish(ServerSentEvent(data: "\(number)"), to: a)
            #expect(hub.mark() == id)
        }
        #expect(try await hub.status().mark == hub.mark())
        let missed = try await hub.subscribe(to: .exact(a), from: .after(hub.mark())) { updates in
            try await publish("next", a, hub)
            var iterator = updates.makeAsyncIterator()
            return try await iterator.next().map(text)
        }
        #expect(missed == "next")
    }

    // MARK: - Long-polls

    @Test("A wait says whether there is more of what history held before the hub was opened")
    func pollsWhatWasHeld() async throws {
        let history = MemoryHistory()
        for number in 0..<300 { _ = try await history.append(AppendRequest([try event("\(number)", "a")])) }
        let hub = try await Hub(history: history)
        let selection = Selection([.exact(try Topic("a"))])
        let first = try await hub.poll(selection, from: .earliest) {}
        #expect(first.updates.count == 256 && first.hasMore)
        let rest = try await hub.poll(selection, from: .after(first.next)) {}
        #expect(rest.updates.count == 44 && !rest.hasMore)
    }

    @Test("A long-poll returns at the first event, and at its expiry without one", arguments: Kind.allCases)
    func poll(kind: Kind) async throws {
        let hub = try await kind.hub()
        let a = try topic("a")
        let selection = Selection([.exact(a)])
        let none = try await hub.poll(selection) {}
        #expect(none.updates.isEmpty && none.gap == nil && !none.hasMore && !none.hasEnded)
        #expect(none.next == hub.mark())
        // It waits only once it has counted as a subscriber.
        async let waiting = hub.poll(selection, from: .after(none.next)) { try? await untilCancelled() }
        while hub.subscriberCount == 0 { await Task.yield() }
        try await publish("1", a, hub)
        let first = try await waiting
        #expect(first.updates.map(text) == ["1"])
        #expect(hub.subscriberCount == 0)
        try await publish("other", try topic("b"), hub)
        let rest = try await hub.poll(selection, from: .after(first.next)) {}
        #expect(rest.updates.isEmpty)
        #expect(rest.next == hub.mark())
        try await hub.end(a)
        let end = try await hub.poll(selection, from: .after(rest.next)) {}
        #expect(end.updates.map(text) == ["end of a at 1-3"])
        #expect(end.hasEnded)
        let over = try await hub.poll(selection, from: .after(end.next)) { try? await untilCancelled() }
        #expect(over.updates.isEmpty && over.hasEnded)
    }

    @Test("A long-poll returns at once for a gap, and says whether there is more")
    func gapAndMore() async throws {
        let hub = try await Kind.now.hub()
        let a = try topic("a")
        for number in 0..<600 { try await publish("\(number)", a, hub) }
        let first = try await hub.poll(Selection([.exact(a)]), from: .earliest) { try? await untilCancelled() }
        #expect(first.updates.count == 256)
        #expect(first.hasMore)
        try await hub.purge(a)
        let gap = try await hub.poll(Selection([.exact(a)]), from: .after(first.next)) { try? await untilCancelled() }
        #expect(gap.updates.isEmpty)
        #expect(gap.gap?.requested == first.next)
        #expect(gap.gap?.through?.description == "1-600")
        #expect(!gap.hasMore)
    }

    @Test("A long-poll returns a gap whatever the gap policy, and after all ends nothing more is to come")
    func policies() async throws {
        let hub = try await Hub(
            history: MemoryHistory.make(topic: HistoryLimits(events: 2)),
            options: StreamOptions(gapPolicy: .close)
        )
        let a = try topic("a")
        for number in 0..<5 { try await publish("\(number)", a, hub) }
        let gap = try await hub.poll(Selection([.exact(a)]), from: .after(eventID("1-1"))) {}
        #expect(gap.gap?.through?.description == "1-3")
        #expect(gap.updates.map(text) == ["3", "4"])
        try await hub.end(a)
        try await publish("elsewhere", try topic("b"), hub)
        let over = try await hub.poll(Selection([.exact(a)]), from: .after(eventID("1-6"))) {
            try? await untilCancelled()
        }
        #expect(over.hasEnded && !over.hasMore)
        #expect(over.updates.isEmpty)
    }

    /// A history that never answers a read or a location.
    private final class Silent: MemoryBackedHistory {
        let memory = MemoryHistory.make()

        func locate(_ id: EventID) async throws -> Located {
            try? await untilCancelled()
            throw CancellationError()
        }

        func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
            try? await untilCancelled()
            throw CancellationError()
        }
    }

    @Test("A long-poll ends in time though history does not answer, and begins the next where it began")
    func silent() async throws {
        var options = StreamOptions()
        options.pause = { _ in }
        let hub = try await Hub(history: Silent(), options: options)
        let start = eventID("1-0")
        let selection = Selection([.exact(try topic("a"))])
        let poll = try await hub.poll(selection, from: .after(start)) {}
        #expect(poll.next == start)
        #expect(poll.updates.isEmpty && poll.gap == nil && !poll.hasEnded)
        #expect(hub.subscriberCount == 0)
    }

    @Test("A long-poll whose task is cancelled throws, and is not counted any more")
    func cancelled() async throws {
        let hub = try await Kind.now.hub()
        let selection = Selection([.exact(try topic("a"))])
        let waiting = Task { try await hub.poll(selection) { try? await untilCancelled() } }
        while hub.subscriberCount == 0 { await Task.yield() }
        waiting.cancel()
        await #expect(throws: CancellationError.self) { try await waiting.value }
        #expect(hub.subscriberCount == 0)
    }

    // MARK: - A history that fails

    /// A history whose next questions fail.
    private final class Unsteady: MemoryBackedHistory {
        let memory = MemoryHistory.make()
        private let failures: Mutex<Int>

        init(failures: Int) { self.failures = Mutex(failures) }

        private func fail() throws {
            let fails = failures.withLock { failures in
                failures -= 1
                return failures >= 0
            }
            if fails { throw YieldingHistory.Failure() }
        }

        func locate(_ id: EventID) async throws -> Located {
            try fail()
            return try await memory.locate(id)
        }

        func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
            try fail()
            return try await memory.read(after: position, selection: selection, limit: limit)
        }
    }

    @Test("A history that fails is asked again every second, for the start and for events")
    func asksAgain() async throws {
        let pauses = Mutex<[Duration]>([])
        var options = StreamOptions()
        options.pause = { time in pauses.withLock { $0.append(time) } }
        let hub = try await Hub(history: Unsteady(failures: 4), options: options)
        let a = try topic("a")
        try await publish("1", a, hub)
        try await publish("2", a, hub)
        let next = try await hub.subscribe(to: .exact(a), from: .after(eventID("1-1"))) { updates in
            var iterator = updates.makeAsyncIterator()
            return try await iterator.next().map(text)
        }
        #expect(next == "2")
        // The first failure was at the subscription, which does not wait.
        #expect(pauses.withLock { $0 } == [.seconds(1), .seconds(1), .seconds(1)])
    }

    @Test(
        "A history that fails for longer than its timeout ends the updates with its error, however long each answer takes"
    )
    func givesUp() async throws {
        let clock = TestClock()
        let start = clock.now
        var options = StreamOptions()
        options.historyTimeout = .seconds(60)
        options.now = { clock.now }
        // A pause and the next answer.
        options.pause = { time in clock.advance(by: time + .seconds(19)) }
        let hub = try await Hub(history: Unsteady(failures: .max), options: options)
        await #expect(throws: YieldingHistory.Failure.self) {
            try await hub.subscribe(to: .all, from: .earliest) { try await all($0) }
        }
        #expect(clock.now.nanoseconds - start.nanoseconds == 60_000_000_000)
    }

    @Test("A start that history does not locate in time is located by the stream")
    func patience() async throws {
        let history = Unsteady(failures: 1)
        var options = StreamOptions()
        options.pause = { _ in try await untilCancelled() }
        let hub = try await Hub(history: history, options: options)
        let id = eventID("1-0")
        let selection = Selection([.exact(try topic("a"))])
        let failed = await hub.locate(.after(id), selection, within: .seconds(1))
        #expect(failed == StartQuery(after: id).unanswered)
        let located = await hub.locate(.after(id), selection, within: .seconds(1))
        #expect(located == LocatedStart(position: .zero))
    }
}
