// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Plinth
import PlinthHub
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

    @Test("Pipelined requests are answered in order, and HEAD without a body, beyond the turns of one connection")
    func pipelined() async throws {
        let routes = try Routes { Route.get("/:number") { .text(try $0.pathParameters.require("number")) } }
        try await withServer([routes.router], configure: { $0.runsRequestsOnEventLoops = true }) { server in
            let client = try await server.client()
            try await client.send((0..<50).map { "GET /\($0) HTTP/1.1\r\nHost: test\r\n\r\n" }.joined())
            for number in 0..<50 { #expect(try await client.response().body == "\(number)") }
            try await client.send("HEAD /abc HTTP/1.1\r\nHost: test\r\n\r\nGET /1 HTTP/1.1\r\nHost: test\r\n\r\n")
            #expect(try await client.read(until: "\r\n\r\n").contains("Content-Length: 3"))
            #expect(try await client.response().body == "1")
        }
    }

    @Test("If the client leaves while a stage waits, the request's task is cancelled")
    func leaves() async throws {
        let waits = Recorder<Void>()
        let cancelled = Recorder<Void>()
        let waiting = Interceptor.answering("waits") { _ in
            .later {
                waits.record()
                try? await untilCancelled()
                cancelled.record()
                throw CancellationError()
            }
        }
        try await withServer([waiting], configure: { $0.runsRequestsOnEventLoops = true }) { server in
            let client = try await server.client()
            try await client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            try await waits.first()
            client.close()
            try await cancelled.first()
        }
    }

    @Test("A body that the client sends only when asked is awaited after a look for it")
    func expects() async throws {
        let collecting = Interceptor.answering("collects") { request in
            if let body = try request.body.collectNow(upTo: 100) { return .now(.text("\(body.count) now")) }
            return .later { .text("\(try await request.body.collect(upTo: 100).count) later") }
        }
        try await withServer([collecting], configure: { $0.runsRequestsOnEventLoops = true }) { server in
            let client = try await server.client()
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            #expect(try await client.read(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
            try await client.send("hello")
            #expect(try await client.response().body == "5 later")
            try await client.send("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 5\r\n\r\nhello")
            #expect(try await client.response().body == "5 now")
        }
    }

    @Test("A history that has to wait gets each event once, and its streams return their permits")
    func waitingHistory() async throws {
        let inPlace = { (configuration: inout ConnectorConfiguration) in
            configuration.runsRequestsOnEventLoops = true
        }
        try await withHub(history: FailingHistory(after: 2), configure: inPlace) { hub in
            try await hub.post("/topics/a", "one")
            try await hub.post("/topics/a", "two")
            #expect(try await hub.request("POST", "/topics/a", body: "three").status == 503)
            #expect(try await hub.hub.status().published == 2)
            let events = try await hub.events(2, "/topics/a", "Last-Event-ID: earliest\r\n")
            #expect(events.map(\.data) == ["one", "two"])
            // Located by waiting; unknown, so the stream begins with a gap.
            _ = try await hub.events(1, "/topics/a", "Last-Event-ID: unknown\r\n")
            try await hub.server.isIdle()
            #expect(hub.service.limit.count == 0)
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
