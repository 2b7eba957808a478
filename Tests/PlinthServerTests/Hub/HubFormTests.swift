// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import PlinthHub
import PlinthServer
import Testing

/// Subscribing by form, for more topics than fit in a URL.
@Suite("Hub endpoints: subscribing by form")
struct HubFormTests {
    private static let form = "Content-Type: application/x-www-form-urlencoded\r\n"

    /// Sends a form and reads up to a mark.
    private func opening(
        _ hub: HubServer,
        _ body: String,
        target: String = "/topics",
        _ fields: String = form,
        until mark: String
    ) async throws -> (client: RawClient, text: String) {
        let client = try await hub.server.client()
        let head = "POST \(target) HTTP/1.1\r\nHost: test\r\nContent-Length: \(body.utf8.count)\r\n\(fields)\r\n"
        try await client.send(head + body)
        return (client, try await client.read(until: mark))
    }

    @Test("A form subscribes to topics and patterns like the query of a GET", arguments: Held.allCases)
    func subscribes(held: Held) async throws {
        try await withHub(held.configuration) { hub in
            let id = try await hub.post("/topics/caf%C3%A9%26", "1")
            try await hub.post("/topics/other", "no")
            try await hub.post("/topics/orders/7", "2")
            let body = "topic=caf%C3%A9%26&match=orders%2F*&ignored=1&last-event-id=earliest"
            let (client, text) = try await opening(hub, body, until: "data: 2\n")
            #expect(text.hasPrefix("HTTP/1.1 200 OK\r\n"))
            #expect(text.contains("text/event-stream; charset=UTF-8"))
            #expect(text.contains("retry: "))
            #expect(text.contains("data: 1\nid: \(id)\tcafé&\n"))
            #expect(!text.contains("data: no"))
            // The stream is live.
            try await hub.post("/topics/orders/8", "3")
            _ = try await client.read(until: "data: 3\n")
            #expect(hub.streams.begun.values == [held.transport])
            client.close()
        }
    }

    @Test("The ID comes from the header, else the query, else the form")
    func resumes() async throws {
        try await withHub { hub in
            var ids: [String] = []
            for number in 1...4 { ids.append(try await hub.post("/topics/a", "\(number)")) }
            let header = Self.form + "Last-Event-ID: \(ids[2])\r\n"
            for (target, fields, first) in [
                ("/topics?lastEventId=\(ids[1])", header, 4), ("/topics?lastEventId=\(ids[1])", Self.form, 3),
                ("/topics", Self.form, 2),
            ] {
                let body = "topic=a&lastEventID=\(ids[0])"
                let (client, text) = try await opening(hub, body, target: target, fields, until: "data: 4\n")
                #expect(text.contains("data: \(first)\n"))
                #expect(!text.contains("data: \(first - 1)\n"))
                client.close()
            }
        }
    }

    @Test("A form of 64 KiB with a thousand topics is accepted; one byte more is 413, with or without a length")
    func manyTopics() async throws {
        try await withHub { hub in
            let names = (0..<1000).map { String(repeating: "x", count: 50) + "/\($0)" }
            var body = names.map { "topic=\($0)" }.joined(separator: "&") + "&pad="
            body += String(repeating: "x", count: 65_536 - body.utf8.count)
            let (client, _) = try await opening(hub, body, until: "id: ")
            try await hub.post("/topics/\(names[999])", "last")
            _ = try await client.read(until: "\t\(names[999])\n")
            client.close()
            let (longer, answer) = try await opening(hub, body + "x", until: "}\n")
            #expect(answer.hasPrefix("HTTP/1.1 413 "))
            #expect(answer.contains("\"code\":\"too-large\""))
            longer.close()
            let chunked = try await hub.server.client()
            try await chunked.send(
                "POST /topics HTTP/1.1\r\nHost: test\r\n\(Self.form)Transfer-Encoding: chunked\r\n\r\n10001\r\n\(body)x\r\n0\r\n\r\n"
            )
            #expect(try await chunked.response().status == 413)
            #expect(hub.streams.begun.values.count == 1)
        }
    }

    @Test(
        "`Accept` must admit an event stream; the most specific range decides",
        arguments: [
            ("", true), ("Accept: text/event-stream\r\n", true), ("Accept: */*\r\n", true),
            ("Accept: Text/*\r\n", true),
            ("Accept: application/json, TEXT/Event-Stream;q=0.1\r\n", true), ("Accept: text/*;q=0, */*\r\n", false),
            ("Accept: text/event-stream;q=0, */*\r\n", false), ("Accept: text/event-stream ; Q=0.000\r\n", false),
            ("Accept: text/event-stream;charset=utf-8;q=0.001\r\n", true), ("Accept: application/json\r\n", false),
            ("Accept: application/json\r\nAccept: text/event-stream\r\n", true),
            ("Accept: text/event-streams\r\n", false),
            ("Accept: */*;q=0, text/event-stream\r\n", true),
        ]
    )
    func accept(fields: String, isAdmitted: Bool) async throws {
        try await withHub { hub in
            let mark = isAdmitted ? "retry: " : "}\n"
            let (client, text) = try await opening(hub, "topic=a", Self.form + fields, until: mark)
            if isAdmitted {
                #expect(text.hasPrefix("HTTP/1.1 200 "), "\(text)")
            } else {
                #expect(text.hasPrefix("HTTP/1.1 406 "), "\(text)")
                #expect(text.contains("\"code\":\"not-acceptable\""))
            }
            client.close()
        }
    }
}

extension HubFormTests {
    @Test("Requests pipelined after a form get no response, and its client may leave", arguments: Held.allCases)
    func pipelined(held: Held) async throws {
        try await withHub(held.configuration) { hub in
            let client = try await hub.server.client()
            let head = "POST /topics HTTP/1.1\r\nHost: test\r\nContent-Length: 7\r\n\(Self.form)\r\ntopic=a"
            try await client.send(head + "GET /status HTTP/1.1\r\nHost: test\r\n\r\n")
            _ = try await client.read(until: "id: ")
            try await hub.post("/topics/a", "x")
            let rest = try await client.read(until: "data: x\n")
            #expect(!rest.contains("HTTP/1.1"))
            client.close()
            #expect(try await hub.hasEnded(1) == [.clientClosed])
        }
    }
}

#endif
