// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Command && Client && Server
import PlinthTestSupport
import Foundation
import Synchronization
import Testing

@testable import PlinthCLI

/// Runs the client commands with `--token` and `--token-file` against scripted hubs.
@Suite("The options --token and --token-file", .blocking)
struct TokenTests {
    /// Ways to run a client command that makes one request if the hub takes it.
    enum Way: String, CaseIterable, CustomTestStringConvertible {
        case listen, wait, publish, lines

        var testDescription: String { rawValue }

        func arguments(_ options: [String], _ url: String) -> [String] {
            switch self {
            case .listen: ["listen", "--count", "1"] + options + [url]
            case .wait: ["wait"] + options + [url]
            case .publish: ["publish"] + options + [url, "x"]
            case .lines: ["publish", "--lines"] + options + [url]
            }
        }

        /// The exit status after a refusal for good.
        var refused: Int32 { self == .listen || self == .wait ? 4 : 1 }

        /// The hub's answer to a request that it takes.
        var answer: ScriptedHub.Answer {
            switch self {
            case .listen: .hold(TokenTests.stream("id: x-1\ndata: 1\n\n"))
            case .wait:
                .status(
                    "200 OK",
                    "Content-Type: application/json",
                    body: #"{"events":[{"id":"x-1","topic":"a","type":"message","data":"1","retry":null}],"#
                        + #""next":"x-1","gap":null,"ended":false,"more":false}"#
                )
            case .publish, .lines: .status("201 Created", body: #"{"id":"x-1","count":1}"#)
            }
        }
    }

    private static func stream(_ events: String) -> String {
        ScriptedHub.Answer.head("200 OK", ["Content-Type: text/event-stream"]) + "retry: 1\n\n" + events
    }

    private static let expired = ScriptedHub.Answer.status(
        "401 Unauthorized",
        "Content-Type: application/json",
        body: #"{"error":"the token has expired","code":"token-expired"}"#
    )

    private func run(_ way: Way, _ options: [String], _ url: String) throws -> Tool.Result {
        try Tool.run(way.arguments(options, url), input: "1\n")
    }

    private func authorizations(_ hub: ScriptedHub) -> [String?] {
        hub.requests.values.map { $0.fields["authorization"] }
    }

    /// A file that holds a token, for servers that renew it.
    private final class Token: Sendable {
        private let folder: String
        let path: String

        init(_ text: String) throws {
            folder = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-\(UUID().uuidString)").path
            path = folder + "/token"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
            write(text)
        }

        deinit { try? FileManager.default.removeItem(atPath: folder) }

        func write(_ text: String) {
            do {
                try text.write(toFile: path, atomically: true, encoding: .utf8)
            } catch {
                Issue.record(error)
            }
        }
    }

    // MARK: - Requests

    @Test("Each command sends the token, from an argument or a file", arguments: Way.allCases)
    func sent(way: Way) throws {
        let token = try Token("from-file\n")
        let hub = try ScriptedHub { _ in way.answer }
        #expect(try run(way, ["--token", "from-argument"], hub.url()).status == 0)
        #expect(try run(way, ["--token-file", token.path], hub.url(user: "me:secret@")).status == 0)
        #expect(authorizations(hub) == ["Bearer from-argument", "Bearer from-file"])
    }

    @Test("Bench sends the token with its streams and its events")
    func bench() throws {
        let token = try Token("t")
        let hub = try ScriptedHub { request in
            request.line.hasPrefix("GET") ? .hold(Self.stream("")) : .status("403 Forbidden", body: "no")
        }
        let arguments = ["bench", "--subscribers", "2", "--rate", "100", "--for", "10ms", "--warm-up", "0s", hub.url()]
        for options in [["--token", "t"], ["--token-file", token.path]] {
            let result = try Tool.run(arguments + options, input: "")
            #expect(result.status == 1 && result.errors.contains("403 Forbidden"), "\(result.errors)")
        }
        #expect(
            hub.requests.values.map { String($0.line.prefix(4)) }.sorted() == [
                "GET ", "GET ", "GET ", "GET ", "POST", "POST",
            ]
        )
        #expect(authorizations(hub).allSatisfy { $0 == "Bearer t" })
    }

