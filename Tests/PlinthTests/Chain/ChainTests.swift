// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTestSupport
import PlinthTesting
import Synchronization
import Testing

/// What a stage does besides recording its mark.
private enum Act: Sendable {
    case pass
    case throwing(Oops)
    case respond(String)
    case terminate
    case enqueue([Interceptor])
    /// In an error stage: rethrow the error.
    case passOn
}

private struct Oops: Error, Equatable {
    var text: String
}

/// Records the stages that ran.
private final class Trail: Sendable {
    private let storage = Mutex<[String]>([])

    var marks: String { storage.withLock { $0.joined(separator: " ") } }

    func mark(_ text: String) {
        storage.withLock { $0.append(text) }
    }

    func interceptor(_ name: String, enter: Act = .pass, leave: Act = .pass, error: Act? = nil) -> Interceptor {
        @Sendable func perform(_ act: Act, _ context: inout Context) throws {
            switch act {
            case .pass, .passOn: break
            case .throwing(let oops): throw oops
            case .respond(let text): context.response = .text(text)
            case .terminate: context.terminate()
            case .enqueue(let more): context.enqueue(more)
            }
        }
        func errorStage(_ act: Act) -> Interceptor.ErrorStage {
            { context, error in
                self.mark("!\(name)(\(error.interceptor).\(error.stage.rawValue) \(error.cause))")
                if case .passOn = act { throw error }
                try perform(act, &context)
            }
        }
        return Interceptor(
            name,
            enter: { context in
                self.mark("\(name)>")
                try perform(enter, &context)
            },
            leave: { context in
                self.mark("<\(name)")
                try perform(leave, &context)
            },
            error: error.map(errorStage)
        )
    }
}

@Suite("Chain")
struct ChainTests {
    private let trail = Trail()

    @Test("Stages enter in order and leave in reverse")
    func order() async throws {
        let chain = Chain([
            trail.interceptor("a"), trail.interceptor("b"), trail.interceptor("c", enter: .respond("hello")),
        ])
        #expect(try await chain.response(for: .get("/")).body == "hello")
        #expect(trail.marks == "a> b> c> <c <b <a")
    }

    @Test("A response or terminate ends the enter phase", arguments: [true, false])
    func early(responds: Bool) async throws {
        let chain = Chain([
            trail.interceptor("a"), trail.interceptor("b", enter: responds ? .respond("early") : .terminate),
            trail.interceptor("c"),
        ])
        let response = try await chain.response(for: .get("/"))
        #expect(response.status == (responds ? .ok : .notFound))
        #expect(trail.marks == "a> b> <b <a")
    }

    @Test("Enqueued interceptors run after those already queued")
    func enqueue() async throws {
        let chain = Chain([
            trail.interceptor("a", enter: .enqueue([trail.interceptor("c"), trail.interceptor("d")])),
            trail.interceptor("b"),
        ])
        _ = try await chain.response(for: .get("/"))
        #expect(trail.marks == "a> b> c> d> <d <c <b <a")
    }

