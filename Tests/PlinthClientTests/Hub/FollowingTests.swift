// SPDX-License-Identifier: Apache-2.0

import MetricsTestKit
import PlinthClient
import PlinthTestSupport
import PlinthTesting
import Synchronization
import Testing

@Suite("Following a state")
struct FollowingTests {
    typealias Update = EventSource.StateUpdate<String>

    struct Unavailable: Error {}

    static let gapEvent = "event: gap\nid: x-9\ndata: {\"requested\":\"x-1\",\"oldest\":null,\"through\":null}\n\n"

    /// An application whose states are numbered, each with its own mark.
    final class Application: Sendable {
        let reads = Recorder<Int>()
        private let marks: [String]

        init(_ marks: String...) {
            self.marks = marks
        }

        func read() throws -> (state: String, mark: String) {
            let number = reads.values.count
            reads.record(number)
            guard marks.indices.contains(number) else { throw Unavailable() }
            return ("state \(number)", mark: marks[number])
        }
    }

    private static func source(
        _ transport: ScriptedTransport,
        clock: any Clock<Duration> = ManualClock(),
        _ configure: (inout EventSourceConfiguration) -> Void = { _ in }
    ) -> EventSource {
        HubUpdatesTests.source(transport, clock: clock, configure)
    }

    /// Reads in a task, and records what arrives.
    private static func read(
        _ source: EventSource,
        _ application: Application
    ) -> (updates: Recorder<Update>, end: Task<Void, any Error>) {
        let updates = Recorder<Update>()
        let end = Task {
            for try await update in source.following({ try application.read() }) { updates.record(update) }
        }
        return (updates, end)
    }

    @Test("The state comes first, then the events after its mark")
    func state() async throws {
        let transport = ScriptedTransport([.open(["id: x-4\ndata: a\n\n"])])
        let application = Application("x-3")
        let source = Self.source(transport) { $0.lastEventID = "ignored" }
        var iterator = source.following { try application.read() }.makeAsyncIterator()
        #expect(application.reads.values.isEmpty && transport.requests.values.isEmpty)
        #expect(try await iterator.next() == .state("state 0"))
        #expect(source.lastEventID == "x-3")
        #expect(try await iterator.next() == .event(.init(data: "a", lastEventID: "x-4")))
        #expect(source.lastEventID == "x-4")
        #expect(transport.lastEventIDs == ["x-3"])
        #expect(application.reads.values == [0])
    }

    @Test("A lost connection is resumed after the last event, or the mark, without another state")
    func resumption() async throws {
        let clock = ManualClock()
        let transport = ScriptedTransport([.failure, .stream([]), .stream(["id: x-4\ndata: a\n\n"]), .open([])])
        let application = Application("x-3")
        let (updates, end) = Self.read(Self.source(transport, clock: clock), application)
        defer { end.cancel() }
        for _ in 0..<3 {
            try await clock.waitForSleepers()
            clock.advance(by: .seconds(3))
        }
        try await transport.requests.first(4)
        #expect(transport.lastEventIDs == ["x-3", "x-3", "x-3", "x-4"])
        #expect(try await updates.first(2) == [.state("state 0"), .event(.init(data: "a", lastEventID: "x-4"))])
    }

