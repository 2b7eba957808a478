// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthTestSupport
import Synchronization
import Testing

@testable import PlinthHub

/// An update in a form to compare.
private func text(_ update: HubUpdate?) -> String {
    switch update {
    case .event(let event): event.event.data
    case .gap(let gap): "gap \(gap.requested) \(gap.oldest?.description ?? "-") \(gap.through?.description ?? "-")"
    case .end(let end): "end of \(end.topic)"
    case nil: "end"
    }
}

extension HubUpdates {
    /// The next `count` updates.
    fileprivate func first(_ count: Int) async throws -> [String] {
        var iterator = makeAsyncIterator()
        var all: [String] = []
        while all.count < count { all.append(text(try await iterator.next())) }
        return all
    }
}

@Suite("Hub", .timeLimit(.minutes(2)))
struct HubTests {
    /// The kinds of history: one that answers at once, one that answers later.
    enum Kind: CaseIterable {
        case now, later
        func make(total: Int = .max) -> any History {
            let memory = MemoryHistory.make(total: HistoryLimits(events: total))
            return self == .now ? memory : YieldingHistory(memory)
        }
    }

    // MARK: - Publishing and subscribing

    @Test("Publishing returns the ID of each event", arguments: Kind.allCases)
    func publishing(kind: Kind) async throws {
        let hub = try await Hub.make(kind.make())
        #expect(try await hub.publish("1", to: "a").description == "1-1")
        #expect(try await hub.publish([event("2", "a"), event("3", "b")]).map(\.description) == ["1-2", "1-3"])
        #expect(try await hub.publish([]) == [])
        let held = try await hub.history.read(after: nil, selection: Selection([.all]), limit: .none)
        #expect(held.entries.map(\.event.data) == ["1", "2", "3"])
    }

    @Test("An event of a reserved type is refused with its whole batch, however it is published")
    func reservedType() async throws {
        let history = MemoryHistory.make()
        let hub = try await Hub(history: history, options: StreamOptions(gapType: "lost"), observer: nil)
        #expect(hub.reservedTypes == ["lost", "end"])
        let forged = ServerSentEvent(type: "lost", data: "{}")
        let single = await #expect(throws: HubError.self) { try await hub.publish(forged, to: topic("a")) }
        #expect(single?.code == .typeReserved)
        #expect(single?.index == 0)
        let batch = [try event("1", "a"), NewEvent(forged, topics: [try topic("a")]), try event("2", "a")]
        let several = await #expect(throws: HubError.self) { try await hub.publish(batch) }
        #expect(several?.index == 1)
        #expect(several?.code.description == "type-reserved")
        #expect(try await hub.status().published == 0)
        // Similar types are allowed, and so is `gap` if it is not the hub's.
        for type in ["gap", "Lost", " lost", "lost ", "lo\u{301}st", "losť"] {
            try await hub.publish(ServerSentEvent(type: type, data: ""), to: topic("a"))
        }
        #expect(history.readNow(after: nil, selection: Selection([.all]), limit: .none)?.entries.count == 6)
    }

