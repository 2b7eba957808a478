// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthServer
import PlinthTestSupport
import Testing

/// What an event stream looks like on the wire.
@Suite("Event streams on the wire")
struct EventStreamTests {
    /// Two events, then the end.
    static let two = Interceptor.eventStream("two") { events, _ in
        await events.send("one")
        await events.send(ServerSentEvent(type: "kind", data: "two\nlines", id: "7"))
    }

    static let head = """
        HTTP/1.1 200 OK\r
        Content-Type: text/event-stream; charset=UTF-8\r
        Cache-Control: no-cache, no-transform\r
        Incremental: ?1\r
        X-Accel-Buffering: no\r
        Transfer-Encoding: chunked\r
        Connection: close\r
        \r

        """

    /// Decodes a chunked body; `isComplete` is whether it ended with the last chunk.
    static func unchunked(_ body: String) -> (text: String, isComplete: Bool) {
        var rest = Array(body.utf8)[...]
        var text: [UInt8] = []
        while let line = rest.firstRange(of: [13, 10]) {
            guard let size = Int(String(decoding: rest[..<line.lowerBound], as: UTF8.self), radix: 16) else { break }
            let start = line.upperBound
            guard start + size + 2 <= rest.endIndex else { break }
            text += rest[start..<start + size]
            rest = rest[(start + size + 2)...]
            if size == 0 { return (String(decoding: text, as: UTF8.self), rest.isEmpty) }
        }
        return (String(decoding: text, as: UTF8.self), false)
    }

