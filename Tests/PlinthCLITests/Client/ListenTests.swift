// SPDX-License-Identifier: Apache-2.0

#if Command && Client && Server
import PlinthTestSupport
import Foundation
import Testing

@testable import PlinthCLI

/// Runs `plinth listen` and `plinth publish` against `plinth serve`.
@Suite("The commands plinth listen and plinth publish", .blocking)
struct ListenTests {
    private func tool(_ arguments: [String], input: String = "") throws -> Tool.Result {
        try Tool.run(arguments, input: input)
    }

    private func publish(_ hub: HubProcess, _ topic: String, _ options: [String] = [], input: String) throws
        -> Tool.Result
    {
        try tool(["publish"] + options + ["\(hub.address)/topics/\(topic)"], input: input)
    }

    /// The first `count` events of a topic, as JSON lines.
    private func held(_ hub: HubProcess, _ topic: String, _ count: Int, _ options: [String] = ["--json"]) throws
        -> [String]
    {
        let result = try tool(
            ["listen"] + options + [
                "--last-event-id", "earliest", "--count", "\(count)", "--for", "2m",
                "\(hub.address)/topics/\(topic)",
            ]
        )
        #expect(result.status == 0, "\(result.errors)")
        return result.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }

    private func data(_ line: String) throws -> String {
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        return try #require(object?["data"] as? String, "\(line)")
    }

    // MARK: - Publishing

    @Test("Publish sends one event from the argument or standard input and prints its ID")
    func one() throws {
        let hub = try HubProcess()
        let url = "\(hub.address)/topics/a"
        let first = try tool(["publish", url, "hello"])
        #expect(first.status == 0 && first.errors.isEmpty)
        let second = try publish(hub, "a", ["--type", "a type", "--retry", "250ms"], input: "two\nlines\n")
        #expect(try tool(["publish", url, ""]).status == 0)
        let lines = try held(hub, "a", 3)
        #expect(lines[0] == "{\"type\":\"message\",\"data\":\"hello\",\"id\":\"\(first.output.dropLast())\"}")
        #expect(lines[1] == "{\"type\":\"a type\",\"data\":\"two\\nlines\",\"id\":\"\(second.output.dropLast())\"}")
        #expect(try data(lines[2]) == "")
    }

    @Test("With --lines each line is an event, in order, and the number acknowledged is printed")
    func lines() throws {
        let hub = try HubProcess()
        let input = (1...20_000).map { "\($0) é" }.joined(separator: "\n")
        let result = try publish(hub, "a", ["--lines", "--type", "line"], input: input)
        #expect(result.status == 0)
        #expect(result.errors.hasPrefix("20000 events acknowledged; the last is "), "\(result.errors)")
        let lines = try held(hub, "a", 10_000)
        // The topic keeps 10,000 events.
        #expect(try data(lines[0]) == "10001 é")
        #expect(try data(lines[9_999]) == "20000 é")
        #expect(lines[0].contains("\"type\":\"line\""))
        #expect(try publish(hub, "b", ["--lines"], input: "").errors == "0 events acknowledged\n")
        _ = try publish(hub, "c", ["--lines"], input: "1\r\n\n3")
        #expect(try held(hub, "c", 3).map(data) == ["1", "", "3"])
    }

    @Test("Publish completes even if standard error has no reader")
    func closedErrors() throws {
        let hub = try HubProcess()
        for redirection in ["2>&-", "2>&1 >/dev/null | true"] {
            let shell = Process()
            shell.executableURL = URL(fileURLWithPath: "/bin/sh")
            let command = "seq 1 2000 | (\"$0\" publish --lines \"$1\"; echo $? > \"$2\") \(redirection)"
            let folder = try Folder()
            let status = folder.url.appendingPathComponent("status").path
            shell.arguments = ["-c", command, try Product.path("plinth"), "\(hub.address)/topics/a", status]
            try shell.run()
            shell.waitUntilExit()
            let text = try String(contentsOfFile: status, encoding: .utf8)
            #expect(text == "0\n")
        }
        #expect(try held(hub, "a", 4000).map(data).suffix(2) == ["1999", "2000"])
    }

