// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

@Suite("Event streams that open with the first event", .timeLimit(.minutes(1)))
struct FirstEventTests {
    let options = EventStreamOptions(opens: .withFirstEvent)

    @Test("No bytes precede the first event")
    func noComment() async throws {
        let chain = Chain.stream(options: options) { await $0.send("a") }
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectEvent(data: "a")
        try await stream.expectEnd(.applicationClosed)
        #expect(stream.receivedBytes == Array("data: a\n\n".utf8))
    }

    @Test("The reconnection time precedes the first event")
    func retry() async throws {
        let chain = Chain.stream(options: .init(opens: .withFirstEvent, retry: .seconds(1))) { await $0.send("a") }
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectRetry(.seconds(1))
        try await stream.expectEvent(data: "a")
    }

    @Test("The head is not sent before the first event")
    func headWaits() async throws {
        let gate = Gate()
        let journal = Journal<String>()
        let chain = Chain([
            Interceptor("outer", leave: { _ in journal.note("leave") }),
            Interceptor(
                "stream",
                enter: { context in
                    try await context.startEventStream(options: EventStreamOptions(opens: .withFirstEvent)) { events in
                        journal.note("ready")
                        await gate.wait()
                        journal.note("event")
                        await events.send("a")
                    }
                }
            ),
        ])
        async let opened = chain.eventStream(for: .get("/"))
        await journal.wait(for: 1)
        gate.open()
        let stream = try await opened
        try await stream.expectEvent(data: "a")
        #expect(journal.entries == ["ready", "event", "leave"])
    }

    @Test("An error before the first event becomes a status, through the error stages")
    func errorBefore() async throws {
        let journal = Journal<StreamEnd>()
        let log = RecordedLog()
        let chain = Chain([
            Interceptor(
                "gateway",
                error: { context, failure in
                    guard failure.cause is Mishap else { throw failure }
                    context.response = .text("model is busy", status: .serviceUnavailable)
                }
            ),
            .eventStream("model", options: options, onDisconnect: { journal.note($0) }) { _, _ in throw Mishap() },
        ])
        let response = try await chain.response(for: .make(.get, "/", logger: log.logger))
        #expect(response.status == .serviceUnavailable)
        #expect(response.body == "model is busy")
        #expect(response.eventStream == nil)
        await journal.wait(for: 1)
        #expect(journal.entries == [.applicationFailed])
        #expect(log.errors.isEmpty)
    }

    @Test("An unhandled error before the first event is a 500")
    func unhandled() async throws {
        let log = RecordedLog()
        let chain = Chain.stream(options: options) { _ in throw Mishap() }
        let request = Request.make(.get, "/", logger: log.logger)
        let failure = await #expect(throws: NotAnEventStream.self) { try await chain.eventStream(for: request) }
        #expect(failure?.status == .internalServerError)
        #expect(log.errors.count == 1)
        #expect(failure?.body.contains("mishap") == false)
    }

    @Test("onError does not run for an error before the first event")
    func onErrorBefore() async throws {
        let journal = Journal<String>()
        var options = options
        options.onError = { _ in
            journal.note("asked")
            return nil
        }
        let chain = Chain.stream(options: options) { _ in throw HTTPError(.tooManyRequests) }
        #expect(try await chain.response(for: .get("/")).status == .tooManyRequests)
        #expect(journal.entries.isEmpty)
    }

    @Test("An error after the first event ends the stream as usual")
    func errorAfter() async throws {
        let log = RecordedLog()
        var options = options
        options.onError = { ServerSentEvent(type: "error", data: "\($0)") }
        let chain = Chain.stream(options: options) { events in
            await events.send("a")
            throw Mishap()
        }
        let stream = try await chain.eventStream(for: .make(.get, "/", logger: log.logger))
        try await stream.expectEvent(data: "a")
        try await stream.expectEvent(type: "error", data: "mishap")
        try await stream.expectEnd(.applicationFailed)
        #expect(log.errors.count == 1)
    }

    @Test("A ready function that sends no event yields an empty stream with status 200")
    func empty() async throws {
        let chain = Chain.stream(options: options) { _ in }
        let stream = try await chain.eventStream(for: .get("/"))
        #expect(stream.status == .ok)
        try await stream.expectEnd(.applicationClosed)
        #expect(stream.receivedBytes.isEmpty)
    }