    @Test("A redirect within the origin gets the token, one to another origin does not", arguments: Way.allCases)
    func redirects(way: Way) throws {
        let token = try Token("t")
        let other = try ScriptedHub { _ in way.answer }
        let hub = try ScriptedHub { request in
            let path = request.line.contains("/topics/a") ? "/topics/b" : other.url("/topics/c")
            return .status("307 Temporary Redirect", "Location: \(path)")
        }
        for options in [["--token", "t"], ["--token-file", token.path]] {
            let result = try run(way, options, hub.url())
            #expect(result.status == 0, "\(result.errors)")
        }
        #expect(authorizations(hub) == Array(repeating: "Bearer t", count: 4))
        #expect(authorizations(other) == [nil, nil])
    }

    @Test("The application of --state gets the token if it has the stream's origin")
    func state() throws {
        let token = try Token("t")
        let answer: @Sendable (ScriptedHub.Request) -> ScriptedHub.Answer = { request in
            request.line.contains("/topics/")
                ? Way.listen.answer : .status("200 OK", "Last-Event-ID: x-0", body: "state")
        }
        let (hub, application) = (try ScriptedHub(answer), try ScriptedHub(answer))
        for options in [["--token", "t"], ["--token-file", token.path]] {
            for state in [hub, application] {
                let arguments = ["listen", "--count", "2", "--state", state.url("/state")] + options + [hub.url()]
                #expect(try Tool.run(arguments, input: "").status == 0)
            }
        }
        #expect(authorizations(hub) == Array(repeating: "Bearer t", count: 6))
        #expect(authorizations(application) == [nil, nil])
    }

    // MARK: - Renewal

    @Test("A reconnection sends the token that the file holds then")
    func reconnection() throws {
        let token = try Token("first")
        let hub = try ScriptedHub { request in
            if request.fields["last-event-id"] != nil { return .hold(Self.stream("id: x-2\ndata: 2\n\n")) }
            token.write("second")
            return .send(Self.stream("id: x-1\ndata: 1\n\n"))
        }
        let result = try Tool.run(["listen", "--count", "2", "--token-file", token.path, hub.url()], input: "")
        #expect(result.status == 0, "\(result.errors)")
        #expect(authorizations(hub) == ["Bearer first", "Bearer second"])
    }

    @Test(
        "Later lines are sent with the token that the file holds then, and not without one",
        arguments: ["second", ""]
    )
    func laterLines(renewed: String) throws {
        let token = try Token("first")
        let answered = DispatchSemaphore(value: 0)
        let hub = try ScriptedHub { _ in
            token.write(renewed)
            answered.signal()
            return Way.lines.answer
        }
        let process = try Tool.process(["publish", "--lines", "--token-file", token.path, hub.url()])
        let input = Pipe()
        let errors = Pipe()
        process.standardInput = input
        process.standardError = errors
        try process.run()
        try input.fileHandleForWriting.write(contentsOf: Data("1\n".utf8))
        answered.wait()
        try input.fileHandleForWriting.write(contentsOf: Data("2\n".utf8))
        try input.fileHandleForWriting.close()
        let said = String(decoding: errors.allOutput(), as: UTF8.self)
        process.waitUntilExit()
        guard renewed.isEmpty else {
            #expect(process.terminationStatus == 0, "\(said)")
            #expect(authorizations(hub) == ["Bearer first", "Bearer second"])
            return
        }
        #expect(process.terminationStatus == 1)
        #expect(said.contains("plinth publish: the token file \(token.path) is empty\n"), "\(said)")
        #expect(said.contains("the events from line 2 on were not published"), "\(said)")
        #expect(authorizations(hub) == ["Bearer first"])
    }

