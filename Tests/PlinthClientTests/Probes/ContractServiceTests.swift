// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Client && Server

import PlinthTestSupport
import AsyncHTTPClient
import Foundation
import NIOCore
import Synchronization
import Testing

/// The service for external contract tests, driven as they drive it.
@Suite("Contract test service", .serialized)
struct ContractServiceTests {
    typealias Step = ScriptedServer.Step

    /// The service, and a server that receives its callbacks.
    final class Harness: Sendable {
        let process: ChildProcess
        let base: String
        /// Records the callbacks with their numbers.
        let callbacks: CallbackServer

        init() async throws {
            process = try ChildProcess(try Product.path("contract-test-service"), ["--port", "0"])
            let line = try await process.output(until: "\n")
            base = String(line.dropFirst("listening on ".count).prefix { $0 != "\n" })
            callbacks = try CallbackServer()
        }

        deinit {
            process.kill()
        }

        func ask(_ method: String, _ path: String, _ body: String? = nil) async throws -> (
            status: Int, location: String, body: String
        ) {
            let answer = try await ChildProcess.run(
                "curl",
                ["-s", "-i", "-X", method, base + path] + (body.map { ["-d", $0] } ?? [])
            )
            let parts = answer.output.components(separatedBy: "\r\n\r\n")
            let head = parts[0].components(separatedBy: "\r\n")
            let status = head[0].split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            let location = head.first { $0.lowercased().hasPrefix("location:") }?.dropFirst("location: ".count) ?? ""
            return (status, String(location), parts.dropFirst().joined())
        }

        /// Creates a client and returns the path for its commands.
        func create(_ server: ScriptedServer, _ options: String = "") async throws -> String {
            let body = #"{"streamUrl":"\#(server.url)","callbackUrl":"\#(callbacks.url)","tag":"t"\#(options)}"#
            let answer = try await ask("POST", "/", body)
            try #require(answer.status / 100 == 2, "\(answer)")
            return answer.location
        }
    }

    /// Answers callbacks, one thread per connection, and records them.
    final class CallbackServer: Sendable {
        let said = Recorder<String>()
        private let server: ScriptedServer

        var url: String { server.url + "callbacks" }

        init() throws {
            let said = said
            server = try ScriptedServer(answering: { request in
                let path = request.line.split(separator: " ")[1]
                let number = path.split(separator: "/").last ?? ""
                struct Callback: Decodable {
                    struct Event: Decodable {
                        var type: String
                        var data: String
                        var id: String
                    }
                    var kind: String
                    var event: Event?
                    var comment: String?
                }
                guard let callback = try? JSONDecoder().decode(Callback.self, from: Data(request.body.utf8)) else {
                    said.record("\(number) unreadable")
                    return
                }
                let data = callback.event.map { $0.data.utf8.count > 100 ? "\($0.data.utf8.count) bytes" : $0.data }
                let text = callback.event.map { "\($0.type) \(data ?? "") \($0.id)" } ?? callback.comment ?? ""
                said.record("\(number) \(callback.kind) \(text)")
            })
        }
    }

    @Test("It reports its capabilities, refuses invalid requests, and exits on request")
    func endpoints() async throws {
        let harness = try await Harness()
        let about = try await harness.ask("GET", "/")
        #expect(about.status == 200)
        for capability in [
            "bom", "comments", "headers", "last-event-id", "post", "report", "read-timeout", "restart",
            "server-directed-shutdown-request",
        ] {
            #expect(about.body.contains("\"\(capability)\""))
        }
        for body in ["", "x", "{}", #"{"streamUrl":"http://a/"}"#, #"{"streamUrl":1,"callbackUrl":"http://a/"}"#] {
            #expect(try await harness.ask("POST", "/", body).status == 400, "\(body)")
        }
        let server = try ScriptedServer([.head, .hold])
        let location = try await harness.create(server)
        #expect(try await harness.ask("POST", location, #"{"command":"dance"}"#).status == 400)
        #expect(try await harness.ask("POST", "/streams/99", #"{"command":"restart"}"#).status == 404)
        #expect(try await harness.ask("DELETE", "/streams/99").status == 404)
        #expect([200, 204].contains(try await harness.ask("DELETE", location).status))
        try await server.ended.first(1)
        #expect(try await harness.ask("DELETE", location).status == 404)
        _ = try await harness.ask("DELETE", "/")
        #expect(try await harness.process.result().status == 0)
    }

    @Test("Events and comments are called back in order, including 14 MB of data")
    func callbacks() async throws {
        let harness = try await Harness()
        let large = String(repeating: "x", count: 14_000_000)
        let server = try ScriptedServer(
            [
                .head, .send("\u{FEFF}: hello \rid: 1\rdata: a\rdata: b\r\r"), .send("event: e\ndata: \(large)\n\n"),
                .hold,
            ]
        )
        _ = try await harness.create(server, #","lastEventId":"0","headers":{"x-a":"b"}"#)
        #expect(
            try await harness.callbacks.said.first(3) == [
                "1 comment  hello ", "2 event message a\nb 1", "3 event e 14000000 bytes 1",
            ]
        )
        let fields = try await server.requests.first(1)[0].fields
        #expect(fields["x-a"] == "b" && fields["last-event-id"] == "0")
    }

    @Test("The end of a stream, a read timeout and a restart each lead to a new connection")
    func reconnection() async throws {
        let harness = try await Harness()
        let server = try ScriptedServer(
            [.chunkedHead, .chunk("id: abc\ndata: 1\n\nid: x\ndata: no"), .send("0\r\n\r\n")],
            [.head, .send("data: 2\n\n"), .hold],
            [.head, .send("data: 3\n\n"), .hold]
        )
        let options = #","initialDelayMs":0,"readTimeoutMs":400,"method":"REPORT","body":"{}","#
        _ = try await harness.create(server, options + #""headers":{"content-type":"application/json; charset=utf-8"}"#)
        let said = try await harness.callbacks.said.first(4)
        #expect(said[0...1] == ["1 event message 1 abc", "2 event message 2 abc"])
        #expect(said[2].hasPrefix("3 error"))
        #expect(said[3] == "4 event message 3 abc")
        for request in server.requests.values {
            #expect(request.line == "REPORT / HTTP/1.1")
            #expect(request.body == "{}")
            #expect(request.fields["content-type"] == "application/json; charset=utf-8")
        }

        let restarted = try ScriptedServer([.head, .send("data: 1\n\n"), .hold])
        let location = try await harness.create(restarted, #","initialDelayMs":0"#)
        try await restarted.requests.first(1)
        #expect(try await harness.ask("POST", location, #"{"command":"restart"}"#).status / 100 == 2)
        try await restarted.requests.first(2)
    }

    @Test("A redirect without a Location is an error, and 204 ends the stream")
    func endings() async throws {
        let harness = try await Harness()
        for status in ["301 Moved", "307 Temporary"] {
            let count = harness.callbacks.said.values.count
            _ = try await harness.create(try ScriptedServer([.status(status)]))
            #expect(try await harness.callbacks.said.first(count + 1).last?.hasPrefix("1 error") == true)
        }
        let server = try ScriptedServer([.chunkedHead, .send("0\r\n\r\n")], [.status("204 No Content")])
        _ = try await harness.create(server, #","initialDelayMs":0"#)
        try await server.requests.first(2)
        try await server.ended.first(2)
        #expect(server.requests.values.count == 2)
    }
}

#endif
