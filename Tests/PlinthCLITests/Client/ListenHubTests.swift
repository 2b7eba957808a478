// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Command && Client && Server
import PlinthTestSupport
import Foundation
import Synchronization
import Testing

@testable import PlinthCLI

/// Runs `plinth listen --hub` and `--state` against scripted hubs and applications.
@Suite("The command plinth listen with a hub", .blocking)
struct ListenHubTests {
    private func listen(_ arguments: [String]) throws -> Tool.Result {
        try Tool.run(["listen"] + arguments, input: "")
    }

    private static func stream(_ events: String) -> String {
        ScriptedHub.Answer.head("200 OK", ["Content-Type: text/event-stream"]) + "retry: 1\n\n" + events
    }

    private static func end(_ topic: String, _ id: String) -> String {
        "event: end\nid: \(id)\ndata: {\"topic\":\"\(topic)\"}\n\n"
    }

    // MARK: - Ends

    @Test("With --hub the end of the topic ends listen with status 6, after it is printed and kept")
    func end() throws {
        let folder = try Folder()
        let file = folder.url.path + "/id"
        let hub = try ScriptedHub { _ in .hold(Self.stream("id: x-1\ndata: 1\n\n" + Self.end("a", "x-2"))) }
        let result = try listen(["--hub", "--json", "--resume-file", file, hub.url()])
        #expect(result.status == 6 && result.errors == "plinth listen: all topics have ended\n")
        #expect(
            result.output == #"""
                {"type":"message","data":"1","id":"x-1"}
                {"type":"end","data":"{\"topic\":\"a\"}","id":"x-2"}

                """#
        )
        #expect(try String(contentsOfFile: file, encoding: .utf8) == "x-2\n")
        // What was asked for comes first.
        #expect(try listen(["--hub", "--until", "end", hub.url()]).status == 0)
        #expect(try listen(["--hub", "--count", "2", hub.url()]).status == 0)
        #expect(try listen(["--hub", "--type", "message", hub.url()]).status == 6)
    }

    @Test("Of several topics the last end counts; of unknown ones and patterns the hub's 204")
    func ends() throws {
        let count = Atomic(0)
        let hub = try ScriptedHub { _ in
            switch count.add(1, ordering: .relaxed).newValue {
            case 1: .send(Self.stream(Self.end("a", "x-1")))
            case 2: .hold(Self.stream(Self.end("b", "x-2")))
            default: .status("204 No Content")
            }
        }
        let result = try listen(["--hub", hub.url("/topics?topic=a&topic=b")])
        #expect(result.status == 6 && result.output.contains("x-1") && result.output.contains("x-2"), "\(result)")
        let form = try listen(["--hub", "--data", "topic=a", hub.url("/topics")])
        #expect(form.status == 6 && form.errors.contains("204"), "\(form.errors)")
        let other = try ScriptedHub { request in
            request.fields["last-event-id"] == nil
                ? .send(Self.stream(Self.end("a", "x-1"))) : .status("204 No Content")
        }
        for url in [other.url("/feed"), other.url("/topics?match=a*")] {
            let ended = try listen(["--hub", url])
            #expect(ended.status == 6 && ended.errors.contains("(204)"), "\(ended.errors)")
        }
    }

    @Test("Without --hub an event of type end is like any other")
    func plain() throws {
        let hub = try ScriptedHub { request in
            request.fields["last-event-id"] == nil
                ? .send(Self.stream(Self.end("a", "x-1"))) : .status("204 No Content")
        }
        let result = try listen([hub.url()])
        #expect(result.status == 3 && result.errors.contains("for good (204)"), "\(result.errors)")
        #expect(try listen(["--once", hub.url()]).status == 5)
    }

    @Test("With --hub a gap is explained, and printed like any event")
    func gap() throws {
        let gap = "event: gap\nid: x-8\ndata: {\"requested\":\"x-1\",\"oldest\":null,\"through\":\"x-8\"}\n\n"
        let hub = try ScriptedHub { _ in .hold(Self.stream(gap + "event: gap\ndata: other\n\n")) }
        let result = try listen(["--hub", "--json", "--count", "2", hub.url()])
        #expect(result.status == 0 && result.output.contains(#""type":"gap""#))
        #expect(result.errors == "plinth listen: the hub no longer holds events after x-1, through x-8\n")
    }

    // MARK: - States

    @Test("--state prints the state, and listens after the mark of its response")
    func state() throws {
        let application = try ScriptedHub { _ in .status("200 OK", "Last-Event-ID: x-7", body: "{\n\"a\":1}") }
        let hub = try ScriptedHub { _ in .hold(Self.stream("id: x-8\ndata: 8\n\n")) }
        let options = ["--count", "2", "--state", application.url("/cart"), "--header", "Authorization: secret"]
        let result = try listen(options + ["--header", "X-Other: y", "--json", hub.url()])
        #expect(result.status == 0)
        #expect(
            result.output == #"""
                {"type":"state","data":"{\n\"a\":1}","id":"x-7"}
                {"type":"message","data":"8","id":"x-8"}

                """#
        )
        #expect(hub.requests.values[0].fields["last-event-id"] == "x-7")
        #expect(hub.requests.values[0].fields["authorization"] == "secret")
        // Of another origin, so without credentials.
        let request = application.requests.values[0]
        #expect(request.line == "GET /cart HTTP/1.1")
        #expect(request.fields["authorization"] == nil && request.fields["x-other"] == "y")
        let readable = try listen(["--until", "state"] + options.dropFirst(2) + [hub.url()])
        #expect(readable.status == 0 && readable.output == "state x-7\n  {\n  \"a\":1}\n")
    }

    @Test("After a gap the state is fetched again")
    func stateAfterGap() throws {
        let count = Atomic(0)
        let application = try ScriptedHub { _ in
            let number = count.add(1, ordering: .relaxed).newValue
            return .status("200 OK", "Last-Event-ID: x-\(number)0", body: "\(number)")
        }
        let hub = try ScriptedHub { request in
            .hold(
                Self.stream(
                    request.fields["last-event-id"] == "x-10"
                        ? "id: x-11\ndata: 11\n\nevent: gap\nid: x-15\ndata: {\"requested\":\"x-11\"}\n\n"
                        : Self.end("a", "x-21")
                )
            )
        }
        let result = try listen(["--state", application.url(), "--type", "state", "--type", "message", hub.url()])
        #expect(result.status == 6)
        #expect(result.output == "state x-10  1\nmessage x-11  11\nstate x-20  2\n")
        #expect(result.errors.contains("no longer holds events after x-11\n"), "\(result.errors)")
        #expect(result.errors.contains("getting the state again"))
    }

    @Test("A state without a mark, a refusal and a stream end listen with status 4")
    func noMark() throws {
        let long = String(repeating: "x", count: 4097)
        for (answer, text) in [
            (ScriptedHub.Answer.status("200 OK", body: "{}"), "has no Last-Event-ID"),
            (.status("200 OK", "Last-Event-ID: "), "has no Last-Event-ID"),
            (.status("200 OK", "Last-Event-ID: \(long)"), "more than 4096 bytes"),
            (.status("404 Not Found", body: #"{"error":"no cart"}"#), "404 Not Found: no cart"),
            (.status("200 OK", "Last-Event-ID: x", body: String(repeating: "x", count: 101)), "longer than 100 bytes"),
            (.hold(ScriptedHub.Answer.head("200 OK", ["Content-Type: text/event-stream"])), "is an event stream"),
        ] {
            let application = try ScriptedHub { _ in answer }
            let result = try listen([
                "--maximum-size", "100", "--state", application.url(), "http://127.0.0.1:1/topics/a",
            ])
            #expect(result.status == 4 && result.errors.contains("plinth listen: the state: "), "\(result.errors)")
            #expect(result.errors.contains(text), "\(result.errors)")
            #expect(result.output == "")
        }
    }

    @Test("A state that cannot be fetched now is fetched again, except with --once")
    func transientState() throws {
        let count = Atomic(0)
        let application = try ScriptedHub { _ in
            count.add(1, ordering: .relaxed).newValue == 1
                ? .status("503 Service Unavailable") : .status("200 OK", "Last-Event-ID: x-1", body: "s")
        }
        let options = ["--until", "state", "--state", application.url(), "http://127.0.0.1:1/topics/a"]
        let result = try listen(options)
        #expect(result.status == 0 && result.errors.contains("503 Service Unavailable. Trying again in 0.5 s."))
        let state = ["--state", "http://127.0.0.1:1/"]
        #expect(try listen(["--once"] + state + ["http://127.0.0.1:1/topics/a"]).status == 5)
        let late = try listen(["--for", "100ms", "--count", "1"] + state + ["http://127.0.0.1:1/topics/a"])
        #expect(late.status == 2, "\(late.errors)")
    }

    @Test(
        "Options that exclude --state exit with status 64",
        arguments: [
            ["--state", "x"], ["--state", "ftp://a"], ["--state", "http://a/", "--last-event-id", "x"],
            ["--state", "http://a/", "--resume-file", "f"], ["--state", "http://a/", "--resume-from", "f"],
        ]
    )
    func mistakes(_ options: [String]) throws {
        #expect(try listen(options + ["http://127.0.0.1:1/topics/a"]).status == 64)
    }
}
#endif
