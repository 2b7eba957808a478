// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Synchronization
import Testing

@Suite("Disconnection", .timeLimit(.minutes(1)))
struct DisconnectTests {
    enum End: String, CaseIterable {
        case clientClosed, writeFailed, timedOut, lagged, serverDraining, applicationClosed, applicationFailed, expired

        var reason: StreamEnd {
            switch self {
            case .clientClosed: .clientClosed
            case .writeFailed: .writeFailed
            case .timedOut: .timedOut
            case .lagged: .lagged
            case .serverDraining: .serverDraining
            case .applicationClosed: .applicationClosed
            case .applicationFailed: .applicationFailed
            case .expired: .expired
            }
        }
    }

    @Test(
        "The end is reported once with its reason; the ready function is cancelled unless it ended the stream",
        arguments: End.allCases,
        [false, true]
    )
    func reasons(end: End, isScoped: Bool) async throws {
        let told = Journal<StreamEnd>()
        let ended = Journal<String>()
        let clock = ManualClock()
        let go = Gate()
        let registry = Registry()
        let chain = Chain.stream(
            options: .init(buffer: .disconnect(1), maximumAge: .seconds(60)),
            lifetime: isScoped ? .scoped : .open,
            onDisconnect: { told.note($0) }
        ) { events in
            registry.add(events)
            defer { ended.note(Task.isCancelled ? "cancelled" : "not cancelled") }
            switch end {
            case .applicationFailed:
                await go.wait()
                throw Mishap()
            case .applicationClosed:
                await go.wait()
                events.close()
            default:
                // A separate clock that is never advanced.
                try await clock.sleep(for: .seconds(1))
            }
        }
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectComment()
        switch end {
        case .applicationFailed, .applicationClosed: go.open()
        default: try await clock.waitForSleepers()
        }
        switch end {
        case .clientClosed: stream.leave()
        case .writeFailed: stream.leave(.writeFailed)
        case .timedOut:
            stream.stall()
            try #require(registry.channels.first).offer("never read")
            stream.advance(by: .seconds(60))
        case .lagged:
            stream.stall()
            let events = try #require(registry.channels.first)
            #expect(events.offer("1") == .accepted)
            #expect(events.offer("2") == .closed)
            stream.resume()
        case .serverDraining: stream.drain()
        case .applicationClosed, .applicationFailed: break
        case .expired: stream.advance(by: .seconds(60))
        }
        try await stream.expectEnd(end.reason)
        try await stream.expectReturn()
        // Later events do not notify the application again.
        stream.leave()
        stream.drain()
        #expect(told.entries == [end.reason])
        let isOwn = end == .applicationClosed || end == .applicationFailed
        #expect(ended.entries == [isOwn ? "not cancelled" : "cancelled"])
    }

    @Test("The first reason is kept")
    func firstReason() async throws {
        let told = Journal<StreamEnd>()
        let registry = Registry()
        let chain = Chain.stream(lifetime: .open, onDisconnect: { told.note($0) }) { registry.add($0) }
        let stream = try await chain.eventStream(for: .get("/"), stalled: true)
        try await stream.expectReturn()
        let events = try #require(registry.channels.first)
        events.offer("never read")
        stream.drain()
        events.close()
        #expect(events.disconnectReason == .serverDraining)
        stream.leave()
        try await stream.expectEnd(.serverDraining)
        #expect(stream.receivedEvents.isEmpty)
        #expect(told.entries == [.serverDraining])
    }

    @Test("Buffered events are sent before the end, unless the client disconnects")
    func drained() async throws {
        let registry = Registry()
        let chain = Chain.stream(lifetime: .open) { registry.add($0) }
        let stream = try await chain.eventStream(for: .get("/"), stalled: true)
        try await stream.expectReturn()
        for n in 0..<10 { registry.channels.first?.offer("\(n)") }
        stream.drain()
        stream.resume()
        for n in 0..<10 { try await stream.expectEvent(data: "\(n)") }
        try await stream.expectEnd(.serverDraining)
    }

    @Test(
        "The end is reported after the ready function of an open stream has returned, so cleanup follows setup"
    )
    func afterReady() async throws {
        let registry = Registry()
        let started = Gate()
        let goOn = Gate()
        let told = Journal<Int>()
        let chain = Chain.stream(
            lifetime: .open,
            onDisconnect: { _ in
                for channel in registry.channels { registry.remove(channel) }
                told.note(registry.channels.count)
            }
        ) { events in
            started.open()
            await goOn.wait()
            registry.add(events)
        }
        let stream = try await chain.eventStream(for: .get("/"))
        await started.wait()
        stream.leave()
        #expect(told.entries.isEmpty)
        goOn.open()
        try await stream.expectEnd(.clientClosed)
        #expect(told.entries == [0])
        #expect(registry.channels.isEmpty)
    }

    @Test("The end is reported with the ready function's result")
    func result() async throws {
        let told = Journal<String>()
        func chain(_ ready: @escaping @Sendable (EventChannel) async throws -> Int) -> Chain {
            Chain([
                .handler(
                    "open",
                    openEventStreamHandler(onDisconnect: { reason, result in
                        told.note("\(reason) \(result.map { "\($0)" } ?? "nil")")
                    }) { events, _ in try await ready(events) }
                )
            ])
        }
        let returning = try await chain { _ in 7 }.eventStream(for: .get("/"))
        try await returning.expectReturn()
        returning.leave()
        try await returning.expectEnd(.clientClosed)
        let throwing = try await chain { _ in throw Mishap() }.eventStream(for: .get("/"))
        try await throwing.expectEnd(.applicationFailed)
        #expect(told.entries == ["client-closed 7", "application-failed nil"])
    }

