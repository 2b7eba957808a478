// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Command && Client && Server
import PlinthTestSupport
import Foundation
import Testing

@testable import PlinthCLI

/// Runs `plinth wait` against scripted hubs.
@Suite("The command plinth wait", .blocking)
struct WaitTests {
    private func wait(_ arguments: [String]) throws -> Tool.Result {
        try Tool.run(["wait"] + arguments, input: "")
    }

    private func hub(_ body: String, _ status: String = "200 OK") throws -> ScriptedHub {
        try ScriptedHub { _ in .status(status, "Content-Type: application/json", body: body) }
    }

    /// Waits for events of a hub with this response.
    private func wait(for body: String, _ status: String = "200 OK", _ options: [String] = []) throws -> Tool.Result {
        let hub = try hub(body, status)
        let result = try wait(options + [hub.url()])
        #expect(hub.requests.values.count == 1)
        return result
    }

    private func answer(
        _ events: String = "",
        next: String = "x-9",
        gap: String = "null",
        ended: Bool = false,
        more: Bool = false
    ) -> String {
        #"{"events":[\#(events)],"next":"\#(next)","gap":\#(gap),"ended":\#(ended),"more":\#(more)}"#
    }

    private let two = #"""
        {"id":"x-1","topic":"a","type":"message","data":"1\n2","retry":null},
        {"id":"x-2","topic":"a","type":"t","data":"","retry":5}
        """#

    @Test("Events are printed as listen prints them, and where to continue on standard error")
    func forms() throws {
        let hub = try hub(answer(two))
        let json = #"""
            {"type":"message","data":"1\n2","id":"x-1"}
            {"type":"t","data":"","id":"x-2"}

            """#
        #expect(
            try wait(["--json", hub.url()])
                == .init(output: json, errors: "plinth wait: continue with --last-event-id x-9\n", status: 0)
        )
        #expect(try wait([hub.url()]).output == "message x-1\n  1\n  2\nt x-2  \n")
        #expect(try wait(["--raw", hub.url()]).output == "id: x-1\ndata: 1\ndata: 2\n\nevent: t\nid: x-2\ndata: \n\n")
        // A stream of several topics has the topic in its IDs.
        let several = try wait(["--json", hub.url("/topics?topic=a&topic=b")])
        #expect(several.output.contains(#""id":"x-2\ta""#), "\(several.output)")
        #expect(hub.requests.values.last?.line == "GET /topics?topic=a&topic=b&wait=30000ms HTTP/1.1")
    }

    @Test("The start and the time are sent, and the next start is kept in a file, also without an event")
    func resumes() throws {
        let folder = try Folder()
        let file = folder.url.path + "/id"
        let hub = try hub(answer())
        let options = ["--for", "250ms", "--last-event-id", "earliest", "--resume-file", file, hub.url("/topics/a?x")]
        let first = try wait(options)
        #expect(first == .init(output: "", errors: "", status: 2))
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "x-9\n")
        #expect(try wait(options).status == 2)
        #expect(try wait(["--resume-from", file, "--for", "0", hub.url()]).status == 2)
        #expect(try wait([hub.url()]).status == 2)
        #expect(hub.requests.values.map { $0.fields["last-event-id"] } == ["earliest", "x-9", "x-9", nil])
        #expect(hub.requests.values[0].line == "GET /topics/a?x&wait=250ms HTTP/1.1")
        #expect(hub.requests.values[2].line == "GET /topics/a?wait=0ms HTTP/1.1")
    }

    @Test("A gap is printed first and explained; it counts as an event")
    func gap() throws {
        let hub = try hub(answer(gap: #"{"requested":"x-1","oldest":null,"through":"x-8"}"#))
        let result = try wait(["--json", hub.url()])
        #expect(result.status == 0)
        let data = #"{\"requested\":\"x-1\",\"oldest\":null,\"through\":\"x-8\"}"#
        #expect(result.output == #"{"type":"gap","data":"\#(data)","id":null}"# + "\n")
        #expect(result.errors.hasPrefix("plinth wait: the hub no longer holds events after x-1, through x-8\n"))
    }

    @Test("When all topics have ended the status is 6, unless the hub holds more")
    func ended() throws {
        let end = #"{"id":"x-3","topic":"a","type":"end","data":"{\"topic\":\"a\"}","retry":null}"#
        let result = try wait(for: answer(end, ended: true), "200 OK", ["--json"])
        #expect(result.status == 6 && result.errors.hasSuffix("all topics have ended\n"))
        #expect(result.output.contains(#""type":"end""#))
        #expect(try wait(for: answer(end, ended: true, more: true)).status == 0)
    }

    @Test("A refusal is status 4, and what may pass is status 5")
    func refusals() throws {
        let error = #"{"error":"no \u001b[31mway","code":"c"}"#
        let refused = try wait(for: error, "403 Forbidden")
        #expect(refused.status == 4 && refused.errors.contains("403 Forbidden: no ␛[31mway"), "\(refused.errors)")
        let busy = try wait(for: error, "503 Service Unavailable")
        #expect(busy.status == 5 && busy.errors.contains("503"))
        let unreachable = try wait(["http://127.0.0.1:1/topics/a"])
        #expect(unreachable.status == 5 && unreachable.errors.contains("cannot reach the server"))
        let silent = try ScriptedHub { _ in .hold("") }
        let late = try wait(["--for", "0", "--timeout", "200ms", silent.url()])
        #expect(late.status == 5 && late.errors.contains("timed out after 0.2 seconds"), "\(late.errors)")
    }

    @Test("A response that is no hub's is status 4, also an endless stream")
    func others() throws {
        let stream = try ScriptedHub { _ in
            .hold(ScriptedHub.Answer.head("200 OK", ["Content-Type: text/event-stream"]) + ": hello\n")
        }
        let endless = try wait([stream.url()])
        #expect(endless.status == 4 && endless.errors.contains("not as a hub answers ?wait="), "\(endless.errors)")
        for body in ["", "{}", "[]", answer(next: #"a\nb"#), answer(next: " x"), answer("1")] {
            #expect(try wait(for: body).status == 4, "\(body)")
        }
        let large = try wait(for: answer(two), "200 OK", ["--maximum-size", "20"])
        #expect(large.status == 4 && large.errors.contains("longer than 20 bytes"))
    }

    @Test("Redirects are followed", arguments: [301, 302, 303, 307, 308])
    func redirects(status: Int) throws {
        let hub = try hub(answer(two))
        let first = try ScriptedHub { _ in .status("\(status) Elsewhere", "Location: \(hub.url("/topics/b?wait=1s"))") }
        #expect(try wait([first.url()]).status == 0)
        #expect(hub.requests.values[0].line == "GET /topics/b?wait=1s HTTP/1.1")
    }

    @Test(
        "Invalid options exit with status 64, and an unusable file with 74",
        arguments: [
            ["--for", "61s"], ["--for", "soon"], ["--timeout", "x"], ["--maximum-size", "0"], ["--json", "--raw"],
            ["--resume-file", "a", "--resume-from", "b"], ["--last-event-id", "a\nb"],
            ["--last-event-id", String(repeating: "x", count: 4097)],
        ]
    )
    func mistakes(_ options: [String]) throws {
        #expect(try wait(options + ["http://127.0.0.1:1/topics/a"]).status == 64)
        #expect(try wait(["--resume-file", "/", "http://127.0.0.1:1/topics/a"]).status == 74)
    }
}
#endif
