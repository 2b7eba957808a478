// SPDX-License-Identifier: Apache-2.0

import PlinthClient
import PlinthEvents
import PlinthTestSupport
import PlinthTesting
import Testing

@Suite("Updates of a hub")
struct HubUpdatesTests {
    typealias Update = EventSource.HubUpdate

    static func source(
        _ transport: ScriptedTransport,
        path: String = "topics/a",
        clock: any Clock<Duration> = ManualClock(),
        _ configure: (inout EventSourceConfiguration) -> Void = { _ in }
    ) -> EventSource {
        var configuration = EventSourceConfiguration.plain(clock)
        configure(&configuration)
        return EventSource("http://a.example/\(path)", configuration: configuration, transport: transport)
    }

    static func updates(of source: EventSource) async throws -> [Update] {
        var updates: [Update] = []
        for try await update in source.hubUpdates { updates.append(update) }
        return updates
    }

    @Test("Events, gaps and ends arrive as typed values, in order, and heartbeats are not delivered")
    func typed() async throws {
        let transport = ScriptedTransport([
            .stream([
                "event: beat\ndata\n\nid: x-1\ndata: 1\n\nevent: gap\nid: x-3\n",
                #"data: {"requested":"x-1","oldest":"x-4","through":"x-3"}"# + "\n\nid: x-4\nevent: e\ndata: 4\n\n",
                "event: beat\ndata\n\nevent: end\nid: x-5\ndata: {\"topic\":\"a\"}\n\n",
            ])
        ])
        let source = Self.source(transport) { $0.hub.heartbeatEvent = "beat" }
        #expect(
            try await Self.updates(of: source) == [
                .event(.init(data: "1", lastEventID: "x-1")),
                .gap(.init(requested: "x-1", oldest: "x-4", through: "x-3")),
                .event(.init(type: "e", data: "4", lastEventID: "x-4")), .end(topic: "a"),
            ]
        )
        #expect(source.lastEventID == "x-5")
        #expect(source.readyState == .closed(.ended))
        #expect(transport.requests.values.count == 1)
        // Permanently.
        #expect(try await Self.updates(of: source).isEmpty)
    }

    @Test(
        "An event of several topics has its topic and an ID without it, and the source resumes with the ID as received"
    )
    func topics() async throws {
        let clock = ManualClock()
        let transport = ScriptedTransport([
            .stream(["id: x-1\torders/7\ndata: a\n\nid: x-2\tä\tb\ndata: b\n\ndata: none\n\n"]), .open([]),
        ])
        let source = Self.source(transport, path: "topics?match=**", clock: clock)
        var iterator = source.hubUpdates.makeAsyncIterator()
        let events = [
            EventSource.Event(data: "a", lastEventID: "x-1", topic: "orders/7"),
            EventSource.Event(data: "b", lastEventID: "x-2", topic: "ä\tb"),
        ]
        for event in events { #expect(try await iterator.next() == .event(event)) }
        #expect(events.map(\.id) == ["x-1", "x-2"])
        #expect(events.map(\.topic) == ["orders/7", "ä\tb"])
        #expect(source.lastEventID == "x-2\tä\tb")
        guard case .event(let event)? = try await iterator.next() else {
            Issue.record("An event without an ID should follow")
            return
        }
        #expect(event.id == nil && event.topic == nil && event.lastEventID == "x-2\tä\tb")
        // A bridge sends the ID alone.
        #expect(try ServerSentEvent(events[0]).id == "x-1")
        let reader = Task { [iterator] in
            var iterator = iterator
            _ = try await iterator.next()
        }
        defer { reader.cancel() }
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        try await transport.requests.first(2)
        #expect(transport.lastEventIDs == [nil, "x-2\tä\tb"])
    }

    @Test("Iterating the source itself delivers a hub's own events as events, with the topic in the ID, and reconnects")
    func plain() async throws {
        let clock = ManualClock()
        let text = "id: x-1\ta\nevent: gap\ndata: ?\n\nid: x-2\ta\nevent: end\ndata: {\"topic\":\"a\"}\n\n"
        let transport = ScriptedTransport([.stream([text]), .response(204)])
        let source = Self.source(transport, clock: clock)
        var iterator = source.makeAsyncIterator()
        let gap = try await iterator.next()
        #expect(gap == .init(type: "gap", data: "?", lastEventID: "x-1\ta"))
        #expect(gap?.id == "x-1\ta" && gap?.topic == nil)
        #expect(try await iterator.next()?.type == "end")
        let end = Task { [iterator] in
            var iterator = iterator
            return try await iterator.next()
        }
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        #expect(try await end.value == nil)
        #expect(source.readyState == .closed(.noContent))
    }

    @Test("After the ends of several topics the source asks once more, and ends at the hub's 204")
    func severalEnds() async throws {
        let clock = ManualClock()
        let transport = ScriptedTransport([
            .stream([
                "event: end\nid: x-1\ta\ndata: {\"topic\":\"a\"}\n\nevent: end\nid: x-2\tb\ndata: {\"topic\":\"b\"}\n\n"
            ]), .response(204),
        ])
        let source = Self.source(transport, path: "topics?topic=a&topic=b", clock: clock)
        let updates = Task { try await Self.updates(of: source) }
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        #expect(try await updates.value == [.end(topic: "a"), .end(topic: "b")])
        #expect(transport.lastEventIDs == [nil, "x-2\tb"])
        #expect(source.readyState == .closed(.noContent))
    }

    @Test("A hub that shuts down after one of several ends is read again")
    func endBeforeShutdown() async throws {
        let clock = ManualClock()
        let transport = ScriptedTransport([
            .stream(["event: end\nid: x-1\ta\ndata: {\"topic\":\"a\"}\n\nretry: 1000\n\n"]),
            .open(["id: x-2\tb\ndata: b\n\n"]),
        ])
        let source = Self.source(transport, path: "topics?topic=a&topic=b", clock: clock)
        let updates = Recorder<Update>()
        let reader = Task { for try await update in source.hubUpdates { updates.record(update) } }
        defer { reader.cancel() }
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(1))
        #expect(
            try await updates.first(2) == [
                .end(topic: "a"), .event(.init(data: "b", lastEventID: "x-2", topic: "b")),
            ]
        )
    }

    @Test("A renamed gap is recognized, and an event of type gap is then a published one")
    func renamed() async throws {
        let data = #"{"requested":null,"oldest":null,"through":null}"#
        let transport = ScriptedTransport([.open(["event: lost\ndata: \(data)\n\nevent: gap\ndata: a\n\n"])])
        var iterator = Self.source(transport) { $0.hub.gapType = "lost" }.hubUpdates.makeAsyncIterator()
        #expect(try await iterator.next() == .gap(.init()))
        #expect(try await iterator.next() == .event(.init(type: "gap", data: "a")))
    }

    @Test("An event of another server's type end is an error that names it, after the events before it")
    func invalid() async throws {
        let transport = ScriptedTransport([.open(["id: 1\ndata: a\n\nid: 2\nevent: end\ndata: bye\n\n"])])
        let source = Self.source(transport)
        var iterator = source.hubUpdates.makeAsyncIterator()
        #expect(try await iterator.next() == .event(.init(data: "a", lastEventID: "1")))
        let error = await #expect(throws: EventSourceError.self) { try await iterator.next() }
        #expect(error?.code == .invalidHubEvent)
        #expect(error?.message.contains(#"the type "end""#) == true)
        #expect(error?.message.contains(#"begins with "bye""#) == true)
        #expect(try await iterator.next() == nil)
        #expect(source.lastEventID == "1")
        #expect(source.readyState == .closed(.failed(.invalidHubEvent)))
    }

    @Test("An event made for a test has the ID and topic it was given")
    func madeForTests() {
        let event = EventSource.Event(data: "a", lastEventID: "x-1", topic: "b")
        #expect(event.id == "x-1" && event.topic == "b" && event.lastEventID == "x-1\tb")
        #expect(event != EventSource.Event(data: "a", lastEventID: "x-1\tb"))
        let none = EventSource.Event(data: "a", topic: "b")
        #expect(none.id == nil && none.topic == nil && none == EventSource.Event(data: "a"))
        // A tab and a combining accent are one character.
        let accent = EventSource.Event(data: "a", lastEventID: "x-1", topic: "\u{301}b")
        #expect(accent.id == "x-1")
        #expect(accent.topic?.utf8.elementsEqual("\u{301}b".utf8) == true)
    }
}