    // MARK: - Errors

    @Test("An error is logged once and never reaches the client", arguments: [false, true])
    func errors(isScoped: Bool) async throws {
        let log = RecordedLog()
        let chain = Chain.stream(lifetime: isScoped ? .scoped : .open) { events in
            await events.send("a")
            throw Mishap()
        }
        let stream = try await chain.eventStream(for: .make(.get, "/", logger: log.logger))
        try await stream.expectEvent(data: "a")
        try await stream.expectEnd(.applicationFailed)
        try await stream.expectReturn()
        #expect(log.errors.count == 1)
        #expect(log.errors.first?.contains("mishap") == true)
        #expect(!String(decoding: stream.receivedBytes, as: UTF8.self).contains("mishap"))
    }

    @Test("The event that onError returns is sent after all others")
    func onError() async throws {
        let log = RecordedLog()
        let options = EventStreamOptions(buffer: .bounded(2), onError: { .init(type: "error", data: "sorry: \($0)") })
        let chain = Chain.stream(options: options) { events in
            await events.send("1")
            await events.send("2")
            throw Mishap()
        }
        let stream = try await chain.eventStream(for: .make(.get, "/", logger: log.logger), stalled: true)
        try await stream.expectReturn()
        stream.resume()
        try await stream.expectEvent(data: "1")
        try await stream.expectEvent(data: "2")
        try await stream.expectEvent(type: "error", data: "sorry: mishap")
        try await stream.expectEnd(.applicationFailed)
        #expect(log.errors.count == 1)
    }

    enum Follow: CaseIterable { case cancellation, closed, other, none }

    @Test(
        "An error of the ready function after a disconnect is not logged at error level, nor passed to onError",
        arguments: Follow.allCases
    )
    func quiet(follow: Follow) async throws {
        let log = RecordedLog()
        let clock = ManualClock()
        let asked = Journal<String>()
        let options = EventStreamOptions(onError: { error in
            asked.note("\(error)")
            return nil
        })
        let chain = Chain.stream(options: options) { events in
            do {
                try await clock.sleep(for: .seconds(1))
            } catch {
                switch follow {
                case .cancellation: throw error
                case .closed: try await events.sendOrThrow("a")
                case .other: throw Mishap()
                case .none: break
                }
            }
        }
        let stream = try await chain.eventStream(for: .make(.get, "/", logger: log.logger))
        try await clock.waitForSleepers()
        stream.leave()
        try await stream.expectEnd(.clientClosed)
        try await stream.expectReturn()
        #expect(log.errors.isEmpty)
        #expect(asked.entries.isEmpty)
    }

    // MARK: - Streams that never open

    @Test("If a leave stage throws before the stream starts, neither the ready function nor onDisconnect runs")
    func neverBegun() async throws {
        let journal = Journal<String>()
        let channels = Registry()
        let chain = Chain([
            Interceptor("broken", leave: { _ in throw Mishap() }),
            Interceptor(
                "stream",
                enter: { context in
                    try await context.startEventStream(onDisconnect: { _ in journal.note("told") }) { _ in
                        journal.note("ready")
                    }
                    if let stream = context.response?.body.eventStream { channels.add(stream.channel) }
                }
            ),
        ])
        let failure = await #expect(throws: NotAnEventStream.self) { try await chain.eventStream(for: .get("/")) }
        #expect(failure?.status == .internalServerError)
        #expect(journal.entries.isEmpty)
        #expect(channels.channels.first?.isClosed == true)
        #expect(channels.channels.first?.disconnectReason == .applicationFailed)
    }

    @Test("If the client disconnects during the chain, neither the ready function nor onDisconnect runs")
    func leftDuringChain() async throws {
        let clock = ManualClock()
        let journal = Journal<String>()
        let chain = Chain([
            Interceptor("slow", leave: { _ in try? await clock.sleep(for: .seconds(1)) }),
            Interceptor(
                "stream",
                enter: { context in
                    try await context.startEventStream(onDisconnect: { _ in journal.note("told") }) { _ in
                        journal.note("ready")
                    }
                }
            ),
        ])
        let client = Task { try await chain.eventStream(for: .get("/")) }
        try await clock.waitForSleepers()
        client.cancel()
        await #expect(throws: CancellationError.self) { try await client.value }
        #expect(journal.entries.isEmpty)
    }

    // MARK: - Memory

    private final class Token: Sendable {}

    /// Holds a token weakly.
    private final class Weak: Sendable {
        let token: Mutex<WeakToken>
        struct WeakToken { weak var token: Token? }
        init() { token = Mutex(WeakToken()) }
        var isGone: Bool { token.withLock { $0.token == nil } }
        func keep(_ new: Token) { token.withLock { $0.token = new } }
    }

    @Test("The ready function is released after it returns, although the stream stays open", arguments: [true, false])
    func memory(opensAtOnce: Bool) async throws {
        let captured = Weak()
        let options = EventStreamOptions(opens: opensAtOnce ? .atOnce : .withFirstEvent)
        let chain = Chain([
            Interceptor(
                "stream",
                enter: { context in
                    let token = Token()
                    captured.keep(token)
                    try await context.startEventStream(options: options) { events in
                        await events.send("first")
                        withExtendedLifetime(token) {}
                    }
                }
            )
        ])
        let stream = try await chain.eventStream(for: .get("/"))
        try await stream.expectReturn()
        try await stream.expectEvent(data: "first")
        // The task releases the function some time after it returns.
        for _ in 0..<100_000 where !captured.isGone { await Task.yield() }
        #expect(captured.isGone)
        stream.leave()
        try await stream.expectEnd(.clientClosed)
    }
}