    @Test("HTTP/1.1: the head, then chunks, then the last chunk, then the close")
    func exactBytes() async throws {
        try await withServer([routes(["/two": Self.two])]) { server in
            let client = try await server.requesting("/two")
            let head = try await client.read(until: "\r\n\r\n")
            #expect(head.withoutDate == Self.head)
            #expect(head.contains("\r\nDate: "))
            let (text, isComplete) = Self.unchunked(try await client.readToEnd())
            #expect(
                text == ":\ndata: one\n\nevent: kind\nid: 7\ndata: two\ndata: lines\n\n"
                    || text
                        == ":\ndata: one\n\nevent: kind\ndata: two\ndata: lines\nid: 7\n\n"
                    || text == ":\ndata: one\n\nid: 7\nevent: kind\ndata: two\ndata: lines\n\n"
            )
            #expect(isComplete)
        }
    }

    @Test("HTTP/1.0: no chunks; the close ends the body")
    func closeDelimited() async throws {
        try await withServer([routes(["/two": Self.two])]) { server in
            let client = try await server.requesting("/two", version: "1.0")
            let response = RawResponse(head: try await client.read(until: "\r\n\r\n"))
            #expect(response.statusLine == "HTTP/1.0 200 OK")
            #expect(response["Transfer-Encoding"] == nil)
            #expect(response[all: "Connection"] == ["close"])
            let body = try await client.readToEnd()
            #expect(body.hasPrefix(":\ndata: one\n\n"))
            #expect(!body.contains("\r"))
        }
    }

    @Test("HTTP/1.0 with keep-alive: a stream still closes the connection")
    func closeDelimitedKeepAlive() async throws {
        try await withServer([routes(["/two": Self.two])]) { server in
            let client = try await server.client()
            try await client.send("GET /two HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            let response = RawResponse(head: try await client.read(until: "\r\n\r\n"))
            #expect(response[all: "Connection"] == ["close"])
            _ = try await client.readToEnd()
        }
    }

    @Test("HEAD gets only the head, and the ready function does not run")
    func head() async throws {
        let runs = Recorder<Void>()
        let stream = Interceptor.eventStream("stream") { _, _ in runs.record() }
        try await withServer([routes(["/stream": stream])]) { server in
            let client = try await server.client()
            try await client.send("HEAD /stream HTTP/1.1\r\nHost: test\r\n\r\n")
            let head = try await client.read(until: "\r\n\r\n")
            #expect(RawResponse(head: head)["Content-Type"] == "text/event-stream; charset=UTF-8")
            #expect(try await client.readToEnd().isEmpty)
            #expect(runs.values.isEmpty)
        }
    }

    @Test("The opening comment is sent at once, before any event")
    func firstComment() async throws {
        let gate = Recorder<Void>()
        let stream = Interceptor.eventStream("stream") { events, _ in
            try await gate.first()
            await events.send("late")
        }
        try await withServer([routes(["/stream": stream])]) { server in
            let client = try await server.requesting("/stream")
            _ = try await client.read(until: "\r\n\r\n2\r\n:\n\r\n")
            gate.record()
            _ = try await client.read(until: "data: late\n\n")
            _ = try await client.readToEnd()
        }
    }

    @Test("The reconnection time follows the opening comment")
    func retry() async throws {
        let stream = Interceptor.eventStream("stream", options: .init(retry: .milliseconds(2500))) { events, _ in
            await events.send("x")
        }
        try await withServer([routes(["/stream": stream])]) { server in
            let client = try await server.requesting("/stream", version: "1.0")
            _ = try await client.read(until: "\r\n\r\n")
            #expect(try await client.readToEnd() == ":\nretry: 2500\n\ndata: x\n\n")
        }
    }

    @Test("An empty stream is a comment and the end")
    func empty() async throws {
        let stream = Interceptor.eventStream("stream") { _, _ in }
        try await withServer([routes(["/stream": stream])]) { server in
            let client = try await server.requesting("/stream")
            _ = try await client.read(until: "\r\n\r\n")
            #expect(try await client.readToEnd() == "2\r\n:\n\r\n0\r\n\r\n")
        }
    }

    @Test("Header fields added by leave stages reach the stream")
    func leaveStages() async throws {
        let cors = Interceptor("cors", leave: { $0.response?.headers[.accessControlAllowOrigin] = "https://a.example" })
        try await withServer([cors, routes(["/two": Self.two])]) { server in
            let client = try await server.requesting("/two")
            let response = RawResponse(head: try await client.read(until: "\r\n\r\n"))
            #expect(response["Access-Control-Allow-Origin"] == "https://a.example")
            _ = try await client.readToEnd()
        }
    }

    @Test("With sendHead the stream starts before the leave stages, whose fields do not reach it")
    func sendHead() async throws {
        let isLeaving = Recorder<Void>()
        let mayLeave = Recorder<Void>()
        let late = Interceptor(
            "late",
            leave: { context in
                #expect(context.isResponseSent)
                isLeaving.record()
                try await mayLeave.first()
                context.response?.headers[.accessControlAllowOrigin] = "https://a.example"
            }
        )
        let stream = Interceptor(
            "stream",
            enter: { context in
                try await context.startEventStream(lifetime: .scoped, sendHead: true) { events in
                    await events.send("one")
                }
            }
        )
        try await withServer([late, routes(["/stream": stream])]) { server in
            let client = try await server.requesting("/stream")
            let response = RawResponse(head: try await client.read(until: "\r\n\r\n"))
            #expect(response["Access-Control-Allow-Origin"] == nil)
            _ = try await client.read(until: ":\n")
            try await isLeaving.first()
            mayLeave.record()
            #expect(try await client.readToEnd().contains("data: one\n\n"))
        }
    }

    @Test("After an early head, that response's body follows, even if the response is replaced")
    func sentResponseStays() async throws {
        let replacing = Interceptor("replacing", leave: { $0.response = .text("another, and longer") })
        let early = Interceptor(
            "early",
            enter: { context in
                context.response = .text("early")
                try await context.sendHead()
            }
        )
        try await withServer([replacing, early]) { server in
            let client = try await server.client()
            #expect(try await client.get("/").body == "early")
            #expect(try await client.get("/").body == "early")
        }
    }

    @Test("A status that allows no body ends a stream before it begins")
    func statusWithoutBody() async throws {
        let none = Interceptor("none", leave: { $0.response?.status = .noContent })
        try await withServer([none, routes(["/two": Self.two])]) { server in
            let client = try await server.client()
            #expect(try await client.get("/two").status == 204)
        }
    }

    @Test(
        "Bytes pipelined after the request do not affect its stream",
        arguments: [
            "GET /two HTTP/1.1\r\nHost: test\r\n\r\n", "GET /partial HTT", "\u{0}\u{1}not HTTP at all\r\n\r\n",
        ]
    )
    func pipelined(rest: String) async throws {
        try await withServer([routes(["/two": Self.two])]) { server in
            let client = try await server.client()
            try await client.send("GET /two HTTP/1.1\r\nHost: test\r\n\r\n" + rest)
            _ = try await client.read(until: "data: one\n\n")
            let all = try await client.readAll()
            #expect(!String(decoding: all.bytes, as: UTF8.self).contains("HTTP/1.1"))
        }
    }

    @Test("Input on an open stream is ignored")
    func clientTalks() async throws {
        let gate = Recorder<Void>()
        let stream = Interceptor.eventStream("stream") { events, _ in
            try await gate.first()
            await events.send("still here")
        }
        try await withServer([routes(["/stream": stream])]) { server in
            let client = try await server.requesting("/stream")
            _ = try await client.read(until: ":\n")
            try await client.send(String(repeating: "blah ", count: 100_000))
            gate.record()
            _ = try await client.read(until: "data: still here\n\n")
            _ = try await client.readAll()
        }
    }

    // MARK: - Opening with the first event

    @Test("Opening with the first event: no head before it, and no comment")
    func opensWithFirstEvent() async throws {
        let gate = Recorder<Void>()
        let stream = Interceptor.eventStream("stream", options: .init(opens: .withFirstEvent)) { events, _ in
            try await gate.first()
            await events.send("one")
        }
        try await withServer([routes(["/stream": stream])]) { server in
            let client = try await server.requesting("/stream")
            #expect(try await client.isQuiet(for: 0.1))
            gate.record()
            let head = try await client.read(until: "\r\n\r\n")
            #expect(head.withoutDate == Self.head)
            #expect(Self.unchunked(try await client.readToEnd()) == ("data: one\n\n", true))
        }
    }

    @Test("Opening with the first event: an earlier error becomes a status, through the error stages")
    func failsBeforeFirstEvent() async throws {
        let seen = Recorder<String>()
        let ends = Recorder<StreamEnd>()
        let watcher = Interceptor(
            "watcher",
            error: { _, error in
                seen.record(error.interceptor)
                throw error
            }
        )
        let stream = Interceptor.eventStream(
            "stream",
            options: .init(opens: .withFirstEvent),
            onDisconnect: { ends.record($0) }
        ) {
            _,
            _ in throw HTTPError(.badGateway, "no model")
        }
        try await withServer([watcher, routes(["/stream": stream])]) { server in
            let client = try await server.client()
            let response = try await client.get("/stream")
            #expect(response.status == 502)
            #expect(response.body == "no model\n")
            #expect(seen.values == ["stream"])
            // The ready function ran, so onDisconnect runs to release its resources.
            #expect(try await ends.first() == [.applicationFailed])
            #expect(try await client.get("/stream").status == 502)
        }
    }

    @Test("Opening with the first event: a client that leaves before it cancels the ready function")
    func leavesBeforeFirstEvent() async throws {
        let started = Recorder<Void>()
        let cancelled = Recorder<Void>()
        let stream = Interceptor.eventStream("stream", options: .init(opens: .withFirstEvent)) { _, _ in
            started.record()
            do {
                try await untilCancelled()
            } catch {
                cancelled.record()
                throw error
            }
        }
        try await withServer([routes(["/stream": stream])]) { server in
            let client = try await server.requesting("/stream")
            try await started.first()
            client.reset()
            try await cancelled.first(1, "the cancellation")
        }
    }

    @Test("Opening with the first event: a client that leaves after it cancels the ready function")
    func leavesAfterFirstEvent() async throws {
        let cancelled = Recorder<Void>()
        let ends = Recorder<StreamEnd>()
        let stream = Interceptor.eventStream(
            "stream",
            options: .init(opens: .withFirstEvent),
            onDisconnect: { ends.record($0) }
        ) {
            events,
            _ in
            await events.send("one")
            do {
                try await untilCancelled()
            } catch {
                cancelled.record()
            }
        }
        try await withServer([routes(["/stream": stream])]) { server in
            let client = try await server.requesting("/stream")
            _ = try await client.read(until: "data: one\n\n")
            client.close()
            try await cancelled.first(1, "the cancellation")
            #expect(try await ends.first() == [.clientClosed])
        }
    }

    @Test("Reading a request body after the stream opened fails instead of hanging")
    func lostBody() async throws {
        let failures = Recorder<String>()
        let stream = Interceptor.eventStream("stream") { _, context in
            do {
                _ = try await context.request.body.collect(upTo: 100)
            } catch {
                failures.record("\(type(of: error))")
            }
        }
        try await withServer([routes(["/stream": stream])]) { server in
            let client = try await server.client()
            try await client.send("POST /stream HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
            _ = try await client.read(until: "\r\n\r\n")
            try await failures.first()
            _ = try await client.readAll()
        }
    }

    @Test("A stream's ready function reads a body that has arrived; one that has not is lost")
    func readsBody() async throws {
        let stream = Interceptor.eventStream("prompt") { events, context in
            do {
                let bytes = try await context.request.body.collect(upTo: 100)
                await events.send(String(decoding: bytes, as: UTF8.self))
            } catch {
                await events.send("\(error)")
            }
        }
        try await withServer([routes(["/": stream])]) { server in
            let whole = try await server.client()
            try await whole.send("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello")
            #expect(try await whole.readToEnd().hasSuffix("\r\n\r\n:\ndata: hello\n\n"))
            let part = try await server.client()
            try await part.send("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhe")
            #expect(try await part.readToEnd().contains("data: the rest of the request's body is lost"))
        }
    }
}

#endif
