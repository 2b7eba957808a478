// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

@Suite("Event streams", .timeLimit(.minutes(1)))
struct EventStreamTests {
    @Test("The head has the content type and the fields that disable proxy buffering")
    func head() async throws {
        let chain = Chain([.eventStream("empty") { _, _ in }])
        let stream = try await chain.eventStream(for: .get("/"))
        #expect(stream.status == .ok)
        #expect(stream.headers[.contentType] == "text/event-stream; charset=UTF-8")
        #expect(stream.headers[.cacheControl] == "no-cache, no-transform")
        #expect(try stream.headers[#require(HTTPField.Name("X-Accel-Buffering"))] == "no")
        #expect(try stream.headers[#require(HTTPField.Name("Incremental"))] == "?1")
        #expect(stream.headers.count == 4)
        try await stream.expectEnd(.applicationClosed)
    }

    @Test("The head includes fields added by leave stages")
    func headAfterLeaveStages() async throws {
        let chain = Chain([
            Interceptor("secure", leave: { $0.response?.headers[.xContentTypeOptions] = "nosniff" }),
            .eventStream("empty") { _, _ in },
        ])
        let stream = try await chain.eventStream(for: .get("/"))
        #expect(stream.headers[.xContentTypeOptions] == "nosniff")
    }

    @Test("Given header fields may repeat a name, and replace the defaults")
    func moreHeaders() {
        var headers = HTTPFields()
        headers.append(HTTPField(name: .setCookie, value: "a=1"))
        headers.append(HTTPField(name: .setCookie, value: "b=2"))
        headers[.cacheControl] = "no-store"
        let response = Response.eventStream(EventStream { _ in }, headers: headers)
        #expect(response.headers[values: .setCookie] == ["a=1", "b=2"])
        #expect(response.headers[values: .cacheControl] == ["no-store"])
    }

    @Test("A stream opens immediately with a comment, before any event")
    func firstBytes() async throws {
        let gate = Gate()
        let chain = Chain([.eventStream("later") { _, _ in await gate.wait() }])
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectComment()
        #expect(stream.receivedBytes == Array(":\n".utf8))
        gate.open()
        try await stream.expectEnd(.applicationClosed)
    }

    @Test(
        "A stream sends its reconnection time in whole milliseconds",
        arguments: [
            (Duration.seconds(3), Duration.seconds(3)), (.microseconds(1500), .milliseconds(1)),
            (.zero, .zero), (.seconds(-1), .zero),
        ]
    )
    func retry(given: Duration, sent: Duration) async throws {
        let chain = Chain([.eventStream("retry", options: .init(retry: given)) { _, _ in }])
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectRetry(sent)
        #expect(stream.reconnectionTime == sent)
        try await stream.expectEnd()
    }

    @Test("The ready function can send more events than the buffer holds: pulling starts before it")
    func twentyEventsOnABufferOfTen() async throws {
        let chain = Chain([
            .eventStream("counter", options: .init(buffer: .bounded(10))) { events, _ in
                for n in 1...20 { await events.send(.init(type: "counter", data: "\(n)")) }
            }
        ])
        let stream = try await chain.eventStream(for: .get("/counter"))
        for n in 1...20 { try await stream.expectEvent(type: "counter", data: "\(n)") }
        try await stream.expectEnd(.applicationClosed)
        try await stream.expectReturn()
    }