    @Test("After a 401 the request is sent again if the file holds another token by then", arguments: Way.allCases)
    func renewedAtRefusal(way: Way) throws {
        let token = try Token("first")
        let hub = try ScriptedHub { request in
            guard request.fields["authorization"] == "Bearer first" else { return way.answer }
            token.write("second")
            return Self.expired
        }
        let result = try run(way, ["--token-file", token.path], hub.url())
        #expect(result.status == 0, "\(result.errors)")
        #expect(authorizations(hub) == ["Bearer first", "Bearer second"])
        #expect(result.errors.contains("the token has expired"), "\(result.errors)")
        #expect(result.errors.localizedCaseInsensitiveContains("trying again with the new token in the file"))
        #expect(!result.errors.contains("first") && !result.errors.contains("second"))
    }

    @Test("After a 401 a token that is unchanged, or an argument, is not sent again", arguments: Way.allCases)
    func unchangedAtRefusal(way: Way) throws {
        let token = try Token("t")
        let hub = try ScriptedHub { _ in
            // The same token.
            token.write("t\n")
            return Self.expired
        }
        for options in [["--token-file", token.path], ["--token", "t"]] {
            let result = try run(way, options, hub.url())
            #expect(result.status == way.refused)
            #expect(result.errors.contains("401") && result.errors.contains("the token has expired"))
            #expect(!result.errors.contains("again with"), "\(result.errors)")
        }
        #expect(hub.requests.values.count == 2)
    }

    @Test("A second 401 is reported, even if the file has been renewed again", arguments: Way.allCases)
    func refusedTwice(way: Way) throws {
        let token = try Token("0")
        let count = Atomic(0)
        let hub = try ScriptedHub { _ in
            token.write("\(count.add(1, ordering: .relaxed).newValue)")
            return Self.expired
        }
        let result = try run(way, ["--token-file", token.path], hub.url())
        #expect(result.status == way.refused, "\(result.errors)")
        #expect(authorizations(hub) == ["Bearer 0", "Bearer 1"])
    }

