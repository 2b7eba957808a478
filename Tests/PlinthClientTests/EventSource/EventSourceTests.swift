// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Metrics
import MetricsTestKit
import PlinthTestSupport
import PlinthTesting
import Synchronization
import Testing

@testable import PlinthClient

/// An event source with a scripted transport, a reader, and a clock that the test advances.
@Suite("Event sources")
struct EventSourceTests {
    static func source(
        _ transport: ScriptedTransport,
        clock: any Clock<Duration> = ManualClock(),
        _ configure: (inout EventSourceConfiguration) -> Void = { _ in }
    ) -> EventSource {
        var configuration = EventSourceConfiguration.plain(clock)
        configure(&configuration)
        return EventSource("http://a.example/", configuration: configuration, transport: transport)
    }

    @Test("A source does not connect before its iteration starts")
    func lazy() async throws {
        let transport = ScriptedTransport([.open([])])
        let source = Self.source(transport)
        let iterator = source.makeAsyncIterator()
        #expect(transport.requests.values.isEmpty)
        #expect(source.readyState == .connecting)
        _ = iterator
    }

    @Test("Events arrive in order across connections, each with the last event ID")
    func events() async throws {
        let clock = ManualClock()
        let transport = ScriptedTransport([
            .stream(["id: 1\ndata: a\n\nda", "ta: b\nevent: e\n\n"]), .failure, .open(["data: c\n\n"]),
        ])
        let source = Self.source(transport, clock: clock)
        let reader = Reader(source)
        #expect(try await reader.first(4) == ["open", "message: a", "e: b", "retry streamEnded 3.0 seconds"])
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        #expect(try await reader.first(5).last == "retry connectionFailed 3.0 seconds")
        try await clock.waitForSleepers()
        clock.advance(by: .milliseconds(2999))
        #expect(transport.requests.values.count == 2)
        clock.advance(by: .milliseconds(1))
        #expect(try await reader.first(7).suffix(2) == ["open", "message: c"])
        #expect(
            transport.requests.values.map { $0.headerFields[.init("Last-Event-ID") ?? .accept] ?? "" } == [
                "", "1", "1",
            ]
        )
        #expect(source.lastEventID == "1")
        #expect(source.readyState == .open)
    }

    @Test("A response of 204 ends the iteration")
    func noContent() async throws {
        let source = Self.source(ScriptedTransport([.response(204)]))
        for try await _ in source { Issue.record("Unexpected event") }
        #expect(source.readyState == .closed(.noContent))
        // Permanently.
        for try await _ in source { Issue.record("Unexpected event") }
    }

    @Test("A permanent failure is thrown once, after the events before it, with advice")
    func failure() async throws {
        let transport = ScriptedTransport([.stream(["data: a\n\ndata: too long\n\n"])])
        let source = Self.source(transport) { $0.maximumEventSize = 4 }
        var iterator = source.makeAsyncIterator()
        #expect(try await iterator.next()?.data == "a")
        let error = await #expect(throws: EventSourceError.self) { try await iterator.next() }
        #expect(error?.code == .tooLarge)
        #expect(error?.message.contains("maximumEventSize") == true)
        #expect(try await iterator.next() == nil)
        #expect(source.readyState == .closed(.failed(.tooLarge)))
    }

    @Test("A transport can fail the source permanently")
    func refusal() async throws {
        let source = Self.source(ScriptedTransport([.refusal(.init(.connectionFailed, "no"))]))
        await #expect(throws: EventSourceError.self) { for try await _ in source {} }
    }

    @Test("An invalid URL is an error that names it", arguments: ["", "/relative", "ftp://a/", "http://"])
    func invalidURL(_ url: String) async throws {
        let source = EventSource(url, transport: ScriptedTransport([]))
        let error = await #expect(throws: EventSourceError.self) { for try await _ in source {} }
        #expect(error?.code == .invalidURL)
        #expect(error?.message.contains(url.debugDescription) == true)
    }

    @Test("One iteration runs at a time, and the next resumes after the last delivered event")
    func iterations() async throws {
        let transport = ScriptedTransport([
            .open(["id: 1\ndata: a\n\nid: 2\ndata: b\n\nid: 3\ndata: c\n\n"]), .open(["data: d\n\n"]),
        ])
        let source = Self.source(transport)
        do {
            var iterator: EventSource.AsyncIterator? = source.makeAsyncIterator()
            #expect(try await iterator?.next()?.data == "a")
            #expect(try await iterator?.next()?.data == "b")
            var second = source.makeAsyncIterator()
            let error = await #expect(throws: EventSourceError.self) { try await second.next() }
            #expect(error?.code == .alreadyIterated)
            #expect(source.lastEventID == "2")
            iterator = nil
        }
        #expect(source.readyState == .closed(.iterationEnded))
        #expect(source.lastEventID == "2")
        try await transport.closed.first(1)
        var iterator = source.makeAsyncIterator()
        #expect(try await iterator.next() == .init(type: "message", data: "d", lastEventID: "2", hasID: false))
        #expect(transport.requests.values.last?.headerFields[.init("Last-Event-ID") ?? .accept] == "2")
    }

    @Test("Cancelling the reader's task ends the iteration and closes the connection")
    func cancellation() async throws {
        let transport = ScriptedTransport([.open(["data: a\n\n"])])
        let source = Self.source(transport)
        let reader = Reader(source)
        try await reader.lines.first(2)
        reader.cancel()
        #expect(try await reader.first(3).last == "end")
        try await transport.closed.first(1)
        #expect(source.readyState == .closed(.iterationEnded))
    }

    @Test("Close ends a wait for bytes, for a response, and for the next attempt")
    func closing() async throws {
        for (answer, lines) in [
            (ScriptedTransport.Answer.open([]), ["open"]), (.silence, []),
            (.failure, ["retry connectionFailed 3.0 seconds"]),
        ] {
            let clock = ManualClock()
            let transport = ScriptedTransport([answer])
            let source = Self.source(transport, clock: clock)
            let reader = Reader(source)
            try await transport.requests.first(1)
            try await reader.lines.first(lines.count)
            source.close()
            #expect(try await reader.first(lines.count + 1) == lines + ["end"])
            #expect(source.readyState == .closed(.closed))
            #expect(transport.requests.values.count == 1)
        }
    }

    @Test("Close works while the reader is busy, and no event follows it")
    func closingWhileBusy() async throws {
        let transport = ScriptedTransport([.open(["data: a\n\ndata: b\n\ndata: c\n\n"])])
        let source = Self.source(transport)
        var iterator = source.makeAsyncIterator()
        #expect(try await iterator.next()?.data == "a")
        source.close()
        try await transport.closed.first(1)
        #expect(try await iterator.next() == nil)
        #expect(source.readyState == .closed(.closed))
    }

    @Test("Restart reconnects at once, with the last event ID and without an error")
    func restart() async throws {
        let clock = ManualClock()
        let transport = ScriptedTransport([
            .open(["id: 1\ndata: a\n\nid: 2\nda"]), .failure, .open(["ta: half\n\ndata: b\n\n"]), .open([]),
        ])
        let source = Self.source(transport, clock: clock)
        source.restart()
        let reader = Reader(source)
        try await reader.lines.first(2)
        source.restart()
        // A restart also ends the wait for the next attempt.
        try await reader.lines.first(3)
        try await clock.waitForSleepers()
        source.restart()
        #expect(
            try await reader.first(5) == [
                "open", "message: a", "retry connectionFailed 3.0 seconds", "open", "message: b",
            ]
        )
        #expect(
            transport.requests.values.map { $0.headerFields[.init("Last-Event-ID") ?? .accept] ?? "" } == [
                "", "1", "1",
            ]
        )
    }

    @Test("Observers receive the ready states, and always the last one")
    func readyStates() async throws {
        let clock = ManualClock()
        let source = Self.source(ScriptedTransport([.stream([]), .response(500)]), clock: clock)
        let states = source.readyStates
        let reader = Reader(source)
        try await reader.lines.first(2)
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        #expect(try await reader.first(3).last == "failed unexpectedStatus")
        var seen: [EventSource.ReadyState] = []
        for await state in states { seen.append(state) }
        #expect(seen == [.connecting, .open, .connecting, .closed(.failed(.unexpectedStatus))])
        var last: [EventSource.ReadyState] = []
        for await state in source.readyStates { last.append(state) }
        #expect(last == [.closed(.failed(.unexpectedStatus))])
    }

    @Test("Comments are messages if configured", arguments: [true, false])
    func comments(_ includes: Bool) async throws {
        let transport = ScriptedTransport([.open([": one\ndata: a\n\n:two\r"])])
        let reader = Reader(Self.source(transport) { $0.includesComments = includes })
        let lines = includes ? ["open", ": one", "message: a", ":two"] : ["open", "message: a"]
        #expect(try await reader.first(lines.count) == lines)
    }

    @Test("The header provider is called for each attempt, and its error is a failed attempt")
    func headerProvider() async throws {
        struct Expired: Error {}
        let clock = ManualClock()
        let transport = ScriptedTransport([.stream([]), .open([])])
        let number = Mutex(0)
        let source = Self.source(transport, clock: clock) { configuration in
            configuration.headerProvider = {
                let count = number.withLock { number in
                    number += 1
                    return number
                }
                if count == 2 { throw Expired() }
                return [.authorization: "token \(count)"]
            }
        }
        let reader = Reader(source)
        try await reader.lines.first(2)
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        #expect(try await reader.first(3).last == "retry headersUnavailable 3.0 seconds")
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        #expect(try await reader.first(4).last == "open")
        #expect(transport.requests.values.map { $0.headerFields[.authorization] } == ["token 1", "token 3"])
    }

    @Test("A stream idle for too long is dropped, and each byte resets the timeout")
    func idleTimeout() async throws {
        let clock = ManualClock()
        let (chunks, feed) = AsyncStream.makeStream(of: [UInt8].self)
        let transport = ScriptedTransport([.live(chunks), .open([])])
        let reader = Reader(Self.source(transport, clock: clock) { $0.idleTimeout = .seconds(10) })
        try await reader.lines.first(1)
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(9))
        feed.yield(Array("data: a\n\n".utf8))
        try await reader.lines.first(2)
        // At 10 s the watch finds that bytes arrived, and counts the timeout from then.
        clock.advance(by: .seconds(1))
        try await clock.waitForSleepers()
        #expect(reader.lines.values.count == 2)
        clock.advance(by: .seconds(10))
        #expect(try await reader.first(3).last == "retry idleTimeout 3.0 seconds")
    }

    @Test("A response that does not arrive in time is a failed attempt")
    func responseTimeout() async throws {
        let clock = ManualClock()
        let transport = ScriptedTransport([.silence, .open([])])
        let reader = Reader(Self.source(transport, clock: clock) { $0.responseTimeout = .seconds(5) })
        try await transport.requests.first(1)
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(5))
        #expect(try await reader.first(1) == ["retry responseTimeout 3.0 seconds"])
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        #expect(try await reader.first(2).last == "open")
    }

    @Test("The idle timeout covers the wait for a response, separately for each attempt", arguments: [0, 3])
    func idleTimeoutOfAnswers(_ redirects: Int) async throws {
        let clock = ManualClock()
        let redirect = ScriptedTransport.Answer.response(307, ["Location": "/next"])
        let answers = Array(repeating: redirect, count: redirects) + [.silence]
        let transport = ScriptedTransport(answers + answers + [.open([])])
        let reader = Reader(Self.source(transport, clock: clock) { $0.idleTimeout = .seconds(10) })
        for attempt in 1...2 {
            try await transport.requests.first((redirects + 1) * attempt)
            try await clock.waitForSleepers()
            clock.advance(by: .seconds(10))
            #expect(try await reader.first(attempt).last == "retry idleTimeout 3.0 seconds")
            try await clock.waitForSleepers()
            clock.advance(by: .seconds(3))
        }
        #expect(try await reader.first(3).last == "open")
    }

    @Test("A response timeout may exceed the idle timeout, which then covers the stream alone")
    func bothTimeouts() async throws {
        let clock = ManualClock()
        let transport = ScriptedTransport([.silence, .open([])])
        let source = Self.source(transport, clock: clock) { configuration in
            configuration.idleTimeout = .seconds(10)
            configuration.responseTimeout = .seconds(25)
        }
        let reader = Reader(source)
        try await transport.requests.first(1)
        for _ in 0..<2 {
            try await clock.waitForSleepers(2)
            clock.advance(by: .seconds(10))
        }
        try await clock.waitForSleepers(2)
        clock.advance(by: .seconds(5))
        #expect(try await reader.first(1) == ["retry responseTimeout 3.0 seconds"])
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        try await reader.lines.first(2)
        // Twice: the source may have started to wait for bytes only after the first 10 s.
        for _ in 0..<2 {
            try await clock.waitForSleepers()
            clock.advance(by: .seconds(10))
        }
        #expect(try await reader.first(3).last == "retry idleTimeout 3.0 seconds")
    }

    @Test(
        "The server's decision wins over a timeout at the same moment",
        arguments: [(204, "end"), (404, "failed unexpectedStatus"), (503, "retry unexpectedStatus 3.0 seconds")]
    )
    func lateTimer(_ status: Int, _ line: String) async throws {
        let clock = ManualClock()
        let transport = LateTransport(status: status)
        var configuration = EventSourceConfiguration.plain(clock)
        configuration.responseTimeout = .seconds(5)
        configuration.retryableStatuses = [503]
        let reader = Reader(EventSource("http://a.example/", configuration: configuration, transport: transport))
        try await transport.requests.first(1)
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(5))
        #expect(try await reader.first(1) == [line])
        #expect(transport.requests.values.count == 1)
    }

    /// Answers each request when it is cancelled.
    private final class LateTransport: EventSourceTransport {
        let requests = Recorder<EventSourceRequest>()
        private let status: Int

        init(status: Int) {
            self.status = status
        }

        func send(_ request: EventSourceRequest) async throws -> EventSourceResponse {
            requests.record(request)
            let (cancelled, continuation) = AsyncStream.makeStream(of: Void.self)
            for await _ in cancelled {}
            continuation.finish()
            return EventSourceResponse(head: .init(status: status), body: AsyncStream<[UInt8]> { $0.finish() })
        }
    }

    @Test("A timer of an ended attempt interrupts neither a wait nor the next attempt; a restart does")
    func staleTimers() async {
        let run = EventSourceRun(lastEventID: "", .messages)
        let first = run.beginAttempt()
        run.interrupt(.responseTimeout, of: first)
        #expect(run.isInterrupted)
        #expect(run.endAttempt() == .responseTimeout)
        #expect(!run.isInterrupted)
        // During the wait that follows, and during the next attempt.
        let (gate, opening) = AsyncStream.makeStream(of: Void.self)
        let operation = Task {
            for await _ in gate {}
            return Task.isCancelled
        }
        run.interrupt(.idleTimeout, of: first)
        let wait = Task { await run.interruptible(operation) }
        run.interrupt(.idleTimeout, of: first)
        opening.finish()
        #expect(await !wait.value)
        #expect(!run.isInterrupted && !run.takeRestart())
        let second = run.beginAttempt()
        run.interrupt(.responseTimeout, of: first)
        #expect(!run.isInterrupted)
        run.restart()
        run.interrupt(.idleTimeout, of: second)
        #expect(run.endAttempt() == .restart)
        run.restart()
        #expect(run.takeRestart() && !run.takeRestart())
    }

    @Test("A failed connection has a specific code, which is retried and labels the metric")
    func unreachable() async throws {
        let clock = ManualClock()
        let metrics = TestMetrics()
        let failure = EventSourceTransportError(.nameNotFound, "the host name cannot be resolved.")
        let transport = ScriptedTransport([.unreachable(failure), .open([])])
        let source = Self.source(transport, clock: clock) { $0.metricsFactory = metrics }
        var iterator = source.messages.makeAsyncIterator()
        guard case .disconnected(let error, _)? = try await iterator.next() else {
            Issue.record("The first attempt should fail")
            return
        }
        #expect(error.code == .nameNotFound)
        #expect(error.message == "http://a.example/: the host name cannot be resolved.")
        let dimensions = [("source", "default"), ("reason", "nameNotFound")]
        #expect(try metrics.expectCounter("plinth_client_failures_total", dimensions).totalValue == 1)
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        guard case .opened? = try await iterator.next() else {
            Issue.record("The second attempt should open")
            return
        }
    }

    @Test("The error has the server's reason for a refusal")
    func reason() async throws {
        let json = ["Content-Type": "application/json"]
        let transport = ScriptedTransport([
            .response(401, json, [#"{"error":"token expired "#, #"at 12:00","code":"token-expired"}"#])
        ])
        let error = await #expect(throws: EventSourceError.self) { for try await _ in Self.source(transport) {} }
        #expect(error?.reason == "token expired at 12:00")
        #expect(error?.reasonCode == "token-expired")
        #expect(error?.message.contains("status 401, not 200: token expired at 12:00 (token-expired).") == true)
    }

    @Test("The body of a refusal is read for at most 1 s and up to 4 KiB")
    func unfinishedReason() async throws {
        let clock = ManualClock()
        let text = ["Content-Type": "text/plain"]
        let transport = ScriptedTransport([.unfinished(403, text, ["not ", "you"])])
        let reader = Reader(Self.source(transport, clock: clock))
        try await transport.requests.first(1)
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(1))
        #expect(try await reader.first(1) == ["failed unexpectedStatus"])
        try await transport.closed.first(1)
        // The body is at its limit: no time needs to pass.
        let long = ScriptedTransport([.unfinished(403, text, [String(repeating: "x", count: 4096)])])
        let error = await #expect(throws: EventSourceError.self) { for try await _ in Self.source(long) {} }
        #expect(error?.reason == String(repeating: "x", count: 300) + "…")
    }

    @Test("A last event ID that is too long is delivered, but not sent")
    func longID() async throws {
        let clock = ManualClock()
        let transport = ScriptedTransport([.stream(["id: 123456789\ndata: a\n\n"]), .open(["data: b\n\n"])])
        let source = Self.source(transport, clock: clock) { $0.maximumLastEventIDSize = 8 }
        let reader = Reader(source)
        try await reader.lines.first(3)
        #expect(source.lastEventID == "123456789")
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        try await reader.lines.first(5)
        #expect(transport.requests.values.last?.headerFields[.init("Last-Event-ID") ?? .accept] == nil)
    }

    @Test("A slow reader does not trigger the idle timeout")
    func slowReader() async throws {
        let clock = ManualClock()
        let chunk = String(repeating: "data: 0123456789\n\n", count: 4000)
        let transport = ScriptedTransport([.open([chunk, chunk, chunk, chunk])])
        let metrics = TestMetrics()
        let source = Self.source(transport, clock: clock) { configuration in
            configuration.idleTimeout = .seconds(1)
            configuration.metricsFactory = metrics
        }
        let received = try metrics.expectCounter("plinth_client_bytes_total", [("source", "default")])
        var iterator = source.messages.makeAsyncIterator()
        guard case .opened? = try await iterator.next() else {
            Issue.record("The stream should open first")
            return
        }
        _ = try await iterator.next()
        // One chunk is being delivered, one is buffered. Until then the source waits for bytes, and time may not pass.
        try await wait(for: "two chunks to be received") {
            while received.totalValue < 2 * Int64(chunk.utf8.count) { await Task.yield() }
        }
        for _ in 0..<10 {
            try await clock.waitForSleepers()
            clock.advance(by: .seconds(1))
        }
        // Every event, and no other message in between.
        for number in 1..<16_000 {
            guard case .event? = try await iterator.next() else {
                Issue.record("Message \(number) is not an event")
                return
            }
        }
    }

    @Test("Metrics count requests, streams, events, bytes and failures by a bounded reason")
    func metrics() async throws {
        let clock = ManualClock()
        let metrics = TestMetrics()
        let transport = ScriptedTransport([.stream(["data: a\n\ndata: b\n\n"]), .response(500)])
        let source = Self.source(transport, clock: clock) { configuration in
            configuration.metricsFactory = metrics
            configuration.metricsLabel = "prices"
        }
        let reader = Reader(source)
        try await reader.lines.first(4)
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        try await reader.lines.first(5)
        let label = [("source", "prices")]
        #expect(try metrics.expectCounter("plinth_client_requests_total", label).totalValue == 2)
        #expect(try metrics.expectCounter("plinth_client_streams_opened_total", label).totalValue == 1)
        #expect(try metrics.expectCounter("plinth_client_events_total", label).totalValue == 2)
        #expect(try metrics.expectCounter("plinth_client_bytes_total", label).totalValue == 18)
        for reason in ["streamEnded", "unexpectedStatus"] {
            let dimensions = label + [("reason", reason)]
            #expect(try metrics.expectCounter("plinth_client_failures_total", dimensions).totalValue == 1)
        }
    }
}
