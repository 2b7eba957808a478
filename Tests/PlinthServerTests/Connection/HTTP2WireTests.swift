// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthServer
import PlinthTestSupport
import Testing

extension HTTP2Client {
    struct Frame: Sendable, Equatable {
        var type: UInt8
        var flags: UInt8
        var stream: UInt32
        var payload: [UInt8]

        /// The code of RST_STREAM or GOAWAY.
        var code: UInt8? { type == 3 ? payload.last : type == 7 && payload.count >= 8 ? payload[7] : nil }
    }

    static let acknowledgement = frame(type: 4, flags: 1, stream: 0, [])

    /// A request of literal fields that enter no table.
    static func request(_ fields: [(String, String)], stream: UInt32) -> [UInt8] {
        var block: [UInt8] = []
        for (name, value) in fields {
            block += [0, UInt8(name.utf8.count)]
            block += Array(name.utf8)
            block.append(UInt8(value.utf8.count))
            block += Array(value.utf8)
        }
        return frame(type: 1, flags: 5, stream: stream, block)
    }

    /// The complete frames in some bytes.
    static func frames(_ bytes: [UInt8]) -> [Frame] {
        var frames: [Frame] = []
        var rest = bytes[...]
        while rest.count >= 9 {
            let head = Array(rest.prefix(9))
            let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            guard rest.count >= 9 + length else { break }
            let stream = head[5..<9].reduce(0) { $0 << 8 | UInt32($1) }
            frames.append(
                Frame(type: head[3], flags: head[4], stream: stream, payload: Array(rest.dropFirst(9).prefix(length)))
            )
            rest = rest.dropFirst(9 + length)
        }
        return frames
    }
}

extension RawClient {
    func frame() async throws -> HTTP2Client.Frame {
        let head = try await read(count: 9)
        let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
        let payload = length > 0 ? try await read(count: length) : []
        return HTTP2Client.frames(head + payload)[0]
    }

    /// Reads frames up to the first that satisfies a predicate.
    func frame(where isMeant: (HTTP2Client.Frame) -> Bool) async throws -> HTTP2Client.Frame {
        while true {
            let frame = try await frame()
            if isMeant(frame) { return frame }
        }
    }
}

/// Errors of a stream, of the preface, and of the connection.
@Suite("HTTP/2 on the wire")
struct HTTP2WireTests {
    static let endless = Interceptor.eventStream("endless") { events, _ in
        await events.send("here")
        try await untilCancelled()
    }

    @Test(
        "Of 257 open streams only the last is refused; once a stream has ended, another is served",
        arguments: [true, false]
    )
    func streamLimit(acknowledgesFirst: Bool) async throws {
        try await withServer([routes(["/": Self.endless, "/text": answering("x")])]) { server in
            let client = try await server.client()
            try await client.send(HTTP2Client.preface)
            if acknowledgesFirst {
                let settings = try await client.frame { $0.type == 4 && $0.flags == 0 }
                // SETTINGS_MAX_CONCURRENT_STREAMS is 256.
                #expect(settings.payload.starts(with: [0, 3, 0, 0, 1, 0]))
                try await client.send(HTTP2Client.acknowledgement)
            }
            let last: UInt32 = 513
            var requests: [UInt8] = []
            for number in UInt32(0)..<257 { requests += HTTP2Client.get("/", stream: 2 * number + 1) }
            try await client.send(requests)
            var heads: Set<UInt32> = []
            var refusal: HTTP2Client.Frame?
            while heads.count < 256 || refusal == nil {
                let frame = try await client.frame()
                #expect(frame.type != 7, "GOAWAY")
                if frame.type == 1 { heads.insert(frame.stream) }
                if frame.type == 3 { refusal = frame }
            }
            #expect(refusal?.stream == last)
            // REFUSED_STREAM.
            #expect(refusal?.code == 7)
            #expect(!heads.contains(last))

            if !acknowledgesFirst { try await client.send(HTTP2Client.acknowledgement) }
            try await client.send(HTTP2Client.reset(stream: 1))
            try await client.send(HTTP2Client.get("/text", stream: last + 2))
            let body = try await client.frame { $0.stream == last + 2 && $0.type != 1 }
            #expect(body.type == 0)
            #expect(body.payload == Array("x".utf8))
            client.close()
        }
    }

