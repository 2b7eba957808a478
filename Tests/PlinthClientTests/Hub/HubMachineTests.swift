// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Testing

@testable import PlinthClient

/// What the connection state machine does at a hub's own events.
@Suite("Connection state machine of a hub's stream")
struct HubMachineTests {
    static let endEvent = "event: end\nid: x-2\ndata: {\"topic\":\"orders/ä 7\"}\n\n"
    static let gapEvent = "event: gap\nid: x-9\ndata: {\"requested\":\"x-1\",\"oldest\":null,\"through\":null}\n\n"

    static func opened(
        _ url: String = "http://a.example/topics/orders/%C3%A4%207",
        _ reading: Reading = .hubUpdates,
        _ configure: (inout EventSourceConfiguration) -> Void = { _ in }
    ) throws -> ConnectionMachineTests.Rules {
        var rules = try ConnectionMachineTests.Rules(url, reading: reading, configure)
        _ = rules.connect()
        _ = rules.open()
        return rules
    }

    // MARK: - Ends

    @Test(
        "A stream of one topic ends for good with its end and the end of the body; of any other, the hub decides",
        arguments: [
            ("http://a.example/topics/orders/%C3%A4%207", true), ("http://a.example/live/topics/orders%2Fä%207", true),
            ("http://a.example/topics/orders/%C3%A4%207?last-event-id=x-1&topical=1", true),
            ("http://a.example/topics/orders/%C3%A4%207?topic=b", false),
            ("http://a.example/topics/orders/%C3%A4%207?a=b&%6Datch=*", false),
            ("http://a.example/topics?topic=orders/%C3%A4%207", false),
            ("http://a.example/topics/all/orders/%C3%A4%207", false),
            ("http://a.example/orders/%C3%A4%207", false), ("http://a.example/", false),
        ]
    )
    func oneTopic(_ url: String, _ isEnd: Bool) throws {
        var rules = try Self.opened(url)
        _ = rules.bytes(Self.endEvent)
        #expect(rules.end() == (isEnd ? "end" : "streamEnded 3.0 seconds"))
    }

    @Test("A stream requested with another method is not taken for a stream of one topic")
    func otherMethod() throws {
        var rules = try Self.opened { $0.method = .post }
        _ = rules.bytes(Self.endEvent)
        #expect(rules.end() == "streamEnded 3.0 seconds")
    }

    @Test("After redirects, the last URL decides")
    func redirect() throws {
        var rules = try ConnectionMachineTests.Rules("http://a.example/topics/orders/%C3%A4%207", reading: .hubUpdates)
        _ = rules.connect()
        #expect(rules.redirect(307, "/everything") == "GET http://a.example/everything")
        _ = rules.open()
        _ = rules.bytes(Self.endEvent)
        #expect(rules.end() == "streamEnded 3.0 seconds")
    }

    @Test(
        "An end that another event follows does not end the source",
        arguments: ["data: a\n\n", HubMachineTests.gapEvent]
    )
    func followedEnd(_ event: String) throws {
        var rules = try Self.opened()
        _ = rules.bytes(Self.endEvent)
        _ = rules.bytes(event)
        #expect(rules.end() == "streamEnded 3.0 seconds")
    }

    @Test("Heartbeats and comments may follow an end")
    func heartbeatAfterEnd() throws {
        var rules = try Self.opened { $0.hub.heartbeatEvent = "beat" }
        _ = rules.bytes(Self.endEvent + "event: beat\ndata\n\n: comment\n\nretry: 5\n\n")
        #expect(rules.end() == "end")
    }

    @Test("An end before a lost connection is asked about again, as is one of an earlier connection")
    func lostConnection() throws {
        var rules = try Self.opened()
        _ = rules.bytes(Self.endEvent)
        #expect(rules.breakOff() == "connectionLost 3.0 seconds")
        _ = rules.connect()
        #expect(rules.request?.headerFields[.lastEventID] == "x-2")
        _ = rules.open()
        #expect(rules.end() == "streamEnded 3.0 seconds")
    }

    @Test("Without a hub, an event of type end has no effect")
    func noHub() throws {
        var rules = try Self.opened("http://a.example/topics/orders/%C3%A4%207", .events)
        #expect(rules.bytes(Self.endEvent + "event: gap\ndata: x\n\n").events.count == 2)
        #expect(rules.end() == "streamEnded 3.0 seconds")
    }

    // MARK: - Data

