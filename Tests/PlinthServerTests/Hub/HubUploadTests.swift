// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import PlinthHub
import PlinthServer
import Synchronization
import Testing

/// Publishing an event stream in one request.
@Suite("Hub endpoints: uploads")
struct HubUploadTests {
    private static let streamType = "Content-Type: text/event-stream\r\n"

    /// Sends an event stream as the body of a request.
    private func upload(_ hub: HubServer, _ body: String, type: String = streamType) async throws -> RawResponse {
        try await upload(hub, Array(body.utf8), type: type)
    }

    private func upload(_ hub: HubServer, _ body: [UInt8], type: String = streamType) async throws -> RawResponse {
        try await hub.request("POST", "/topics/a", type, bytes: body)
    }

    private func published(_ hub: HubServer, _ count: Int) async throws -> [ServerSentEvent] {
        #expect(try await hub.hub.status().published == count)
        return try await hub.events(count, "/topics/a?last-event-id=earliest")
    }

    @Test("An upload keeps type, data, retry and order, but not IDs, comments or a byte order mark")
    func publishesAll() async throws {
        try await withHub { hub in
            let response = try await upload(
                hub,
                "\u{FEFF}: hello\n\nevent: e\nid: mine\ndata: 1\ndata: 1b\n\nid: yours\n\ndata: 2\r\nretry: 5\r\n\r\n"
                    + "data: 3\r\revent\ndata\n\nevent: no data\n\n: bye\n",
                type: "content-type: Text/Event-Stream ; charset=utf-8\r\n"
            )
            #expect(response.status == 201)
            let answer = try Answer(response)
            #expect(answer.count == 4)
            #expect(answer.error == nil)
            let events = try await published(hub, 4)
            #expect(events.map(\.type) == ["e", nil, nil, nil])
            #expect(events.map(\.data) == ["1\n1b", "2", "3", ""])
            // 5 ms is clamped: clients would reconnect without a pause.
            #expect(events.map(\.retry) == [nil, .milliseconds(100), nil, nil])
            #expect(Set(events.map(\.id)).count == 4)
            #expect(!events.contains { $0.id == "mine" || $0.id == nil })
            #expect(answer.id == events.last?.id)
        }
    }

    @Test("Ten thousand events arrive in pieces of any size", arguments: [1, 2] as [UInt64])
    func manyInPieces(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        var stream: [UInt8] = []
        for number in 0..<10_000 {
            let ending = ["\n", "\r\n", "\r"][number % 3]
            let filler = String(repeating: "é", count: Int.random(in: 0..<20, using: &random))
            stream += Array("data: \(number)\(ending)data: \(filler)\(ending)\(ending)".utf8)
        }
        try await withHub { hub in
            let client = try await hub.server.client()
            try await client.send(
                "POST /topics/a HTTP/1.1\r\nHost: test\r\n\(Self.streamType)Transfer-Encoding: chunked\r\n\r\n"
            )
            var start = 0
            while start < stream.count {
                // A few large pieces, and many of a few bytes.
                let largest = Int.random(in: 0..<4, using: &random) == 0 ? 9 : 20_000
                let end = min(stream.count, start + Int.random(in: 1...largest, using: &random))
                let piece = Array(stream[start..<end])
                try await client.send(Array("\(String(piece.count, radix: 16))\r\n".utf8) + piece + [13, 10])
                start = end
            }
            try await client.send("0\r\n\r\n")
            let response = try await client.response()
            #expect(response.status == 201, "seed \(seed)")
            let answer = try Answer(response)
            #expect(answer.count == 10_000)
            let events = try await published(hub, 10_000)
            #expect(events.map { $0.data.prefix { $0 != "\n" } } == (0..<10_000).map { Substring("\($0)") })
            #expect(answer.id == events.last?.id)
        }
    }

    @Test("Each event is published as soon as its blank line arrives")
    func streams() async throws {
        try await withHub { hub in
            let subscriber = try await hub.subscribe("/topics/a")
            let client = try await hub.server.client()
            try await client.send(
                "POST /topics/a HTTP/1.1\r\nHost: test\r\n\(Self.streamType)Transfer-Encoding: chunked\r\n\r\n"
            )
            for number in 1...3 {
                try await client.send("9\r\ndata: \(number)\n\n\r\n")
                #expect(try await subscriber.events(number).last?.data == "\(number)")
            }
            try await client.send("0\r\n\r\n")
            let answer = try Answer(try await client.response())
            #expect(answer.count == 3)
            #expect(answer.id == subscriber.lastEventID)
            subscriber.raw.close()
        }
    }

