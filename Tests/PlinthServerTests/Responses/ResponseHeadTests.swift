// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import Plinth
import PlinthTestSupport
import Testing

@testable import PlinthServer

/// What is computed in one pass, against the same written simply.
@Suite("Heads of requests and responses")
struct ResponseHeadTests {
    private static let names = [
        "Content-Type", "content-length", "Date", "dATE", "Server", "SERVER", "Connection", "Transfer-Encoding", "X-A",
        "Set-Cookie", "Expires", "Vary-y", "Age",
    ]

    /// The head as RFC 9112 has it, one field after the other.
    private static func expected(
        _ response: Response,
        _ framing: ResponseFraming,
        date: String,
        serverName: String?
    ) -> String {
        var lines = [
            "\(framing.version == .http1_0 ? "HTTP/1.0" : "HTTP/1.1") \(response.status.code) "
                + response.status.reasonPhrase
        ]
        for field in response.headers {
            if field.name == .connection || field.name == .transferEncoding { continue }
            if field.name == .contentLength, framing.body != .none || response.status == .noContent { continue }
            lines.append("\(field.name.rawName): \(field.value)")
        }
        if case .length(let length) = framing.body { lines.append("Content-Length: \(length)") }
        if framing.body == .unknown, framing.version == .http1_1 { lines.append("Transfer-Encoding: chunked") }
        if !framing.keepsAlive { lines.append("Connection: close") }
        if framing.keepsAlive, framing.version == .http1_0 { lines.append("Connection: keep-alive") }
        if !response.headers.contains(.date) { lines.append("Date: \(date)") }
        if let serverName, !response.headers.contains(.server) { lines.append("Server: \(serverName)") }
        return lines.map { $0 + "\r\n" }.joined() + "\r\n"
    }

    @Test("A head written in one pass is the one written field by field")
    func head() throws {
        for seed in UInt64(0)..<2000 {
            var random = SeededGenerator(seed: seed)
            var response = Response(
                status: [.ok, .created, .noContent, .notModified, .init(code: 299, reasonPhrase: "")]
                    .randomElement(using: &random) ?? .ok
            )
            for _ in 0..<Int.random(in: 0...40, using: &random) {
                let name = try #require(HTTPField.Name(Self.names.randomElement(using: &random) ?? ""))
                let value = String(
                    repeating: ["x", "é", "漢"].randomElement(using: &random) ?? "x",
                    count: Int.random(in: 0...300, using: &random)
                )
                response.headers.append(HTTPField(name: name, value: value))
            }
            let framing = ResponseFraming(
                version: Bool.random(using: &random) ? .http1_0 : .http1_1,
                body: [.none, .unknown, .length(0), .length(.max)].randomElement(using: &random) ?? .none,
                keepsAlive: Bool.random(using: &random)
            )
            let date = "Fri, 27 Nov 2026 23:00:00 GMT"
            let serverName = [nil, "", String(repeating: "s", count: 500)].randomElement(using: &random) ?? nil
            var buffer = ByteBuffer()
            HTTP1Output.writeHead(response, framing, date: date, serverName: serverName, to: &buffer)
            let expected = Self.expected(response, framing, date: date, serverName: serverName)
            #expect(String(buffer: buffer) == expected, "seed \(seed)")
        }
    }

    @Test("The fields that frame a request are those that looking up each of them finds")
    func framingFields() {
        let names = [
            "Host", "HOST", "host", "hosT", "Hosu", "Content-Length", "CONTENT-LENGTH", "Content_Length",
            "Transfer-Encoding", "transfer-encoding", "Expect", "EXPECT", "Upgrade", "upgradf", "X",
        ]
        let values = ["a", "chunked", "100-continue", "100-Continue", "5", ""]
        for seed in UInt64(0)..<2000 {
            var random = SeededGenerator(seed: seed)
            var headers = HTTPHeaders()
            for _ in 0..<Int.random(in: 0...8, using: &random) {
                headers.add(
                    name: names.randomElement(using: &random) ?? "",
                    value: values.randomElement(using: &random) ?? ""
                )
            }
            let fields = FramingFields(headers)
            for (field, name) in [
                (fields.host, "host"), (fields.contentLength, "content-length"),
                (fields.transferEncoding, "transfer-encoding"),
            ] {
                #expect(field.first == headers[name].first, "seed \(seed)")
                #expect(field.count == headers[name].count, "seed \(seed)")
            }
            let expects = headers["expect"].contains { $0.lowercased() == "100-continue" }
            #expect(fields.expectsContinue == expects, "seed \(seed)")
            #expect(fields.hasUpgrade == headers.contains(name: "upgrade"), "seed \(seed)")
        }
    }
}

#endif
