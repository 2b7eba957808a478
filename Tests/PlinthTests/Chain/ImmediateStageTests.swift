// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTestSupport
import PlinthTesting
import Synchronization
import Testing

/// Stages that wait and stages that do not.
@Suite("Immediate stages")
struct ImmediateStageTests {
    private struct Oops: Error {}

    private final class NoExchange: Exchange {
        func sendHead(_ response: Response, for request: Request) async throws {}
    }

    /// What a random interceptor does in a stage.
    private enum Act: CaseIterable {
        case nothing, pass, answer, fail, terminate
    }

    /// A random interceptor, some of whose stages wait if `waits` says so.
    private static func interceptor(
        _ name: String,
        _ acts: [Act],
        waits: Bool,
        _ mark: @escaping @Sendable (String) -> Void
    ) -> Interceptor {
        let perform: @Sendable (inout Context, Int) throws -> Void = { context, stage in
            mark("\(name)\(stage)")
            switch acts[stage] {
            case .nothing, .pass: break
            case .answer: context.response = .text("\(name)\(stage)")
            case .fail: throw Oops()
            case .terminate: context.terminate()
            }
        }
        let handle: @Sendable (inout Context, ChainError) throws -> Void = { context, error in
            mark("\(name)!\(error.interceptor)")
            if acts[2] == .pass { throw error }
            try perform(&context, 2)
        }
        guard waits else {
            let enter: Interceptor.ImmediateStage = { try perform(&$0, 0) }
            let leave: Interceptor.ImmediateStage = { try perform(&$0, 1) }
            return Interceptor(
                name,
                enter: acts[0] == .nothing ? nil : enter,
                leave: acts[1] == .nothing ? nil : leave,
                error: acts[2] == .nothing ? nil : handle
            )
        }
        let enter: Interceptor.Stage = { context in
            await Task.yield()
            try perform(&context, 0)
        }
        let leave: Interceptor.Stage = { context in
            await Task.yield()
            try perform(&context, 1)
        }
        let error: Interceptor.ErrorStage = { context, error in
            await Task.yield()
            try handle(&context, error)
        }
        return Interceptor(
            name,
            enter: acts[0] == .nothing ? nil : enter,
            leave: acts[1] == .nothing ? nil : leave,
            error: acts[2] == .nothing ? nil : error
        )
    }

    @Test("A chain does the same whichever of its stages wait")
    func same() async throws {
        for seed in UInt64(0)..<500 {
            var random = SeededGenerator(seed: seed)
            let plan = (0..<Int.random(in: 1...5, using: &random)).map { _ in
                (0..<3).map { _ in Act.allCases.randomElement(using: &random) ?? .pass }
            }
            var runs: [(marks: [String], answer: String)] = []
            for share in [0.0, 1, 0.5, 0.5] {
                let marks = Mutex<[String]>([])
                let chain = Chain(
                    plan.enumerated().map { number, acts in
                        Self.interceptor(
                            "\(number)",
                            acts,
                            waits: Double.random(in: 0..<1, using: &random) < share
                        ) { mark in marks.withLock { $0.append(mark) } }
                    }
                )
                let response = try await chain.response(for: .get("/"))
                runs.append((marks.withLock { $0 }, "\(response.status) \(response.body)"))
            }
            for run in runs.dropFirst() {
                #expect(run.marks == runs[0].marks, "seed \(seed)")
                #expect(run.answer == runs[0].answer, "seed \(seed)")
            }
        }
    }

    @Test("A chain without stages that wait is over when it has started")
    func isOver() {
        let chain = Chain([
            .errorResponses(), .notFound(), .queryParameters(), Interceptor("a", leave: { $0.response = .text("a") }),
        ])
        var run = chain.start(.make(.get, "/"), on: NoExchange())
        #expect(run.isOver)
        #expect(run.outcome().response.status == .ok)
    }

    @Test("A chain stops before the first stage that waits, and goes on from there")
    func goesOn() async {
        let marks = Mutex<[String]>([])
        let chain = Chain([
            Interceptor("a", enter: { _ in marks.withLock { $0.append("a") } }),
            Interceptor(
                "b",
                enter: { _ in
                    await Task.yield()
                    marks.withLock { $0.append("b") }
                }
            ),
            .handler("c") { _ in
                marks.withLock { $0.append("c") }
                return .text("c")
            },
        ])
        let run = chain.start(.make(.get, "/"), on: NoExchange())
        #expect(!run.isOver)
        #expect(marks.withLock { $0 } == ["a"])
        let outcome = await chain.finish(run)
        #expect(marks.withLock { $0 } == ["a", "b", "c"])
        #expect(outcome.response.status == .ok)
    }

    @Test("A handler decides for each request whether it waits", arguments: ["now", "later", "fails", "fails later"])
    func answers(_ kind: String) async throws {
        let chain = Chain([
            .errorResponses(),
            .answering("decides") { _ in
                switch kind {
                case "now": return .now(.text("now"))
                case "fails": throw HTTPError(.conflict, "no")
                default:
                    return .later {
                        await Task.yield()
                        guard kind == "later" else { throw HTTPError(.conflict, "no") }
                        return .text("later")
                    }
                }
            },
        ])
        #expect(chain.start(.make(.get, "/"), on: NoExchange()).isOver == (kind == "now" || kind == "fails"))
        let response = try await chain.response(for: .get("/"))
        #expect(response.status == (kind.hasPrefix("fails") ? .conflict : .ok))
        if !kind.hasPrefix("fails") { #expect(response.body == kind) }
    }

    @Test("A route's closure without `await` does not wait, in every form of declaration")
    func routes() throws {
        let routes = try Routes {
            Route.get("/short") { _ in .text("short") }
            Route.on(.get, "/on") { _ in .text("on") }
            Route.get("/handler", Interceptor.handler("handler") { _ in .text("handler") })
        }
        for path in ["/short", "/on", "/handler"] {
            #expect(Chain([routes.router]).start(.make(.get, path), on: NoExchange()).isOver, "\(path)")
        }
    }

    @Test("A body in memory is collected at once, up to the limit")
    func collects() throws {
        let body = RequestBody(bytes: [1, 2, 3])
        #expect(try body.collectNow(upTo: 3) == [1, 2, 3])
        let error = #expect(throws: HTTPError.self) { try body.collectNow(upTo: 2) }
        #expect(error?.status == .contentTooLarge)
        #expect(try RequestBody { nil }.collectNow(upTo: 3) == nil)
    }
}