    @Test("The heartbeat type is reserved, valid, and different from the gap type")
    func reservedHeartbeat() async throws {
        let hub = try await Hub(options: StreamOptions(heartbeatEvent: "tick"))
        #expect(hub.reservedTypes == ["gap", "end", "tick"])
        for type in ["gap", "tick"] {
            let error = await #expect(throws: HubError.self) {
                try await hub.publish(ServerSentEvent(type: type, data: ""), to: topic("a"))
            }
            #expect(error?.code == .typeReserved)
        }
        for type in ["gap", "", "message", "a\nb"] {
            let error = await #expect(throws: HubError.self) {
                try await Hub(options: StreamOptions(heartbeatEvent: type))
            }
            #expect(error?.option == "heartbeatEvent", "\(type)")
        }
    }

    @Test(
        "A reconnection time is clamped to between 100 ms and the maximum, also in history",
        arguments: [
            (nil, nil), (0, 100), (99, 100), (100, 100), (101, 101), (60_000, 60_000), (60_001, 60_000),
            (9_007_199_254_740_991, 60_000),
        ] as [(Int64?, Int64?)]
    )
    func clampsRetry(given: Int64?, held: Int64?) async throws {
        let history = MemoryHistory.make(acceptsIDs: true)
        let options = StreamOptions(maximumRetry: .seconds(60))
        let hub = try await Hub(history: history, options: options, observer: nil)
        let retry = given.map { Duration.milliseconds($0) }
        let event = ServerSentEvent(type: "t\u{301}", data: "one\n\ntwo\n: x\nid: y\n", retry: retry)
        try await hub.publish(event, to: topic("a"))
        let new = NewEvent(
            event,
            topics: [try topic("a"), try topic("b")],
            isRestricted: true,
            requestedID: eventID("mine")
        )
        try await hub.publish([try PlinthHubTests.event("first", "a"), new])
        let entries = history.readNow(after: nil, selection: Selection([.all]), limit: .none)?.entries ?? []
        try #require(entries.count == 3)
        for entry in [entries[0], entries[2]] {
            #expect(entry.event.retry == held.map { .milliseconds($0) })
            #expect(entry.event.type == event.type)
            #expect(entry.event.data == event.data)
        }
        #expect(entries[2].topics.map(\.name) == ["a", "b"])
        #expect(entries[2].isRestricted)
        #expect(entries[2].id == eventID("mine"))
    }

    @Test("The maximum reconnection time is 1 h by default and never below 100 ms")
    func longestRetry() async throws {
        for (longest, held) in [(nil, .seconds(3600)), (.zero, .milliseconds(100)), (.seconds(-1), .milliseconds(100))]
            as [(Duration?, Duration)]
        {
            let history = MemoryHistory.make()
            let options = longest.map { StreamOptions(maximumRetry: $0) } ?? StreamOptions()
            let hub = try await Hub(history: history, options: options, observer: nil)
            try await hub.publish(ServerSentEvent(data: "", retry: .seconds(1 << 40)), to: topic("a"))
            let entries = history.readNow(after: nil, selection: Selection([.all]), limit: .none)?.entries
            #expect(entries?.first?.event.retry == held)
        }
    }

    @Test(
        "An invalid gap type is refused",
        arguments: ["", "message", "a\nb", "a\r"]
    )
    func badGapType(type: String) async throws {
        let error = await #expect(throws: HubError.self) { try await Hub(options: StreamOptions(gapType: type)) }
        #expect(error?.code == .badOptions)
        #expect(error?.option == "gapType")
    }

    @Test("A live subscriber receives events published from then on", arguments: Kind.allCases)
    func live(kind: Kind) async throws {
        let hub = try await Hub.make(kind.make())
        try await hub.publish("before", to: "a")
        let seen = try await hub.subscribe(to: exact("a")) { updates in
            try await hub.publish("1", to: "a")
            try await hub.publish("other", to: "b")
            try await hub.publish("2", to: "a")
            return try await updates.first(2)
        }
        #expect(seen == ["1", "2"])
    }

    @Test("A subscriber begins with the earliest event, or after an ID of any topic", arguments: Kind.allCases)
    func starts(kind: Kind) async throws {
        let hub = try await Hub.make(kind.make())
        for number in 1...6 { try await hub.publish("\(number)", to: number % 2 == 0 ? "even" : "odd") }
        let all = try await hub.subscribe(to: exact("odd"), from: .earliest) { try await $0.first(3) }
        #expect(all == ["1", "3", "5"])
        let after = try await hub.subscribe(to: exact("odd"), from: .after(eventID("1-2"))) { try await $0.first(2) }
        #expect(after == ["3", "5"])
        let several = try await hub.subscribe(to: exact("odd"), exact("even"), from: .after(eventID("1-3"))) {
            try await $0.first(3)
        }
        #expect(several == ["4", "5", "6"])
        let everything = try await hub.subscribe(to: .all, from: .after(eventID("1-0"))) { try await $0.first(6) }
        #expect(everything == ["1", "2", "3", "4", "5", "6"])
    }

    @Test("An unknown ID is reported as a gap, and what is held follows", arguments: Kind.allCases)
    func unknown(kind: Kind) async throws {
        let hub = try await Hub.make(kind.make())
        for id in ["0-1", "1-1", "nonsense"] {
            let seen = try await hub.subscribe(to: exact("a"), from: .after(eventID(id))) { try await $0.first(1) }
            #expect(seen == ["gap \(id) - -"])
        }
        try await hub.publish("1", to: "a")
        let seen = try await hub.subscribe(to: exact("a"), from: .after(eventID("1-99"))) { updates in
            var iterator = updates.makeAsyncIterator()
            let first = [text(try await iterator.next()), text(try await iterator.next())]
            try await hub.publish("2", to: "a")
            return first + [text(try await iterator.next())]
        }
        #expect(seen == ["gap 1-99 1-1 -", "1", "2"])
    }

    @Test("Patterns, all and several topics deliver each event once, in one order", arguments: Kind.allCases)
    func selectors(kind: Kind) async throws {
        let hub = try await Hub.make(kind.make())
        let selectors: [[TopicSelector]] = [
            [try pattern("orders/*")], [.all], [try exact("orders/1"), try pattern("**")],
            [try exact("orders/1"), try exact("orders/2")],
        ]
        for selectors in selectors {
            let seen = try await hub.subscribe(Selection(selectors)) { updates in
                try await hub.publish([
                    event("1", "orders/1"), event("2", "orders/2", "orders/1"), event("3", "orders/2"),
                ])
                return try await updates.first(3)
            }
            #expect(seen == ["1", "2", "3"])
        }
    }

    @Test("Restricted events reach only authorized subscribers")
    func restricted() async throws {
        let hub = try await Hub.make()
        let a = try topic("a")
        try await hub.publish(ServerSentEvent(data: "secret"), to: a, isRestricted: true)
        try await hub.publish("open", to: "a")
        let barred = try await hub.subscribe(Selection([.exact(a)], allowed: []), from: .earliest) {
            try await $0.first(1)
        }
        #expect(barred == ["open"])
        let allowed = try await hub.subscribe(Selection([.exact(a)]), from: .earliest) { try await $0.first(2) }
        #expect(allowed == ["secret", "open"])
    }

    @Test("A slow subscriber receives a gap and continues", arguments: Kind.allCases)
    func slow(kind: Kind) async throws {
        let hub = try await Hub.make(kind.make(total: 3))
        let seen = try await hub.subscribe(to: exact("a")) { updates in
            var iterator = updates.makeAsyncIterator()
            try await hub.publish("1", to: "a")
            var seen = [text(try await iterator.next())]
            for number in 2...10 { try await hub.publish("\(number)", to: "a") }
            for _ in 0..<4 { seen.append(text(try await iterator.next())) }
            try await hub.publish("11", to: "a")
            seen.append(text(try await iterator.next()))
            return seen
        }
        #expect(seen == ["1", "gap 1-1 1-8 1-7", "8", "9", "10", "11"])
    }

    @Test(
        "If gaps close streams, a subscriber that missed events ends with the reason `lagged`",
        arguments: Kind.allCases
    )
    func closes(kind: Kind) async throws {
        let hub = try await Hub.make(kind.make(total: 3), options: StreamOptions(gapPolicy: .close))
        let error = await #expect(throws: HubError.self) {
            try await hub.subscribe(to: exact("a")) { updates in
                for number in 1...10 { try await hub.publish("\(number)", to: "a") }
                for try await _ in updates {}
            }
        }
        #expect(error?.code == .lagged)
        // One that begins with the oldest would only meet the gap again.
        let seen = try await hub.subscribe(to: exact("a"), from: .earliest) { updates in
            var iterator = updates.makeAsyncIterator()
            var seen: [String] = []
            for _ in 0..<3 { seen.append(text(try await iterator.next())) }
            return seen
        }
        #expect(seen == ["8", "9", "10"])
    }

    @Test("A subscription waits for its own events and for nothing else", arguments: Kind.allCases)
    func waiting(kind: Kind) async throws {
        let history = YieldingHistory(MemoryHistory.make())
        let hub = try await Hub.make(kind == .now ? history.memory : history)
        let began = Gate()
        try await withThrowingTaskGroup(of: [String].self) { group in
            group.addTask {
                try await hub.subscribe(to: exact("a")) { updates in
                    began.signal()
                    return try await updates.first(1)
                }
            }
            await began.wait()
            for number in 0..<100 { try await hub.publish("\(number)", to: "b") }
            try await hub.publish("mine", to: "a")
            #expect(try await group.next() == ["mine"])
        }
    }

    @Test("An error of the closure is rethrown and ends the subscription")
    func throwing() async throws {
        struct Mine: Error {}
        let hub = try await Hub.make()
        await #expect(throws: Mine.self) {
            try await hub.subscribe(to: exact("a")) { _ in
                #expect(hub.subscriberCount == 1)
                throw Mine()
            }
        }
        #expect(hub.subscriberCount == 0)
    }

    // MARK: - Cancelling

    @Test("Cancellation ends a waiting subscriber", arguments: Kind.allCases)
    func cancellation(kind: Kind) async throws {
        let hub = try await Hub.make(kind.make())
        for _ in 0..<50 {
            let got = Gate()
            let task = Task {
                try await hub.subscribe(to: exact("a"), from: .after(hub.history.id(at: .zero))) { updates in
                    for try await _ in updates { got.signal() }
                }
            }
            try await hub.publish("x", to: "a")
            await got.wait()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            #expect(hub.subscriberCount == 0)
        }
        // Also if cancelled before it began.
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await hub.subscribe(to: exact("a")) { updates in for try await _ in updates {} }
        }
        await #expect(throws: CancellationError.self) { try await task.value }
    }

    @Test("After a waiting task was cancelled, another task can wait")
    func cancelledPart() async throws {
        let group = LocalGroup(head: .zero)
        let subscription = group.add(Selection([try exact("a")]))
        // As with a time limit around one step.
        let cancelled = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            try await group.waitForMore(subscription)
        }
        await #expect(throws: CancellationError.self) { try await cancelled.value }
        let over = Gate()
        let began = Gate()
        try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask {
                began.signal()
                try await group.waitForMore(subscription)
                over.signal()
            }
            await began.wait()
            for _ in 0..<500 { await Task.yield() }
            #expect(over.count == 0, "it does not wait: an iteration would read history endlessly")
            let new = try event("1", "a")
            group.enqueue([
                HistoryEntry(new, position: Position(1), id: eventID("1-1"), time: MonotonicTime(nanoseconds: 0))
            ])
            try await tasks.waitForAll()
        }
        #expect(over.count == 1)
    }

    // MARK: - Many

    @Test("20 subscribers see the events of 100 concurrent publishers in one order", arguments: Kind.allCases)
    func many(kind: Kind) async throws {
        let hub = try await Hub.make(kind.make())
        let publishers = 100
        let rounds = 10
        let subscribers = 20
        let began = Gate()
        try await withThrowingTaskGroup(of: (Int, [String]).self) { group in
            for subscriber in 0..<subscribers {
                group.addTask {
                    let selectors: [TopicSelector] =
                        switch subscriber % 3 {
                        case 0: [.all]
                        case 1: [try pattern("topics/*")]
                        default: try (0..<5).map { try exact("topics/\($0)") }
                        }
                    return try await hub.subscribe(Selection(selectors)) { updates in
                        began.signal()
                        return (subscriber, try await updates.first(publishers * rounds))
                    }
                }
            }
            await began.wait(for: subscribers)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for publisher in 0..<publishers {
                    group.addTask {
                        for round in 0..<rounds {
                            try await hub.publish("\(publisher) \(round)", to: "topics/\(publisher % 5)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            let batch = try await hub.history.read(after: nil, selection: Selection([.all]), limit: .none)
            let order = batch.entries.map(\.event.data)
            #expect(Set(order).count == publishers * rounds)
            for try await (subscriber, seen) in group { #expect(seen == order, "subscriber \(subscriber)") }
        }
        #expect(hub.subscriberCount == 0)
    }

    // MARK: - Failing and removing

    @Test("If history fails, publishing throws and no subscriber receives the event")
    func failing() async throws {
        let history = YieldingHistory(MemoryHistory.make())
        let hub = try await Hub.make(history)
        let seen = try await hub.subscribe(to: exact("a")) { updates in
            history.failNextAppend()
            await #expect(throws: YieldingHistory.Failure.self) { try await hub.publish("lost", to: "a") }
            try await hub.publish("next", to: "a")
            return try await updates.first(1)
        }
        #expect(seen == ["next"])
        #expect(try await hub.status().published == 1)
        await #expect(throws: HistoryError.self) {
            try await Hub.make().publish([event("1", "a"), event("2", "a", id: "mine")])
        }
    }

    @Test("Purging removes events from history and keeps live subscribers")
    func purging() async throws {
        let hub = try await Hub.make()
        try await hub.publish("1", to: "a")
        try await hub.publish("2", to: "b")
        let seen = try await hub.subscribe(to: exact("a")) { updates in
            #expect(try await hub.purge(topic("a")) == 1)
            #expect(try await hub.purge(topic("a")) == 0)
            try await hub.publish("3", to: "a")
            return try await updates.first(1)
        }
        #expect(seen == ["3"])
        let resumed = try await hub.subscribe(to: exact("a"), from: .after(eventID("1-0"))) { try await $0.first(2) }
        #expect(resumed == ["gap 1-0 1-3 1-1", "3"])
    }

    // MARK: - Counts

    @Test("Subscribers are counted by topic, including those of patterns, until they leave")
    func presence() async throws {
        let hub = try await Hub.make()
        let a = try topic("a")
        let order = try topic("orders/1")
        try await hub.subscribe(to: exact("a")) { _ in
            #expect(hub.subscriberCount(of: a) == 1)
            #expect(hub.subscriberCount(of: order) == 0)
            try await hub.subscribe(to: exact("a"), exact("orders/1"), exact("a")) { _ in
                #expect(hub.subscriberCount(of: a) == 2)
                #expect(hub.subscriberCount(of: order) == 1)
                try await hub.subscribe(to: pattern("orders/*"), pattern("orders/**")) { _ in
                    #expect(hub.subscriberCount(of: a) == 2)
                    #expect(hub.subscriberCount(of: order) == 2)
                    try await hub.subscribe(to: .all, exact("a")) { _ in
                        #expect(hub.subscriberCount(of: a) == 3)
                        #expect(hub.subscriberCount(of: order) == 3)
                        #expect(hub.subscriberCount == 4)
                    }
                }
                #expect(hub.subscriberCount(of: order) == 1)
            }
        }
        #expect(hub.subscriberCount(of: a) == 0)
        #expect(hub.subscriberCount(of: order) == 0)
        #expect(hub.subscriberCount == 0)
    }

    private struct Short: TopicMatcher {
        var description: String { "short" }
        func matches(_ topic: Topic) -> Bool { topic.utf8.count == 1 }
    }

    @Test("Counts equal those of a plain list as subscribers come and go", arguments: [1, 2, 3] as [UInt64])
    func presenceModel(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var presence = Presence()
        var present: [UInt64: Selection] = [:]
        let selections = [
            Selection([try exact("a")]), Selection([try exact("a"), try exact("b")]), Selection([try pattern("*")]),
            Selection([.all, try exact("a")]), Selection([]), Selection([.matching(Short())]),
            Selection([.matching(Short()), try pattern("c/*"), try pattern("*/d"), try exact("c/d"), try exact("b")]),
        ]
        for id in 0..<2000 as Range<UInt64> {
            if Bool.random(using: &random), let old = present.keys.sorted().randomElement(using: &random),
                let selection = present.removeValue(forKey: old)
            {
                presence.remove(selection, id: old)
            } else {
                let selection = selections.randomElement(using: &random) ?? selections[0]
                present[id] = selection
                presence.add(selection, id: id)
            }
            #expect(presence.count == present.count)
            for name in ["a", "b", "c/d"] {
                let wanted = try topic(name)
                #expect(presence.count(of: wanted) == present.values.count { $0.wants(wanted) }, "seed \(seed)")
            }
        }
    }

    @Test("An observer is notified once of each beginning and end")
    func observing() async throws {
        let observer = RecordingObserver()
        let hub = try await Hub.make(observer: observer)
        try await hub.subscribe(to: exact("a"), from: .earliest) { _ in
            #expect(observer.told == ["1 began a earliest process"])
        }
        _ = try? await hub.subscribe(to: .all) { _ in throw CancellationError() }
        let stream = hub.began(Selection([try exact("b")]), .live, .reactor, attachment: "alice")
        hub.ended(stream, .timedOut)
        #expect(
            observer.told == [
                "1 began a earliest process", "1 ended client-closed", "2 began * live process",
                "2 ended client-closed",
                "3 began b live reactor alice", "3 ended timed-out",
            ]
        )
    }

    @Test("The status reports what is held and published, and the topics with the latest events")
    func status() async throws {
        let hub = try await Hub.make(MemoryHistory.make(total: HistoryLimits(events: 4)))
        let empty = try await hub.status(top: 5)
        #expect(empty.topics == 0 && empty.events == 0 && empty.bytes == 0 && empty.published == 0 && empty.top == [])
        for number in 0..<6 { try await hub.publish("\(number)", to: ["a", "b", "c"][number % 3]) }
        try await hub.publish("6", to: "a")
        try await hub.subscribe(to: exact("a")) { _ in
            try await hub.subscribe(to: .all) { _ in
                let status = try await hub.status(top: 2)
                #expect(status.topics == 3)
                #expect(status.events == 4)
                #expect(status.bytes > 0)
                #expect(status.published == 7)
                #expect(status.subscribers == 2)
                #expect(status.uptime >= .zero)
                #expect(status.top.map { "\($0.topic) \($0.subscribers) \($0.published)" } == ["a 2 3", "c 1 2"])
                #expect(try await hub.status().top == [])
                #expect(try await hub.status(top: -1).top == [])
            }
        }
    }

    @Test("At least the latest 1,000 topics are kept, and at most 2,000")
    func activity() throws {
        var activity = TopicActivity()
        for number in 1...10_000 {
            let new = try event("x", "topic/\(number)")
            let id = eventID("1-\(number)")
            activity.record([
                HistoryEntry(new, position: Position(UInt64(number)), id: id, time: MonotonicTime(nanoseconds: 0))
            ])
            #expect(activity.topics.count <= 2 * TopicActivity.maximum)
        }
        let recent = activity.recent(1000).map(\.topic.name)
        #expect(recent == (9001...10_000).reversed().map { "topic/\($0)" })
    }
}

private final class RecordingObserver: HubObserver {
    private let all = Mutex<[String]>([])
    var told: [String] { all.withLock { $0 } }

    func streamBegan(_ stream: HubStream) {
        let wanted = stream.selection.wanted.map(\.description).joined(separator: ",")
        let attachment = (stream.attachment as? String).map { " " + $0 } ?? ""
        all.withLock { $0.append("\(stream.id) began \(wanted) \(stream.start) \(stream.transport)\(attachment)") }
    }

    func streamEnded(_ stream: HubStream, _ end: StreamEnd) {
        all.withLock { $0.append("\(stream.id) ended \(end)") }
    }
}
