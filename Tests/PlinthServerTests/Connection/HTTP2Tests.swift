// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthServer
import PlinthTestSupport
import Testing

/// Raw frames (RFC 9113, section 4), for what HTTP/2 libraries do not send.
enum HTTP2Client {
    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(type: 4, flags: 0, stream: 0, [])

    static func frame(type: UInt8, flags: UInt8, stream: UInt32, _ payload: [UInt8]) -> [UInt8] {
        let length = payload.count
        return [UInt8(length >> 16 & 255), UInt8(length >> 8 & 255), UInt8(length & 255), type, flags]
            + [UInt8(stream >> 24), UInt8(stream >> 16 & 255), UInt8(stream >> 8 & 255), UInt8(stream & 255)] + payload
    }

    /// `GET` of a path, in the simplest form of HPACK (RFC 7541).
    static func get(_ path: String, stream: UInt32, endsStream: Bool = true) -> [UInt8] {
        // :method GET, :scheme http; :path and :authority as literals with indexed names, not indexed themselves.
        var block: [UInt8] = [0x82, 0x86]
        block += [0x04, UInt8(path.utf8.count)] + Array(path.utf8)
        block += [0x01, 4] + Array("test".utf8)
        return frame(type: 1, flags: endsStream ? 5 : 4, stream: stream, block)
    }

    /// `POST /` in the same form; its body follows.
    static func post(stream: UInt32) -> [UInt8] {
        frame(type: 1, flags: 4, stream: stream, [0x83, 0x86, 0x84, 0x01, 4] + Array("test".utf8))
    }

    static func reset(stream: UInt32) -> [UInt8] {
        frame(type: 3, flags: 0, stream: stream, [0, 0, 0, 8])
    }
}

/// HTTP/2 from hostile clients.
@Suite("Hostile HTTP/2")
struct HTTP2Tests {
    @Test("A connection with an open stream is not idle; one without is")
    func idle() async throws {
        let channels = Recorder<EventChannel>()
        let stream = Interceptor(
            "stream",
            enter: { context in
                try await context.startEventStream(options: .init(heartbeat: .off)) { channels.record($0) }
            }
        )
        let configuration = ConnectorConfiguration(idleTimeout: .seconds(3), shutdownTimeout: .seconds(1))
        let open = try await TestingConnection(Chain([stream]), configuration: configuration)
        try await open.receive(HTTP2Client.preface + HTTP2Client.get("/", stream: 1))
        _ = try await open.written(until: ":\n")
        // Less than a minute, after which the server would expect an answer to its PING.
        for _ in 0..<41 { await open.advance(by: .seconds(1)) }
        #expect(try await channels.first()[0].send("still here"))
        _ = try await open.written(until: "data: still here\n\n")
        try await open.close()

        let idle = try await TestingConnection(Chain([stream]), configuration: configuration)
        try await idle.receive(HTTP2Client.preface)
        await idle.advance(by: .seconds(2))
        #expect(idle.isActive)
        // The server awaits an answer to its GOAWAY, and closes without one, too.
        await idle.advance(by: .seconds(1))
        #expect(try await idle.written().contains("\0\0\u{8}\u{7}"))
        try await idle.isClosed()
    }