    @Test("After a gap the state comes again, at once, then the events after the new mark alone")
    func gap() async throws {
        let transport = ScriptedTransport([
            .open(["id: x-4\ndata: a\n\n\(Self.gapEvent)id: x-10\ndata: in the second state\n\n"]),
            .open(["id: x-21\ndata: b\n\n"]),
        ])
        let application = Application("x-3", "x-20")
        let source = Self.source(transport)
        let (updates, end) = Self.read(source, application)
        defer { end.cancel() }
        #expect(
            try await updates.first(4) == [
                .state("state 0"), .event(.init(data: "a", lastEventID: "x-4")), .state("state 1"),
                .event(.init(data: "b", lastEventID: "x-21")),
            ]
        )
        #expect(transport.lastEventIDs == ["x-3", "x-20"])
        // The first connection is closed.
        #expect(try await transport.closed.first(1) == [0])
        #expect(source.readyState == .open)
    }

    @Test("A gap right after the mark waits like a failure before the state is read again, and is counted")
    func gapAfterMark() async throws {
        let clock = ManualClock()
        let metrics = TestMetrics()
        let transport = ScriptedTransport([.open([Self.gapEvent]), .open([Self.gapEvent]), .open([])])
        let application = Application("x-3", "x-20", "x-30")
        let source = Self.source(transport, clock: clock) { configuration in
            configuration.metricsFactory = metrics
            configuration.maximumAttempts = 2
        }
        let (updates, end) = Self.read(source, application)
        try await clock.waitForSleepers()
        #expect(application.reads.values == [0])
        #expect(source.readyState == .connecting)
        clock.advance(by: .seconds(3))
        #expect(try await updates.first(2) == [.state("state 0"), .state("state 1")])
        let error = await #expect(throws: EventSourceError.self) { try await end.value }
        #expect(error?.code == .tooManyAttempts)
        let dimensions = [("source", "default"), ("reason", "gapAfterMark")]
        #expect(try metrics.expectCounter("plinth_client_failures_total", dimensions).totalValue == 1)
    }

    @Test("An error of the closure is thrown as it is, and the next iteration reads the state again")
    func closureError() async throws {
        let transport = ScriptedTransport([.open(["data: a\n\n" + Self.gapEvent]), .open([])])
        let application = Application("x-3")
        let source = Self.source(transport)
        let (updates, end) = Self.read(source, application)
        await #expect(throws: Unavailable.self) { try await end.value }
        #expect(updates.values.count == 2)
        #expect(source.lastEventID == "x-3")
        #expect(source.readyState == .closed(.iterationEnded))
        let later = Application("x-20")
        var iterator = source.following { try later.read() }.makeAsyncIterator()
        #expect(try await iterator.next() == .state("state 0"))
        try await transport.requests.first(2)
        #expect(transport.lastEventIDs == ["x-3", "x-20"])
    }

    @Test("An error is thrown once")
    func once() async throws {
        var iterator = Self.source(ScriptedTransport([])).following { () -> (state: Int, mark: String) in
            throw Unavailable()
        }.makeAsyncIterator()
        await #expect(throws: Unavailable.self) { try await iterator.next() }
        #expect(try await iterator.next() == nil)
    }

    @Test("A mark that cannot be sent is an error, not a live stream", arguments: ["", " x", "a\nb", "123456789"])
    func invalidMark(_ mark: String) async throws {
        let transport = ScriptedTransport([.open([])])
        let source = Self.source(transport) { $0.maximumLastEventIDSize = 8 }
        var iterator = source.following { (0, mark: mark) }.makeAsyncIterator()
        let error = await #expect(throws: EventSourceError.self) { try await iterator.next() }
        #expect(error?.code == .invalidMark)
        #expect(error?.message.contains(mark.debugDescription) == true)
        #expect(transport.requests.values.isEmpty)
        #expect(source.readyState == .closed(.iterationEnded))
    }

    @Test("An invalid URL, or a source that is being read, is an error before the state is read")
    func errorsBeforeState() async throws {
        let application = Application("x-1")
        var iterator = EventSource("ftp://a/", transport: ScriptedTransport([])).following { try application.read() }
            .makeAsyncIterator()
        #expect(await #expect(throws: EventSourceError.self) { try await iterator.next() }?.code == .invalidURL)
        let source = Self.source(ScriptedTransport([.open(["data: a\n\n"])]))
        var first = source.makeAsyncIterator()
        _ = try await first.next()
        var second = source.following { try application.read() }.makeAsyncIterator()
        #expect(await #expect(throws: EventSourceError.self) { try await second.next() }?.code == .alreadyIterated)
        #expect(application.reads.values.isEmpty)
    }

    enum Stop: CaseIterable {
        case cancel, close
    }

    @Test(
        "Cancelling the task or closing the source cancels the closure and ends the sequence",
        arguments: Stop.allCases
    )
    func stopDuringClosure(_ stop: Stop) async throws {
        let transport = ScriptedTransport([.open([])])
        let source = Self.source(transport)
        let begun = Recorder<Void>()
        let reader = Task {
            for try await _ in source.following({ () -> (state: Int, mark: String) in
                begun.record()
                try await untilCancelled()
                return (0, mark: "x-1")
            }) { Issue.record("Unexpected update") }
        }
        try await begun.first()
        switch stop {
        case .cancel: reader.cancel()
        case .close: source.close()
        }
        try await reader.value
        #expect(source.readyState == .closed(stop == .cancel ? .iterationEnded : .closed))
        #expect(transport.requests.values.isEmpty)
    }

    @Test("A state that was read despite the cancellation is not delivered")
    func lateState() async throws {
        let source = Self.source(ScriptedTransport([.open([])]))
        var iterator = source.following { () -> (state: Int, mark: String) in
            source.close()
            return (0, mark: "x-1")
        }.makeAsyncIterator()
        #expect(try await iterator.next() == nil)
        #expect(source.lastEventID.isEmpty)
    }

    @Test("A source closed before the state is read again does not call the closure")
    func closedAtGap() async throws {
        let application = Application("x-3", "x-20")
        let source = Self.source(ScriptedTransport([.open(["id: x-4\ndata: a\n\n" + Self.gapEvent])]))
        let states = source.readyStates
        var iterator = source.following { try application.read() }.makeAsyncIterator()
        #expect(try await iterator.next() == .state("state 0"))
        #expect(try await iterator.next() == .event(.init(data: "a", lastEventID: "x-4")))
        // The gap has been received once the source is connecting again.
        var seen: [EventSource.ReadyState] = []
        for await state in states {
            seen.append(state)
            if seen.count > 2, state == .connecting { break }
        }
        source.close()
        #expect(try await iterator.next() == nil)
        #expect(application.reads.values == [0])
        #expect(source.lastEventID == "x-4")
    }

    @Test("Cancelling the reader's task closes the connection")
    func cancellation() async throws {
        let transport = ScriptedTransport([.open(["data: a\n\n"])])
        let source = Self.source(transport)
        let (updates, end) = Self.read(source, Application("x-3"))
        try await updates.first(2)
        end.cancel()
        try await end.value
        try await transport.closed.first(1)
        #expect(source.readyState == .closed(.iterationEnded))
    }

    @Test("A restart while the state is read neither connects without its mark nor reads it again")
    func restart() async throws {
        let transport = ScriptedTransport([.open(["id: x-4\ndata: a\n\n" + Self.gapEvent]), .open(["data: b\n\n"])])
        let source = Self.source(transport)
        let application = Application("x-3", "x-20")
        let updates = source.following {
            source.restart()
            return try application.read()
        }
        var iterator = updates.makeAsyncIterator()
        #expect(try await iterator.next() == .state("state 0"))
        #expect(try await iterator.next() == .event(.init(data: "a", lastEventID: "x-4")))
        #expect(try await iterator.next() == .state("state 1"))
        guard case .event(let event)? = try await iterator.next() else {
            Issue.record("An event should follow")
            return
        }
        #expect(event.data == "b" && event.lastEventID == "x-20")
        #expect(transport.lastEventIDs == ["x-3", "x-20"])
        #expect(application.reads.values.count == 2)
    }

    @Test("A restart at the moment of a gap does not pass over the state")
    func restartAtGap() async throws {
        let box = Mutex<EventSource?>(nil)
        let gap = AsyncStream<[UInt8]> {
            box.withLock { $0 }?.restart()
            return Array(Self.gapEvent.utf8)
        }
        let clock = ManualClock()
        let transport = ScriptedTransport([.live(gap), .open([])])
        let source = Self.source(transport, clock: clock)
        box.withLock { $0 = source }
        let application = Application("x-3", "x-20")
        let (updates, end) = Self.read(source, application)
        defer { end.cancel() }
        try await clock.waitForSleepers()
        clock.advance(by: .seconds(3))
        #expect(try await updates.first(2) == [.state("state 0"), .state("state 1")])
        try await transport.requests.first(2)
        #expect(transport.lastEventIDs == ["x-3", "x-20"])
        box.withLock { $0 = nil }
    }

    @Test("The sequence ends with its topic, or at the hub's 204")
    func end() async throws {
        let text = "event: end\nid: x-4\ndata: {\"topic\":\"a\"}\n\n"
        let source = Self.source(ScriptedTransport([.stream([text])]))
        let (updates, end) = Self.read(source, Application("x-3"))
        try await end.value
        #expect(updates.values == [.state("state 0"), .end(topic: "a")])
        #expect(source.readyState == .closed(.ended))
        let ended = Self.source(ScriptedTransport([.response(204)]))
        let (none, last) = Self.read(ended, Application("x-3"))
        try await last.value
        #expect(none.values == [.state("state 0")])
        #expect(ended.readyState == .closed(.noContent))
    }
}