    @Test("If history fails midway, the response reports how many events it took")
    func historyFails() async throws {
        let history = FailingHistory(after: 3)
        try await withHub(history: history) { hub in
            let subscriber = try await hub.subscribe("/topics/a")
            let client = try await hub.server.client()
            try await client.send(
                "POST /topics/a HTTP/1.1\r\nHost: test\r\n\(Self.streamType)Transfer-Encoding: chunked\r\n\r\n"
            )
            // One by one: events in one piece are accepted or refused together.
            for number in 1...3 {
                try await client.send("9\r\ndata: \(number)\n\n\r\n")
                #expect(try await subscriber.events(number).last?.data == "\(number)")
            }
            try await client.send("9\r\ndata: 4\n\n\r\n")
            let response = try await client.response()
            #expect(response.status == 503)
            #expect(response["Retry-After"] == "1")
            let answer = try Answer(response)
            #expect(answer.count == 3)
            #expect(answer.id == subscriber.lastEventID)
            #expect(answer.error?.hasPrefix("event 4 or a later one: history accepts no events") ?? false)
            #expect(answer.code == "not-taken")
            #expect(try await hub.hub.status().published == 3)
            subscriber.raw.close()
        }
    }

    @Test(
        "An upload without events publishes nothing and returns no ID",
        arguments: ["", ": only a comment\n\nid: 1\n\nevent: e\n"]
    )
    func nothing(body: String) async throws {
        try await withHub { hub in
            let response = try await upload(hub, body)
            #expect(response.status == 201)
            #expect(response.body == "{\"id\":null,\"count\":0}\n")
        }
    }

    @Test("An event that is too large ends the upload with 413; those before it stay")
    func tooLarge() async throws {
        try await withHub(maximumEventSize: 100) { hub in
            let fits = String(repeating: "x", count: 100)
            let response = try await upload(hub, "data: 1\n\ndata: \(fits)\n\ndata: \(fits)x\n\ndata: 4\n\n")
            #expect(response.status == 413)
            let answer = try Answer(response)
            #expect(answer.count == 2)
            #expect(answer.error?.hasPrefix("event 3: ") == true, "\(response.body)")
            let events = try await published(hub, 2)
            #expect(events.map(\.data) == ["1", fits])
            #expect(answer.id == events.last?.id)
            let none = try await upload(hub, "data: \(fits)\ndata: x\n\n")
            #expect(none.status == 413)
            #expect(none.body.hasPrefix("{\"id\":null,\"count\":0,\"error\":\"event 1: "))
        }
    }

    @Test("An endless line is 413 before it ends")
    func endlessLine() async throws {
        try await withHub(maximumEventSize: 100) { hub in
            let client = try await hub.server.client()
            try await client.send(
                "POST /topics/a HTTP/1.1\r\nHost: test\r\n\(Self.streamType)Content-Length: 1000000\r\n\r\ndata: 1\n\ndata: "
            )
            try await client.send(String(repeating: "x", count: 200))
            let response = try await client.response()
            #expect(response.status == 413)
            #expect(try Answer(response).count == 1)
        }
    }

    @Test(
        "A body that ends inside an event is 400, and that event is not published",
        arguments: ["data: 3", "data: 3\n", "data: 3\r", "event: e\ndata", "data: 3\r\nid: 7"]
    )
    func unfinished(end: String) async throws {
        try await withHub { hub in
            let response = try await upload(hub, "data: 1\n\ndata: 2\n\n" + end)
            #expect(response.status == 400)
            let answer = try Answer(response)
            #expect(answer.count == 2)
            #expect(answer.error?.hasPrefix("event 3: the body ends inside it") == true, "\(response.body)")
            #expect(answer.id == (try await published(hub, 2)).last?.id)
        }
    }

    @Test("If no event was accepted, the ID is null")
    func nothingAccepted() async throws {
        try await withHub { hub in
            let response = try await upload(hub, "data: half")
            #expect(response.status == 400)
            #expect(response.body.hasPrefix("{\"id\":null,\"count\":0,\"error\":\"event 1: "))
            #expect(try await hub.hub.status().published == 0)
        }
    }

    @Test(
        "Text that is not UTF-8 ends the upload with 400, and names the event",
        arguments: [
            Array("data: ".utf8) + [0xFF, 10, 10], Array("data: ok\ndata: ".utf8) + [0xED, 0xA0, 0x80, 10, 10],
            Array("event: ".utf8) + [0xC3] + Array("\ndata: x\n\n".utf8),
        ]
    )
    func notUTF8(event: [UInt8]) async throws {
        try await withHub { hub in
            let response = try await upload(hub, Array("data: 1\n\n".utf8) + event + Array("data: 3\n\n".utf8))
            #expect(response.status == 400)
            let answer = try Answer(response)
            #expect(answer.count == 1)
            #expect(answer.error?.hasPrefix("event 2: it is not valid UTF-8") == true, "\(response.body)")
            #expect(answer.id == (try await published(hub, 1)).last?.id)
        }
    }

