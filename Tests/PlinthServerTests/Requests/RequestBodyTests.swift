// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Plinth
import PlinthServer
import Testing

/// The bodies of requests: framing, limits, timeouts and back-pressure.
@Suite("Request bodies")
struct RequestBodyTests {
    /// Responds with the length of the body and its first 20 bytes.
    static let echo = Interceptor.handler("echo") { request in
        let body = try await request.body.collect(upTo: 1 << 30)
        return .text("\(body.count) \(String(decoding: body.prefix(20), as: UTF8.self))")
    }
    /// Responds without reading the body.
    static let ignoring = answering("ignored")

    @Test("A body with a length arrives whole, in one piece or many")
    func contentLength() async throws {
        try await withServer([Self.echo]) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello")
            #expect(try await client.response().body == "5 hello")
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n")
            for byte in "hello".utf8 { try await client.send([byte]) }
            #expect(try await client.response().body == "5 hello")
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n")
            #expect(try await client.response().body == "0 ")
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3000000\r\n\r\n")
            try await client.send([UInt8](repeating: 65, count: 3_000_000))
            #expect(try await client.response().body == "3000000 AAAAAAAAAAAAAAAAAAAA")
        }
    }

    @Test("A chunked body arrives whole, with extensions and trailers")
    func chunked() async throws {
        try await withServer([Self.echo]) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n")
            try await client.send("3\r\nabc\r\n2;name=value\r\nde\r\n0\r\nTrailer: x\r\n\r\n")
            #expect(try await client.response().body == "5 abcde")
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n")
            #expect(try await client.response().body == "0 ")
        }
    }

    @Test(
        "The rest of a refused upload is discarded, so that the client gets its response",
        arguments: ["Content-Length: 20000000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n1312d00\r\n"]
    )
    func refusedUpload(framing: String) async throws {
        let refusing = Interceptor.handler("refusing") { request in
            var iterator = request.body.makeAsyncIterator()
            _ = try await iterator.next()
            throw HTTPError(.contentTooLarge, "one piece is enough")
        }
        try await withServer([refusing]) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\n\(framing)")
            // All of it, before reading the response, as many clients do.
            try await client.send([UInt8](repeating: 65, count: 20_000_000))
            client.shutdownWrite()
            let (bytes, ending) = try await client.readAll()
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(text.hasPrefix("HTTP/1.1 413 "))
            #expect(text.contains("one piece is enough"))
            #expect(ending == .end)
        }
    }

    @Test("A body may pause as long as its handler allows, and a shutdown ends the pause")
    func pauses() async throws {
        let pausing = Interceptor.handler("pausing") { request in
            var count = 0
            request.body.mayPause(for: .seconds(600))
            do {
                for try await piece in request.body { count += piece.count }
            } catch let error as HTTPError {
                return .text("\(count) bytes, then \(error.status.code)", status: error.status)
            }
            return .text("whole")
        }
        let asked = Recorder<Void>()
        let counting = Interceptor(
            "counting",
            enter: { context in
                let body = context.request.body
                context.request.body = RequestBody(Counted(body: body, asked: asked))
            }
        )
        try await withServer([counting, pausing], configure: { $0.bodyTimeout = .milliseconds(1) }) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            // It now waits for the second piece, limited only by its own pause.
            try await asked.first(2)
            try await server.shutDown()
            let response = try await client.response()
            #expect(response.status == 503)
            #expect(response.body == "3 bytes, then 503")
        }
    }

    /// A body that records each read.
    private struct Counted: RequestBodyConnection {
        let body: RequestBody
        let asked: Recorder<Void>

        func next() async throws -> [UInt8]? {
            asked.record()
            var iterator = body.makeAsyncIterator()
            return try await iterator.next()
        }

        func restNow() throws -> [UInt8]? { nil }

        func mayPause(for limit: Duration?) { body.mayPause(for: limit) }
    }

    @Test("100 Continue is sent once, when the handler reads the body")
    func continues() async throws {
        try await withServer([Self.echo]) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            #expect(try await client.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
            try await client.send("hello")
            #expect(try await client.response().body == "5 hello")
            #expect(try await client.get("/").body == "0 ")
        }
    }

    @Test("If the handler does not read an expected body, the response closes the connection")
    func doesNotContinue() async throws {
        try await withServer([Self.ignoring]) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            let response = try await client.response()
            #expect(response.body == "ignored")
            #expect(response["Connection"] == "close")
            #expect(try await client.readToEnd().isEmpty)
        }
    }

    @Test("HTTP/1.0 ignores `Expect: 100-continue`")
    func noContinueOnHTTP10() async throws {
        try await withServer([Self.echo]) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            #expect(try await client.isQuiet(for: 0.1))
            try await client.send("hello")
            #expect(try await client.response().body == "5 hello")
        }
    }

    @Test(
        "A body announced as too large is 413 at once",
        arguments: [
            "1001", "9223372036854775807", "9223372036854775808", "18446744073709551615",
        ]
    )
    func announcedTooLarge(length: String) async throws {
        try await withServer([Self.echo], configure: { $0.maximumBodySize = 1000 }) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: \(length)\r\n\r\n")
            let response = try await client.response()
            #expect(response.status == 413)
            #expect(response["Connection"] == "close")
            #expect(try await client.readToEnd().isEmpty)
        }
    }

    @Test("A client that sends a body that is too large can read the response", arguments: [true, false])
    func tooLarge(isChunked: Bool) async throws {
        try await withServer([Self.echo], configure: { $0.maximumBodySize = 1000 }) { server in
            let client = try await server.client()
            let framing = isChunked ? "Transfer-Encoding: chunked" : "Content-Length: 400000"
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\n\(framing)\r\n\r\n")
            if isChunked { try await client.send("61A80\r\n") }
            _ = try await client.sendWhatFits([UInt8](repeating: 65, count: 400_000), within: 1)
            #expect(try await client.response().status == 413)
        }
    }

    @Test(
        "An invalid length is refused",
        arguments: ["+5", "-5", "5, 5", "0x5", "5.0", "", " ", "99999999999999999999999"]
    )
    func badLength(length: String) async throws {
        try await withServer([Self.echo]) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: \(length)\r\n\r\nhello")
            let status = try await client.response().status
            #expect(status == 400 || status == 413)
        }
    }

    @Test("The connection is read no faster than the body")
    func backPressure() async throws {
        let gate = Recorder<Void>()
        let handler = Interceptor.handler("slow") { request in
            try await gate.first()
            return .text("\(try await request.body.collect(upTo: 1 << 30).count)")
        }
        let whole = 40 << 20
        try await withServer([handler]) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: \(whole)\r\n\r\n")
            let sent = try await client.sendWhatFits([UInt8](repeating: 65, count: whole), within: 0.3)
            // Only what the sockets buffer.
            #expect(sent < whole / 2)
            gate.record()
            try await client.send([UInt8](repeating: 65, count: whole - sent))
            #expect(try await client.response().body == "\(whole)")
        }
    }

    @Test("The unread rest of a body is discarded, and the next request is answered")
    func unread() async throws {
        try await withServer([routes(["/ignored": Self.ignoring, "/echo": Self.echo])]) { server in
            let client = try await server.client()
            for _ in 0..<3 {
                try await client.send("POST /ignored HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n")
                try await client.send([UInt8](repeating: 65, count: 100_000))
                #expect(try await client.response().body == "ignored")
                try await client.send("POST /echo HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello")
                #expect(try await client.response().body == "5 hello")
            }
        }
    }

    @Test("A long unread body closes the connection")
    func unreadTooMuch() async throws {
        try await withServer([Self.ignoring], configure: { $0.lingerTimeout = .zero }) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 60000000\r\n\r\n")
            #expect(try await client.response().body == "ignored")
            #expect(try await client.sendWhatFits([UInt8](repeating: 65, count: 60_000_000), within: 10) < 60_000_000)
        }
    }

    @Test("A body that stops arriving is 408 for the handler that waits for it")
    func slowBody() async throws {
        try await withServer([Self.echo], configure: { $0.bodyTimeout = .milliseconds(200) }) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhe")
            let response = try await client.response()
            #expect(response.status == 408)
            #expect(response["Connection"] == "close")
            _ = try await client.readToEnd()
        }
    }

    @Test("A body that stops arriving after the response has begun also ends the handler's wait")
    func slowBodyWhileWriting() async throws {
        let failures = Recorder<String>()
        let handler = Interceptor.handler("echo") { request in
            Response(
                body: .writer { writer in
                    do {
                        // More than the socket takes at once, so that the write timeout has been set and cancelled.
                        for _ in 0..<100 { try await writer.write([UInt8](repeating: 1, count: 64 * 1024)) }
                        for try await piece in request.body { try await writer.write(piece) }
                    } catch {
                        failures.record("\(error)")
                        throw error
                    }
                }
            )
        }
        try await withServer([handler], configure: { $0.bodyTimeout = .milliseconds(300) }) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhe")
            _ = try await client.readAll()
            #expect(try await failures.first()[0].hasPrefix("408"))
        }
    }

    @Test("Time before the handler's first read does not count towards the body timeout")
    func slowHandler() async throws {
        let began = Recorder<Void>()
        let gate = Recorder<Void>()
        let asked = Recorder<Void>()
        let handler = Interceptor.handler("late") { request in
            began.record()
            try await gate.first()
            asked.record()
            return .text("\(try await request.body.collect(upTo: 100).count)")
        }
        let connection = try await TestingConnection(
            Chain([handler]),
            configuration: ConnectorConfiguration(bodyTimeout: .seconds(4))
        )
        try await connection.receive("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\n")
        try await began.first()
        await connection.advance(by: .seconds(3600))
        gate.record()
        try await asked.first()
        try await connection.receive("hello")
        #expect(try await connection.written(until: "\r\n\r\n5").hasPrefix("HTTP/1.1 200 "))
        try await connection.close()
    }

    @Test("A client that leaves in the middle of a body ends the handler's wait", arguments: [true, false])
    func clientLeaves(resets: Bool) async throws {
        let failures = Recorder<Void>()
        let started = Recorder<Void>()
        let handler = Interceptor.handler("echo") { request in
            started.record()
            do {
                return .text("\(try await request.body.collect(upTo: 100).count)")
            } catch {
                failures.record()
                throw error
            }
        }
        try await withServer([handler]) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhe")
            try await started.first()
            if resets { client.reset() } else { client.close() }
            try await failures.first()
        }
    }

    @Test("Reading a body after its response has ended fails instead of looking complete")
    func readLate() async throws {
        let bodies = Recorder<RequestBody>()
        let handler = Interceptor.handler("late") { request in
            bodies.record(request.body)
            return .text("early")
        }
        try await withServer([handler]) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello")
            #expect(try await client.response().body == "early")
            let body = try await bodies.first()[0]
            await #expect(throws: CancellationError.self) { try await body.collect(upTo: 100) }
        }
    }
}

#endif
