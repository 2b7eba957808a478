// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import PlinthHub
import PlinthServer
import PlinthTesting
import Testing

/// A hub's routes over sockets: where a stream begins, and which events it gets.
@Suite("Hub endpoints: subscribing")
struct HubSubscribeTests {
    private struct Gap: Decodable, Equatable {
        var requested: String
        var oldest: String?
        var through: String?

        init(_ event: ServerSentEvent) throws {
            #expect(event.type == "gap")
            self = try JSONDecoder().decode(Gap.self, from: Data(event.data.utf8))
        }
    }

    private func ids(_ hub: HubServer, _ count: Int, topic: String = "a") async throws -> [String] {
        var ids: [String] = []
        for number in 1...count { ids.append(try await hub.post("/topics/\(topic)", "\(number)")) }
        return ids
    }

    @Test("Without an ID a stream begins with the next event, and its opening has an ID to resume from")
    func live() async throws {
        try await withHub(random: { _ in 1500 }) { hub in
            let last = try await ids(hub, 2)[1]
            let client = try await hub.subscribe("/topics/a")
            #expect(client.head["Cache-Control"] == "no-cache, no-transform")
            #expect(client.head["X-Accel-Buffering"] == "no")
            try await client.text(containing: "id: ")
            #expect(client.text.hasPrefix(":\n"))
            // One block: some readers take each blank line for the end of an event.
            #expect(client.text.hasSuffix("\nretry: 1500\nid: \(last)\n\n"))
            #expect(client.lastEventID == last)
            #expect(client.reconnectionTime == .milliseconds(1500))
            client.raw.close()
            // A client that reconnects before its first event misses nothing.
            try await hub.post("/topics/a", "missed")
            let again = try await hub.events(1, "/topics/a", "Last-Event-ID: \(client.lastEventID)\r\n")
            #expect(again.map(\.data) == ["missed"])
        }
    }

    @Test("The opening has an ID to resume from even if the hub has no events")
    func liveAndEmpty() async throws {
        try await withHub { hub in
            let client = try await hub.subscribe("/topics/a")
            client.raw.close()
            #expect(!client.lastEventID.isEmpty)
            try await hub.post("/topics/a", "missed")
            let again = try await hub.events(1, "/topics/a", "Last-Event-ID: \(client.lastEventID)\r\n")
            #expect(again.map(\.data) == ["missed"])
        }
    }

    @Test("A stream resumes after the ID in the header, else in the query; `earliest` is the oldest event")
    func resumes() async throws {
        try await withHub { hub in
            let ids = try await ids(hub, 4)
            func data(_ count: Int, _ query: String, _ fields: String = "") async throws -> [String] {
                try await hub.events(count, "/topics/a" + query, fields).map(\.data)
            }
            #expect(try await data(2, "", "Last-Event-ID: \(ids[1])\r\n") == ["3", "4"])
            #expect(try await data(3, "?last-event-id=\(ids[0])") == ["2", "3", "4"])
            #expect(try await data(1, "?last-event-id=\(ids[0])", "Last-Event-ID: \(ids[2])\r\n") == ["4"])
            #expect(try await data(1, "?last-event-id=earliest", "Last-Event-ID: \(ids[2])\r\n") == ["4"])
            #expect(try await data(4, "?last-event-id=earliest") == ["1", "2", "3", "4"])
            #expect(try await data(4, "", "Last-Event-ID: earliest\r\n") == ["1", "2", "3", "4"])
            let atTheHead = try await hub.subscribe("/topics/a", "Last-Event-ID: \(ids[3])\r\n")
            try await hub.post("/topics/a", "5")
            #expect(try await atTheHead.events(1).map(\.data) == ["5"])
            atTheHead.raw.close()
        }
    }

    @Test("An ID of another topic resumes as well: all topics have one order")
    func resumesFromAnotherTopic() async throws {
        try await withHub { hub in
            try await hub.post("/topics/a", "1")
            let other = try await hub.post("/topics/b", "2")
            try await hub.post("/topics/a", "3")
            let events = try await hub.events(1, "/topics/a", "Last-Event-ID: \(other)\r\n")
            #expect(events.map(\.data) == ["3"])
        }
    }

