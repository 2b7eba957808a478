// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Plinth
import PlinthTestSupport
import Testing

@testable import PlinthServer

/// Requests that run on their connection's event loop.
@Suite("Requests in place")
struct RequestInPlaceTests {
    /// Responds with how it runs.
    private static let reporting: [Interceptor] = [
        Interceptor("waits", enter: { if $0.request.path == "/later" { await Task.yield() } }),
        .handler("reports") { _ in .text(withUnsafeCurrentTask { $0 == nil ? "no task" : "a task" }) },
    ]

    @Test("A request whose stages do not wait has no task there; elsewhere every request has one")
    func tasks() async throws {
        for inPlace in [true, false] {
            let immediate = Array(Self.reporting.dropFirst())
            try await withServer(immediate, configure: { $0.runsRequestsOnEventLoops = inPlace }) { server in
                let client = try await server.client()
                #expect(try await client.get("/").body == (inPlace ? "no task" : "a task"))
            }
        }
    }

    @Test("From the first stage that waits, the request has a task")
    func waits() async throws {
        try await withServer(Self.reporting, configure: { $0.runsRequestsOnEventLoops = true }) { server in
            let client = try await server.client()
            for path in ["/now", "/later"] { #expect(try await client.get(path).body == "a task") }
        }
    }

    @Test("Every kind of body is sent, after stages that wait or not", arguments: [true, false])
    func bodies(waits: Bool) async throws {
        let large = String(repeating: "x", count: 300_000)
        let routes = try Routes {
            Route.get("/small") { _ in .text("small") }
            Route.get("/large") { _ in .text(large) }
            Route.get("/written") { _ in
                Response(body: .writer { writer in for _ in 0..<3 { try await writer.write(Array("part".utf8)) } })
            }
            Route.get("/none") { _ in Response(status: .noContent) }
            Route.get("/interim") { _ in Response(status: .continue) }
            Route.get("/events", Interceptor.eventStream("events") { events, _ in await events.send("one") })
        }
        let first =
            waits
            ? Interceptor("first", enter: { _ in await Task.yield() }) : Interceptor("first", enter: { _ in })
        try await withServer(
            [first, routes.router],
            configure: { $0.runsRequestsOnEventLoops = true }
        ) { server in
            let client = try await server.client()
            #expect(try await client.get("/small").body == "small")
            #expect(try await client.get("/large").body.count == large.count)
            #expect(try await client.get("/written").body == "partpartpart")
            #expect(try await client.get("/none").status == 204)
            #expect(try await client.get("/small").body == "small")
            #expect(try await server.client().get("/interim").status == 500)
            #expect(try await server.client().get("/events").body.contains("data: one"))
        }
    }

    @Test("A body is collected at once only when all of it has arrived, and is never read in part")
    func collects() async throws {
        let stream = RequestBodyStream(isAwaited: false, now: { .now() }, onDemand: {}, onPauseLimit: { _ in })
        #expect(try stream.body.collectNow(upTo: 10) == nil)
        _ = stream.append([1, 2])
        #expect(try stream.body.collectNow(upTo: 10) == nil)
        _ = stream.append([3])
        stream.end()
        #expect(try stream.body.collectNow(upTo: 10) == [1, 2, 3])

        let long = RequestBodyStream(isAwaited: false, now: { .now() }, onDemand: {}, onPauseLimit: { _ in })
        _ = long.append([1, 2])
        long.end()
        #expect(throws: HTTPError.self) { try long.body.collectNow(upTo: 1) }

        let lost = RequestBodyStream(isAwaited: false, now: { .now() }, onDemand: {}, onPauseLimit: { _ in })
        _ = lost.append([1])
        lost.fail(ConcurrentBodyRead())
        #expect(throws: ConcurrentBodyRead.self) { try lost.body.collectNow(upTo: 1) }

        let discarded = RequestBodyStream(isAwaited: false, now: { .now() }, onDemand: {}, onPauseLimit: { _ in })
        _ = discarded.append([1])
        discarded.discard()
        #expect(throws: CancellationError.self) { try discarded.body.collectNow(upTo: 1) }
    }
}

#endif