    @Test("Listen resumes after the last event with a renewed token, each time that one expires")
    func resumesAfterRefusal() throws {
        let token = try Token("0")
        let hub = try ScriptedHub { request in
            let last = request.fields["last-event-id"] ?? "0"
            guard request.fields["authorization"] == "Bearer \(last)" else {
                token.write(last)
                return Self.expired
            }
            let next = (Int(last) ?? 0) + 1
            return .send(Self.stream("id: \(next)\ndata: \(next)\n\n"))
        }
        let result = try Tool.run(
            ["listen", "--json", "--count", "3", "--token-file", token.path, hub.url()],
            input: ""
        )
        #expect(result.status == 0, "\(result.errors)")
        let ids = (1...3).map { #"{"type":"message","data":"\#($0)","id":"\#($0)"}"# + "\n" }
        #expect(result.output == ids.joined())
        #expect(result.errors.contains("Trying again with the new token in the file, after the event 2."))
        #expect(authorizations(hub).map { $0?.last } == ["0", "0", "1", "1", "2"])
    }

    @Test("Lines that the hub took before the token expired are not sent again", arguments: [false, true])
    func partlyTaken(isNumbered: Bool) throws {
        let token = try Token("first")
        let folder = try Folder()
        let hub = try ScriptedHub { request in
            if request.line.hasPrefix("HEAD") { return .status("200 OK", "Last-Event-ID: x-0") }
            guard request.fields["authorization"] == "Bearer first" else {
                return .status("201 Created", body: #"{"id":"x-3","count":2}"#)
            }
            token.write("second")
            let body = #"{"id":"x-1","count":1,"error":"the token has expired","code":"token-expired"}"#
            return .status("401 Unauthorized", body: body)
        }
        let numbers = isNumbered ? ["--producer", "p", "--resume-file", folder.url.path + "/file"] : []
        let arguments = ["publish", "--lines", "--token-file", token.path] + numbers + [hub.url()]
        let result = try Tool.run(arguments, input: "1\n2\n3\n")
        #expect(result.status == 0, "\(result.errors)")
        let posts = hub.requests.values.filter { $0.line.hasPrefix("POST") }
        #expect(posts.map(\.body) == ["data: 1\n\ndata: 2\n\ndata: 3\n\n", "data: 2\n\ndata: 3\n\n"])
        #expect(posts.map { $0.fields["producer-sequence"] } == (isNumbered ? ["0", "1"] : [nil, nil]))
        #expect(result.errors.hasSuffix("3 events acknowledged; the last is x-3\n"), "\(result.errors)")
        // Without another token, the run ends.
        token.write("first")
        let same = try ScriptedHub { _ in
            .status("401 Unauthorized", body: #"{"id":"x-1","count":1,"error":"expired","code":"token-expired"}"#)
        }
        let ended = try Tool.run(
            ["publish", "--lines", "--token-file", token.path, same.url()],
            input: "1\n2\n3\n"
        )
        #expect(ended.status == 1 && ended.errors.contains("the events from line 2 on were not published"))
        #expect(same.requests.values.count == 1)
    }

    // MARK: - Unusable tokens

    @Test("A file that is unusable at a reconnection is reported, and read again at the next attempt")
    func unusableLater() throws {
        let token = try Token("first")
        let hub = try ScriptedHub { request in
            if request.fields["last-event-id"] != nil { return .hold(Self.stream("id: x-2\ndata: 2\n\n")) }
            token.write("")
            return .send(Self.stream("id: x-1\ndata: 1\n\n"))
        }
        let process = try Tool.process(["listen", "--count", "2", "--token-file", token.path, hub.url()])
        let errors = Pipe()
        process.standardOutput = FileHandle.nullDevice
        process.standardError = errors
        try process.run()
        let said = HubProcess.read(errors, until: "is empty. Reconnecting in")
        #expect(said.contains("plinth listen: the token file \(token.path) is empty."), "\(said)")
        token.write("second")
        _ = errors.allOutput()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(authorizations(hub) == ["Bearer first", "Bearer second"])
    }

    @Test("With --retry-for a file that is unusable at one attempt is read again at the next")
    func unusableAtRetry() throws {
        let token = try Token("first")
        let hub = try ScriptedHub { request in
            guard request.fields["authorization"] == "Bearer first" else { return Way.publish.answer }
            token.write("")
            return .status("503 Service Unavailable", body: #"{"error":"later","code":"not-taken"}"#)
        }
        let process = try Tool.process(["publish", "--retry-for", "3m", "--token-file", token.path, hub.url(), "x"])
        let errors = Pipe()
        process.standardOutput = FileHandle.nullDevice
        process.standardError = errors
        try process.run()
        let said = HubProcess.read(errors, until: "is empty; retrying in")
        #expect(said.contains("plinth publish: the token file \(token.path) is empty; "), "\(said)")
        token.write("second")
        _ = errors.allOutput()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        #expect(authorizations(hub) == ["Bearer first", "Bearer second"])
    }

    @Test("An unusable token or file is a usage error that does not quote the token", arguments: Way.allCases)
    func mistakes(way: Way) throws {
        let (good, bad) = (try Token("good"), try Token("secret\nsecret"))
        for (options, text) in [
            (["--token", ""], "--token is empty"), (["--token", "Bearer secret"], "--token holds more than a token"),
            (["--token", "secret", "--token-file", good.path], "mutually exclusive"),
            (["--token", "secret", "--header", "authorization: Bearer x"], "exclude --header"),
            (["--token-file", good.path, "--header", "Authorization: Bearer x"], "exclude --header"),
            (["--token-file", bad.path], "the token file \(bad.path) has several lines"),
            (["--token-file", good.path + "-none"], "-none cannot be opened"),
            (["--token-file", "/"], "not a regular"),
        ] {
            let result = try run(way, options, "http://127.0.0.1:1/topics/a")
            #expect(result.status == 64 && result.errors.contains(text), "\(result.errors)")
            #expect(!(result.output + result.errors).contains("secret"), "\(result.errors)")
        }
    }

    @Test("The help of --token says that others can read it, and names --token-file", arguments: ["listen", "bench"])
    func help(command: String) throws {
        let help = try Tool.run(["help", command], input: "").output.split(whereSeparator: \.isWhitespace)
            .joined(separator: " ")
        #expect(help.contains("Other users of this machine can read command lines: prefer --token-file."), "\(help)")
    }
}
#endif