    @Test("An ID from another history gets a gap event, then all events held")
    func unknownID() async throws {
        try await withHub { hub in
            let ids = try await ids(hub, 2)
            for unknown in ["never-seen", "\"\\é", "0", "#1"] {
                let client = try await hub.subscribe("/topics/a", "Last-Event-ID: \(unknown)\r\n")
                let events = try await client.events(3)
                let gap = try Gap(events[0])
                #expect(gap.requested == unknown)
                #expect(gap.oldest == ids[0])
                #expect(events[1...].map(\.data) == ["1", "2"])
                #expect(events[1...].map(\.id) == ids)
                client.raw.close()
            }
            let empty = try await hub.subscribe("/topics/none", "Last-Event-ID: x\r\n")
            let gap = try await empty.events(1)[0]
            #expect(try Gap(gap).oldest == nil)
            // Resuming from the gap's own ID has no further gap.
            empty.raw.close()
            try await hub.post("/topics/none", "first")
            let after = try await hub.events(1, "/topics/none", "Last-Event-ID: \(try #require(gap.id))\r\n")
            #expect(after.map(\.data) == ["first"])
        }
    }

    @Test(
        "An ID that no event can have gets a gap event, never an error, since a browser would give up",
        arguments: [
            String(repeating: "1", count: 257), "%01", "%09a", "%00", "a%0Ab", "%7F", "%C2%85",
            String(repeating: "%C3%A9", count: 129), String(repeating: "x", count: 8000),
        ]
    )
    func malformedID(text: String) async throws {
        try await withHub { hub in
            let ids = try await ids(hub, 2)
            for target in ["/topics/a", "/topics?match=**"] {
                let separator = target.contains("?") ? "&" : "?"
                let events = try await hub.events(3, "\(target)\(separator)last-event-id=\(text)")
                #expect(try Gap(events[0]).requested == "#malformed")
                #expect(try Gap(events[0]).oldest == ids[0])
                #expect(events[1...].map(\.data) == ["1", "2"])
            }
        }
    }

    @Test("A malformed ID in the header gets a gap event, whatever the query has", arguments: ["é", "long"])
    func malformedHeader(kind: String) async throws {
        try await withHub { hub in
            let ids = try await ids(hub, 2)
            let value: [UInt8] =
                // Latin-1, in which some clients send an ID received in UTF-8.
                kind == "é" ? [0xE9] : Array(String(repeating: "7", count: 300).utf8)
            let client = try await hub.server.client()
            try await client.send(
                Array("GET /topics/a?last-event-id=\(ids[1]) HTTP/1.1\r\nHost: test\r\nLast-Event-ID: ".utf8) + value
                    + Array("\r\n\r\n".utf8)
            )
            let opening = try await client.read(until: "data: 2\n")
            #expect(opening.hasPrefix("HTTP/1.1 200 "))
            // The connector repairs invalid UTF-8; the result is no event's ID either.
            let requested = kind == "é" ? "\u{FFFD}" : "#malformed"
            #expect(opening.contains("event: gap\ndata: {\"requested\":\"\(requested)\""))
            client.close()
        }
    }

    @Test(
        "The query's ID accepts the spellings of other servers and polyfills",
        arguments: ["last-event-id", "lastEventId", "lastEventID", "Last-Event-ID", "last_event_id"]
    )
    func spellings(name: String) async throws {
        try await withHub { hub in
            let ids = try await ids(hub, 3)
            #expect(try await hub.events(2, "/topics/a?\(name)=\(ids[0])").map(\.data) == ["2", "3"])
            #expect(try await hub.events(3, "/topics?topic=a&\(name)=earliest").map(\.data) == ["1", "2", "3"])
            // A polyfill that reconnects appends its own.
            let appended = "/topics/a?last-event-id=earliest&\(name)=\(ids[1])"
            #expect(try await hub.events(1, appended).map(\.data) == ["3"])
            let header = "Last-Event-ID: \(ids[1])\r\n"
            #expect(try await hub.events(1, "/topics/a?\(name)=\(ids[0])", header).map(\.data) == ["3"])
        }
    }

