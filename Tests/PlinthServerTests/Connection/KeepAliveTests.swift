// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Plinth
import PlinthServer
import Testing

/// Several requests on one connection.
@Suite("Keep-alive and pipelining")
struct KeepAliveTests {
    /// Responds with the path, after other tasks have run as often as the query says.
    static let path = Interceptor.handler("path") { request in
        for _ in 0..<(request.query.flatMap { Int($0) } ?? 0) { await Task.yield() }
        return .text(String(request.path))
    }

    @Test("HTTP/1.1 keeps a connection unless the client sends `close`")
    func http11() async throws {
        try await withServer([Self.path]) { server in
            let client = try await server.client()
            #expect(try await client.get("/1")["Connection"] == nil)
            #expect(try await client.get("/2").body == "/2")
            #expect(try await client.get("/3", "Connection: close\r\n")["Connection"] == "close")
            #expect(try await client.readToEnd().isEmpty)
        }
    }

    @Test("HTTP/1.0 closes a connection unless the client sends `keep-alive`")
    func http10() async throws {
        try await withServer([Self.path]) { server in
            let client = try await server.client()
            try await client.send("GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            let first = try await client.response()
            #expect(first.statusLine == "HTTP/1.0 200 OK")
            #expect(first["Connection"] == "keep-alive")
            try await client.send("GET /2 HTTP/1.0\r\n\r\n")
            #expect(try await client.response()["Connection"] == "close")
            #expect(try await client.readToEnd().isEmpty)
        }
    }

    @Test("Pipelined requests are answered in order, whichever handler is fastest")
    func pipelined() async throws {
        try await withServer([Self.path]) { server in
            let client = try await server.client()
            let paths = (0..<20).map { "/\($0)?\($0 % 3 == 0 ? 200 : 0)" }
            try await client.send(paths.map { "GET \($0) HTTP/1.1\r\nHost: test\r\n\r\n" }.joined())
            for number in 0..<20 { #expect(try await client.response().body == "/\(number)") }
            #expect(try await client.get("/after").body == "/after")
        }
    }

    @Test("Pipelined requests are answered even if the client has half-closed")
    func pipelinedThenHalfClose() async throws {
        let quick = Interceptor.handler("path") { .text(String($0.path)) }
        try await withServer([quick]) { server in
            let client = try await server.client()
            try await client.send((0..<5).map { "GET /\($0) HTTP/1.1\r\nHost: test\r\n\r\n" }.joined())
            client.shutdownWrite()
            for number in 0..<5 { #expect(try await client.response().body == "/\(number)") }
            #expect(try await client.readToEnd().isEmpty)
        }
    }

    @Test("The bodies of pipelined requests do not mix")
    func pipelinedBodies() async throws {
        try await withServer([RequestBodyTests.echo]) { server in
            let client = try await server.client()
            try await client.send(
                (1...10).map { number in
                    let body = String(repeating: "\(number % 10)", count: number)
                    return "POST / HTTP/1.1\r\nHost: test\r\nContent-Length: \(number)\r\n\r\n\(body)"
                }.joined()
            )
            for number in 1...10 {
                let body = String(repeating: "\(number % 10)", count: number)
                #expect(try await client.response().body == "\(number) \(body)")
            }
        }
    }

    @Test("Pipelined requests do not begin while the client reads no response")
    func pipelinedUnread() async throws {
        let begun = Recorder<Void>()
        let bytes = [UInt8](repeating: 1, count: 1 << 20)
        let handler = Interceptor.handler("large") { _ in
            begun.record()
            return Response(body: .bytes(bytes))
        }
        try await withServer([handler]) { server in
            let client = try await server.client(receiveBuffer: 4096)
            try await client.send(String(repeating: "GET / HTTP/1.1\r\nHost: test\r\n\r\n", count: 500))
            _ = try await client.read(until: "\r\n\r\n")
            #expect(begun.values.count < 20)
            client.reset()
        }
    }

    @Test("Unread small responses hold back the next requests")
    func pipelinedUnreadSmall() async throws {
        let begun = Recorder<Void>()
        let bytes = [UInt8](repeating: 1, count: 30_000)
        let handler = Interceptor.handler("small") { _ in
            begun.record()
            return Response(body: .bytes(bytes))
        }
        try await withServer([handler]) { server in
            let client = try await server.client(receiveBuffer: 4096)
            try await client.send(String(repeating: "GET / HTTP/1.1\r\nHost: test\r\n\r\n", count: 2000))
            #expect(try await settled { begun.values.count } < 500)
            // All requests are answered once the client reads.
            let whole = try await client.read(count: 30_000 * 2000)
            #expect(whole.count == 60_000_000)
            try await begun.first(2000)
            client.reset()
        }
    }

    @Test("Requests after one that closes the connection are not run")
    func behindLast() async throws {
        let seen = Recorder<String>()
        let handler = Interceptor.handler("path") { request in
            seen.record(String(request.path))
            return .text(String(request.path))
        }
        try await withServer([handler]) { server in
            let client = try await server.client()
            try await client.send(
                "GET /1 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"
                    + "GET /2 HTTP/1.1\r\nHost: test\r\n\r\n"
            )
            #expect(try await client.response().body == "/1")
            try await client.send("GET /3 HTTP/1.1\r\nHost: test\r\n\r\n")
            #expect(try await client.readToEnd().isEmpty)
            client.close()
            try await server.isIdle()
            #expect(seen.values == ["/1"])
        }
    }

    @Test("A request followed by garbage still gets its response")
    func garbageBehind() async throws {
        try await withServer([Self.path]) { server in
            let client = try await server.client()
            try await client.send("GET /1?50 HTTP/1.1\r\nHost: test\r\n\r\n\u{1}\u{2}\u{3}\r\n\r\n")
            #expect(try await client.response().body == "/1")
            _ = try await client.readToEnd()
        }
    }

    @Test("An idle connection is closed", arguments: ["", "GET / HTTP/1.1\r\nHost: test\r\n\r\n"])
    func idle(before: String) async throws {
        try await withServer([Self.path], configure: { $0.idleTimeout = .milliseconds(200) }) { server in
            let client = try await server.client()
            try await client.send(before)
            _ = try await client.readToEnd()
        }
    }

    @Test("A request with `Upgrade` is answered over HTTP/1.1, and is the last of its connection")
    func upgrade() async throws {
        try await withServer([Self.path]) { server in
            let client = try await server.client()
            let response = try await client.get(
                "/1",
                "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
            )
            #expect(response.body == "/1")
            #expect(response["Connection"] == "close")
            #expect(try await client.readToEnd().isEmpty)
        }
    }

    @Test(
        "Absolute targets and `OPTIONS *` have the right path",
        arguments: [
            ("GET http://test/a/b?c", "/a/b"), ("GET http://test", "/"), ("GET https://test?q", "/"),
            ("OPTIONS *", "*"),
            ("GET /a%20b", "/a%20b"), ("GET HTTP://test/x", "/x"),
        ]
    )
    func targets(line: String, path: String) async throws {
        let plain = Interceptor.handler("path") { .text(String($0.path)) }
        try await withServer([plain]) { server in
            let client = try await server.client()
            try await client.send("\(line) HTTP/1.1\r\nHost: test\r\n\r\n")
            #expect(try await client.response().body == path)
        }
    }
}

#endif