    @Test("An event of a reserved type ends the upload; those before it are published")
    func reservedType() async throws {
        try await withHub(options: StreamOptions(gapType: "lost")) { hub in
            let forged = "data: 1\n\nevent: gap\ndata: 2\n\nevent: lost\ndata: {}\n\ndata: 4\n\n"
            let response = try await upload(hub, forged)
            #expect(response.status == 400)
            let answer = try Answer(response)
            #expect(answer.code == "type-reserved")
            #expect(answer.count == 2)
            #expect(answer.error?.hasPrefix("event 3: ") == true, "\(response.body)")
            let events = try await published(hub, 2)
            #expect(events.map(\.data) == ["1", "2"])
            #expect(answer.id == events.last?.id)
            let none = try await upload(hub, "event: lost\ndata: {}\n\n")
            #expect(none.body.hasPrefix("{\"id\":null,\"count\":0,\"error\":\"event 1: "))
            #expect(try await hub.hub.status().published == 2)
        }
    }

    @Test("A publisher that leaves midway has published the complete events")
    func leaves() async throws {
        try await withHub { hub in
            let subscriber = try await hub.subscribe("/topics/a")
            let client = try await hub.server.client()
            try await client.send(
                "POST /topics/a HTTP/1.1\r\nHost: test\r\n\(Self.streamType)Content-Length: 1000\r\n\r\ndata: 1\n\ndata: 2\n"
            )
            _ = try await subscriber.events(1)
            client.reset()
            subscriber.raw.close()
            try await hub.server.isIdle()
            #expect(try await published(hub, 1).map(\.data) == ["1"])
        }
    }
}

extension HubUploadTests {
    private static let uploadHead =
        "POST /topics/a HTTP/1.1\r\nHost: test\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"

    /// Begins an upload; its first event is in history when this returns.
    private func beginUpload(_ hub: HubServer, then rest: String = "") async throws -> RawClient {
        let client = try await hub.server.client()
        let text = "data: one\n\n" + rest
        try await client.send("\(Self.uploadHead)\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n")
        _ = try await hub.events(1, "/topics/a?last-event-id=earliest")
        return client
    }

    @Test("An upload may be silent between events for longer than within one; a shutdown ends it with a report")
    func silence() async throws {
        try await withHub(configure: { $0.bodyTimeout = .milliseconds(1) }) { hub in
            let client = try await beginUpload(hub)
            let stop = Task { try await hub.server.shutDown() }
            let response = try await client.response()
            #expect(response.status == 503)
            #expect(response["Retry-After"] != nil)
            let answer = try Answer(response)
            #expect(answer.count == 1)
            #expect(answer.error?.contains("shutting down") == true)
            #expect(response.body.contains("\"code\":\"not-taken\""))
            client.close()
            try await stop.value
        }
    }

    @Test("An upload that stops within an event is 408 with a report of the events before it")
    func stopsWithinEvent() async throws {
        try await withHub(configure: { $0.bodyTimeout = .milliseconds(1) }) { hub in
            let client = try await beginUpload(hub, then: "data: half")
            let response = try await client.response()
            #expect(response.status == 408)
            #expect(try Answer(response).count == 1)
            client.close()
        }
    }

    @Test("An upload that is silent for too long is 408 with a report")
    func silentForTooLong() async throws {
        try await withHub(uploadIdleTimeout: .milliseconds(1)) { hub in
            let client = try await beginUpload(hub)
            let response = try await client.response()
            #expect(response.status == 408)
            #expect(try Answer(response).count == 1)
            client.close()
        }
    }

    #if os(Linux)
    @Test("A silent publisher's connection has TCP keep-alive")
    func keepAlive() async throws {
        try await withHub { hub in
            let client = try await beginUpload(hub)
            let ports = [hub.port, try #require(client.localPort)].map { String($0, radix: 16, uppercase: true) }
            let file = try #require(FileHandle(forReadingAtPath: "/proc/net/tcp"))
            let table = String(decoding: try #require(try file.readToEnd()), as: UTF8.self)
            let line = try #require(
                table.split(separator: "\n").first { line in
                    let fields = line.split(separator: " ")
                    return fields.count > 5 && fields[1].hasSuffix(":" + ports[0])
                        && fields[2].hasSuffix(":" + ports[1])
                }
            )
            // The field after the queues is the active timer; 02 is keep-alive.
            #expect(line.split(separator: " ")[5].hasPrefix("02:"), "\(line)")
            client.close()
        }
    }
    #endif
}

#endif
