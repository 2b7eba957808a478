// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Plinth
import PlinthServer
import Testing

/// Any bytes get a response or a close: never a crash, a hang or a leak.
@Suite("Hostile input")
struct HostileInputTests {
    static let seed: UInt64 = 0x5EED_2026

    /// Sends bytes, and returns all that the server sends until it closes.
    private func answer(_ server: TestServer, _ bytes: String) async throws -> String {
        let client = try await server.client()
        try await client.send(bytes)
        return try await client.readToEnd()
    }

    @Test(
        "Invalid requests are refused, and the connection is closed",
        arguments: [
            ("no Host", "GET / HTTP/1.1\r\n\r\n", 400),
            ("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("two Hosts that agree", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
            (
                "length and chunks",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400
            ),
            (
                "chunks and length",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400
            ),
            ("two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
            ("chunks on HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
            ("another coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
            (
                "a coding after chunks",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400
            ),
            (
                "chunks twice",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                501
            ),
            ("hidden chunks", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
            (
                "chunks with a vertical tab",
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n", 400
            ),
            ("space before the colon", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", 400),
            ("a folded field", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
            ("an unknown method", "BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("a target without slash", "GET index.html HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("an asterisk for GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("a control character in the target", "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("a NUL in a field", "GET / HTTP/1.1\r\nHost: a\r\nX: \u{0}\r\n\r\n", 400),
            ("HTTP/2 in words", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("HTTP/9.9", "GET / HTTP/9.9\r\nHost: a\r\n\r\n", 400),
            ("no HTTP", "hello\r\n\r\n", 400),
            ("not even lines", "\u{0}\u{1}\u{2}\u{3}\u{4}", 400),
            ("half a preface, then something else", "PRI * HTTP/2.0\r\n\r\nGET / HTTP/1.1\r\n\r\n", 400),
        ]
    )
    func refused(name: String, bytes: String, status: Int) async throws {
        let runs = Recorder<Void>()
        let handler = Interceptor.handler("never") { _ in
            runs.record()
            return .text("reached")
        }
        try await withServer([handler]) { server in
            let answer = try await answer(server, bytes)
            let response = RawResponse(head: answer)
            let allowed = status == 400 ? [400, 501, 505] : [status, 400]
            #expect(allowed.contains(response.status), "\(name): \(answer.debugDescription)")
            #expect(response["Connection"] == "close")
            #expect(runs.values.isEmpty)
            #expect(!answer.contains("\nHTTP/1."))
        }
    }

    @Test(
        "Invalid chunks end the request and the connection",
        arguments: [
            "zz\r\nabc\r\n", "-1\r\nabc\r\n", "FFFFFFFFFFFFFFFFF\r\nabc\r\n", "3\r\nabcXX0\r\n\r\n", "3\nabc\n0\n\n",
            "\r\n\r\n", " 3\r\nabc\r\n0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
        ]
    )
    func badChunks(chunks: String) async throws {
        try await withServer([RequestBodyTests.echo]) { server in
            let answer = try await answer(
                server,
                "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(chunks)"
                    + "GET /smuggled HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            )
            #expect(answer.hasPrefix("HTTP/1.1 400"), "\(answer)")
            #expect(!answer.contains("200 OK"))
        }
    }

    @Test("A head that is too long is 431", arguments: [true, false])
    func longHead(isOneField: Bool) async throws {
        try await withServer([answering("x")], configure: { $0.maximumHeadSize = 4096 }) { server in
            let client = try await server.client()
            try await client.send("GET / HTTP/1.1\r\nHost: a\r\n")
            let fields =
                isOneField
                ? "X: " + String(repeating: "y", count: 200_000)
                : (0..<10_000).map { "X-\($0): y\r\n" }.joined()
            _ = try await client.sendWhatFits(Array(fields.utf8), within: 1)
            #expect(try await client.response().status == 431)
            _ = try await client.readAll()
        }
    }

    @Test("A target that is too long is refused")
    func longTarget() async throws {
        try await withServer([answering("x")], configure: { $0.maximumHeadSize = 4096 }) { server in
            let client = try await server.client()
            _ = try await client.sendWhatFits(Array(("GET /" + String(repeating: "y", count: 200_000)).utf8), within: 1)
            let status = try await client.response().status
            #expect(status == 431 || status == 400 || status == 414)
        }
    }

    @Test(
        "A truncated request is closed, with or without a response",
        arguments: [
            "", "P", "PRI * HTTP/2.0\r\n\r\nS", "G", "GET / HT", "GET / HTTP/1.1\r\nHost: a\r\nX",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc",
        ]
    )
    func truncated(bytes: String) async throws {
        try await withServer([RequestBodyTests.echo]) { server in
            let client = try await server.client()
            try await client.send(bytes)
            client.shutdownWrite()
            let answer = try await client.readToEnd()
            #expect(answer.isEmpty || answer.hasPrefix("HTTP/1.1 400"))
        }
    }

    @Test("A head that arrives too slowly is 408, however steadily")
    func slowHead() async throws {
        let connection = try await trickle("GET / HTTP/1.1\r\nHost: a\r\nX: AAAAAAAA")
        #expect(try await connection.written().hasPrefix("HTTP/1.1 408 "))
        try await connection.isClosed()
    }

    @Test("A preface that arrives too slowly is closed")
    func slowPreface() async throws {
        let connection = try await trickle("PRI * HTTP/2.0\r\n\r\nSM\r\n\r")
        try await connection.isClosed()
    }

    /// Sends a byte per second to a server that gives a head ten seconds.
    private func trickle(_ text: String) async throws -> TestingConnection {
        let connection = try await TestingConnection(
            Chain([answering("x")]),
            configuration: ConnectorConfiguration(headTimeout: .seconds(10))
        )
        for (second, byte) in text.utf8.enumerated() where second < 12 {
            try await connection.receive([byte])
            await connection.advance(by: .seconds(1))
            if second < 9 { #expect(connection.isActive) }
            if second == 8 { #expect(try await connection.written().isEmpty) }
        }
        return connection
    }

    // MARK: - At random

    @Test("Thousands of connections with random bytes leave nothing behind")
    func random() async throws {
        print("random bytes with seed \(Self.seed)")
        try await withServer([routes(["/events": EventStreamTests.two, "/": RequestBodyTests.echo])]) { server in
            let port = server.port
            let failures = Recorder<String>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for lane in 0..<4 {
                    group.addTask {
                        let failed: [String] = try await wait(for: "random connections") {
                            await onThread { Self.attack(port: port, lane: UInt64(lane), connections: 750) }
                        }
                        for failure in failed { failures.record(failure) }
                    }
                }
                try await group.waitForAll()
            }
            #expect(failures.values.isEmpty)
            try await server.isIdle()
            let client = try await server.client()
            #expect(try await client.get("/").status == 200)
        }
    }

    private static let fragments: [String] = [
        "GET / HTTP/1.1\r\n", "POST / HTTP/1.1\r\n", "GET /events HTTP/1.1\r\n", "HEAD / HTTP/1.0\r\n", "Host: a\r\n",
        "Content-Length: 5\r\n", "Content-Length: 18446744073709551615\r\n", "Transfer-Encoding: chunked\r\n", "\r\n",
        "\n", "\r",
        "5\r\nhello\r\n", "0\r\n\r\n", "Expect: 100-continue\r\n", "Connection: close\r\n",
        "Upgrade: h2c\r\nConnection: upgrade\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\u{0}\u{0}\u{0}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}", "\u{16}\u{3}\u{1}", ":",
        " ", "*",
    ]

    /// Connects repeatedly, with random bytes and a random way to leave.
    private static func attack(port: Int, lane: UInt64, connections: Int) -> [String] {
        var generator = SeededGenerator(seed: seed &+ lane)
        var failures: [String] = []
        for number in 0..<connections {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0..<12, using: &generator) {
                if Bool.random(using: &generator) {
                    bytes += Array(fragments.randomElement(using: &generator)?.utf8 ?? "".utf8)
                } else {
                    bytes += (0..<Int.random(in: 0..<40, using: &generator)).map { _ in
                        UInt8.random(in: 0...255, using: &generator)
                    }
                }
            }
            do {
                let client = try RawClient.connectNow(port: port)
                client.sendNow(bytes)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: client.close()
                case 1: client.reset()
                default:
                    client.shutdownWrite()
                    _ = try client.readAllNow()
                }
            } catch {
                failures.append("lane \(lane), connection \(number): \(error)")
            }
        }
        return failures
    }

    @Test("CONNECT closes the connection, since the parser reads nothing after it")
    func connect() async throws {
        try await withServer([answering("x")]) { server in
            for target in ["/", "example.org:443"] {
                let client = try await server.client()
                try await client.send("CONNECT \(target) HTTP/1.1\r\nHost: test\r\n\r\n")
                let text = try await client.readToEnd()
                #expect(text.contains("\r\nConnection: close\r\n"), "\(text)")
            }
        }
    }
}

#endif
