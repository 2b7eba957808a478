// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Client

import PlinthTestSupport
import AsyncHTTPClient
import HTTPTypes
import NIOCore
import PlinthClient
import Synchronization
import Testing

/// An event source with AsyncHTTPClient, against a misbehaving server.
@Suite("Misbehaving servers")
struct ServerTests {
    typealias Step = ScriptedServer.Step

    static func source(
        _ server: ScriptedServer,
        path: String = "",
        _ configure: (inout EventSourceConfiguration) -> Void = { _ in }
    ) -> EventSource {
        var configuration = EventSourceConfiguration()
        configuration.backoff = .none
        configuration.reconnectionTime = .milliseconds(1)
        configure(&configuration)
        return EventSource(server.url + path, configuration: configuration)
    }

    @Test("The request has only the necessary header fields")
    func request() async throws {
        let server = try ScriptedServer([.head, .hold])
        let reader = Reader(Self.source(server, path: "a%20b?c=d"))
        try await reader.lines.first(1)
        let request = try await server.requests.first(1)[0]
        #expect(request.line == "GET /a%20b?c=d HTTP/1.1")
        #expect(
            request.fields == [
                "host": "127.0.0.1:\(server.port)", "accept": "text/event-stream", "cache-control": "no-cache",
            ]
        )
        #expect(request.body.isEmpty)
    }

    @Test("The end of the body leads to another request, with the ID of the last complete event")
    func reconnection() async throws {
        let server = try ScriptedServer(
            [.chunkedHead, .chunk("id: ä1\ndata: a\n\nid: 2\nevent: x\nda"), .send("0\r\n\r\n")],
            [.head, .send("ta: b\n\ndata: c\n\n"), .hold]
        )
        let reader = Reader(Self.source(server))
        #expect(
            try await reader.first(5) == [
                "open", "message: a", "retry streamEnded 0.001 seconds", "open", "message: c",
            ]
        )
        #expect(server.requests.values.map { $0.fields["last-event-id"] } == [nil, "ä1"])
    }

    @Test(
        "A lost connection delivers its complete events and is retried",
        arguments: [
            [Step.chunkedHead, .chunk("data: a\n\nda")],
            [.chunkedHead, .send("A\r\ndata: a\n\n")],
            [.chunkedHead, .chunk("data: a\n\n"), .send("zz\r\n")],
            [.send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100\r\n\r\ndata: a\n\n")],
        ]
    )
    func brokenBodies(_ script: [Step]) async throws {
        let server = try ScriptedServer(script, [.head, .send("data: b\n\n"), .hold])
        let reader = Reader(Self.source(server))
        #expect(
            try await reader.first(5)
                == ["open", "message: a", "retry connectionLost 0.001 seconds", "open", "message: b"]
        )
    }

    @Test("A reset during the stream is a lost connection")
    func reset() async throws {
        let gate = ScriptedServer.Gate()
        let server = try ScriptedServer([.head, .send("data: a\n\n"), .wait(gate), .reset], [.head, .hold])
        let reader = Reader(Self.source(server))
        try await reader.lines.first(2)
        gate.open()
        #expect(try await reader.first(4).suffix(2) == ["retry connectionLost 0.001 seconds", "open"])
    }

    @Test(
        "A missing or invalid response is retried",
        arguments: [
            [], [Step.reset], [.send("garbage\r\n\r\n")], [.send("HTTP/1.1 200")], [.send("HTTP/1.1 99 X\r\n\r\n")],
        ]
    )
    func noAnswer(_ script: [Step]) async throws {
        let server = try ScriptedServer(script, [.head, .hold])
        let reader = Reader(Self.source(server))
        #expect(try await reader.first(2) == ["retry connectionFailed 0.001 seconds", "open"])
    }

    @Test("A refused connection is retried")
    func refused() async throws {
        let port = try ScriptedServer([]).port
        var configuration = EventSourceConfiguration()
        configuration.backoff = .none
        configuration.reconnectionTime = .milliseconds(1)
        configuration.maximumAttempts = 3
        let reader = Reader(EventSource("http://127.0.0.1:\(port)/", configuration: configuration))
        #expect(
            try await reader.first(3) == [
                "retry connectionRefused 0.001 seconds", "retry connectionRefused 0.001 seconds",
                "failed tooManyAttempts",
            ]
        )
    }

    @Test(
        "An unexpected response is permanent and leads to no second request",
        arguments: [
            (Step.status("204 No Content"), "end"), (.status("201 Created"), "failed unexpectedStatus"),
            (.status("304 Not Modified"), "failed unexpectedStatus"), (.status("401 No"), "failed unexpectedStatus"),
            (.status("404 Not Found"), "failed unexpectedStatus"), (.status("500 Oops"), "failed unexpectedStatus"),
            (.status("503 Busy", "Retry-After: 0"), "failed unexpectedStatus"),
            (.status("301 Moved"), "failed unexpectedStatus"),
            (.status("307 T", "Location:"), "failed unexpectedStatus"),
            (.status("302 T", "Location: ftp://a/"), "failed redirectRefused"),
            (.status("200 OK"), "failed unexpectedContentType"),
            (.status("200 OK", "Content-Type: text/plain"), "failed unexpectedContentType"),
            (.status("200 OK", "Content-Type: text/event-stream", "Content-Encoding: gzip"), "failed compressed"),
        ]
    )
    func forGood(_ answer: Step, _ line: String) async throws {
        let server = try ScriptedServer([answer])
        let reader = Reader(Self.source(server))
        #expect(try await reader.first(1) == [line])
        #expect(server.requests.values.count == 1)
    }

    @Test("A retried status waits for its Retry-After")
    func retryAfter() async throws {
        let server = try ScriptedServer([.status("503 Busy", "Retry-After: 1")], [.head, .hold])
        let reader = Reader(Self.source(server) { $0.retryableStatuses = [503] })
        let start = ContinuousClock.now
        #expect(try await reader.first(2) == ["retry unexpectedStatus 1.0 seconds", "open"])
        #expect(start.duration(to: .now) >= .seconds(1))
    }

    @Test(
        "Each redirect status is followed, also if the server then closes the connection",
        arguments: [301, 302, 303, 307, 308]
    )
    func redirects(_ status: Int) async throws {
        let server = try ScriptedServer(
            [.status("\(status) Over there", "Location: ../b?c")],
            [.status("\(status) Over there", "Location: ?d", "Content-Type: text/event-stream")],
            [.head, .hold]
        )
        let reader = Reader(Self.source(server, path: "x/y"))
        #expect(try await reader.first(1) == ["open"])
        #expect(server.requests.values.map(\.line) == ["GET /x/y", "GET /b?c", "GET /b?d"].map { $0 + " HTTP/1.1" })
    }

    @Test("A redirect loop fails after 20 redirects and is retried")
    func loop() async throws {
        let server = try ScriptedServer([.status("302 Found", "Location: /")])
        let reader = Reader(Self.source(server))
        try await reader.lines.first(1)
        #expect(try await reader.first(1) == ["retry tooManyRedirects 0.001 seconds"])
        #expect(server.requests.values.count >= 21)
    }

    @Test("A redirect to another origin removes credentials")
    func otherOrigin() async throws {
        let other = try ScriptedServer([.head, .hold])
        let server = try ScriptedServer([.status("307 T", "Location: \(other.url)z")])
        let reader = Reader(
            Self.source(server) { $0.headerFields = [.authorization: "secret", .cookie: "c", .userAgent: "a"] }
        )
        try await reader.lines.first(1)
        #expect(server.requests.values.first?.fields["authorization"] == "secret")
        let fields = try await other.requests.first(1)[0].fields
        #expect(fields["authorization"] == nil && fields["cookie"] == nil)
        #expect(fields["user-agent"] == "a")
    }

    @Test("A URL's user name is sent as Basic, and not in the request line")
    func userInformation() async throws {
        let server = try ScriptedServer([.status("307 T", "Location: /b")], [.head, .hold])
        let url = server.url.replacing("http://", with: "http://user:p%40ss@")
        let reader = Reader(EventSource(url + "a", configuration: EventSourceConfiguration()))
        try await reader.lines.first(1)
        #expect(server.requests.values.map(\.line) == ["GET /a HTTP/1.1", "GET /b HTTP/1.1"])
        #expect(
            server.requests.values.map { $0.fields["authorization"] }
                == Array(repeating: "Basic dXNlcjpwQHNz", count: 2)
        )
    }

    @Test("A body is sent with each attempt, and with redirects that keep it")
    func body() async throws {
        let server = try ScriptedServer(
            [.status("307 T", "Location: /b")],
            [.head, .send("data: a\n\n")],
            [.head, .hold]
        )
        let reader = Reader(
            Self.source(server) { configuration in
                configuration.method = HTTPRequest.Method("REPORT") ?? .post
                configuration.body = Array(#"{"model":"x"}"#.utf8)
                configuration.headerFields = [.contentType: "application/json"]
            }
        )
        try await reader.lines.first(4)
        #expect(server.requests.values.map(\.line) == ["/", "/b", "/b"].map { "REPORT \($0) HTTP/1.1" })
        for request in server.requests.values {
            #expect(request.body == #"{"model":"x"}"#)
            #expect(request.fields["content-type"] == "application/json")
        }
    }

    @Test("Informational responses before the head are skipped")
    func informational() async throws {
        let server = try ScriptedServer([
            .send("HTTP/1.1 100 Continue\r\n\r\n"), .send("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"), .head,
            .send("data: a\n\n"), .hold,
        ])
        #expect(try await Reader(Self.source(server)).first(2) == ["open", "message: a"])
    }

    @Test("Bytes may arrive one at a time, also those of the head")
    func drip() async throws {
        let server = try ScriptedServer([
            .drip("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"),
            .drip("\u{FEFF}: c\rid: 1\r\ndata: é漢🎉\ndata\r\n\r\nevent: e\r\rdata: b\r\r"), .hold,
        ])
        let reader = Reader(Self.source(server) { $0.includesComments = true })
        #expect(try await reader.first(4) == ["open", ": c", "message: é漢🎉\n", "message: b"])
    }

    @Test("An event of 14 MB is delivered if the limit allows it", arguments: [true, false])
    func largeEvent(_ isAllowed: Bool) async throws {
        let line = String(repeating: "x", count: 14_000_000)
        let server = try ScriptedServer([.head, .send("data: \(line)\n\n"), .hold])
        let source = Self.source(server) { if isAllowed { $0.maximumEventSize = 16 << 20 } }
        var iterator = source.makeAsyncIterator()
        if isAllowed {
            #expect(try await iterator.next()?.data.utf8.count == 14_000_000)
        } else {
            let error = await #expect(throws: EventSourceError.self) { try await iterator.next() }
            #expect(error?.code == .tooLarge)
        }
    }

    @Test("A server that accepts and never responds is dropped after the idle timeout")
    func silentServer() async throws {
        let server = try ScriptedServer([.head, .send("id: 1\ndata: a\n\n")], [.hold], [.head, .hold])
        let reader = Reader(Self.source(server) { $0.idleTimeout = .milliseconds(500) })
        #expect(
            try await reader.first(5) == [
                "open", "message: a", "retry streamEnded 0.001 seconds", "retry idleTimeout 0.001 seconds", "open",
            ]
        )
        #expect(server.requests.values.map { $0.fields["last-event-id"] } == [nil, "1", "1"])
    }

    @Test("The server's reason is read from a body in pieces, and from one that does not end")
    func reason() async throws {
        let head = "HTTP/1.1 401 No\r\nContent-Type: application/json\r\n"
        let body = #"{"error":"token expired","code":"token-expired"}"#
        for script in [
            [Step.send(head + "Content-Length: \(body.utf8.count)\r\n\r\n"), .drip(body)],
            [.send(head + "\r\n" + body)],
            [.send(head + "Content-Length: 1000\r\n\r\n" + body), .hold],
        ] {
            let server = try ScriptedServer(script)
            let error = await #expect(throws: EventSourceError.self) { for try await _ in Self.source(server) {} }
            #expect(error?.reason == "token expired" && error?.reasonCode == "token-expired")
        }
    }

    @Test("An unknown name, a TLS server, and one that closes have different codes")
    func causes() async throws {
        func code(_ url: String) async -> EventSourceError? {
            var configuration = EventSourceConfiguration()
            configuration.maximumAttempts = 2
            configuration.backoff = .none
            configuration.reconnectionTime = .zero
            let source = EventSource(url, configuration: configuration)
            do {
                for try await message in source.messages {
                    if case .disconnected(let error, _) = message { return error }
                }
            } catch {
                return error
            }
            return nil
        }
        let name = await code("http://plinth-test.invalid/")
        #expect(name?.code == .nameNotFound, "\(String(describing: name))")
        // The alert that a TLS server sends in reply to plaintext.
        let tls = try ScriptedServer([.send([0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x32])])
        let alert = await code(tls.url)
        #expect(alert?.code == .tlsServer, "\(String(describing: alert))")
        #expect(alert?.message.contains("https://") == true)
        let closing = try ScriptedServer([])
        let closed = await code(closing.url)
        #expect(closed?.code == .connectionFailed)
        #expect(closed?.message.contains("closed the connection without an answer") == true)
    }

    @Test("A silent stream is dropped after the idle timeout")
    func silence() async throws {
        let server = try ScriptedServer([.head, .send("data: a\n\n"), .hold])
        let reader = Reader(Self.source(server) { $0.idleTimeout = .milliseconds(500) })
        #expect(
            try await reader.first(5)
                == ["open", "message: a", "retry idleTimeout 0.001 seconds", "open", "message: a"]
        )
        try await server.ended.first(1)
    }

    @Test("A head that does not arrive is abandoned after the response timeout")
    func slowHead() async throws {
        let server = try ScriptedServer([.send("HTTP/1.1 200 OK\r\n"), .hold], [.head, .hold])
        let reader = Reader(Self.source(server) { $0.responseTimeout = .milliseconds(300) })
        #expect(try await reader.first(2) == ["retry responseTimeout 0.001 seconds", "open"])
        try await server.ended.first(1)
    }

    @Test("Close, cancellation, and releasing the iterator each close the connection")
    func leaving() async throws {
        let server = try ScriptedServer([.head, .send("data: a\n\n"), .hold])
        let closed = Self.source(server)
        let first = Reader(closed)
        try await first.lines.first(2)
        closed.close()
        try await server.ended.first(1, "the first connection's end")
        let second = Reader(Self.source(server))
        try await second.lines.first(2)
        second.cancel()
        try await server.ended.first(2, "the second connection's end")
        let dropped = Self.source(server)
        for try await _ in dropped { break }
        try await server.ended.first(3, "the third connection's end")
        // While waiting for the response.
        let silent = try ScriptedServer([.hold])
        let waiting = Reader(Self.source(silent))
        try await silent.requests.first(1)
        waiting.cancel()
        try await silent.ended.first(1, "the connection's end")
    }

    @Test("A reader that stops reading stops the server, and later receives every event")
    func backPressure() async throws {
        let event = "data: " + String(repeating: "x", count: 993) + "\n\n"
        let server = try ScriptedServer([.head, .flood(Array(String(repeating: event, count: 64).utf8))])
        let source = Self.source(server)
        var iterator = source.makeAsyncIterator()
        _ = try await iterator.next()
        // Until the server can send no more.
        var last = -1
        while true {
            let sent = server.sent.load(ordering: .relaxed)
            if sent == last { break }
            last = sent
            try await ContinuousClock().sleep(for: .milliseconds(200))
        }
        // The kernel's buffers on both sides, and two batches.
        #expect(last < 16 << 20)
        for _ in 0..<50_000 {
            #expect(try await iterator.next()?.data.utf8.count == 993)
        }
        source.close()
        try await server.ended.first(1)
    }

    @Test("A transport may share a client, or have its own, which ends with it")
    func transports() async throws {
        let server = try ScriptedServer([.head, .send("data: a\n\n"), .hold])
        var configuration = AsyncHTTPClientTransport.configuration
        configuration.timeout.connect = .seconds(5)
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        for transport in [AsyncHTTPClientTransport(client), AsyncHTTPClientTransport(configuration: configuration)] {
            let source = EventSource(server.url, transport: transport)
            for try await event in source {
                #expect(event.data == "a")
                break
            }
        }
        try await server.ended.first(2)
        try await client.shutdown()
    }

    @Test("A body of AsyncHTTPClient has events")
    func response() async throws {
        let server = try ScriptedServer([.head, .send("data: a\n\ndata: [DONE]\n\n"), .hold])
        let response = try await HTTPClient.shared.execute(HTTPClientRequest(url: server.url), timeout: .seconds(5))
        var data: [String] = []
        for try await event in response.body.events(until: .data("[DONE]")) { data.append(event.data) }
        #expect(data == ["a"])
    }
}

#endif