    @Test("JSON lines printed by listen are published unchanged")
    func json() throws {
        let hub = try HubProcess()
        let input = #"""
            {"type":"e","data":"a\nb","id":"elsewhere-1"}

            {"comment":"no event"}
            {"type":"message","data":"","id":null,"retry":5}

            """#
        let result = try publish(hub, "a", ["--json"], input: input)
        #expect(result.errors.hasPrefix("2 events acknowledged"))
        let lines = try held(hub, "a", 2)
        #expect(lines[0].hasPrefix(#"{"type":"e","data":"a\nb","id":""#))
        #expect(lines[1].hasPrefix(#"{"type":"message","data":"","id":""#))
    }

    @Test("An invalid line ends publish with its number, after earlier lines are published")
    func badLines() throws {
        let hub = try HubProcess()
        let json = try publish(
            hub,
            "a",
            ["--json"],
            input: "{\"data\":\"1\"}\n{\"data\":\"2\"}\n{\"dat\":3}\n{\"data\":\"4\"}\n"
        )
        #expect(json.status == 1)
        #expect(json.errors.contains("plinth publish: line 3: unknown key \"dat\""), "\(json.errors)")
        #expect(json.errors.contains("2 events acknowledged"))
        #expect(try held(hub, "a", 2).map(data) == ["1", "2"])
        let long = try publish(hub, "b", ["--lines", "--maximum-size", "5"], input: "12345\n123456\n")
        #expect(long.status == 1)
        #expect(long.errors.contains("line 2: longer than 5 bytes"))
        #expect(long.errors.contains("1 events acknowledged"))
    }

    @Test("Rejected events are reported by line, after earlier ones are acknowledged")
    func refused() throws {
        let hub = try HubProcess(["--maximum-event-size", "10"])
        let result = try publish(hub, "a", ["--lines"], input: "1\n2\n12345678901\n4\n")
        #expect(result.status == 1)
        #expect(result.errors.contains("413"), "\(result.errors)")
        #expect(result.errors.contains("the events from line 3 on were not published"), "\(result.errors)")
        #expect(result.errors.contains("2 events acknowledged"))
        #expect(try held(hub, "a", 2).map(data) == ["1", "2"])
        let one = try tool(["publish", "\(hub.address)/topics/a", "12345678901"])
        #expect(one.status == 1)
        #expect(one.errors.contains("413") && one.errors.contains("nothing was published"))
    }

    @Test("Without a server publish reports that nothing was published")
    func noServer() throws {
        let one = try tool(["publish", "http://127.0.0.1:1/topics/a", "x"])
        #expect(one.status == 1)
        #expect(one.errors.contains("cannot reach the server") && one.errors.contains("nothing was published"))
        let lines = try tool(["publish", "--lines", "http://127.0.0.1:1/topics/a"], input: "1\n2\n")
        #expect(lines.status == 1)
        #expect(lines.errors.contains("the events from line 1 on were not published"))
        #expect(lines.errors.contains("0 events acknowledged"))
    }

    @Test(
        "Usage errors exit with status 64",
        arguments: [
            ["publish", "localhost/topics/a", "x"], ["publish", "http:///topics/a", "x"], ["listen", "http://[::1/"],
            ["listen", "http:////a"], ["listen", "http://\\a"], ["publish", "http://", "x"],
            ["publish", "--lines", "http://localhost/a", "x"],
            ["publish", "--lines", "--json", "http://localhost/a"],
            ["publish", "--type", "a\nb", "http://localhost/a", "x"],
            ["publish", "--lines", "--resume-file", "f", "http://localhost/a"],
            ["publish", "--header", "no field", "http://localhost/a", "x"], ["listen", "ftp://localhost/a"],
            ["listen", "--json", "--raw", "http://localhost/a"], ["listen", "--count", "0", "http://localhost/a"],
            ["listen", "--for", "soon", "http://localhost/a"], ["listen", "--header", "a\n: b", "http://localhost/a"],
            ["listen", "--resume-file", "a", "--resume-from", "b", "http://localhost/a"],
            ["bench", "--for", "2d", "http://localhost"], ["bench", "--subscribers", "0", "http://localhost"],
            ["bench", "--rate", "0", "http://localhost"],
            ["bench", "--insecure", "--ca-certificates", "f", "https://localhost"],
        ]
    )
    func mistakes(arguments: [String]) throws {
        let result = try tool(arguments)
        #expect(result.status == 64, "\(result)")
        #expect(!result.errors.isEmpty)
    }

    // MARK: - Listening

    @Test(
        "Readable output replaces terminal controls; raw output is an event stream that decode reads"
    )
    func forms() throws {
        let hub = try HubProcess()
        _ = try publish(hub, "a", ["--type", "bell\u{7}"], input: "\u{1B}[31mred\u{9}\u{9B}\u{202E}")
        _ = try publish(hub, "a", input: "1\n2")
        let ids = try held(hub, "a", 2).map { line in
            String(line.components(separatedBy: "\"id\":\"")[1].dropLast(2))
        }
        #expect(
            try held(hub, "a", 2, [])
                == ["bell␇ \(ids[0])  ␛[31mred\u{9}\u{FFFD}\u{FFFD}", "message \(ids[1])", "  1", "  2"]
        )
        let raw = try held(hub, "a", 2, ["--raw"]).joined(separator: "\n") + "\n"
        #expect(try tool(["decode"], input: raw).output == held(hub, "a", 2).joined(separator: "\n") + "\n")
    }

    @Test("With --type only those types are printed and counted")
    func types() throws {
        let hub = try HubProcess()
        for type in ["a", "b", "a", "c"] { _ = try publish(hub, "t", ["--type", type], input: type) }
        #expect(try held(hub, "t", 3, ["--json", "--type", "a", "--type", "c"]).map(data) == ["a", "a", "c"])
    }

    @Test("The exit status of listen gives the reason it ended")
    func statuses() throws {
        let hub = try HubProcess()
        let url = "\(hub.address)/topics/a"
        #expect(try tool(["listen", "--for", "100ms", url]).status == 0)
        let early = try tool(["listen", "--for", "100ms", "--count", "1", url])
        #expect(early.status == 2)
        #expect(early.errors.contains("before 1 events"))
        let wrong = try tool(["listen", "\(hub.address)/status"])
        #expect(wrong.status == 4)
        #expect(wrong.errors.contains("application/json"), "\(wrong.errors)")
        #expect(try tool(["listen", "\(hub.address)/none"]).errors.contains("404"))
        #expect(try tool(["listen", "--once", "http://127.0.0.1:1/"]).status == 5)
        let directory = try tool(["listen", "--resume-file", FileManager.default.temporaryDirectory.path, url])
        #expect(directory.status == 74)
        #expect(directory.errors.contains("the resume file"))
    }

    @Test("A run resumes where the last one stopped, even if that was killed")
    func resumes() throws {
        let hub = try HubProcess()
        let folder = try Folder()
        let file = folder.url.appendingPathComponent("id").path
        _ = try publish(hub, "a", ["--lines"], input: (1...5).map { "\($0)\n" }.joined())
        let options = ["listen", "--json", "--resume-file", file, "--last-event-id", "earliest"]
        let url = "\(hub.address)/topics/a"
        let first = try tool(options + ["--count", "2", url]).output.split(separator: "\n")
        #expect(try first.map { try data("\($0)") } == ["1", "2"])
        let process = try Tool.process(options + [url])
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let rest = HubProcess.read(output, until: "\"5\"").split(separator: "\n")
        #expect(try rest.map { try data("\($0)") } == ["3", "4", "5"])
        // The ID is written right after the event is printed.
        while try String(contentsOfFile: file, encoding: .utf8).trimmingCharacters(in: .newlines)
            != held(hub, "a", 5)[4].components(separatedBy: "\"id\":\"")[1].dropLast(2)
        {}
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        _ = try publish(hub, "a", input: "6")
        #expect(try data(tool(options + ["--count", "1", url]).output) == "6")
    }

    @Test("When the hub restarts, listen reconnects, reports it, and prints the gap")
    func reconnects() throws {
        let folder = try Folder()
        let first = try HubProcess(["--retry", "50ms"])
        let port = String(first.address.split(separator: ":").last ?? "")
        _ = try publish(first, "a", input: "before")
        let process = try Tool.process(["listen", "--json", "--last-event-id", "earliest", "\(first.address)/topics/a"])
        let output = Pipe()
        process.standardOutput = output
        let errors = try folder.file("errors", "")
        process.standardError = FileHandle(forWritingAtPath: errors)
        try process.run()
        #expect(HubProcess.read(output, until: "\n").contains("before"))
        kill(first.process.processIdentifier, SIGKILL)
        first.process.waitUntilExit()
        let second = try HubProcess(port: ["--port", port])
        _ = try publish(second, "a", input: "after")
        let rest = HubProcess.read(output, until: "after")
        #expect(rest.contains("\"type\":\"gap\""), "\(rest)")
        process.terminate()
        process.waitUntilExit()
        let said = try String(contentsOfFile: errors, encoding: .utf8)
        #expect(said.contains("Reconnecting in "), "\(said)")
        #expect(said.contains("plinth listen: reconnected, after the event "), "\(said)")
    }

    @Test("A 204 response ends listen with a message")
    func noContent() throws {
        let server = Process()
        server.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        server.arguments = [
            "python3", "-c",
            """
            import http.server
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(204)
                    self.end_headers()
                def log_message(self, *arguments): pass
            server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
            print(server.server_port, flush=True)
            server.handle_request()
            """,
        ]
        let output = Pipe()
        server.standardOutput = output
        try server.run()
        let port = HubProcess.read(output, until: "\n").dropLast()
        let result = try tool(["listen", "http://127.0.0.1:\(port)/"])
        #expect(result.status == 3)
        #expect(result.errors.contains("204"))
        server.terminate()
        server.waitUntilExit()
    }

    // MARK: - A bridge

    @Test("A bridge reports a gap and delivers all later events once and in order")
    func bridgeAcrossGap() throws {
        let (from, to) = (try HubProcess(["--topic-events", "3"]), try HubProcess())
        let folder = try Folder()
        let file = folder.url.appendingPathComponent("id").path
        /// Runs a bridge for `count` events, including a gap, and returns the standard error of its publish side.
        func bridge(_ count: Int, during body: () throws -> Void = {}) throws -> String {
            let listen = try Tool.process([
                "listen", "--json", "--resume-from", file, "--last-event-id", "earliest", "--count", "\(count)",
                "--for", "2m", "\(from.address)/topics/a",
            ])
            let publish = try Tool.process(["publish", "--json", "--resume-file", file, "\(to.address)/topics/a"])
            let pipe = Pipe()
            listen.standardOutput = pipe
            publish.standardInput = pipe
            listen.standardError = FileHandle.nullDevice
            let errors = try folder.file("errors", "")
            publish.standardError = FileHandle(forWritingAtPath: errors)
            try publish.run()
            try listen.run()
            try? pipe.fileHandleForReading.close()
            try? pipe.fileHandleForWriting.close()
            try body()
            listen.waitUntilExit()
            publish.waitUntilExit()
            let said = try String(contentsOfFile: errors, encoding: .utf8)
            #expect(listen.terminationStatus == 0)
            #expect(publish.terminationStatus == 0, "\(said)")
            return said
        }
        _ = try publish(from, "a", input: "1")
        _ = try bridge(1)
        // The topic keeps three events, so the bridge misses 2 to 7.
        _ = try publish(from, "a", ["--lines"], input: (2...10).map { "\($0)\n" }.joined())
        let said = try bridge(5) {
            #expect(try held(to, "a", 4).map(data) == ["1", "8", "9", "10"])
            _ = try publish(from, "a", input: "11")
        }
        #expect(said.contains("the event is skipped"), "\(said)")
        #expect(said.contains("4 events acknowledged, 1 lines skipped"), "\(said)")
        _ = try publish(from, "a", input: "12")
        #expect(try !bridge(1).contains("skipped"))
        #expect(try held(to, "a", 6).map(data) == ["1", "8", "9", "10", "11", "12"])
    }

    @Test("A bridge between two hubs that is killed repeatedly loses nothing")
    func bridge() throws {
        let (from, to) = (try HubProcess(), try HubProcess())
        let folder = try Folder()
        let file = folder.url.appendingPathComponent("id").path
        let tool = try Product.path("plinth")
        let count = 1000
        let feeder = Process()
        feeder.executableURL = URL(fileURLWithPath: "/bin/sh")
        // About 200 events per second.
        feeder.arguments = [
            "-c",
            "i=0; while [ $i -lt \(count) ]; do i=$((i + 1)); echo $i; sleep 0.005; done"
                + " | \"$0\" publish --lines \"$1\"",
            tool, "\(from.address)/topics/a",
        ]
        feeder.standardError = FileHandle.nullDevice
        try feeder.run()
        var seen = 0
        for round in 0..<20 {
            let listen = try Tool.process([
                "listen", "--json", "--resume-from", file, "--last-event-id", "earliest", "\(from.address)/topics/a",
            ])
            let publish = try Tool.process(["publish", "--json", "--resume-file", file, "\(to.address)/topics/a"])
            try Tool.run(listen, into: publish)
            // Waits for 60 more events, or in the last round for all.
            let goal = round < 5 ? seen + 60 : count
            let watch = try Tool.process([
                "listen", "--json", "--last-event-id", "earliest", "--for", "120s", "\(to.address)/topics/a",
            ])
            let output = Pipe()
            watch.standardOutput = output
            watch.standardError = FileHandle.nullDevice
            try watch.run()
            let text = HubProcess.read(output, until: "\"data\":\"\(goal)\"")
            kill(watch.processIdentifier, SIGKILL)
            watch.waitUntilExit()
            // Alternates which side is killed first.
            for process in round.isMultiple(of: 2) ? [listen, publish] : [publish, listen] {
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
            }
            #expect(text.contains("\"data\":\"\(goal)\""), "round \(round) did not reach \(goal)")
            seen = goal
            if goal == count { break }
        }
        feeder.waitUntilExit()
        _ = try self.publish(to, "a", ["--type", "over"], input: "")
        let status = try self.tool([
            "listen", "--json", "--last-event-id", "earliest", "--until", "over", "\(to.address)/topics/a",
        ])
        #expect(status.status == 0, "\(status.errors)")
        var missing = Set(1...count)
        var highest = 0
        for line in status.output.split(separator: "\n").dropLast() {
            let number = try #require(Int(try data(String(line))))
            // Events may repeat after a kill, but none may be missing.
            #expect(number <= highest + 1, "\(number) after \(highest)")
            highest = max(highest, number)
            missing.remove(number)
        }
        #expect(missing.isEmpty, "\(missing.sorted().prefix(10))")
    }
}
#endif