    @Test("The exchange of settings may arrive in pieces of any size", arguments: [1, 2, 3, 7, 10])
    func pieces(size: Int) async throws {
        try await withServer([answering("x")]) { server in
            let client = try await server.client()
            let settings = HTTP2Client.frame(type: 4, flags: 0, stream: 0, [0, 4, 0, 1, 0, 0])
            var bytes = Array(HTTP2Client.preface.prefix(24))
            bytes += settings
            bytes += HTTP2Client.get("/", stream: 1)
            bytes += HTTP2Client.acknowledgement
            bytes += HTTP2Client.get("/", stream: 3)
            var rest = bytes[...]
            while !rest.isEmpty {
                try await client.send(Array(rest.prefix(size)))
                rest = rest.dropFirst(size)
            }
            var answered: [UInt32] = []
            while answered.count < 2 {
                let frame = try await client.frame { $0.type == 0 || $0.type == 3 || $0.type == 7 }
                #expect(frame.type == 0)
                if !frame.payload.isEmpty { answered.append(frame.stream) }
            }
            #expect(answered == [1, 3])
            client.close()
        }
    }

    @Test("A second acknowledgement of the settings is an error")
    func secondAcknowledgement() async throws {
        try await withServer([answering("x")]) { server in
            let client = try await server.client()
            try await client.send(
                HTTP2Client.preface + HTTP2Client.acknowledgement + HTTP2Client.acknowledgement
            )
            let goodbye = try await client.frame { $0.type == 7 }
            #expect(goodbye.code == 1)
            client.close()
        }
    }

    @Test("A malformed request ends its stream, and no other")
    func malformedRequest() async throws {
        try await withServer([routes(["/": Self.endless, "/text": answering("x")])]) { server in
            let client = try await server.client()
            try await client.send(HTTP2Client.preface + HTTP2Client.get("/", stream: 1))
            _ = try await client.frame { $0.type == 0 && $0.stream == 1 && !$0.payload.isEmpty }
            let target = [(":method", "GET"), (":scheme", "http"), (":authority", "test")]
            try await client.send(HTTP2Client.request(target + [(":path", "/a b\u{1}")], stream: 3))
            #expect(try await client.frame { $0.type == 3 || $0.type == 7 }.stream == 3)
            try await client.send(HTTP2Client.get("/text", stream: 5))
            let body = try await client.frame { $0.type == 7 || ($0.stream == 5 && $0.type == 0) }
            #expect(body.payload == Array("x".utf8))
            client.close()
        }
    }

    /// What a client sends, and the code of the GOAWAY for it.
    static let errors: [([UInt8], UInt8)] = [
        // PROTOCOL_ERROR: no SETTINGS after the preface.
        (Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + HTTP2Client.get("/", stream: 1), 1),
        // PROTOCOL_ERROR: DATA of no stream.
        (HTTP2Client.preface + HTTP2Client.frame(type: 0, flags: 0, stream: 0, [1, 2, 3]), 1),
        // FRAME_SIZE_ERROR: a PING of three bytes.
        (HTTP2Client.preface + HTTP2Client.frame(type: 6, flags: 0, stream: 0, [1, 2, 3]), 6),
    ]

