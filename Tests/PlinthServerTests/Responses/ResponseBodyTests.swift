// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import PlinthServer
import Testing

/// Every kind of response body.
@Suite("Response bodies")
struct ResponseBodyTests {
    static func handler(_ handle: @escaping @Sendable (Request) async throws -> Response) -> Interceptor {
        .handler("handler", handle)
    }

    @Test("Bytes have a length, and keep the connection")
    func bytes() async throws {
        try await withServer([answering("hello")]) { server in
            let client = try await server.client()
            for _ in 0..<3 {
                try await client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                let head = try await client.read(until: "\r\n\r\n")
                #expect(
                    head.withoutDate
                        == "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 5\r\n\r\n"
                )
                #expect(try await client.read(count: 5) == Array("hello".utf8))
            }
        }
    }

    @Test("The date has the format of HTTP")
    func date() async throws {
        try await withServer([answering("x")], configure: { $0.serverName = "plinth\r\nX-Injected: 1" }) { server in
            let response = try await server.client().get("/")
            let formatter = DateFormatter()
            formatter.locale = Locale(identifier: "en_US_POSIX")
            formatter.timeZone = TimeZone(identifier: "GMT")
            formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
            let date = try #require(response["Date"].flatMap { formatter.date(from: $0) })
            #expect(abs(date.timeIntervalSinceNow) < 5)
            #expect(response[all: "X-Injected"].isEmpty)
            #expect(response["Server"]?.hasPrefix("plinth") == true)
        }
    }

    @Test("More bytes than the sockets hold arrive whole")
    func manyBytes() async throws {
        let bytes = (0..<(20 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        try await withServer([Self.handler { _ in Response(body: .bytes(bytes)) }]) { server in
            let client = try await server.requesting("/", receiveBuffer: 16 * 1024)
            let response = RawResponse(head: try await client.read(until: "\r\n\r\n"))
            #expect(response["Content-Length"] == "\(bytes.count)")
            #expect(try await client.read(count: bytes.count) == bytes)
        }
    }

    @Test(
        "The last response arrives whole even if the client has half-closed",
        arguments: [true, false]
    )
    func manyBytesAfterHalfClose(keepsAlive: Bool) async throws {
        let bytes = [UInt8](repeating: 7, count: 8 << 20)
        try await withServer([Self.handler { _ in Response(body: .bytes(bytes)) }]) { server in
            let client = try await server.client(receiveBuffer: 16 * 1024)
            try await client.send("GET / HTTP/1.1\r\nHost: test\r\n\(keepsAlive ? "" : "Connection: close\r\n")\r\n")
            _ = try await client.read(until: "\r\n\r\n")
            client.shutdownWrite()
            let all = try await client.readAll()
            #expect(all.bytes.count == bytes.count)
            #expect(all.ending == .end)
        }
    }

    @Test("A file arrives whole, and so does a range of it")
    func file() async throws {
        let path = try TemporaryFolder.shared.path("body.bin")
        let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 * 7) }
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let table = routes([
            "/whole": Self.handler { _ in Response(body: .file(path: path)) },
            "/range": Self.handler { _ in Response(status: .partialContent, body: .file(path: path, range: 100..<110))
            },
            "/beyond": Self.handler { _ in Response(body: .file(path: path, range: 299_990..<999_999)) },
            "/empty": Self.handler { _ in Response(body: .file(path: path, range: 5..<5)) },
        ])
        try await withServer([table]) { server in
            let client = try await server.client()
            try await client.send("GET /whole HTTP/1.1\r\nHost: test\r\n\r\n")
            let head = RawResponse(head: try await client.read(until: "\r\n\r\n"))
            #expect(head["Content-Length"] == "300000")
            #expect(try await client.read(count: bytes.count) == bytes)
            try await client.send("GET /range HTTP/1.1\r\nHost: test\r\n\r\n")
            _ = try await client.read(until: "Content-Length: 10\r\n")
            _ = try await client.read(until: "\r\n\r\n")
            #expect(try await client.read(count: 10) == Array(bytes[100..<110]))
            try await client.send("GET /beyond HTTP/1.1\r\nHost: test\r\n\r\n")
            _ = try await client.read(until: "Content-Length: 10\r\n")
            _ = try await client.read(until: "\r\n\r\n")
            #expect(try await client.read(count: 10) == Array(bytes[299_990...]))
            #expect(try await client.get("/empty")["Content-Length"] == "0")
            // A client that half-closes still gets the file.
            try await client.send("GET /whole HTTP/1.1\r\nHost: test\r\n\r\n")
            client.shutdownWrite()
            _ = try await client.read(until: "\r\n\r\n")
            #expect(try await client.readAll().bytes == bytes)
        }
    }

    @Test(
        "A path without a regular file is 500 without details",
        arguments: ["/nowhere/secret.txt", "/tmp", "/dev/zero"]
    )
    func missingFile(path: String) async throws {
        try await withServer([Self.handler { _ in Response(body: .file(path: path)) }]) { server in
            let client = try await server.client()
            let response = try await client.get("/")
            #expect(response.status == 500)
            #expect(!response.body.contains("secret"))
            #expect(try await client.get("/").status == 500)
        }
    }

    @Test("A sequence is chunked on HTTP/1.1, and ended by the close on HTTP/1.0")
    func sequence() async throws {
        let handler = Self.handler { _ in
            let pieces = AsyncStream { continuation in
                for word in ["a", "bc", "", "def"] { continuation.yield(Array(word.utf8)) }
                continuation.finish()
            }
            return Response(body: .sequence(pieces))
        }
        try await withServer([handler]) { server in
            let client = try await server.client()
            try await client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            let head = RawResponse(head: try await client.read(until: "\r\n\r\n"))
            #expect(head["Transfer-Encoding"] == "chunked")
            _ = try await client.read(until: "1\r\na\r\n2\r\nbc\r\n3\r\ndef\r\n0\r\n\r\n")
            #expect(try await client.get("/").body == "abcdef")
            let old = try await server.requesting("/", version: "1.0")
            #expect(try await old.readToEnd().hasSuffix("\r\n\r\nabcdef"))
        }
    }

    @Test("A writer with a length keeps the connection")
    func writerWithLength() async throws {
        let handler = Self.handler { _ in
            Response(
                body: .writer(length: 6) { writer in
                    try await writer.write("abc")
                    try await writer.write("def")
                }
            )
        }
        try await withServer([handler]) { server in
            let client = try await server.client()
            for _ in 0..<2 {
                let response = try await client.get("/")
                #expect(response["Content-Length"] == "6")
                #expect(response.body == "abcdef")
            }
        }
    }

    @Test("A writer that writes less or more than announced closes the connection", arguments: ["", "abc", "abcdefg"])
    func wrongLength(text: String) async throws {
        let handler = Self.handler { _ in
            Response(body: .writer(length: 6) { try await $0.write(text) })
        }
        try await withServer([handler]) { server in
            let client = try await server.client()
            try await client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\nGET / HTTP/1.1\r\nHost: test\r\n\r\n")
            _ = try await client.read(until: "Content-Length: 6\r\n")
            _ = try await client.read(until: "\r\n\r\n")
            let rest = try await client.readAll()
            #expect(rest.bytes.count < 6)
        }
    }

    @Test("A writer's error closes the connection before the body is complete")
    func writerFails() async throws {
        struct Broken: Error {}
        let handler = Self.handler { _ in
            Response(
                body: .writer { writer in
                    try await writer.write("abc")
                    throw Broken()
                }
            )
        }
        try await withServer([handler]) { server in
            let client = try await server.requesting("/")
            _ = try await client.read(until: "\r\n\r\n3\r\nabc\r\n")
            #expect(try await client.readToEnd().isEmpty)
        }
    }

    @Test("A writer waits while the client does not read, and then continues")
    func backPressure() async throws {
        let written = Recorder<Int>()
        let done = Recorder<Void>()
        let piece = [UInt8](repeating: 1, count: 64 * 1024)
        let handler = Self.handler { _ in
            Response(
                body: .writer { writer in
                    for number in 0..<400 {
                        try await writer.write(piece)
                        written.record(number)
                    }
                    done.record()
                }
            )
        }
        try await withServer([handler]) { server in
            let client = try await server.requesting("/", version: "1.0", receiveBuffer: 4096)
            _ = try await client.read(until: "\r\n\r\n")
            // The sockets of both sides buffer a few megabytes; the writer must not be much further.
            try await written.first()
            #expect(try await settled { written.values.count } < 200)
            #expect(done.values.isEmpty)
            #expect(try await client.readAll().bytes.count == 400 * piece.count)
            try await done.first()
        }
    }

    @Test("A writer is cancelled when its client leaves", arguments: [true, false])
    func clientLeaves(resets: Bool) async throws {
        let failed = Recorder<String>()
        let written = Recorder<Void>()
        let handler = Self.handler { _ in
            Response(
                body: .writer { writer in
                    do {
                        while true {
                            try await writer.write([UInt8](repeating: 1, count: 64 * 1024))
                            written.record()
                        }
                    } catch {
                        failed.record("\(type(of: error))")
                        throw error
                    }
                }
            )
        }
        try await withServer([handler]) { server in
            let client = try await server.requesting("/", receiveBuffer: 4096)
            try await written.first(1, "the first write")
            if resets { client.reset() } else { client.close() }
            #expect(try await failed.first(1, "the end of the writer") == ["CancellationError"])
        }
    }

    @Test("A client that takes nothing of a response is closed after the write timeout")
    func writeTimeout() async throws {
        let failed = Recorder<Void>()
        let handler = Self.handler { _ in
            Response(
                body: .writer { writer in
                    do {
                        while true { try await writer.write([UInt8](repeating: 1, count: 64 * 1024)) }
                    } catch {
                        failed.record()
                        throw error
                    }
                }
            )
        }
        try await withServer([handler], configure: { $0.writeTimeout = .milliseconds(300) }) { server in
            let client = try await server.requesting("/", receiveBuffer: 4096)
            try await failed.first()
            _ = try await client.readAll()
        }
    }

    @Test("Several tasks can write at the same time, and all of them finish")
    func concurrentWriters() async throws {
        let handler = Self.handler { _ in
            Response(
                body: .writer { writer in
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for _ in 0..<8 {
                            group.addTask {
                                for _ in 0..<10 { try await writer.write([UInt8](repeating: 1, count: 64 * 1024)) }
                            }
                        }
                        try await group.waitForAll()
                    }
                }
            )
        }
        try await withServer([handler]) { server in
            let client = try await server.requesting("/", version: "1.0", receiveBuffer: 4096)
            _ = try await client.read(until: "\r\n\r\n")
            #expect(try await client.readAll().bytes.count == 80 * 64 * 1024)
        }
    }

    @Test("A writer that outlives its closure writes nothing into the next response")
    func escapedWriter() async throws {
        let writers = Recorder<BodyWriter>()
        let handler = Self.handler { _ in
            Response(
                body: .writer { writer in
                    writers.record(writer)
                    try await writer.write("abc")
                }
            )
        }
        try await withServer([handler]) { server in
            let client = try await server.client()
            // The body arrives after the response has ended.
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3\r\n\r\n")
            #expect(try await client.response().body == "abc")
            let writer = try await writers.first()[0]
            await #expect(throws: CancellationError.self) { try await writer.write("injected") }
            try await client.send("xyz")
            #expect(try await client.get("/").body == "abc")
        }
    }

    @Test("204 and 304 have no body, even if one was set", arguments: [204, 304])
    func statusWithoutBody(code: Int) async throws {
        let table = routes([
            "/text": Self.handler { _ in .text("not to be seen", status: .init(code: code)) },
            "/writer": Self.handler { _ in
                Response(status: .init(code: code), body: .writer { try await $0.write("not to be seen") })
            },
            "/file": Self.handler { _ in Response(status: .init(code: code), body: .file(path: "/etc/hostname")) },
        ])
        try await withServer([table]) { server in
            let client = try await server.client()
            for path in ["/text", "/writer", "/file"] {
                let response = try await client.get(path)
                #expect(response.status == code)
                #expect(response["Transfer-Encoding"] == nil)
                #expect(response["Content-Length"] == nil || code == 304)
            }
        }
    }

    @Test("HEAD has the length and no body")
    func head() async throws {
        let table = routes([
            "/text": Self.handler { _ in .text("hello") },
            "/long": Self.handler { _ in Response(body: .bytes([UInt8](repeating: 1, count: 200_000))) },
            "/writer": Self.handler { _ in Response(body: .writer(length: 7) { try await $0.write("not run") }) },
            "/file": Self.handler { _ in Response(body: .file(path: "/etc/hostname")) },
        ])
        try await withServer([table]) { server in
            let client = try await server.client()
            for (path, length) in [("/text", "5"), ("/long", "200000"), ("/writer", "7")] {
                try await client.send("HEAD \(path) HTTP/1.1\r\nHost: test\r\n\r\n")
                #expect(try await client.response(hasBody: false)["Content-Length"] == length)
            }
            try await client.send("HEAD /file HTTP/1.1\r\nHost: test\r\n\r\n")
            #expect(try await client.response(hasBody: false).status == 200)
            #expect(try await client.get("/text").body == "hello")
        }
    }

    @Test("An interim status from an application is 500")
    func interimStatus() async throws {
        try await withServer([Self.handler { _ in .text("no", status: .init(code: 101)) }]) { server in
            let client = try await server.client()
            #expect(try await client.get("/").status == 500)
        }
    }

    @Test("No part of a response can split it")
    func noInjection() async throws {
        let evil = "x\r\nX-Injected: 1\r\n\r\nHTTP/1.1 200 OK\r\n"
        let handler = Self.handler { _ in
            var response = Response.text("body", status: .init(code: 200, reasonPhrase: evil))
            response.headers[.location] = evil
            response.headers[.contentType] = evil
            response.headers[.date] = evil
            return response
        }
        try await withServer([handler], configure: { $0.serverName = evil }) { server in
            let client = try await server.client()
            try await client.send("GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
            let whole = try await client.readToEnd()
            #expect(!whole.contains("\nX-Injected"))
            #expect(whole.components(separatedBy: "\r\n\r\n").count == 2)
            #expect(whole.hasSuffix("\r\n\r\nbody"))
        }
    }

    @Test("The connector's framing fields replace the application's")
    func framingFields() async throws {
        let handler = Self.handler { _ in
            var response = Response.text("body")
            response.headers[.contentLength] = "9999"
            response.headers[.transferEncoding] = "chunked"
            response.headers[.connection] = "upgrade"
            return response
        }
        try await withServer([handler]) { server in
            let response = try await server.client().get("/")
            #expect(response[all: "Content-Length"] == ["4"])
            #expect(response[all: "Transfer-Encoding"].isEmpty)
            #expect(response[all: "Connection"].isEmpty)
        }
    }
}

#endif
