// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Command && Client && Server
import PlinthTestSupport
import Foundation
import Glibc
import Synchronization
import Testing

@testable import PlinthCLI

/// Runs `plinth publish --end`, `--key`, `--also` and `--producer` against scripted hubs.
@Suite("The command plinth publish with the options of a hub", .blocking)
struct PublishHubTests {
    private func publish(_ arguments: [String], input: String = "") throws -> Tool.Result {
        try Tool.run(["publish"] + arguments, input: input)
    }

    private func hub(_ body: String, _ status: String = "201 Created", _ fields: String = "X: y") throws -> ScriptedHub
    {
        try ScriptedHub { _ in .status(status, fields, body: body) }
    }

    // MARK: - One event

    @Test("--end ends the topic with the event, or with empty data alone, and prints the end's ID")
    func end() throws {
        let hub = try hub(#"{"id":"x-2","count":2}"#)
        let result = try publish(["--end", "--type", "t", hub.url(), "bye"])
        #expect(result == .init(output: "x-2\n", errors: "", status: 0))
        #expect(hub.requests.values[0].line == "POST /topics/a?type=t&end HTTP/1.1")
        #expect(hub.requests.values[0].body == "bye")
        #expect(try publish(["--end", hub.url(), ""]).status == 0)
        #expect(hub.requests.values[1].body == "" && hub.requests.values[1].fields["content-length"] == "0")
        let ended = try self.hub(#"{"id":"x-2","count":0,"repeated":1}"#, "200 OK")
        let again = try publish(["--end", ended.url(), ""])
        #expect(again == .init(output: "x-2\n", errors: "plinth publish: the topic had ended\n", status: 0))
    }

    @Test("An event for a topic that has ended is an error with status 6", arguments: [[], ["--lines"]])
    func ended(_ options: [String]) throws {
        let hub = try hub(
            #"{"error":"the topic has ended","code":"topic-ended","id":"x-2"}"#,
            "409 Conflict",
            "Last-Event-ID: x-2"
        )
        let result = try publish(options + [hub.url()], input: "late\n")
        #expect(result.status == 6)
        #expect(result.errors.contains("409 Conflict: the topic has ended"), "\(result.errors)")
        #expect(!result.errors.contains("the last is"), "\(result.errors)")
    }

    @Test("--key is sent with the event, and a repeated answer is reported")
    func key() throws {
        let hub = try hub(#"{"id":"x-2"}"#, "201 Created", "Idempotent-Replayed: true")
        let result = try publish(["--key", "order 7", hub.url(), "x"])
        #expect(result.status == 0 && result.output == "x-2\n")
        #expect(result.errors == "plinth publish: the hub had taken the event with this key before\n")
        #expect(hub.requests.values[0].fields["idempotency-key"] == "order 7")
        let other = try self.hub(
            #"{"error":"another event has the key","code":"key-reused"}"#,
            "422 Unprocessable Content"
        )
        let refused = try publish(["--key", "k", other.url(), "x"])
        #expect(refused.status == 1 && refused.errors.contains("another event has the key; nothing was published"))
    }

    @Test("--also publishes one event to several topics")
    func also() throws {
        let hub = try hub(#"{"id":"x-2"}"#)
        let url = hub.url("/hub/topics/a%2Fb")
        #expect(try publish(["--also", "c d", "--also", "e", "--type", "t", url, "x"]).status == 0)
        #expect(hub.requests.values[0].line == "POST /hub/topics?topic=a%2Fb&topic=c%20d&topic=e&type=t HTTP/1.1")
    }

    @Test(
        "Options that do not fit together exit with status 64",
        arguments: [
            ["--key", ""], ["--key", "a\nb"], ["--key", " a"], ["--key", String(repeating: "x", count: 256)],
            ["--key", "k", "--lines"], ["--also", "", "--key", "k"], ["--also", "b", "--lines"],
            ["--also", "b", "--end"], ["--producer", "p"], ["--producer", "p", "--lines"],
            ["--producer", "", "--json", "--resume-file", "f"], ["--producer", "p", "--resume-file", "f"],
            ["--producer", "a\u{7F}", "--json", "--resume-file", "f"], ["--resume-file", "f", "--lines"],
        ]
    )
    func mistakes(_ options: [String]) throws {
        let result = try publish(options + ["http://127.0.0.1:1/topics/a"])
        #expect(result.status == 64, "\(result)")
        #expect(try publish(["--also", "b", "http://127.0.0.1:1/feed", "x"]).status == 64)
    }

    // MARK: - Retries

    @Test(
        "With --retry-for an event that the hub could not take is sent again",
        arguments: ["not-taken", "outcome-unknown"]
    )
    func notTaken(code: String) throws {
        for options in [[], ["--lines"]] {
            let count = Atomic(0)
            let hub = try ScriptedHub { _ in
                guard count.add(1, ordering: .relaxed).newValue < 3 else {
                    return .status("201 Created", body: #"{"id":"x-1"}"#)
                }
                return .status("503 Service Unavailable", body: #"{"error":"later","code":"\#(code)"}"#)
            }
            let result = try publish(options + ["--retry-for", "3m", hub.url()], input: "x\n")
            #expect(result.status == 0, "\(result.errors)")
            #expect(hub.requests.values.count == 3)
        }
    }

    @Test("An unknown outcome is not reported as if nothing was published")
    func outcomeUnknown() throws {
        let hub = try hub(#"{"error":"later","code":"outcome-unknown"}"#, "503 Service Unavailable")
        let result = try publish([hub.url(), "x"])
        #expect(result.status == 1)
        #expect(result.errors.contains("may or may not have been published"), "\(result.errors)")
        let keyed = try publish(["--key", "k", hub.url(), "x"])
        #expect(keyed.errors.contains("run the same command again"), "\(keyed.errors)")
    }

    @Test("Lines that a hub has accepted are not sent again with the rest")
    func partlyTaken() throws {
        let count = Atomic(0)
        let hub = try ScriptedHub { _ in
            guard count.add(1, ordering: .relaxed).newValue == 1 else {
                return .status("201 Created", body: #"{"id":"x-3","count":2}"#)
            }
            let body = #"{"id":"x-1","count":1,"error":"later","code":"not-taken"}"#
            return .status("503 Service Unavailable", body: body)
        }
        let result = try publish(["--lines", "--retry-for", "3m", hub.url()], input: "1\n2\n3\n")
        #expect(result.status == 0, "\(result.errors)")
        #expect(hub.requests.values.map(\.body) == ["data: 1\n\ndata: 2\n\ndata: 3\n\n", "data: 2\n\ndata: 3\n\n"])
        #expect(result.errors.hasSuffix("3 events acknowledged; the last is x-3\n"), "\(result.errors)")
    }

    @Test("--end ends the topic after the last line, and not after an error")
    func endOfLines() throws {
        let hub = try ScriptedHub { request in
            if request.line.contains("?end") { return .status("201 Created", body: #"{"id":"x-3","count":1}"#) }
            let isRefused = request.body.contains("data: no")
            return .status(isRefused ? "400 Bad Request" : "201 Created", body: isRefused ? "{}" : #"{"id":"x-2"}"#)
        }
        let result = try publish(["--lines", "--end", hub.url()], input: "1\n2\n")
        #expect(result.status == 0)
        #expect(result.errors == "2 events acknowledged; the last is x-3\n")
        #expect(hub.requests.values.last?.line == "POST /topics/a?end HTTP/1.1")
        #expect(hub.requests.values.last?.body == "")
        let count = hub.requests.values.count
        #expect(try publish(["--lines", "--end", hub.url()], input: "no\n").status == 1)
        #expect(try publish(["--json", "--end", hub.url()], input: "no\n").status == 1)
        #expect(!hub.requests.values.dropFirst(count).contains { $0.line.contains("?end") })
    }

    // MARK: - A producer

    /// A hub that knows one producer, and counts the events that it takes.
    private final class ProducerHub: Sendable {
        struct State {
            var epoch = 0
            var next = 0
            var isKnown = false
            var taken: [String] = []
        }

        let state = Mutex(State())
        private let changed = NSCondition()
        /// Called with the number of the request to publish, from 1; the answer replaces the hub's, after it has acted.
        let replace: @Sendable (Int) -> ScriptedHub.Answer?
        private let posts = Atomic(0)

        init(_ replace: @escaping @Sendable (Int) -> ScriptedHub.Answer? = { _ in nil }) { self.replace = replace }

        /// Blocks until the hub has taken a number of events.
        func wait(for count: Int) {
            changed.lock()
            defer { changed.unlock() }
            while state.withLock({ $0.taken.count }) < count { changed.wait() }
        }

        func answer(_ request: ScriptedHub.Request) -> ScriptedHub.Answer {
            defer {
                changed.lock()
                changed.broadcast()
                changed.unlock()
            }
            return state.withLock { state in
                if request.line.hasPrefix("HEAD") {
                    guard state.isKnown else { return .status("200 OK", "Last-Event-ID: x-0") }
                    return .status(
                        "200 OK",
                        "Last-Event-ID: x-9",
                        "Producer-Epoch: \(state.epoch)",
                        "Producer-Sequence: \(state.next - 1)"
                    )
                }
                let fields = ["epoch", "sequence"].map { Int(request.fields["producer-\($0)"] ?? "") ?? -1 }
                let events = request.body.components(separatedBy: "\n\n").dropLast().map { String($0.dropFirst(6)) }
                if fields[0] > state.epoch || !state.isKnown, fields[1] == 0 {
                    state.epoch = fields[0]
                    state.next = 0
                }
                let known = min(events.count, state.next - fields[1])
                state.isKnown = true
                if known >= 0 {
                    state.taken += events.dropFirst(known)
                    state.next += events.count - known
                }
                let replaced = replace(posts.add(1, ordering: .relaxed).newValue)
                if let replaced { return replaced }
                guard known >= 0 else {
                    return .status("409 Conflict", body: #"{"error":"a hole","code":"sequence-hole","count":0}"#)
                }
                let body = #"{"id":"x-\#(state.next)","count":\#(events.count - known),"repeated":\#(known)}"#
                return .status(known == events.count ? "200 OK" : "201 Created", body: body)
            }
        }
    }

    private func events(_ numbers: ClosedRange<Int>) -> String {
        numbers.map { "{\"data\":\"\($0)\",\"id\":\"f-\($0)\"}\n" }.joined()
    }

    @Test("A response that is lost does not double events, with --retry-for and with a second run")
    func lostResponses() throws {
        let folder = try Folder()
        let file = folder.url.path + "/id"
        let model = ProducerHub { [1, 3].contains($0) ? .send("") : nil }
        let hub = try ScriptedHub { model.answer($0) }
        let options = ["--json", "--producer", "p", "--resume-file", file, hub.url()]
        let first = try publish(["--retry-for", "3m"] + options, input: events(1...3))
        #expect(first.status == 0, "\(first.errors)")
        let second = try publish(options, input: events(4...6))
        #expect(second.status == 1)
        #expect(second.errors.contains("run the same command again, which publishes none twice"), "\(second.errors)")
        // The file is what `listen --resume-from` reads: the source repeats the events.
        #expect(try String(contentsOfFile: file, encoding: .utf8).hasPrefix("f-3\n"))
        let third = try publish(options, input: events(4...8))
        #expect(third.status == 0, "\(third.errors)")
        #expect(third.errors.contains("2 events acknowledged, 3 left out, which an earlier run published"))
        #expect(model.state.withLock(\.taken) == (1...8).map(String.init))
        let fields = hub.requests.values.filter { $0.line.hasPrefix("POST") }.map(\.fields)
        #expect(fields.map { $0["producer-sequence"] } == ["0", "0", "3", "6"])
        #expect(fields.allSatisfy { $0["producer-id"] == "p" && $0["producer-epoch"] == "0" })
    }

    @Test("A bridge that is killed repeatedly publishes each event once and in order", .timeLimit(.minutes(3)))
    func bridge() throws {
        let source = try HubProcess()
        let url = "\(source.address)/topics/a"
        let model = ProducerHub { $0.isMultiple(of: 5) ? .send("") : nil }
        let hub = try ScriptedHub { model.answer($0) }
        let folder = try Folder()
        let file = folder.url.path + "/id"
        let rounds = 12
        for round in 1...rounds {
            let listen = try Tool.process([
                "listen", "--json", "--resume-from", file, "--last-event-id", "earliest", url,
            ])
            let publish = try Tool.process([
                "publish", "--json", "--producer", "p", "--resume-file", file, "--retry-for", "3m", hub.url(),
            ])
            try Tool.run(listen, into: publish)
            let lines = (20 * round - 19...20 * round).map { "\($0)\n" }.joined()
            #expect(try self.publish(["--lines", url], input: lines).status == 0)
            // Killed while it sends the round's events, in the last round when it has sent them.
            model.wait(for: round == rounds ? 20 * round : 20 * round - 10)
            for process in round.isMultiple(of: 2) ? [listen, publish] : [publish, listen] {
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
            }
        }
        #expect(model.state.withLock(\.taken) == (1...20 * rounds).map(String.init))
    }

    @Test("With --lines a file is continued after its last published line")
    func lines() throws {
        let folder = try Folder()
        let file = folder.url.path + "/id"
        let model = ProducerHub { $0 == 1 ? .send("") : nil }
        let hub = try ScriptedHub { model.answer($0) }
        let options = ["--lines", "--producer", "p", "--resume-file", file, hub.url()]
        #expect(try publish(options, input: "1\n2\n").status == 1)
        let second = try publish(options, input: "1\n2\n3\n")
        #expect(second.status == 0 && second.errors.contains("1 events acknowledged, 2 left out"), "\(second.errors)")
        let third = try publish(options, input: "1\n2\n3\n4")
        #expect(third.status == 0 && third.errors.contains("continuing after line 3"), "\(third.errors)")
        #expect(model.state.withLock(\.taken) == ["1", "2", "3", "4"])
    }

    @Test("Fenced, a producer ends with status 7; other numbers than its own are an error")
    func fenced() throws {
        let folder = try Folder()
        let model = ProducerHub()
        let hub = try ScriptedHub { model.answer($0) }
        let options = ["--json", "--producer", "p", "--resume-file", folder.url.path + "/id", hub.url()]
        #expect(try publish(options, input: events(1...2)).status == 0)
        model.state.withLock { $0.next = 5 }
        let foreign = try publish(options, input: events(3...4))
        #expect(
            foreign.status == 1 && foreign.errors.contains("has taken event 4 of the producer p"),
            "\(foreign.errors)"
        )
        model.state.withLock { $0.epoch = 3 }
        let fenced = try publish(options, input: events(3...4))
        #expect(fenced.status == 7 && fenced.errors.contains("the later epoch 3"), "\(fenced.errors)")
        #expect(model.state.withLock(\.taken) == ["1", "2"])
        let late = try ScriptedHub { request in
            request.line.hasPrefix("HEAD")
                ? .status("200 OK", "Last-Event-ID: x-1")
                : .status("403 Forbidden", "Producer-Epoch: 9", body: #"{"error":"fenced","code":"producer-fenced"}"#)
        }
        let other = ["--json", "--producer", "q", "--resume-file", folder.url.path + "/q", late.url()]
        #expect(try publish(other, input: events(1...1)).status == 7)
    }

    @Test("If the hub forgets the producer during a run, a new epoch begins")
    func forgotten() throws {
        let folder = try Folder()
        let count = Atomic(0)
        let model = ProducerHub()
        let hub = try ScriptedHub { request in
            if request.line.hasPrefix("POST"), count.add(1, ordering: .relaxed).newValue == 2 {
                model.state.withLock { $0 = ProducerHub.State(taken: $0.taken) }
                return .status("409 Conflict", body: #"{"error":"unknown","code":"producer-unknown","count":0}"#)
            }
            return model.answer(request)
        }
        let options = ["--json", "--producer", "p", "--resume-file", folder.url.path + "/id", hub.url()]
        #expect(try publish(options, input: events(1...1)).status == 0)
        let result = try publish(options, input: events(2...3))
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.errors.contains("the hub has lost the state of the producer p: beginning its epoch 1"))
        #expect(model.state.withLock(\.taken) == ["1", "2", "3"])
    }

    @Test("A server that does not know producers, and an invalid file, publish nothing")
    func unsuitable() throws {
        let folder = try Folder()
        let options = ["--json", "--producer", "p", "--resume-file", folder.url.path + "/id"]
        for (answer, text) in [
            (ScriptedHub.Answer.status("405 Method Not Allowed"), "405 Method Not Allowed to a HEAD"),
            (.status("200 OK"), "without a Last-Event-ID"),
            (.status("200 OK", "Last-Event-ID: x", "Producer-Epoch: 1"), "an invalid producer's state"),
            (.status("200 OK", "Last-Event-ID: x", "Producer-Epoch: -1", "Producer-Sequence: 1e9"), "an invalid"),
        ] {
            let hub = try ScriptedHub { _ in answer }
            let result = try publish(options + [hub.url()], input: events(1...1))
            #expect(result.status == 1 && result.errors.contains(text), "\(result.errors)")
            #expect(hub.requests.values.count == 1)
        }
        let file = try folder.file("bad", "f-1\n{\"producer\":\"q\",\"epoch\":0,\"next\":1}\n")
        let other = try publish(["--json", "--producer", "p", "--resume-file", file, "http://127.0.0.1:1/"])
        #expect(
            other.status == 74 && other.errors.contains("line 2: it belongs to the producer \"q\""),
            "\(other.errors)"
        )
    }

    @Test("--end of a producer takes a number")
    func endOfProducer() throws {
        let folder = try Folder()
        let model = ProducerHub()
        let hub = try ScriptedHub { request in
            request.line.contains("?end")
                ? .status("201 Created", body: #"{"id":"x-9","count":1}"#) : model.answer(request)
        }
        let options = ["--json", "--end", "--producer", "p", "--resume-file", folder.url.path + "/id", hub.url()]
        let result = try publish(options, input: events(1...2))
        #expect(
            result.status == 0 && result.errors.contains("2 events acknowledged; the last is x-9"),
            "\(result.errors)"
        )
        let end = try #require(hub.requests.values.last)
        #expect(end.line == "POST /topics/a?end HTTP/1.1" && end.fields["producer-sequence"] == "2")
    }
}
#endif