    @Test("Each stream gets a random reconnection time, by default 2 to 4 s", arguments: Held.allCases)
    func retryRange(held: Held) async throws {
        try await withHub(held.configuration) { hub in
            var times: [Duration] = []
            for target in ["/topics/a", "/topics/a?last-event-id=earliest", "/topics?match=**"] {
                for _ in 0..<10 {
                    let client = try await hub.subscribe(target)
                    try await client.text(containing: "retry: ")
                    try await client.text(containing: "\n\n")
                    times.append(try #require(client.reconnectionTime))
                    client.raw.close()
                }
            }
            #expect(times.allSatisfy { $0 >= .seconds(2) && $0 <= .seconds(4) }, "\(times)")
            #expect(Set(times).count > 10, "\(times)")
        }
    }

    @Test("Resuming from a trimmed event gets a gap event; resuming at the edge of history does not")
    func trimmed() async throws {
        try await withHub(history: MemoryHistory(topic: HistoryLimits(events: 3))) { hub in
            let ids = try await ids(hub, 6)
            let events = try await hub.events(4, "/topics/a", "Last-Event-ID: \(ids[0])\r\n")
            #expect(try Gap(events[0]).requested == ids[0])
            #expect(try Gap(events[0]).oldest == ids[3])
            #expect(events[1...].map(\.data) == ["4", "5", "6"])
            let atTheEdge = try await hub.events(3, "/topics/a", "Last-Event-ID: \(ids[2])\r\n")
            #expect(atTheEdge.map(\.data) == ["4", "5", "6"])
            let earliest = try await hub.events(3, "/topics/a?last-event-id=earliest")
            #expect(earliest.map(\.data) == ["4", "5", "6"])
        }
    }

    @Test("With the gap policy close, a stream that needs trimmed events ends", arguments: Held.allCases)
    func closesAtGap(held: Held) async throws {
        try await withHub(held.configuration, options: StreamOptions(gapPolicy: .close)) { hub in
            let client = try await hub.subscribe("/topics/a", "Last-Event-ID: unknown\r\n")
            #expect(try await client.end().isEmpty)
            #expect(client.isComplete)
            client.raw.close()
            #expect(try await hub.hasEnded(1) == [.lagged])
        }
    }

    @Test("A stream of several topics appends a tab and the topic to each event's ID")
    func several() async throws {
        try await withHub { hub in
            let client = try await hub.subscribe("/topics?topic=news&topic=caf%C3%A9%26+x&match=orders/*&match=news")
            for topic in ["news", "caf%C3%A9%26%20x", "orders/7", "orders/7/lines", "other", "orders/8"] {
                try await hub.post("/topics/\(topic)", topic)
            }
            let events = try await client.events(4)
            let parts = events.map { ($0.id ?? "").split(separator: "\t").map(String.init) }
            #expect(parts.map(\.last) == ["news", "café& x", "orders/7", "orders/8"])
            #expect(parts.allSatisfy { $0.count == 2 })
            client.raw.close()
            // Browsers send all of it back; the part after the tab is ignored.
            let target = "/topics?topic=news&match=orders/**"
            let resumed = try await hub.events(3, target, "Last-Event-ID: \(events[0].id ?? "")\r\n")
            #expect(resumed.map(\.data) == ["orders/7", "orders/7/lines", "orders/8"])
            let query = "&last-event-id=\(parts[2][0])%09orders/7"
            #expect(try await hub.events(2, target + query).map(\.data) == ["orders/7/lines", "orders/8"])
        }
    }

    @Test("An event that matches several selectors is delivered once")
    func once() async throws {
        try await withHub { hub in
            let client = try await hub.subscribe("/topics?topic=a/b&topic=a/b&match=a/*&match=**")
            try await hub.post("/topics/a/b", "1")
            try await hub.post("/topics/c", "2")
            #expect(try await client.events(2).map(\.data) == ["1", "2"])
            client.raw.close()
        }
    }

    @Test(
        "An invalid subscription is 400 in JSON",
        arguments: [
            ("/topics", "topic=NAME"), ("/topics?other=1", "topic=NAME"), ("/topics?topic=", "topic"),
            ("/topics?topic=*", "reserved"), ("/topics?topic=a&topic=%00", "control"), ("/topics?match=", "match"),
            ("/topics?match=a*", "whole segment"), ("/topics?match=**/a", "last"),
        ]
    )
    func badRequests(target: String, reason: String) async throws {
        try await withHub { hub in
            let response = try await hub.request("GET", target)
            #expect(response.status == 400)
            #expect(try Answer(response).error?.contains(reason) == true, "\(response.body)")
            #expect(hub.streams.begun.values.isEmpty)
        }
    }

    @Test("HEAD gets the head of a stream without starting one", arguments: Held.allCases)
    func head(held: Held) async throws {
        try await withHub(held.configuration) { hub in
            for target in ["/topics/a", "/topics?match=**"] {
                let response = try await hub.request("HEAD", target)
                #expect(response.status == 200)
                #expect(response["Content-Type"] == "text/event-stream; charset=UTF-8")
            }
            #expect(hub.streams.begun.values.isEmpty)
            #expect(hub.hub.subscriberCount == 0)
        }
    }

    @Test(
        "At the limit a stream is 200 with a reconnection time and ends; other requests are served",
        arguments: Held.allCases
    )
    func full(held: Held) async throws {
        var configuration = held.configuration
        configuration.maximumStreams = 2
        try await withHub(configuration, random: { $0.lowerBound }) { hub in
            let first = try await hub.subscribe("/topics/a")
            let second = try await hub.subscribe("/topics?match=**")
            try await wait(for: "both streams to be counted") {
                while hub.hub.subscriberCount < 2 { await Task.yield() }
            }
            for target in ["/topics/a", "/topics?topic=b"] {
                let refused = try await hub.request("GET", target)
                #expect(refused.status == 200)
                #expect(refused["Content-Type"] == "text/event-stream; charset=UTF-8")
                #expect(refused["Cache-Control"] == "no-cache, no-transform")
                #expect(refused.body == "retry: 8000\n\n")
            }
            #expect(hub.streams.begun.values.count == 2)
            try await hub.post("/topics/a", "x")
            #expect(try await hub.request("GET", "/status").status == 200)
            #expect(try await hub.request("GET", "/").status == 200)
            #expect(try await first.events(1).map(\.data) == ["x"])
            #expect(try await second.events(1).map(\.data) == ["x"])
            first.raw.close()
            _ = try await hub.hasEnded(1)
            let third = try await hub.subscribe("/topics/a")
            third.raw.close()
            second.raw.close()
        }
    }

    @Test("Of 40 concurrent clients, only 5 get a stream if 5 are allowed", arguments: Held.allCases)
    func limit(held: Held) async throws {
        var configuration = held.configuration
        configuration.maximumStreams = 5
        try await withHub(configuration, random: { $0.lowerBound }) { hub in
            var clients: [RawClient] = []
            for _ in 0..<40 {
                let client = try await hub.server.client()
                try await client.send("GET /topics/a HTTP/1.1\r\nHost: test\r\n\r\n")
                clients.append(client)
            }
            var refused = 0
            for client in clients {
                // Streams and refusals both send a reconnection time; a refusal's is four times as long.
                let opening = try await client.read(until: "retry: ") + client.read(until: "\n")
                if opening.contains("retry: 8000\n") { refused += 1 }
            }
            #expect(refused == 35)
            #expect(hub.streams.begun.values.count == 5)
            for client in clients { client.close() }
            _ = try await hub.hasEnded(5)
            let last = try await hub.subscribe("/topics/a")
            try await hub.post("/topics/a", "x")
            #expect(try await last.events(1).map(\.data) == ["x"])
            last.raw.close()
        }
    }

    // MARK: - Without a socket

    @Test("Without a socket, in tests, the routes work as on one")
    func withoutSocket() async throws {
        let hub = try await Hub()
        let service = HubService(hub)
        let chain = Chain.default(try Routes(HubEndpoints(service).routes()))
        let published = try await chain.response(for: .post("/topics/a", body: "one"))
        #expect(published.status == .created)
        #expect(try await chain.response(for: .get("/status")).body.contains("\"events\":1"))
        let stream = try await chain.eventStream(for: .get("/topics/a?last-event-id=earliest"))
        #expect(stream.headers[.contentType] == "text/event-stream; charset=UTF-8")
        try await stream.expectEvent(data: "one")
        _ = try await chain.response(for: .post("/topics/a?type=t", body: "two"))
        try await stream.expectEvent(type: "t", data: "two")
        #expect(hub.subscriberCount == 1)
        stream.leave()
        try await stream.expectEnd(.clientClosed)

        let several = try await chain.response(for: .get("/topics?match=*&last-event-id=unknown"))
        let other = try #require(several.eventStream)
        try await other.expectEvent(type: "gap")
        try await other.expectEvent(data: "one")
        try await other.expectEvent(type: "t", data: "two")
        #expect(other.lastEventID.hasSuffix("\ta"))
        other.leave()
        try await wait(for: "the end of both subscriptions") {
            while hub.subscriberCount > 0 { await Task.yield() }
        }
    }
}

#endif
