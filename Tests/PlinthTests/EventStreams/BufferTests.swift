// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

@Suite("Buffers", .timeLimit(.minutes(1)))
struct BufferTests {
    /// A channel without a pulling transport.
    private func channel(_ policy: EventBufferPolicy) -> EventStream {
        let stream = EventStream(options: .init(heartbeat: .off, buffer: policy)) { _ in }
        stream.channel.attach(Wakes(), preamble: [], metrics: nil, now: .seconds(0))
        return stream
    }

    private func sent(_ events: some Sequence<Int>) -> String { events.map { "data: \($0)\n\n" }.joined() }

    @Test(
        "A full buffer suspends, drops the newest, drops the oldest, or disconnects, by policy",
        arguments: [
            (EventBufferPolicy.bounded(3), [OfferResult.accepted, .accepted, .accepted, .full, .full], [0, 1, 2]),
            (.dropNewest(3), [.accepted, .accepted, .accepted, .accepted, .accepted], [0, 1, 2]),
            (.dropOldest(3), [.accepted, .accepted, .accepted, .accepted, .accepted], [2, 3, 4]),
            (.disconnect(3), [.accepted, .accepted, .accepted, .closed, .closed], []),
            (.bounded(0), [.accepted, .full, .full, .full, .full], [0]),
        ]
    )
    func policies(policy: EventBufferPolicy, results: [OfferResult], kept: [Int]) {
        let events = channel(policy).channel
        #expect((0..<5).map { events.offer("\($0)") } == results)
        #expect(events.pullAll().text == sent(kept))
    }