    @Test("An error goes to the error stages, from the throwing interceptor backwards, until one handles it")
    func handled() async throws {
        let chain = Chain([
            trail.interceptor("a"), trail.interceptor("b", error: .respond("handled")), trail.interceptor("c"),
            trail.interceptor("d", enter: .throwing(Oops(text: "x")), error: .passOn), trail.interceptor("e"),
        ])
        #expect(try await chain.response(for: .get("/")).body == "handled")
        #expect(
            trail.marks
                == "a> b> c> d> !d(d.enter Oops(text: \"x\")) !b(d.enter Oops(text: \"x\")) <a"
        )
    }

    @Test("An error of a leave stage goes to earlier interceptors")
    func leaveError() async throws {
        let chain = Chain([
            trail.interceptor("a", error: .respond("handled")),
            trail.interceptor("b", leave: .throwing(Oops(text: "x")), error: .passOn),
            trail.interceptor("c", enter: .respond("gone")),
        ])
        #expect(try await chain.response(for: .get("/")).body == "handled")
        #expect(trail.marks == "a> b> c> <c <b !a(b.leave Oops(text: \"x\"))")
    }

    @Test("An error thrown by an error stage replaces the first, which is kept as suppressed")
    func replaced() async throws {
        let seen = Mutex<[Oops]>([])
        let chain = Chain([
            Interceptor(
                "a",
                error: { context, error in
                    seen.withLock { $0 = error.suppressed.compactMap { $0 as? Oops } }
                    context.response = .text("\(error.interceptor) \(error.stage.rawValue) \(error.cause)")
                }
            ),
            trail.interceptor("b", error: .throwing(Oops(text: "third"))),
            trail.interceptor("c", error: .throwing(Oops(text: "second"))),
            trail.interceptor("d", enter: .throwing(Oops(text: "first"))),
        ])
        #expect(try await chain.response(for: .get("/")).body == "b error Oops(text: \"third\")")
        #expect(seen.withLock { $0 } == [Oops(text: "first"), Oops(text: "second")])
    }

    @Test("An unhandled error is a 500 without details, logged with interceptor and stage")
    func unhandled() async throws {
        let log = LogRecord()
        let request = Request.make(.get, "/", logger: log.logger)
        let chain = Chain([
            trail.interceptor("outer", error: .passOn),
            trail.interceptor("culprit", enter: .throwing(Oops(text: "secret"))),
        ])
        let response = try await chain.response(for: request)
        #expect(response.status == .internalServerError)
        #expect(!response.body.contains("secret"))
        let line = try #require(log.lines.first { $0.level == .error })
        #expect(line.metadata["interceptor"] == "culprit")
        #expect(line.metadata["stage"] == "enter")
        #expect(line.metadata["request-id"] == "\(request.id)")
        #expect(line.metadata["error"]?.description.contains("secret") == true)
        #expect(log.lines.count == 1)
    }

    @Test("An error with its own response becomes it, and is not logged")
    func responseError() async throws {
        let log = LogRecord()
        let chain = Chain([
            .handler("h") { _ in throw HTTPError(.conflict, "already there", headers: [.retryAfter: "1"]) }
        ])
        let response = try await chain.response(for: .make(.get, "/", logger: log.logger))
        #expect(response.status == .conflict)
        #expect(response.body == "already there\n")
        #expect(response.headers[.retryAfter] == "1")
        #expect(log.lines.isEmpty)
    }

    @Test("The client gets an early head, and a later change is logged with its interceptor")
    func sendHead() async throws {
        let log = LogRecord()
        let chain = Chain([
            Interceptor("late", leave: { $0.response?.headers[.server] = "late" }),
            Interceptor("harmless", leave: { #expect($0.isResponseSent) }),
            Interceptor(
                "early",
                enter: { context in
                    context.response = .text("early")
                    try await context.sendHead()
                }
            ),
        ])
        let response = try await chain.response(for: .make(.get, "/", logger: log.logger))
        #expect(response.isHeadSentEarly)
        #expect(response.headers[.server] == nil)
        #expect(response.body == "early")
        #expect(log.lines.map(\.level) == [.error])
        #expect(log.lines.first?.metadata["interceptor"] == "late")
    }

    @Test("Sending a head twice or without a response throws")
    func sendHeadTwice() async throws {
        let chain = Chain([
            Interceptor(
                "twice",
                enter: { context in
                    await #expect(throws: SendHeadError.noResponse) { try await context.sendHead() }
                    context.response = .text("x")
                    try await context.sendHead()
                    await #expect(throws: SendHeadError.alreadySent) { try await context.sendHead() }
                }
            )
        ])
        #expect(try await chain.response(for: .get("/")).status == .ok)
    }

    @Test("A client that disconnects is not an error")
    func cancellation() async throws {
        let log = LogRecord()
        let request = Request.make(.get, "/", logger: log.logger)
        let chain = Chain([
            .handler("h") { _ in
                try Task.checkCancellation()
                return .text("")
            }
        ])
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await chain.unsentResponse(for: request).status
        }
        #expect(await task.value.code == 499)
        #expect(log.lines.map(\.level) == [.debug])
    }

    @Test("Values are passed from stage to stage")
    func values() async throws {
        struct User: ValueKey { typealias Value = String }
        let chain = Chain([
            Interceptor("in", enter: { $0.request.values[User.self] = "Ada" }),
            .handler("h") { .text($0.values[User.self] ?? "nobody") },
        ])
        #expect(try await chain.response(for: .get("/")).body == "Ada")
    }

    @Test("Bodies of every kind are collected, and omitted for HEAD")
    func bodies() async throws {
        let bodies: [(ResponseBody, Int?)] = [
            (.string("hello"), 5), (.bytes(Array("hello".utf8)), 5),
            (
                .writer(length: 5) {
                    try await $0.write("hel"); try await $0.write("lo")
                }, 5
            ),
            (
                .sequence(
                    AsyncStream { stream in
                        stream.yield(Array("hello".utf8))
                        stream.finish()
                    }
                ), nil
            ),
        ]
        for (body, length) in bodies {
            let chain = Chain([.handler("h") { _ in Response(body: body) }])
            let head = try await chain.response(for: .head("/"))
            #expect(head.bytes.isEmpty)
            #expect(head.contentLength == length)
            let get = try await chain.response(for: .get("/"))
            #expect(get.body == "hello")
            #expect(get.contentLength == length)
        }
    }
}