    @Test("A connection error is reported by GOAWAY, and the connection then closes in order", arguments: errors)
    func goodbye(bytes: [UInt8], code: UInt8) async throws {
        try await withServer([answering("x")]) { server in
            let client = try await server.client()
            try await client.send(bytes)
            // Input that arrives when the server closes: it must not turn the close into a reset.
            try await client.send([UInt8](repeating: 0, count: 10_000))
            let (answer, ending) = try await client.readAll()
            #expect(HTTP2Client.frames(answer).last { $0.type == 7 }?.code == code)
            #expect(ending == .end)
            client.close()
        }
    }

    @Test("Over TLS an invalid preface gets GOAWAY and an orderly close, not an HTTP/1 response")
    func prefaceOverTLS() async throws {
        let identity = try await Certificates.shared.identity()
        try await withServer(
            [answering("x")],
            configure: { $0.addresses = [.tls(port: 0, identity: identity)] }
        ) { server in
            let script = """
                import socket, ssl, sys
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                context.set_alpn_protocols(["h2"])
                with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)) as connection:
                    connection.sendall(b"INVALID CONNECTION PREFACE\\r\\n\\r\\n" + bytes(5000))
                    data, piece = b"", b"x"
                    while piece:
                        piece = connection.recv(65536)
                        data += piece
                    print(data.hex())
                """
            let result = try await ChildProcess.run("python3", ["-c", script, "\(server.port)"])
            #expect(result.status == 0, "\(result.errors)")
            let digits = Array(result.output.utf8.prefix { $0 != 0x0A })
            let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
                UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
            }
            let frames = HTTP2Client.frames(bytes)
            #expect(frames.first?.type == 4)
            #expect(frames.last?.type == 7)
            // PROTOCOL_ERROR.
            #expect(frames.last?.code == 1)
        }
    }

    @Test(
        "On a plaintext port an invalid preface is an invalid HTTP/1 request, and closed in order",
        arguments: [
            ("INVALID CONNECTION PREFACE\r\n\r\n", 400), ("PRI * HTTP/1.1\r\n\r\nSM\r\n\r\n", 400),
            // As HTTP/1, its version is invalid.
            ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 505),
        ]
    )
    func prefaceOnPlainPort(text: String, status: Int) async throws {
        try await withServer([answering("x")]) { server in
            let client = try await server.client()
            try await client.send(Array(text.utf8) + [UInt8](repeating: 0, count: 10_000))
            let response = try await client.response()
            #expect(response.status == status)
            #expect(response["Connection"] == "close")
            #expect(try await client.readAll().ending == .end)
            client.close()
        }
    }

    @Test(
        "A `Host` field must equal `:authority`, and be the only one",
        arguments: zip([["test"], ["test", "test"], ["other"], [""], ["a b"]], [true, false, false, false, false])
    )
    func hostBesideAuthority(hosts: [String], isAllowed: Bool) async throws {
        try await withServer([Self.authority]) { server in
            let client = try await server.client()
            let target = [(":method", "GET"), (":scheme", "http"), (":authority", "test"), (":path", "/")]
            try await client.send(
                HTTP2Client.preface + HTTP2Client.request(target + hosts.map { ("host", $0) }, stream: 1)
            )
            let body = try await client.frame { $0.type == 0 || $0.type == 3 }
            // NIO resets a stream with an invalid field value.
            #expect((body.payload == Array("test".utf8)) == isAllowed)
            client.close()
        }
    }

    @Test("An `:authority` that is not a host is refused", arguments: ["a b", "user@test", "test:x", "[::1", "te/st"])
    func authority(text: String) async throws {
        try await withServer([Self.authority]) { server in
            let client = try await server.client()
            let fields = [(":method", "GET"), (":scheme", "http"), (":authority", text), (":path", "/")]
            try await client.send(HTTP2Client.preface + HTTP2Client.request(fields, stream: 1))
            let answer = try await client.frame { ($0.type == 0 && !$0.payload.isEmpty) || $0.type == 3 }
            #expect(answer.payload != Array(text.utf8))
            client.close()
        }
    }

    static let authority = Interceptor.handler("authority") { .text($0.head.authority ?? "none") }
}

#endif
