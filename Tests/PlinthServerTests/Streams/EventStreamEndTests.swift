// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthServer
import PlinthTestSupport
import Testing

/// How event streams end, and which callbacks run.
@Suite("Event stream ends")
struct EventStreamEndTests {
    /// Large enough that a few of them fill the buffers of two sockets.
    static let large = String(repeating: "x", count: 64 * 1024)

    @Test("A client that leaves resumes a waiting sender")
    func leavingWhileSenderWaits() async throws {
        let ends = Recorder<StreamEnd>()
        let refused = Recorder<Void>()
        let sent = Recorder<Int>()
        let stream = Interceptor(
            "stream",
            enter: { context in
                try await context.startEventStream(lifetime: .open, onDisconnect: { ends.record($0) }) { events in
                    Task {
                        var count = 0
                        while await events.send(Self.large) {
                            count += 1
                            sent.record(count)
                        }
                        refused.record()
                    }
                }
            }
        )
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", receiveBuffer: 4096)
            _ = try await client.read(until: "data: x")
            // Ten in the buffer, and more in the sockets.
            try await sent.first(11)
            client.reset()
            try await refused.first()
            #expect(try await ends.first() == [.clientClosed])
        }
    }

    @Test("A graceful shutdown ends a stream with its last chunk")
    func draining() async throws {
        let ends = Recorder<StreamEnd>()
        let cancelled = Recorder<Void>()
        let stream = Interceptor.eventStream("stream", onDisconnect: { ends.record($0) }) { events, _ in
            await events.send("one")
            do { try await untilCancelled() } catch { cancelled.record() }
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/")
            _ = try await client.read(until: "data: one\n\n\r\n")
            try await server.shutDown()
            #expect(try await client.readToEnd() == "0\r\n\r\n")
            try await cancelled.first()
            #expect(ends.values == [.serverDraining])
        }
    }

    @Test("A stream that the application closes first sends its buffered events")
    func applicationCloses() async throws {
        let ends = Recorder<StreamEnd>()
        let channels = Recorder<EventChannel>()
        let stream = Interceptor(
            "stream",
            enter: { context in
                try await context.startEventStream(onDisconnect: { ends.record($0) }) { channels.record($0) }
            }
        )
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", version: "1.0")
            let events = try await channels.first()[0]
            for number in 1...10 { events.offer("\(number)") }
            events.close(after: ServerSentEvent(data: "last"))
            events.close()
            let body = try await client.readToEnd()
            #expect(body.hasSuffix("data: 10\n\ndata: last\n\n"))
            #expect(try await ends.first() == [.applicationClosed])
            #expect(events.offer("late") == .closed)
        }
        #expect(ends.values.count == 1)
    }

    @Test("A slow onDisconnect delays only a shutdown")
    func slowOnDisconnect() async throws {
        let gate = Recorder<Void>()
        let told = Recorder<Void>()
        let stream = Interceptor.eventStream(
            "stream",
            onDisconnect: { _ in
                _ = try? await gate.first()
                told.record()
            }
        ) { events, _ in await events.send("one") }
        try await withServer([routes(["/": stream, "/text": answering("text")])]) { server in
            let client = try await server.requesting("/")
            _ = try await client.readToEnd()
            let other = try await server.client()
            #expect(try await other.get("/text").body == "text")
            other.close()
            #expect(server.connector.activityCount >= 1)
            gate.record()
            try await told.first()
        }
    }

    // MARK: - Slow readers

    @Test("A stalled reader delays no other stream of its event loop")
    func slowReaderAlone() async throws {
        let isStalled = Recorder<Void>()
        let stalled = Interceptor.eventStream("stalled") { events, _ in
            while events.offer(Self.large) != .full { await Task.yield() }
            isStalled.record()
            while await events.send(Self.large) {}
        }
        let quick = Interceptor.eventStream("quick") { events, _ in
            for number in 1...100 { await events.send("\(number)") }
        }
        try await withServer([routes(["/stalled": stalled, "/quick": quick])]) { server in
            var sleepers: [RawClient] = []
            for _ in 0..<8 { sleepers.append(try await server.requesting("/stalled", receiveBuffer: 4096)) }
            try await isStalled.first(8)
            for _ in 0..<4 {
                let client = try await server.requesting("/quick")
                let body = try await client.readToEnd()
                #expect(body.contains("data: 100\n\n"))
            }
            for sleeper in sleepers { sleeper.reset() }
        }
    }

    @Test("A custom buffer is used end to end")
    func customBuffer() async throws {
        struct Latest: EventBuffer {
            var event: ServerSentEvent?
            var isEmpty: Bool { event == nil }
            mutating func append(_ event: ServerSentEvent) -> EventBufferOutcome {
                defer { self.event = event }
                return .stored(dropping: self.event == nil ? 0 : 1)
            }
            mutating func popFirst() -> ServerSentEvent? {
                defer { event = nil }
                return event
            }
        }
        let stream = Interceptor.eventStream("stream", options: .init(buffer: .custom { Latest() })) { events, _ in
            for number in 0..<200 { events.offer(ServerSentEvent(data: "\(number) \(Self.large)")) }
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", version: "1.0", receiveBuffer: 4096)
            let body = try await client.readToEnd()
            #expect(body.contains("data: 199 "))
        }
    }

    @Test("A stalled reader holds a bounded number of events")
    func boundedMemory() async throws {
        let accepted = Recorder<Int>()
        let channels = Recorder<EventChannel>()
        let stream = Interceptor(
            "stream",
            enter: { context in
                try await context.startEventStream(options: .init(buffer: .bounded(10))) { channels.record($0) }
            }
        )
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", receiveBuffer: 4096)
            let events = try await channels.first()[0]
            _ = try await client.read(until: ":\n")
            var count = 0
            var refusals = 0
            // Fills the buffer repeatedly, with pauses for the event loop to drain it.
            while refusals < 50, count < 10_000 {
                switch events.offer(Self.large) {
                case .accepted: count += 1
                case .full:
                    refusals += 1
                    try await Task.sleep(for: .milliseconds(2))
                case .closed: Issue.record("the stream ended")
                }
            }
            accepted.record(count)
            // Ten in the buffer; the rest is in the kernel's buffers of both sockets, somewhat over 4 MB.
            #expect(count < 150)
            client.reset()
        }
    }
}

#endif
