// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Plinth
import PlinthHub
import PlinthServer
import Testing

/// A hub's routes over sockets: publishing, and invalid requests.
@Suite("Hub endpoints: publishing")
struct HubPublishTests {
    @Test("Publishing returns 201 with the ID of the event, which is in history by then")
    func publishes() async throws {
        try await withHub { hub in
            let response = try await hub.request("POST", "/topics/orders/7", body: "shipped: 3 × ☕")
            #expect(response.status == 201)
            #expect(response["Cache-Control"] == "no-store")
            let id = try #require(try Answer(response).id)
            let events = try await hub.events(1, "/topics/orders/7?last-event-id=earliest")
            #expect(events == [try ServerSentEvent(data: "shipped: 3 × ☕", id: id)])
        }
    }

    @Test("Type and retry are published; line ends are normalized; an empty body is an event without data")
    func fields() async throws {
        try await withHub { hub in
            let first = try await hub.post("/topics/a?type=sh%C3%AFpped&retry=2500", "one\r\ntwo\rthree\n")
            let second = try await hub.post("/topics/a?type=", "")
            let third = try await hub.post("/topics/a?retry=0", "x")
            let longest = try await hub.post("/topics/a?retry=99999999999999999999", "x")
            let events = try await hub.events(4, "/topics/a?last-event-id=earliest")
            #expect(
                events == [
                    try ServerSentEvent(
                        type: "shïpped",
                        data: "one\ntwo\nthree\n",
                        id: first,
                        retry: .milliseconds(2500)
                    ), try ServerSentEvent(data: "", id: second),
                    // Clamped: one publisher's value affects all clients of the topic.
                    try ServerSentEvent(data: "x", id: third, retry: .milliseconds(100)),
                    try ServerSentEvent(data: "x", id: longest, retry: .seconds(3600)),
                ]
            )
        }
    }

    @Test(
        "An invalid request is 400 in JSON, and publishes nothing",
        arguments: [
            ("/topics/a?retry=soon", "retry"), ("/topics/a?retry=-1", "retry"), ("/topics/a?retry=", "retry"),
            ("/topics/a?retry=1.5", "retry"), ("/topics/a?retry=%2B5", "retry"),
            ("/topics/a?type=a%0Ab", "type"), ("/topics/a?type=a%0Db", "type"), ("/topics/a%00", "control"),
            ("/topics/a%0Ab", "control"), ("/topics/%7F", "control"), ("/topics/%C2%85", "control"),
            ("/topics/*", "reserved"), ("/topics/%2A", "reserved"),
            ("/topics/\(String(repeating: "%C3%A9", count: 513))", "1026 bytes"),
        ]
    )
    func badRequests(target: String, reason: String) async throws {
        try await withHub { hub in
            let response = try await hub.request("POST", target, body: "x")
            #expect(response.status == 400)
            #expect(try Answer(response).error?.contains(reason) == true, "\(response.body)")
            #expect(try await hub.hub.status().published == 0)
        }
    }

    @Test(
        "A path that is not UTF-8, or with invalid escapes, is 400",
        arguments: ["/topics/%FF", "/topics/a%C3", "/topics/%ED%A0%80", "/topics/%C0%AF", "/topics/%4", "/topics/%zz"]
    )
    func badPaths(target: String) async throws {
        try await withHub { hub in
            for method in ["POST", "GET", "DELETE"] {
                let response = try await hub.request(method, target, body: method == "POST" ? "x" : nil)
                #expect(response.status == 400)
            }
        }
    }

    @Test("A name is percent-decoded once: %2F is a slash, %25 a percent sign, and + stays a plus sign")
    func decodesOnce() async throws {
        try await withHub { hub in
            let id = try await hub.post("/topics/a%2Fb", "slash")
            let percent = try await hub.post("/topics/a%252Fb", "percent")
            let plus = try await hub.post("/topics/a+b", "plus")
            let dots = try await hub.post("/topics/%2e%2E%2f*", "dots")
            #expect(try await hub.events(1, "/topics/a/b?last-event-id=earliest").first?.id == id)
            #expect(
                try await hub.events(1, "/topics?topic=a%25252Fb&topic=a%252Fb&last-event-id=earliest")[0].data
                    == "percent"
            )
            #expect(try await hub.events(1, "/topics?topic=a%2Bb&last-event-id=earliest")[0].id == "\(plus)\ta+b")
            #expect(try await hub.events(1, "/topics/../*?last-event-id=earliest")[0].id == dots)
            #expect(percent != id)
            #expect(try await hub.hub.status(top: 9).top.map(\.topic.utf8).count == 4)
        }
    }

    @Test("Names that look alike are different topics: bytes are compared, not characters")
    func normalisation() async throws {
        try await withHub { hub in
            try await hub.post("/topics/caf%C3%A9", "one code point")
            try await hub.post("/topics/cafe%CC%81", "two code points")
            try await hub.post("/topics/%63af%c3%a9", "escaped otherwise")
            let composed = try await hub.events(2, "/topics/caf%C3%A9?last-event-id=earliest")
            #expect(composed.map(\.data) == ["one code point", "escaped otherwise"])
            let decomposed = try await hub.events(1, "/topics?topic=cafe%CC%81&last-event-id=earliest")
            #expect(decomposed.map(\.data) == ["two code points"])
            #expect(try await hub.hub.status().topics == 2)
        }
    }

    @Test("A name of 1,024 bytes, the longest, is a topic")
    func longestName() async throws {
        try await withHub { hub in
            let name = String(repeating: "%C3%A9", count: 512)
            try await hub.post("/topics/\(name)", "x")
            #expect(try await hub.events(1, "/topics/\(name)?last-event-id=earliest").count == 1)
        }
    }

    @Test("The hub's own event type cannot be published; if it is renamed, the old name can")
    func reservedType() async throws {
        try await withHub { hub in
            let uploads = "Content-Type: text/event-stream\r\n"
            for (fields, body) in [("", "{}"), ("", nil), (uploads, "data: x\n\n")] as [(String, String?)] {
                let response = try await hub.request("POST", "/topics/a?type=g%61p", fields, body: body)
                #expect(response.status == 400)
                #expect(try Answer(response).code == "type-reserved", "\(response.body)")
            }
            #expect(try await hub.hub.status().published == 0)
        }
        try await withHub(options: StreamOptions(gapType: "lost")) { hub in
            let id = try await hub.post("/topics/a?type=gap", "mine")
            let refused = try await hub.request("POST", "/topics/a?type=lost", body: "{}")
            #expect(try Answer(refused).code == "type-reserved")
            // The hub's own gap event is not affected.
            let events = try await hub.events(2, "/topics/a", "Last-Event-ID: unknown\r\n")
            #expect(events.map(\.type) == ["lost", "gap"])
            #expect(events[1].id == id)
        }
    }

    @Test("A body that is not UTF-8 is 400")
    func notUTF8() async throws {
        try await withHub { hub in
            for bytes in [[0xFF], [0x61, 0xC3], [0xED, 0xA0, 0x80]] as [[UInt8]] {
                let response = try await hub.request("POST", "/topics/a", bytes: bytes)
                #expect(response.status == 400)
                #expect(try Answer(response).error?.contains("UTF-8") == true)
            }
            #expect(try await hub.hub.status().published == 0)
        }
    }

    @Test("A POST without a length is 411; an empty body is an event without data")
    func lengthRequired() async throws {
        try await withHub { hub in
            for fields in ["", "Content-Type: text/event-stream\r\n"] {
                let response = try await hub.request("POST", "/topics/a", fields)
                #expect(response.status == 411)
                #expect(try Answer(response).error?.contains("send Content-Length: 0") == true, "\(response.body)")
            }
            #expect(try await hub.hub.status().published == 0)
            #expect(try await hub.request("POST", "/topics/a", body: "").status == 201)
            let chunked = try await hub.server.client()
            let head = "POST /topics/a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
            try await chunked.send(head + "0\r\n\r\n")
            #expect(try await chunked.response().status == 201)
            #expect(try await hub.hub.status().published == 2)
        }
    }

    @Test("An event of the maximum size is accepted; one byte more is 413, with or without a length")
    func tooLarge() async throws {
        try await withHub(maximumEventSize: 1000) { hub in
            try await hub.post("/topics/a", String(repeating: "x", count: 1000))
            let announced = try await hub.request("POST", "/topics/a", body: String(repeating: "x", count: 1001))
            #expect(announced.status == 413)
            #expect(try Answer(announced).error?.isEmpty == false)
            let client = try await hub.server.client()
            try await client.send("POST /topics/a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
            try await client.send("3e9\r\n" + String(repeating: "x", count: 1001) + "\r\n0\r\n\r\n")
            #expect(try await client.response().status == 413)
            #expect(try await hub.hub.status().published == 1)
        }
    }

    @Test(
        "A request with invalid framing is refused, and publishes nothing",
        arguments: [
            "Content-Length: x\r\n\r\n", "Content-Length: -1\r\n\r\n", "Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "Transfer-Encoding: gzip\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        ]
    )
    func badFraming(rest: String) async throws {
        try await withHub { hub in
            let client = try await hub.server.client()
            try await client.send("POST /topics/a HTTP/1.1\r\nHost: test\r\n\(rest)")
            let response = try await client.response()
            #expect([400, 411, 501].contains(response.status), "\(response)")
            _ = try await client.readAll()
            #expect(try await hub.hub.status().published == 0)
        }
    }

    @Test("A publisher that leaves in the middle of its event publishes nothing")
    func leavesInTheMiddle() async throws {
        try await withHub { hub in
            for resets in [false, true] {
                let client = try await hub.server.client()
                try await client.send("POST /topics/a HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
                if resets { client.reset() } else { client.close() }
            }
            try await hub.server.isIdle()
            #expect(try await hub.hub.status().published == 0)
        }
    }

    @Test("An unknown method is 405 with Allow, an unknown path 404")
    func unknown() async throws {
        try await withHub { hub in
            let put = try await hub.request("PATCH", "/topics/a", body: "x")
            #expect(put.status == 405)
            #expect(put["Allow"] == "DELETE, GET, HEAD, OPTIONS, POST, PUT")
            #expect(try Answer(put).code == "method-not-allowed")
            #expect(try await hub.request("PUT", "/topics", body: "x")["Allow"] == "GET, HEAD, OPTIONS, POST")
            #expect(try await hub.request("DELETE", "/status").status == 405)
            for (path, allowed) in [
                ("/topics/a", "DELETE, GET, HEAD, OPTIONS, POST, PUT"), ("/topics", "GET, HEAD, OPTIONS, POST"),
                ("/status", "GET, HEAD, OPTIONS"),
            ] {
                let options = try await hub.request("OPTIONS", path)
                #expect(options.status == 204)
                #expect(options["Allow"] == allowed)
            }
            for path in ["/topics/", "/nothing", "/status/", "/topics//a", "//"] {
                #expect(try await hub.request("GET", path).status == 404, "\(path)")
            }
        }
    }

    @Test("DELETE removes a topic's events from history, but not its subscribers or other topics")
    func purges() async throws {
        try await withHub { hub in
            try await hub.post("/topics/a", "1")
            try await hub.post("/topics/b", "2")
            try await hub.post("/topics/a", "3")
            let subscriber = try await hub.subscribe("/topics/a")
            let response = try await hub.request("DELETE", "/topics/a")
            #expect(response.status == 200)
            #expect(try Answer(response).removed == 2)
            #expect(try Answer(try await hub.request("DELETE", "/topics/a")).removed == 0)
            try await hub.post("/topics/a", "4")
            #expect(try await subscriber.events(1).map(\.data) == ["4"])
            #expect(try await hub.events(1, "/topics/a?last-event-id=earliest").map(\.data) == ["4"])
            #expect(try await hub.events(1, "/topics/b?last-event-id=earliest").map(\.data) == ["2"])
            subscriber.raw.close()
        }
    }

    @Test("The status has counts, and the most recent topics")
    func status() async throws {
        try await withHub { hub in
            try await hub.post("/topics/a%22%5C", "1")
            try await hub.post("/topics/b", "2")
            try await hub.post("/topics/b", "3")
            let exact = try await hub.subscribe("/topics/b")
            let pattern = try await hub.subscribe("/topics?match=**")
            let response = try await hub.request("GET", "/status?top=1000")
            #expect(response.status == 200)
            let status = try JSONDecoder().decode(Status.self, from: Data(response.body.utf8))
            #expect(status.topics == 2)
            #expect(status.subscribers == 2)
            #expect(status.events == 3)
            #expect(status.published == 3)
            #expect(status.bytes > 0)
            #expect(status.uptime >= 0)
            #expect(
                status.top == [
                    Status.Row(topic: "b", subscribers: 2, published: 2),
                    Status.Row(topic: "a\"\\", subscribers: 1, published: 1),
                ]
            )
            #expect(try await hub.request("GET", "/status").body.contains("\"top\"") == false)
            for top in ["-1", "1001", "many", ""] {
                #expect(try await hub.request("GET", "/status?top=\(top)").status == 400)
            }
            exact.raw.close()
            pattern.raw.close()
        }
    }

    private struct Status: Decodable {
        struct Row: Decodable, Equatable {
            var topic: String
            var subscribers: Int
            var published: Int
        }

        var topics: Int
        var subscribers: Int
        var events: Int
        var bytes: Int
        var uptime: Double
        var published: Int
        var top: [Row]?
    }

    // MARK: - The page

    @Test(
        "Each file of the page has its type, a strict policy and an entity tag, and is 304 when unchanged",
        arguments: [
            ("/", "text/html"), ("/hub.css", "text/css"), ("/hub.js", "javascript"), ("/hub-worker.js", "javascript"),
        ]
    )
    func page(path: String, type: String) async throws {
        try await withHub { hub in
            let response = try await hub.request("GET", path)
            #expect(response.status == 200)
            #expect(response["Content-Type"]?.contains(type) == true)
            #expect(response["X-Content-Type-Options"] == "nosniff")
            #expect(response["Cache-Control"] == "no-cache")
            let policies = response[all: "Content-Security-Policy"]
            #expect(policies.count == 1)
            #expect(policies.first?.hasPrefix("default-src 'none'; ") == true)
            #expect(policies.first?.contains("unsafe") == false)
            #expect(!response.body.isEmpty)
            let tag = try #require(response["ETag"])
            let again = try await hub.request("GET", path, "If-None-Match: \"other\", \(tag)\r\n")
            #expect(again.status == 304)
            #expect(again["ETag"] == tag)
            #expect(again[all: "Content-Security-Policy"] == policies)
            #expect(try await hub.request("GET", path, "If-None-Match: \"other\"\r\n").status == 200)
        }
    }

    @Test("The page's settings have the types of the hub's own events")
    func settings() async throws {
        try await withHub { hub in
            let response = try await hub.request("GET", "/hub.json")
            #expect(response["Content-Type"] == "application/json")
            #expect(response.body == "{\"gapType\":\"gap\",\"heartbeatEvent\":null}\n")
        }
        let options = StreamOptions(heartbeatEvent: "still \"here\"", gapType: "lost")
        try await withHub(options: options, basePath: "/hub") { hub in
            let response = try await hub.request("GET", "/hub/hub.json")
            #expect(response.body == "{\"gapType\":\"lost\",\"heartbeatEvent\":\"still \\\"here\\\"\"}\n")
        }
    }

    @Test("Under a base path all routes work, and the path without its slash redirects to the page")
    func basePath() async throws {
        try await withHub(basePath: "/hub") { hub in
            let redirect = try await hub.request("GET", "/hub")
            #expect(redirect.status == 308)
            #expect(redirect["Location"] == "/hub/")
            #expect(try await hub.request("GET", "/hub/").status == 200)
            #expect(try await hub.request("GET", "/").status == 404)
            try await hub.post("/hub/topics/a", "x")
            #expect(try await hub.events(1, "/hub/topics/a?last-event-id=earliest").map(\.data) == ["x"])
            #expect(try await hub.request("GET", "/hub/status").status == 200)
        }
    }
}

#endif