    @Test("The default buffer holds 10 events")
    func defaultPolicy() {
        let events = EventStream { _ in }.channel
        // Releasing the stream closes its channel.
        #expect(events.isClosed)
        let stream = EventStream { _ in }
        for n in 0..<10 { #expect(stream.channel.offer("\(n)") == .accepted) }
        #expect(stream.channel.offer("10") == .full)
    }

    @Test("A disconnecting buffer discards its events when the client lags")
    func lagged() async throws {
        let told = Journal<StreamEnd>()
        let registry = Registry()
        let chain = Chain.stream(
            options: .init(buffer: .disconnect(2)),
            lifetime: .open,
            onDisconnect: { told.note($0) }
        ) { registry.add($0) }
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectReturn()
        let events = try #require(registry.channels.first)
        stream.stall()
        for n in 0..<2 { #expect(await events.send("\(n)")) }
        #expect(await events.send("2") == false)
        #expect(events.disconnectReason == .lagged)
        try await stream.expectEnd(.lagged)
        #expect(told.entries == [.lagged])
    }

    @Test(
        "Buffers are also bounded in bytes",
        arguments: [
            (EventBufferPolicy.bounded(100, maximumBytes: 10), OfferResult.full, ["aaaa", "bbbbbb"]),
            (.dropNewest(100, maximumBytes: 10), .accepted, ["aaaa", "bbbbbb"]),
            (.dropOldest(100, maximumBytes: 10), .accepted, ["bbbbbb", "c"]),
            (.disconnect(100, maximumBytes: 10), .closed, []),
        ]
    )
    func bytes(policy: EventBufferPolicy, third: OfferResult, kept: [String]) {
        let events = channel(policy).channel
        #expect(events.offer("aaaa") == .accepted)
        #expect(events.offer("bbbbbb") == .accepted)
        #expect(events.offer("c") == third)
        #expect(events.pullAll().text == kept.map { "data: \($0)\n\n" }.joined())
    }

    @Test("An empty buffer accepts an event above its byte bound; type and ID count as bytes")
    func large() {
        let events = channel(.bounded(100, maximumBytes: 10)).channel
        #expect(events.offer(String(repeating: "a", count: 1000)) == .accepted)
        #expect(events.offer("b") == .full)
        _ = events.pullAll()
        #expect(events.offer(.init(type: "type", data: "data", id: "12")) == .accepted)
        #expect(events.offer("") == .accepted)
        #expect(events.offer("x") == .full)
    }

    // MARK: - Custom buffers

    /// Keeps the latest event of each type, ordered by each type's first event.
    private struct LatestOfEach: EventBuffer {
        var order: [String] = []
        var latest: [String: ServerSentEvent] = [:]

        var isEmpty: Bool { order.isEmpty }

        mutating func append(_ event: ServerSentEvent) -> EventBufferOutcome {
            let type = event.type ?? "message"
            if latest.updateValue(event, forKey: type) != nil { return .stored(dropping: 1) }
            order.append(type)
            return .stored
        }

        mutating func popFirst() -> ServerSentEvent? {
            guard !order.isEmpty else { return nil }
            return latest.removeValue(forKey: order.removeFirst())
        }
    }

    @Test("A custom buffer can keep the latest event of each type")
    func latestOfEach() async throws {
        let registry = Registry()
        let chain = Chain.stream(options: .init(buffer: .custom { LatestOfEach() }), lifetime: .open) {
            registry.add($0)
        }
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectReturn()
        let events = try #require(registry.channels.first)
        stream.stall()
        for n in 0..<100 {
            await events.send(.init(type: "price", data: "\(n)"))
            await events.send(.init(type: "volume", data: "\(2 * n)"))
        }
        stream.resume()
        try await stream.expectEvent(type: "price", data: "99")
        try await stream.expectEvent(type: "volume", data: "198")
        await events.send(.init(type: "price", data: "100"))
        try await stream.expectEvent(type: "price", data: "100")
        events.close()
        try await stream.expectEnd()
    }

    /// Holds two events, with scripted outcomes by data.
    private struct Scripted: EventBuffer {
        var events: [ServerSentEvent] = []
        /// Outcomes by event data; by default stored if there is room, otherwise full.
        var outcomes: [String: EventBufferOutcome] = [:]
        var room = 2

        var isEmpty: Bool { events.isEmpty }

        mutating func append(_ event: ServerSentEvent) -> EventBufferOutcome {
            guard events.count < room else { return .full }
            if let outcome = outcomes[event.data], outcome != .stored { return outcome }
            events.append(event)
            return .stored
        }

        mutating func popFirst() -> ServerSentEvent? {
            events.isEmpty ? nil : events.removeFirst()
        }
    }

    @Test("When a custom buffer drops a waiting event, its sender resumes")
    func dropsWaiter() async {
        let stream = channel(.custom { Scripted(outcomes: ["3": .dropped]) })
        let events = stream.channel
        for n in 1...2 { events.offer("\(n)") }
        async let third = events.send("3")
        await parked(events, 1)
        async let fourth = events.send("4")
        await parked(events, 2)
        #expect(events.pullAll().text == sent([1, 2, 4]))
        #expect(await third)
        #expect(await fourth)
    }

    @Test("A custom buffer can disconnect when a waiting event is appended")
    func disconnectsWaiter() async {
        let stream = channel(.custom { Scripted(outcomes: ["3": .disconnect]) })
        let events = stream.channel
        for n in 1...2 { events.offer("\(n)") }
        async let third = events.send("3")
        await parked(events, 1)
        async let fourth = events.send("4")
        await parked(events, 2)
        #expect(events.pullAll().last == .end(.lagged))
        #expect(await third == false)
        #expect(await fourth == false)
    }

    @Test("A custom buffer that never has room does not block a sender forever")
    func neverRoom() async {
        let stream = channel(.custom { Scripted(room: 0) })
        let events = stream.channel
        #expect(events.offer("1") == .full)
        #expect(await events.send("1"))
        #expect(events.pullAll() == ("", .idle))
    }

    /// Claims to hold events, but returns none.
    private struct Pretending: EventBuffer {
        var isEmpty: Bool { false }
        mutating func append(_ event: ServerSentEvent) -> EventBufferOutcome { .stored }
        mutating func popFirst() -> ServerSentEvent? { nil }
    }

    @Test("A custom buffer that returns fewer events than it claims does not block the last event or the end")
    func pretending() {
        let stream = channel(.custom { Pretending() })
        let events = stream.channel
        events.offer("1")
        #expect(events.pullAll() == ("", .idle))
        events.close(after: .init(data: "last"))
        #expect(events.pullAll() == ("data: last\n\n", .end(.applicationClosed)))
    }
}