    @Test(
        "A gap or an end without a hub's data is a permanent error, after the events before it",
        arguments: [
            ("gap", ""), ("gap", "lost"), ("gap", "null"), ("gap", "[]"), ("gap", "{}"), ("gap", #"{"requested":"#),
            ("gap", #"{"requested":1,"oldest":null,"through":null}"#), ("gap", #"{"requested":"a","oldest":"b"}"#),
            ("end", ""), ("end", "done"), ("end", "{}"), ("end", #"{"topic":null}"#), ("end", #"{"topic":["a"]}"#),
        ]
    )
    func invalidData(_ type: String, _ data: String) throws {
        for reading in [Reading.hubUpdates, .following] {
            var rules = try Self.opened("http://a.example/s", reading)
            let (events, action) = rules.bytes("id: 1\ndata: a\n\nevent: \(type)\nid: 2\ndata: \(data)\n\ndata: b\n\n")
            #expect(events.map(\.data) == ["a"])
            #expect(action == "stop invalidHubEvent")
        }
    }

    @Test("Unknown keys of a gap or an end are ignored")
    func unknownKeys() throws {
        var batch = EventBatch()
        var rules = try Self.opened()
        let text =
            "event: gap\ndata: {\"through\":null,\"new\":[1],\"requested\":\"a\",\"oldest\":\"b\"}\n\n"
            + "event: end\ndata: {\"topic\":\"a\",\"new\":{}}\n\n"
        #expect(rules.machine.received(Array(text.utf8).span, into: &batch) == nil)
        #expect(batch.notices.map(\.position) == [0, 1])
        #expect(batch.notices.map(\.notice) == [.gap(.init(requested: "a", oldest: "b")), .end(topic: "a")])
    }

    // MARK: - Gaps while following

    @Test("At a gap, what precedes it is kept and what follows it dropped")
    func gap() throws {
        var rules = try Self.opened("http://a.example/s", .following)
        var batch = EventBatch()
        let text = "id: x-1\ndata: a\n\n\(Self.gapEvent)id: x-10\ndata: b\n\n"
        guard case .gap? = rules.machine.received(Array(text.utf8).span, into: &batch) else {
            Issue.record("The machine should report a gap")
            return
        }
        #expect(batch.events.map(\.data) == ["a"])
        #expect(batch.lastEventID == "x-1")
        #expect(batch.notices.isEmpty)
    }

    @Test("After a gap the machine continues after the mark, and keeps the reconnection time")
    func mark() throws {
        var rules = try Self.opened("http://a.example/s", .following)
        #expect(rules.bytes("retry: 700\n\nid: x-1\ndata: a\n\n" + Self.gapEvent).action == "gap")
        #expect(rules.gap() == "ask 0.0 seconds")
        rules.machine.restart(after: "x-20")
        _ = rules.connect()
        #expect(rules.request?.headerFields[.lastEventID] == "x-20")
        #expect(rules.fail() == "connectionFailed 0.7 seconds")
    }

    @Test("A gap right after the mark is a failure, up to the maximum number of attempts")
    func gapAfterMark() throws {
        var rules = try Self.opened("http://a.example/s", .following) { configuration in
            configuration.backoff = .exponential(base: .seconds(2))
            configuration.random = { 1 }
            configuration.maximumAttempts = 3
        }
        for action in ["ask gapAfterMark 5.0 seconds", "ask gapAfterMark 7.0 seconds", "stop tooManyAttempts"] {
            #expect(rules.bytes(Self.gapEvent).action == "gap")
            #expect(rules.gap() == action)
            rules.machine.restart(after: "x-20")
            _ = rules.connect()
            _ = rules.open()
        }
    }

    @Test("A gap after an event, a heartbeat, or a stream that was open for long is no failure")
    func gapLater() throws {
        let open = { try Self.opened("http://a.example/s", .following) { $0.hub.heartbeatEvent = "beat" } }
        for text in ["data: a\n\n", "event: beat\ndata\n\n", Self.endEvent] {
            var rules = try open()
            #expect(rules.bytes(text + Self.gapEvent).action == "gap")
            #expect(rules.gap() == "ask 0.0 seconds")
        }
        var rules = try open()
        rules.now = .seconds(60)
        #expect(rules.bytes(Self.gapEvent).action == "gap")
        #expect(rules.gap() == "ask 0.0 seconds")
        // Of an earlier connection with the same mark.
        rules = try open()
        rules.now = .seconds(60)
        _ = rules.breakOff()
        _ = rules.connect()
        _ = rules.open()
        #expect(rules.bytes(Self.gapEvent).action == "gap")
        #expect(rules.gap() == "ask 0.0 seconds")
    }
}
