// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Client

import PlinthTestSupport
import Foundation
import Testing

/// The programs for external test suites, run as those suites run them.
@Suite("Probes")
struct ProbeTests {
    typealias Step = ScriptedServer.Step

    static func probe(_ server: ScriptedServer, _ seconds: String, _ options: String...) async throws -> [String] {
        let process = try ChildProcess(try Product.path("event-source-probe"), [server.url, seconds] + options)
        let result = try await process.result()
        #expect(result.status == 0, "\(result.errors)")
        return result.output.split(separator: "\n").map { String($0) }
    }

    static let open = #"{"k":"open"}"#
    static let connecting = #"{"k":"error","state":"connecting"}"#
    static let closed = #"{"k":"error","state":"closed"}"#

    static func event(_ data: String, type: String = "message", id: String = "") -> String {
        #"{"k":"event","type":"\#(type)","data":"\#(data)","lastEventId":"\#(id)"}"#
    }

    @Test("The event source probe prints what a script in a browser observes")
    func events() async throws {
        let server = try ScriptedServer(
            [.head, .send("retry: 10\nid: 1\ndata: a\"\\/\ndata: é\n\nevent: e\ndata: b\n\nid: 2\ndata: half")],
            [.head, .send("data: c\n\n")],
            [.status("204 No Content")]
        )
        #expect(
            try await Self.probe(server, "2") == [
                Self.open, Self.event(#"a\"\\/\n\u00e9"#, id: "1"), Self.event("b", type: "e", id: "1"),
                Self.connecting,
                Self.open, Self.event("c", id: "1"), Self.connecting, Self.closed,
            ]
        )
        #expect(server.requests.values.map { $0.fields["last-event-id"] } == [nil, "1", "1"])
    }

    @Test("The event source probe closes permanently like a browser", arguments: ["500 X", "404 X", "301 X", "200 OK"])
    func failures(_ status: String) async throws {
        let server = try ScriptedServer([.status(status)])
        #expect(try await Self.probe(server, "0.5") == [Self.closed])
        #expect(server.requests.values.count == 1)
    }

    @Test("The event source probe closes on request and stays closed")
    func closing() async throws {
        let gate = ScriptedServer.Gate()
        let script: [Step] = [.head, .send("retry: 300\ndata: 1\n\ndata: 2\n\ndata: 3\n\n"), .wait(gate)]
        let expected = [Self.open, Self.event("1"), Self.event("2")]
        #expect(try await Self.probe(try ScriptedServer(script), "1", "--close-on-event", "2") == expected)
        #expect(
            try await Self.probe(try ScriptedServer(script), "1", "--close-after-ms", "400")
                == expected + [Self.event("3")]
        )
        let ending = try ScriptedServer([.head, .send("retry: 300\ndata: 1\n\n")])
        #expect(
            try await Self.probe(ending, "1", "--close-after-error-ms", "50") == [
                Self.open, Self.event("1"), Self.connecting,
            ]
        )
        #expect(ending.requests.values.count == 1)
    }

    @Test("The event source probe prints its usage on invalid arguments")
    func usage() async throws {
        for arguments in [[], ["http://a/"], ["http://a/", "x"], ["http://a/", "1", "--close-after-ms"]] {
            let result = try await ChildProcess.run(try Product.path("event-source-probe"), arguments)
            #expect(result.status == 64)
            #expect(result.errors.contains("usage: event-source-probe URL SECONDS"))
        }
    }

    @Test("The parser probe uses a new parser for each line, and continues after an invalid one")
    func parser() async throws {
        func line(_ id: String, _ chunks: [[UInt8]]) -> String {
            let chunks = chunks.map { "\"\(Data($0).base64EncodedString())\"" }
            return #"{"id":\#(id),"chunks":[\#(chunks.joined(separator: ","))]}"#
        }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-probe-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let input = folder.appendingPathComponent("in")
        let lines = [
            line("1", [Array("id: 7\ndata: a\n\nid: 8\nretry: 15\ndata: b".utf8)]),
            "nonsense",
            line(
                "\"two\"",
                [[0xEF], [0xBB, 0xBF], Array("data: ".utf8), [0xFF, 0xE2, 0x82], [], [0x0D], [0x0A, 0x0D]]
            ),
            #"{"id":3,"chunks":["%"]}"#,
            line("4", [Array("id: a\0b\ndata\n\n".utf8)]),
            line("5", []),
        ]
        try lines.joined(separator: "\n").write(to: input, atomically: true, encoding: .utf8)
        let program = try Product.path("event-parser-probe")
        let result = try await ChildProcess.run("sh", ["-c", "exec '\(program)' < '\(input.path)'"])
        #expect(
            result.output.split(separator: "\n").map { String($0) } == [
                #"{"id":1,"events":[{"type":"message","data":"a","lastEventId":"7"}],"atEnd":[],"lastEventId":"7","retry":15}"#,
                #"{"id":"two","events":[{"type":"message","data":"\ufffd\ufffd","lastEventId":""}],"#
                    + #""atEnd":[],"lastEventId":"","retry":null}"#,
                #"{"id":4,"events":[{"type":"message","data":"","lastEventId":""}],"atEnd":[],"lastEventId":"","retry":null}"#,
                #"{"id":5,"events":[],"atEnd":[],"lastEventId":"","retry":null}"#,
            ]
        )
        #expect(result.errors.contains("skipped line 2") && result.errors.contains("skipped line 4"))
        #expect(result.status == 1)
    }
}

#endif
