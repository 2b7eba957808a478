// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Command && Client && Server
import PlinthStreams
import PlinthTestSupport
import Foundation
import Synchronization
import Testing

@testable import PlinthCLI

/// Runs `plinth publish` against scripted servers.
@Suite("The command plinth publish", .blocking)
struct PublishTests {
    private func publish(_ arguments: [String], input: String = "") throws -> Tool.Result {
        try Tool.run(["publish"] + arguments, input: input)
    }

    private static let published = ScriptedHub.Answer.status("201 Created", body: #"{"id":"x-1"}"#)

    /// Whether a text contains terminal controls other than line feeds.
    private func isObeyed(_ text: String) -> Bool {
        text.unicodeScalars.contains { $0 != "\n" && TerminalText.isControl($0.value) }
    }

    // MARK: - Retries

    @Test("With --retry-for an unanswered request is repeated, for one event and for lines", arguments: [true, false])
    func retries(isSingle: Bool) throws {
        let count = Atomic(0)
        let hub = try ScriptedHub { _ in
            count.add(1, ordering: .relaxed).newValue < 3 ? .send("") : Self.published
        }
        let arguments = ["--retry-for", "3m", hub.url()]
        let result = isSingle ? try publish(arguments + ["x"]) : try publish(["--lines"] + arguments, input: "x\n")
        #expect(result.status == 0, "\(result.errors)")
        #expect(hub.requests.values.count == 3)
        #expect(result.errors.contains("retrying in 100 ms") && result.errors.contains("retrying in 200 ms"))
    }

    @Test("Without --retry-for, and if the hub refuses the event, nothing is repeated", arguments: [true, false])
    func doesNotRetry(isRefused: Bool) throws {
        let hub = try ScriptedHub { _ in isRefused ? .status("400 Bad Request", body: "{}") : .send("") }
        let result = try publish((isRefused ? ["--retry-for", "3m"] : []) + [hub.url(), "x"])
        #expect(result.status == 1)
        #expect(hub.requests.values.count == 1)
    }

    // MARK: - Reserved types

    /// A hub that reserves the type `gap`, as `plinth serve` does, and records the data of accepted events.
    private func reservingHub(_ taken: Recorder<String>) throws -> ScriptedHub {
        try ScriptedHub { request in
            var count = 0
            for block in request.body.components(separatedBy: "\n\n").dropLast() {
                let lines = block.components(separatedBy: "\n")
                guard !lines.contains("event: gap") else {
                    let id = count == 0 ? "null" : "\"h-\(taken.values.count)\""
                    let reason = "event \(count + 1): gap is a type of the hub's own"
                    let body = #"{"id":\#(id),"count":\#(count),"error":"\#(reason)","code":"type-reserved"}"#
                    return .status("400 Bad Request", body: body)
                }
                taken.record(lines.first { $0.hasPrefix("data: ") }.map { String($0.dropFirst(6)) } ?? "")
                count += 1
            }
            return .status("201 Created", body: #"{"id":"h-\#(taken.values.count)","count":\#(count)}"#)
        }
    }

    private let withGaps = #"""
        {"type":"gap","data":"{}","id":"g-0"}
        {"type":"a","data":"1","id":"f-1"}
        {"type":"gap","data":"{}","id":"g-1"}
        {"type":"gap","data":"{}","id":"g-2"}
        {"type":"a","data":"2","id":"f-2"}
        {"type":"gap","data":"{}","id":"g-3"}

        """#

    @Test("An event of a reserved type is skipped with a message, and the resume file advances past it")
    func skipsReserved() throws {
        let taken = Recorder<String>()
        let hub = try reservingHub(taken)
        let folder = try Folder()
        let file = try folder.file("id", "")
        let result = try publish(["--json", "--resume-file", file, hub.url()], input: withGaps)
        #expect(result.status == 0, "\(result.errors)")
        #expect(taken.values == ["1", "2"])
        for line in [1, 3, 4, 6] { #expect(result.errors.contains("plinth publish: line \(line): ")) }
        #expect(result.errors.contains("the event is skipped"))
        let report = "2 events acknowledged, 4 lines skipped; the last is h-2\n"
        #expect(result.errors.hasSuffix(report), "\(result.errors)")
        #expect(try String(contentsOfFile: file, encoding: .utf8).hasPrefix("g-3\n"))
    }

    @Test("With --reserved fail such an event ends publish, after earlier ones are published and recorded")
    func stopsAtReserved() throws {
        let taken = Recorder<String>()
        let hub = try reservingHub(taken)
        let folder = try Folder()
        let file = try folder.file("id", "")
        let input = withGaps.split(separator: "\n").dropFirst().joined(separator: "\n")
        let result = try publish(["--json", "--reserved", "fail", "--resume-file", file, hub.url()], input: input)
        #expect(result.status == 1)
        #expect(taken.values == ["1"])
        #expect(result.errors.contains("the events from line 2 on were not published"), "\(result.errors)")
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "f-1\n")
        let lines = try publish(["--lines", "--type", "gap", hub.url()], input: "1\n2\n")
        #expect(lines.status == 0)
        #expect(lines.errors.contains("0 events acknowledged, 2 lines skipped"), "\(lines.errors)")
    }

    @Test("A response with an impossible count ends the run")
    func absurdReports() throws {
        for count in ["99", "-5", "9223372036854775807", "1e400"] {
            let hub = try ScriptedHub { _ in
                .status("400 Bad Request", body: #"{"id":"x","count":\#(count),"error":"e","code":"type-reserved"}"#)
            }
            let result = try publish(["--lines", hub.url()], input: "1\n2\n")
            #expect(result.errors.contains("events acknowledged"), "\(result.errors)")
            #expect(hub.requests.values.count <= 2)
        }
    }

    // MARK: - Invalid lines

    @Test("A line that is not UTF-8 or too long ends publish, or is skipped or repaired, as --invalid selects")
    func invalidLines() throws {
        let input = Data("one\n".utf8) + Data([0xFF, 0x41, 0x0A]) + Data("two\n1234567890é\nthree".utf8)
        func run(_ invalid: String?) throws -> (result: Tool.Result, body: String) {
            let hub = try ScriptedHub { _ in Self.published }
            let options = invalid.map { ["--invalid", $0] } ?? []
            let result = try Tool.run(
                ["publish", "--lines", "--maximum-size", "11"] + options + [hub.url()],
                input: input
            )
            return (result, hub.requests.values.map(\.body).joined())
        }
        for invalid in [nil, "fail"] {
            let (failed, body) = try run(invalid)
            #expect(failed.status == 1)
            #expect(failed.errors.contains("line 2: not valid UTF-8"), "\(failed.errors)")
            #expect(body == "data: one\n\n")
        }
        let (skipped, rest) = try run("skip")
        #expect(skipped.status == 0)
        #expect(skipped.errors.contains("line 2: not valid UTF-8; skipped"))
        #expect(skipped.errors.contains("line 4: longer than 11 bytes; skipped"))
        #expect(skipped.errors.contains("3 events acknowledged, 2 lines skipped"), "\(skipped.errors)")
        #expect(rest == "data: one\n\ndata: two\n\ndata: three\n\n")
        let (mended, all) = try run("replace")
        #expect(mended.status == 0)
        #expect(mended.errors.contains("line 4: longer than 11 bytes; truncated"))
        #expect(all == "data: one\n\ndata: \u{FFFD}A\n\ndata: two\n\ndata: 1234567890\n\ndata: three\n\n")
        #expect(try publish(["--invalid", "skip", "http://localhost/", "x"]).status == 64)
    }

    @Test("Unreadable standard input is reported, and nothing is published")
    func unreadable() throws {
        let hub = try ScriptedHub { _ in Self.published }
        for arguments in [[hub.url()], ["--lines", hub.url()]] {
            let shell = Process()
            shell.executableURL = URL(fileURLWithPath: "/bin/sh")
            shell.arguments = ["-c", "exec \"$0\" publish \"$@\" </", try Product.path("plinth")] + arguments
            let errors = Pipe()
            shell.standardError = errors
            try shell.run()
            let text = String(decoding: errors.allOutput(), as: UTF8.self)
            shell.waitUntilExit()
            #expect(shell.terminationStatus == 1)
            #expect(text.contains("cannot read standard input: "), "\(text)")
        }
        #expect(hub.requests.values.isEmpty)
    }

    // MARK: - Server texts

    private static let hostile = #"a\u001b]0;title\u0007\u009b31m\u202e\u2028\u007f\nb"#

    @Test("Terminal controls in a server's text are replaced, and a long text is truncated")
    func hostileText() throws {
        let long = String(repeating: "x", count: 50_000)
        let id = try ScriptedHub { _ in .status("201 Created", body: #"{"id":"\#(Self.hostile)"}"#) }
        let one = try publish([id.url(), "x"])
        #expect(one.status == 0 && !isObeyed(one.output) && one.output.hasPrefix("a␛]0;title"), "\(one)")
        let lines = try publish(["--lines", id.url()], input: "x\n")
        #expect(lines.status == 0 && !isObeyed(lines.errors) && lines.errors.contains("the last is a␛]0;title"))
        let json = try ScriptedHub { _ in
            .status("403 Forbidden", body: #"{"error":"\#(Self.hostile)\#(long)"}"#)
        }
        let text = try ScriptedHub { _ in .status("403 Forbidden", body: "no \u{9B}31m\u{1B}[31m \(long)\(long)\(long)")
        }
        for hub in [json, text] {
            for arguments in [[hub.url(), "x"], ["--lines", hub.url()]] {
                let result = try publish(arguments, input: "x\n")
                #expect(result.status == 1 && !isObeyed(result.errors), "\(result.errors)")
                #expect(result.errors.contains("the server answered 403 ") && result.errors.utf8.count < 3000)
            }
        }
    }

    @Test("An incomplete error response is shown; an incomplete success leaves the outcome unknown")
    func endlessAnswers() throws {
        let head = ScriptedHub.Answer.head("429 Too Many Requests", ["Content-Length: 1000"])
        let refusing = try ScriptedHub { _ in .hold(head + "because of the moon") }
        let refused = try publish(["--timeout", "3s", refusing.url(), "x"])
        #expect(refused.status == 1)
        #expect(refused.errors.contains("429 Too Many Requests: because of the moon; nothing was published"))
        let accepting = try ScriptedHub { _ in
            .hold(ScriptedHub.Answer.head("201 Created", ["Content-Length: 1000"]) + "{")
        }
        let unknown = try publish(["--timeout", "3s", accepting.url(), "x"])
        #expect(unknown.status == 1)
        #expect(unknown.errors.contains("may or may not have been published"), "\(unknown.errors)")
        let silent = try ScriptedHub { _ in .send("") }
        let closed = try publish([silent.url(), "x"])
        #expect(closed.errors.contains("closed the connection without an answer"), "\(closed.errors)")
        #expect(closed.errors.contains("may or may not have been published"), "\(closed.errors)")
    }

    @Test("A refused connection, an untrusted certificate and a server without TLS report that nothing was published")
    func notSent() throws {
        let folder = try Folder()
        let (certificate, key) = try folder.certificate()
        let secure = try HubProcess(["--tls-certificate", certificate, "--tls-key", key])
        let plain = try ScriptedHub { _ in Self.published }
        let cases = [
            ("http://127.0.0.1:1/topics/a", "refused"),
            ("\(secure.address)/topics/a", "--ca-certificates"),
            ("https://127.0.0.1:\(plain.port)/topics/a", "http://"),
        ]
        for (url, cause) in cases {
            let one = try publish(["--timeout", "60s", url, "x"])
            #expect(one.status == 1 && one.errors.contains(cause), "\(one.errors)")
            #expect(one.errors.contains("nothing was published") && !one.errors.contains("may "), "\(one.errors)")
            let lines = try publish(["--timeout", "60s", "--lines", url], input: "1\n2\n")
            #expect(lines.errors.contains("the events from line 1 on were not published"), "\(lines.errors)")
        }
        #expect(try publish(["--ca-certificates", certificate, "\(secure.address)/topics/a", "x"]).status == 0)
    }

    // MARK: - Redirects

    @Test("307 and 308 are followed with method and body, and the target is reported", arguments: [307, 308])
    func redirects(status: Int) throws {
        let target = try ScriptedHub { _ in Self.published }
        let hub = try ScriptedHub { _ in .status("\(status) Elsewhere", "Location: \(target.url("/topics/b?type=t"))") }
        let one = try publish(["--type", "t", hub.url(), "hello"])
        #expect(one.status == 0 && one.output == "x-1\n")
        #expect(one.errors.contains(", redirecting to \(target.url("/topics/b?type=t"))\n"), "\(one.errors)")
        #expect(target.requests.values[0].line == "POST /topics/b?type=t HTTP/1.1")
        #expect(target.requests.values[0].body == "hello")
        let lines = try publish(["--lines", hub.url()], input: "1\n2\n")
        #expect(lines.status == 0)
        #expect(target.requests.values[1].body == "data: 1\n\ndata: 2\n\n")
        #expect(target.requests.values[1].fields["content-type"] == "text/event-stream")
    }

    @Test("A 301 is not followed but reported; a missing or invalid Location and a redirect loop end publish")
    func otherRedirects() throws {
        let moved = try ScriptedHub { _ in .status("301 Moved Permanently", "Location: /topics/\u{9B}b") }
        let result = try publish([moved.url(), "x"])
        #expect(result.status == 1 && result.errors.contains("redirect to /topics/\u{FFFD}b"), "\(result.errors)")
        let missing = try ScriptedHub { _ in .status("308 Permanent Redirect") }
        #expect(
            try publish([missing.url(), "x"]).errors.contains("without a Location; nothing was published")
        )
        let other = try ScriptedHub { _ in .status("308 Permanent Redirect", "Location: ftp://example.org/") }
        #expect(try publish([other.url(), "x"]).errors.contains("an invalid HTTP URL: ftp://example.org/"))
        let circle = try ScriptedHub { _ in .status("307 Temporary Redirect", "Location: ?again") }
        let endless = try publish([circle.url(), "x"])
        #expect(endless.status == 1 && endless.errors.contains("more than 20 times"), "\(endless.errors)")
        #expect(circle.requests.values.count == 21)
    }

    @Test("Credentials go to the URL's own origin only, and not after another origin redirects back to it")
    func redirectedCredentials() throws {
        let back = Recorder<String>()
        let second = try ScriptedHub { _ in .status("307 Temporary Redirect", "Location: \(back.values[0])") }
        let first = try ScriptedHub { request in
            switch request.line.split(separator: " ")[1] {
            case "/topics/a": .status("308 Permanent Redirect", "Location: /topics/b")
            case "/topics/b": .status("308 Permanent Redirect", "Location: \(second.url("/topics/c", user: "x:y@"))")
            default: Self.published
            }
        }
        back.record(first.url("/topics/d"))
        let options = ["--header", "Cookie: a=b", "--header", "X-Other: c"]
        let result = try publish(options + [first.url(user: "me:se%20cret@"), "hello"])
        #expect(result.status == 0, "\(result.errors)")
        #expect(!result.errors.contains("se%20cret") && !result.errors.contains("x:y"), "\(result.errors)")
        let requests = first.requests.values
        let basic = "Basic " + Data("me:se cret".utf8).base64EncodedString()
        #expect(requests.map { $0.fields["authorization"] } == [basic, basic, nil])
        #expect(requests.map { $0.fields["cookie"] } == ["a=b", "a=b", nil])
        #expect(second.requests.values.map { $0.fields["authorization"] } == [nil])
        #expect(second.requests.values.map { $0.fields["cookie"] } == [nil])
        #expect((requests + second.requests.values).allSatisfy { $0.fields["x-other"] == "c" && $0.body == "hello" })
    }

    @Test("A redirect from https to http is followed only without credentials")
    func downgrade() throws {
        let target = try ScriptedHub { _ in Self.published }
        let folder = try Folder()
        let (certificate, key) = try folder.certificate()
        let server = Process()
        server.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        server.arguments = [
            "python3", "-c",
            """
            import http.server, ssl, sys
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_POST(self):
                    self.rfile.read(int(self.headers["Content-Length"]))
                    self.send_response(308)
                    self.send_header("Location", sys.argv[1])
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                def log_message(self, *arguments): pass
            server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(sys.argv[2], sys.argv[3])
            server.socket = context.wrap_socket(server.socket, server_side=True)
            print(server.server_port, flush=True)
            server.serve_forever()
            """,
            target.url(), certificate, key,
        ]
        let output = Pipe()
        server.standardOutput = output
        server.standardError = FileHandle.nullDevice
        try server.run()
        defer {
            server.terminate()
            server.waitUntilExit()
        }
        let url = "https://127.0.0.1:\(HubProcess.read(output, until: "\n").dropLast())/topics/a"
        let options = ["--ca-certificates", certificate]
        for secret in ["Authorization: Bearer x", "Cookie: a=b"] {
            let refused = try publish(options + ["--header", secret, url, "x"])
            #expect(refused.status == 1 && refused.errors.contains("from https to http"), "\(refused.errors)")
        }
        #expect(target.requests.values.isEmpty)
        #expect(try publish(options + [url, "x"]).status == 0)
        #expect(target.requests.values.count == 1)
    }

    // MARK: - Credentials

    @Test("Publish and bench send a URL's credentials as Basic and never print them")
    func userInformation() throws {
        let hub = try ScriptedHub { _ in .status("403 Forbidden", body: "no") }
        let basic = "Basic " + Data("me:secret".utf8).base64EncodedString()
        for (command, arguments) in [("publish", ["x"]), ("bench", [])] {
            for url in [hub.url(user: "me:secret@"), "http://me:secret@127.0.0.1:1/topics/a"] {
                let result = try Tool.run([command, url] + arguments, input: "")
                #expect(result.status == 1)
                #expect(!(result.errors + result.output).contains("secret"), "\(result)")
            }
        }
        #expect(hub.requests.values.count >= 2)
        #expect(hub.requests.values.allSatisfy { $0.fields["authorization"] == basic })
    }

    // MARK: - Descriptors

    @Test("Output to a closed standard output does not reach a file that got its number")
    func closedOutput() throws {
        let hub = try HubProcess()
        _ = try publish(["\(hub.address)/topics/a", "the data"])
        let folder = try Folder()
        let file = folder.url.appendingPathComponent("id").path
        let shell = Process()
        shell.executableURL = URL(fileURLWithPath: "/bin/sh")
        shell.arguments = [
            "-c",
            "exec \"$0\" listen --last-event-id earliest --resume-file \"$1\" --count 1 --for 10s \"$2\" >&- 2>&-",
            try Product.path("plinth"), file, "\(hub.address)/topics/a",
        ]
        try shell.run()
        shell.waitUntilExit()
        #expect(shell.terminationStatus == 1)
        #expect(try String(contentsOfFile: file, encoding: .utf8).isEmpty)
    }
}
#endif
