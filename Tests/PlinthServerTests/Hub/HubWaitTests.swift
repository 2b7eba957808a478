// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import PlinthHub
import PlinthServer
import Testing

/// Long-polls and histories that fail, over sockets.
@Suite("Hub endpoints: waiting")
struct HubWaitTests {
    private struct Poll: Decodable {
        struct Event: Decodable {
            var id: String
            var data: String
        }

        var events: [Event]
        var next: String
        var ended: Bool
        var more: Bool

        init(_ response: RawResponse) throws {
            #expect(response.status == 200, "\(response)")
            self = try JSONDecoder().decode(Poll.self, from: Data(response.body.utf8))
        }
    }

    /// Sends a request for a long-poll, and waits until it counts as a stream.
    private func begin(_ target: String, _ hub: HubServer) async throws -> RawClient {
        let before = hub.streams.begun.values.count
        let client = try await hub.server.client()
        try await client.send("GET \(target) HTTP/1.1\r\nHost: test\r\n\r\n")
        _ = try await hub.streams.begun.first(before + 1, "the long-poll")
        return client
    }

    @Test("A long-poll returns when an event is published, and counts as a stream meanwhile")
    func event() async throws {
        try await withHub(HubService.Configuration(maximumStreams: 1)) { hub in
            let client = try await begin("/topics/a?wait=60s", hub)
            #expect(hub.hub.subscriberCount == 1)
            // At the limit, another one is refused; a mark needs no permit.
            let refused = try await hub.request("GET", "/topics/a?wait=1s")
            #expect(refused.status == 503)
            #expect(refused["Retry-After"] != nil)
            #expect(try Answer(refused).code == "streams-limit")
            #expect(try await hub.request("HEAD", "/topics/a").status == 200)
            let id = try await hub.post("/topics/a", "1")
            let poll = try Poll(try await client.response())
            #expect(poll.events.map(\.id) == [id])
            #expect(poll.next == id)
            #expect(hub.hub.subscriberCount == 0)
            // Its permit was returned.
            #expect(try Poll(try await hub.request("GET", "/topics/a?wait=0")).events.isEmpty)
        }
    }

    @Test("A shutdown ends a long-poll with an answer, at once")
    func drain() async throws {
        try await withHub(configure: { $0.shutdownTimeout = .seconds(600) }) { hub in
            let client = try await begin("/topics/a?wait=60s", hub)
            async let stopped: Void = hub.server.shutDown()
            let poll = try Poll(try await client.response())
            #expect(poll.events.isEmpty && !poll.ended)
            #expect(poll.next == hub.hub.mark().description)
            try await stopped
        }
    }

    @Test("A client that leaves ends its long-poll")
    func leaves() async throws {
        try await withHub { hub in
            let client = try await begin("/topics/a?wait=60s", hub)
            client.close()
            #expect(try await hub.hasEnded(1) == [.clientClosed])
        }
    }

    // MARK: - A history that fails

    /// A history in memory that answers nothing but appends.
    private final class Broken: MemoryBackedHistory {
        struct Failure: Error {}

        let memory = MemoryHistory()

        func locate(_ id: PlinthHub.EventID) async throws -> Located { throw Failure() }
        func ends(of selection: Selection) async throws -> [TopicEnd] { throw Failure() }
        func producer(_ id: ProducerID, of subject: HubSubject?, in topic: Topic) async throws -> ProducerState? {
            throw Failure()
        }
        func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
            throw Failure()
        }
        func purge(_ topic: Topic) async throws -> Int { throw Failure() }
        func setLimits(_ limits: TopicLimits, of topic: Topic) async throws -> Bool { throw Failure() }
        func statistics() async throws -> HistoryStatistics { throw Failure() }
    }

    @Test("While history fails, streams open and stay, marks are told, and other requests are 503 with a code")
    func broken() async throws {
        try await withHub(history: Broken()) { hub in
            let id = try await hub.post("/topics/a", "1")
            let head = try await hub.request("HEAD", "/topics/a")
            #expect(head.status == 200)
            #expect(head["Last-Event-ID"] == id)
            #expect(head["Topic-Ended"] == nil)
            let json = "Content-Type: application/json\r\n"
            for (method, target, fields, body) in [
                ("DELETE", "/topics/a", "", nil), ("PUT", "/topics/a", json, "{}"), ("GET", "/status", "", nil),
            ] as [(String, String, String, String?)] {
                let response = try await hub.request(method, target, fields, body: body)
                #expect(response.status == 503, "\(method) \(target)")
                #expect(response["Retry-After"] == "1")
                #expect(try Answer(response).code == "unavailable")
            }
            #expect(try await hub.request("HEAD", "/topics/a", "Producer-ID: p\r\n").status == 503)
            let poll = try Poll(try await hub.request("GET", "/topics/a?wait=0&last-event-id=\(id)"))
            #expect(poll.next == id)
            #expect(poll.events.isEmpty && poll.more)
            for fields in ["", "Last-Event-ID: \(id)\r\n", "Last-Event-ID: earliest\r\n"] {
                let client = try await hub.subscribe("/topics/a", fields)
                try await client.text(containing: "retry: ")
                client.raw.close()
            }
        }
    }
}

#endif