    @Test("A stream opens with a comment when the first event is late, and then behaves as usual")
    func patience() async throws {
        let clock = ManualClock()
        let gate = Gate()
        let log = RecordedLog()
        let options = EventStreamOptions(
            opens: .withFirstEvent(within: .seconds(20), clock: clock),
            onError: { ServerSentEvent(type: "error", data: "\($0)") }
        )
        let chain = Chain.stream(options: options) { _ in
            await gate.wait()
            throw Mishap()
        }
        async let opened = chain.eventStream(for: .make(.get, "/", logger: log.logger), clock: clock)
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(20))
        let stream = try await opened
        try await stream.expectComment("")
        gate.open()
        try await stream.expectEvent(type: "error", data: "mishap")
        try await stream.expectEnd(.applicationFailed)
        #expect(log.errors.count == 1)
    }

    @Test("An error within the time limit for the first event becomes a status")
    func failsInTime() async throws {
        let clock = ManualClock()
        let options = EventStreamOptions(opens: .withFirstEvent(within: .seconds(20), clock: clock))
        let chain = Chain.stream(options: options) { _ in throw HTTPError(.badGateway) }
        #expect(try await chain.response(for: .get("/")).status == .badGateway)
        let quick = Chain.stream(options: options) { await $0.send("a") }
        let stream = try await quick.eventStream(for: .get("/"), clock: clock)
        try await stream.expectEvent(data: "a")
        try await stream.expectEnd(.applicationClosed)
        #expect(stream.receivedBytes == Array("data: a\n\n".utf8))
    }

    @Test("Closing with a last event opens the stream with that event")
    func closedWithEvent() async throws {
        let chain = Chain.stream(options: options) { $0.close(after: .init(data: "bye")) }
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectEvent(data: "bye")
        try await stream.expectEnd(.applicationClosed)
    }

    @Test("A disconnect before the first event cancels the ready function and is reported", arguments: [true, false])
    func leftBefore(isScoped: Bool) async throws {
        let clock = ManualClock()
        let told = Journal<StreamEnd>()
        let log = RecordedLog()
        let started = Gate()
        let chain = Chain.stream(
            options: options,
            lifetime: isScoped ? .scoped : .open,
            onDisconnect: { told.note($0) }
        ) { _ in
            started.open()
            if isScoped { try await clock.sleep(for: .seconds(1)) }
        }
        let request = Request.make(.get, "/", logger: log.logger)
        let client = Task { try await chain.eventStream(for: request) }
        await started.wait()
        client.cancel()
        await #expect(throws: CancellationError.self) { try await client.value }
        await told.wait(for: 1)
        #expect(told.entries == [.clientClosed])
        #expect(clock.sleeperCount == 0)
        #expect(log.errors.isEmpty)
    }

    @Test("A disconnect after the first event cancels the ready function")
    func leftAfter() async throws {
        let clock = ManualClock()
        let ended = Journal<String>()
        let chain = Chain.stream(options: options, onDisconnect: { ended.note("\($0)") }) { events in
            await events.send("a")
            do { try await clock.sleep(for: .seconds(1)) } catch { ended.note("cancelled") }
        }
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectEvent(data: "a")
        try await clock.waitForSleepers()
        stream.leave()
        try await stream.expectEnd(.clientClosed)
        try await stream.expectReturn()
        #expect(Set(ended.entries) == ["cancelled", "client-closed"])
        #expect(ended.entries.count == 2)
    }

    @Test("If a leave stage throws, the ready function is cancelled and onDisconnect runs")
    func abandoned() async throws {
        let clock = ManualClock()
        let told = Journal<StreamEnd>()
        let cancelled = Gate()
        let options = options
        let chain = Chain([
            Interceptor("broken", leave: { _ in throw Mishap() }),
            Interceptor(
                "stream",
                enter: { context in
                    try await context.startEventStream(options: options, onDisconnect: { told.note($0) }) { events in
                        await events.send("a")
                        do { try await clock.sleep(for: .seconds(1)) } catch { cancelled.open() }
                    }
                }
            ),
        ])
        #expect(try await chain.response(for: .get("/")).status == .internalServerError)
        await cancelled.wait()
        await told.wait(for: 1)
        #expect(told.entries == [.applicationFailed])
    }

    @Test("If a leave stage replaces the stream, the ready function is cancelled and onDisconnect runs")
    func replaced() async throws {
        let clock = ManualClock()
        let told = Journal<StreamEnd>()
        let cancelled = Gate()
        let options = options
        let chain = Chain([
            Interceptor("other", leave: { $0.response = .text("not modified", status: .ok) }),
            Interceptor(
                "stream",
                enter: { context in
                    try await context.startEventStream(
                        options: options,
                        lifetime: .scoped,
                        onDisconnect: { told.note($0) }
                    ) { events in
                        // More events than the buffer holds: without a client, send suspends until the stream is
                        // abandoned.
                        for n in 0..<100 { guard await events.send("\(n)") else { break } }
                        do { try await clock.sleep(for: .seconds(1)) } catch { cancelled.open() }
                    }
                }
            ),
        ])
        #expect(try await chain.response(for: .get("/")).body == "not modified")
        await cancelled.wait()
        await told.wait(for: 1)
        #expect(told.entries == [.applicationClosed])
    }
}