    @Test(
        "Garbage after the preface closes the connection",
        arguments: [
            [UInt8](repeating: 0xff, count: 200), [UInt8](repeating: 0, count: 200),
            Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8),
        ]
    )
    func garbage(bytes: [UInt8]) async throws {
        try await withServer([answering("x")]) { server in
            let client = try await server.client()
            try await client.send(Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + bytes)
            _ = try await client.readAll()
        }
    }

    @Test("A client that half-closes after the preface is closed")
    func halfClose() async throws {
        try await withServer([answering("x")]) { server in
            let client = try await server.client()
            try await client.send(HTTP2Client.preface)
            client.shutdownWrite()
            _ = try await client.readAll()
        }
    }

    @Test("A half-close of the connection ends the client's streams")
    func halfCloseWithStream() async throws {
        let ends = Recorder<StreamEnd>()
        let started = Recorder<Void>()
        let stream = Interceptor.eventStream("stream", onDisconnect: { ends.record($0) }) { _, _ in
            started.record()
            try await untilCancelled()
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.client()
            try await client.send(
                HTTP2Client.preface + HTTP2Client.get("/", stream: 1) + HTTP2Client.get("/", stream: 3)
            )
            try await started.first(2)
            client.shutdownWrite()
            #expect(try await ends.first(2) == [.clientClosed, .clientClosed])
            _ = try await client.readAll()
        }
    }

    @Test("An unread upload is stopped after its response with NO_ERROR, so that the client keeps the response")
    func unreadUpload() async throws {
        try await withServer([answering("ignored")]) { server in
            let client = try await server.client()
            try await client.send(HTTP2Client.preface + HTTP2Client.post(stream: 1))
            var frames: [(type: UInt8, flags: UInt8, payload: [UInt8])] = []
            while frames.last?.type != 3 {
                let head = try await client.read(count: 9)
                let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
                frames.append((head[3], head[4], try await client.read(count: length)))
            }
            let answer = frames.filter { $0.type < 4 }
            #expect(answer.map(\.type).filter { $0 == 1 }.count == 1)
            #expect(answer.first?.type == 1)
            #expect(answer.contains { $0.type == 0 && $0.payload == Array("ignored".utf8) })
            #expect(answer.dropLast().last?.flags == 1)
            // NO_ERROR.
            #expect(answer.last?.payload == [0, 0, 0, 0])
            client.close()
        }
    }

    @Test("A reset ends its stream, and no other")
    func resetOne() async throws {
        let ends = Recorder<String>()
        let started = Recorder<Void>()
        func stream(_ name: String) -> Interceptor {
            .eventStream("stream", onDisconnect: { ends.record("\(name) \($0)") }) { _, _ in
                started.record()
                try await untilCancelled()
            }
        }
        try await withServer([routes(["/a": stream("a"), "/b": stream("b")])]) { server in
            let client = try await server.client()
            try await client.send(
                HTTP2Client.preface + HTTP2Client.get("/a", stream: 1) + HTTP2Client.get("/b", stream: 3)
            )
            try await started.first(2)
            try await client.send(HTTP2Client.reset(stream: 1))
            #expect(try await ends.first() == ["a client-closed"])
            client.reset()
            #expect(try await ends.first(2) == ["a client-closed", "b client-closed"])
        }
    }

    @Test(
        "Streams that are reset as soon as they are opened leave nothing",
        arguments: ["/events", "/text"]
    )
    func rapidReset(path: String) async throws {
        let ends = Recorder<StreamEnd>()
        let stream = Interceptor.eventStream("stream", onDisconnect: { ends.record($0) }) { _, _ in
            try await untilCancelled()
        }
        try await withServer([routes(["/events": stream, "/text": answering("x")])]) { server in
            let client = try await server.client()
            var bytes = HTTP2Client.preface
            for number in 0..<5000 {
                let id = UInt32(number * 2 + 1)
                bytes += HTTP2Client.get(path, stream: id) + HTTP2Client.reset(stream: id)
            }
            _ = try await client.sendWhatFits(bytes, within: 5)
            _ = try await client.readAll()
            client.close()
            try await server.isIdle()
            let other = try await server.client()
            #expect(try await other.get("/text").body == "x")
        }
    }

    @Test("An endless header list closes the connection")
    func longHeaders() async throws {
        try await withServer([answering("x")], configure: { $0.maximumHeadSize = 4096 }) { server in
            let client = try await server.client()
            var bytes = HTTP2Client.preface + HTTP2Client.frame(type: 1, flags: 0, stream: 1, [0x82, 0x86])
            for _ in 0..<1000 {
                bytes += HTTP2Client.frame(type: 9, flags: 0, stream: 1, [UInt8](repeating: 0x82, count: 16_000))
            }
            _ = try await client.sendWhatFits(bytes, within: 5)
            _ = try await client.readAll()
        }
    }

    @Test("A stream whose client opens no window is timed out")
    func noWindow() async throws {
        let ends = Recorder<StreamEnd>()
        let options = EventStreamOptions(writeTimeout: .milliseconds(300))
        let stream = Interceptor.eventStream("stream", options: options, onDisconnect: { ends.record($0) }) {
            events,
            _ in
            while await events.send(EventStreamEndTests.large) {}
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.client()
            try await client.send(HTTP2Client.preface + HTTP2Client.get("/", stream: 1))
            #expect(try await ends.first() == [.timedOut])
            client.close()
        }
        #expect(ends.values.count == 1)
    }
}

#endif