    @Test("A scoped stream ends with its closure or its sequence")
    func scoped() async throws {
        struct Point: Encodable { var x: Int }
        @Sendable func sequence<Element: Sendable>(_ elements: [Element]) -> AsyncStream<Element> {
            AsyncStream { continuation in
                for element in elements { continuation.yield(element) }
                continuation.finish()
            }
        }
        let chains = [
            Chain([.eventStream("closure") { events, _ in await events.send("a") }]),
            Chain([.eventStream("events") { _ in sequence([ServerSentEvent(data: "a")]) }]),
            Chain([.eventStream("texts") { _ in sequence(["a"]) }]),
            Chain([.handler("ring", eventStreamHandler { events, _ in await events.send("a") })]),
            Chain([.handler("stream") { _ in .eventStream(EventStream { await $0.send("a") }) }]),
        ]
        for chain in chains {
            let stream = try await chain.eventStream(for: .get("/"))
            try await stream.expectEvent(data: "a")
            try await stream.expectEnd(.applicationClosed)
        }
        let values = Chain([.eventStream("values") { _ in sequence([Point(x: 1)]) }])
        let stream = try await values.eventStream(for: .get("/"))
        try await stream.expectEvent(data: #"{"x":1}"#)
        try await stream.expectEnd(.applicationClosed)
    }

    @Test("An open stream outlives its ready function until its channel is closed")
    func openLifetime() async throws {
        let channels = Journal<ObjectIdentifier>()
        let registry = Registry()
        let chain = Chain([
            Interceptor(
                "open",
                enter: { context in
                    try await context.startEventStream { events in
                        registry.add(events)
                        channels.note(ObjectIdentifier(events))
                    }
                }
            )
        ])
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectReturn()
        #expect(channels.entries.count == 1)
        let events = try #require(registry.channels.first)
        #expect(!events.isClosed)
        #expect(await events.send("from anywhere"))
        try await stream.expectEvent(data: "from anywhere")
        events.close()
        try await stream.expectEnd(.applicationClosed)
    }

    @Test("A stream returned for two requests ends on both")
    func secondRequest() async throws {
        let gate = Gate()
        let shared = EventStream { events in await gate.wait() }
        let chain = Chain([.handler("shared") { _ in .eventStream(shared) }])
        let first = try await chain.eventStream(for: .get("/"))
        let second = try await chain.eventStream(for: .get("/"))
        try await first.expectEnd(.applicationFailed)
        second.leave()
        gate.open()
        try await first.expectReturn()
    }

    @Test("A stream returned for two requests leaves its events to the first client, although that reads late")
    func secondRequestWhileStalled() async throws {
        let shared = EventStream(options: .init(heartbeat: .off), lifetime: .open) { events in
            for n in 1...3 { await events.send("\(n)") }
        }
        let chain = Chain([.handler("shared") { _ in .eventStream(shared) }])
        let first = try await chain.eventStream(for: .get("/"), stalled: true)
        try await first.expectReturn()
        let second = try await chain.eventStream(for: .get("/"))
        try await second.expectEnd(.applicationFailed)
        second.leave()
        first.resume()
        for n in 1...3 { try await first.expectEvent(data: "\(n)") }
        try await first.expectEnd(.applicationFailed)
        #expect(second.receivedEvents.isEmpty)
    }

    @Test("A slow stream does not delay another")
    func slowStream() async throws {
        let registry = Registry()
        let chain = Chain([
            Interceptor(
                "open",
                enter: { context in
                    try await context.startEventStream(options: .init(buffer: .dropOldest(10))) { registry.add($0) }
                }
            )
        ])
        let slow = try await chain.eventStream(for: .get("/"), stalled: true)
        try await slow.expectReturn()
        let fast = try await chain.eventStream(for: .get("/"))
        try await fast.expectReturn()
        let sent = (0..<1000).map { ServerSentEvent(data: "\($0)") }
        for event in sent {
            for channel in registry.channels { #expect(await channel.send(event)) }
        }
        #expect(fast.receivedEvents == sent)
        #expect(slow.received.isEmpty)
        slow.resume()
        #expect(slow.receivedEvents == sent.suffix(10))
    }

    // MARK: - Heads sent early

    @Test("With an early head, the ready function of an open stream runs once, before the interceptor resumes")
    func sendHeadOpen() async throws {
        let journal = Journal<String>()
        let chain = Chain([
            Interceptor(
                "secure",
                leave: { context in
                    journal.note("leave")
                    #expect(context.isResponseSent)
                }
            ),
            Interceptor(
                "early",
                enter: { context in
                    try await context.startEventStream(sendHead: true) { events in
                        await events.send("first")
                        journal.note("ready")
                    }
                    journal.note("started")
                }
            ),
        ])
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectEvent(data: "first")
        try await stream.expectReturn()
        #expect(journal.entries == ["ready", "started", "leave"])
    }

    @Test("With an early head, the ready function of a scoped stream runs after the chain")
    func sendHeadScoped() async throws {
        let journal = Journal<String>()
        let chain = Chain([
            Interceptor("last", leave: { _ in journal.note("leave") }),
            Interceptor(
                "early",
                enter: { context in
                    try await context.startEventStream(lifetime: .scoped, sendHead: true) { _ in journal.note("ready") }
                }
            ),
        ])
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectEnd(.applicationClosed)
        try await stream.expectReturn()
        #expect(journal.entries == ["leave", "ready"])
    }

    @Test("With an early head, the rest of the chain is cancelled when the client disconnects")
    func sendHeadLeft() async throws {
        let clock = ManualClock()
        let journal = Journal<String>()
        let chain = Chain([
            Interceptor(
                "slow",
                leave: { _ in
                    do { try await clock.sleep(for: .seconds(1)) } catch { journal.note("\(type(of: error))") }
                }
            ),
            Interceptor("early", enter: { try await $0.startEventStream(sendHead: true) { _ in } }),
        ])
        let stream = try await chain.eventStream(for: .get("/"))
        try await clock.waitForSleepers()
        stream.leave()
        try await stream.expectReturn()
        #expect(journal.entries == ["CancellationError"])
    }

    @Test("A stream whose head was sent remains the body when a later interceptor sets another response")
    func replacedAfterSendHead() async throws {
        let log = RecordedLog()
        let chain = Chain([
            Interceptor("late", leave: { $0.response = .text("too late") }),
            Interceptor(
                "early",
                enter: { context in
                    try await context.startEventStream(lifetime: .scoped, sendHead: true) { await $0.send("mine") }
                }
            ),
        ])
        let stream = try await chain.eventStream(for: .make(.get, "/", logger: log.logger))
        try await stream.expectEvent(data: "mine")
        try await stream.expectEnd(.applicationClosed)
        #expect(log.errors.count == 1)
        #expect(log.errors.first?.contains("late") == true)
    }

    @Test("HEAD gets the head only, and the ready function does not run", arguments: [false, true])
    func headRequest(sendHead: Bool) async throws {
        let journal = Journal<String>()
        let chain = Chain([
            Interceptor(
                "stream",
                enter: { context in
                    try await context.startEventStream(
                        sendHead: sendHead,
                        onDisconnect: { _ in journal.note("told") }
                    ) { _ in journal.note("ready") }
                }
            )
        ])
        let response = try await chain.response(for: .head("/"))
        #expect(response.headers[.contentType] == "text/event-stream; charset=UTF-8")
        #expect(response.eventStream == nil)
        #expect(response.bytes.isEmpty)
        #expect(journal.entries.isEmpty)
    }

    @Test("A collected response includes its event stream")
    func responseWithStream() async throws {
        let chain = Chain([.eventStream("one") { events, _ in await events.send("a") }])
        let response = try await chain.response(for: .get("/"))
        #expect(response.status == .ok)
        let stream = try #require(response.eventStream)
        try await stream.expectEvent(data: "a")
        try await stream.expectEnd(.applicationClosed)
    }
}
