// SPDX-License-Identifier: Apache-2.0

#if Server

import Dispatch
import Plinth
import PlinthServer
import PlinthTestSupport
import Testing

/// How event streams end, and which callbacks run.
@Suite("Event stream ends")
struct EventStreamEndTests {
    enum Leaving: String, CaseIterable, Sendable {
        case fin
        case rst
        case halfClose
    }

    /// Large enough that a few of them fill the buffers of two sockets.
    static let large = String(repeating: "x", count: 64 * 1024)

    @Test("Twenty events pass through a buffer of ten")
    func moreEventsThanBuffer() async throws {
        let ends = Recorder<StreamEnd>()
        let stream = Interceptor.eventStream("twenty", onDisconnect: { ends.record($0) }) { events, _ in
            for number in 1...20 { await events.send("\(number)") }
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", version: "1.0")
            _ = try await client.read(until: "\r\n\r\n")
            let body = try await client.readToEnd()
            #expect(body == ":\n" + (1...20).map { "data: \($0)\n\n" }.joined())
            #expect(try await ends.first() == [.applicationClosed])
        }
        #expect(ends.values.count == 1)
    }

    @Test("A client that leaves is noticed at once, and the closure's task is cancelled", arguments: Leaving.allCases)
    func leaving(how: Leaving) async throws {
        let ends = Recorder<StreamEnd>()
        let cancelled = Recorder<Void>()
        let stream = Interceptor.eventStream("stream", onDisconnect: { ends.record($0) }) { events, _ in
            await events.send("one")
            do {
                try await untilCancelled()
            } catch {
                cancelled.record()
                #expect(await events.send("after the end") == false)
                #expect(events.offer("after the end") == .closed)
            }
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/")
            _ = try await client.read(until: "data: one\n\n")
            switch how {
            case .fin: client.close()
            case .rst: client.reset()
            case .halfClose: client.shutdownWrite()
            }
            try await cancelled.first(1, "the cancellation")
            #expect(try await ends.first() == [.clientClosed])
            if how == .halfClose { _ = try await client.readAll() }
        }
        #expect(ends.values.count == 1)
    }

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

    @Test("A client that stops reading is closed after the write timeout")
    func stopsReading() async throws {
        let ends = Recorder<StreamEnd>()
        let returned = Recorder<Void>()
        let options = EventStreamOptions(writeTimeout: .milliseconds(300))
        let stream = Interceptor.eventStream("stream", options: options, onDisconnect: { ends.record($0) }) {
            events,
            _ in
            while await events.send(Self.large) {}
            returned.record()
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", receiveBuffer: 4096)
            _ = try await client.read(until: "\r\n\r\n")
            #expect(try await ends.first() == [.timedOut])
            try await returned.first()
            client.close()
        }
        #expect(ends.values.count == 1)
    }

    @Test("A client that reads slowly is not timed out")
    func readsSlowly() async throws {
        let ends = Recorder<StreamEnd>()
        let options = EventStreamOptions(writeTimeout: .seconds(2))
        let stream = Interceptor.eventStream("stream", options: options, onDisconnect: { ends.record($0) }) {
            events,
            _ in
            for _ in 0..<60 { await events.send(Self.large) }
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", version: "1.0", receiveBuffer: 256 * 1024)
            _ = try await client.read(until: "\r\n\r\n:\n")
            let whole = 60 * (Self.large.utf8.count + 8)
            let start = DispatchTime.now()
            // Twice the timeout: the test depends on this reader's pace.
            let bytes = try await client.count(upTo: whole, bytesPerSecond: 900_000)
            #expect(bytes == whole)
            #expect(DispatchTime.now().uptimeNanoseconds - start.uptimeNanoseconds > 4_000_000_000)
            #expect(try await client.readToEnd().isEmpty)
            #expect(try await ends.first() == [.applicationClosed])
            client.close()
        }
    }

    @Test("A client that lags behind a disconnecting buffer is disconnected at once")
    func lags() async throws {
        let ends = Recorder<StreamEnd>()
        let options = EventStreamOptions(buffer: .disconnect(5), writeTimeout: nil)
        let stream = Interceptor.eventStream("stream", options: options, onDisconnect: { ends.record($0) }) {
            events,
            _ in
            while await events.send(Self.large) { await Task.yield() }
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", receiveBuffer: 4096)
            _ = try await client.read(until: "\r\n\r\n")
            #expect(try await ends.first() == [.lagged])
        }
        #expect(ends.values.count == 1)
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

    @Test("An error in the ready function ends the stream and is not sent")
    func applicationFails() async throws {
        struct Secret: Error {}
        let ends = Recorder<StreamEnd>()
        let stream = Interceptor.eventStream("stream", onDisconnect: { ends.record($0) }) { events, _ in
            await events.send("one")
            throw Secret()
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", version: "1.0")
            _ = try await client.read(until: "\r\n\r\n")
            #expect(try await client.readToEnd() == ":\ndata: one\n\n")
            #expect(try await ends.first() == [.applicationFailed])
        }
        #expect(ends.values.count == 1)
    }

    @Test("onError turns an error into a last event")
    func applicationFailsWithEvent() async throws {
        struct Broken: Error {}
        let options = EventStreamOptions(onError: { _ in ServerSentEvent(data: "sorry") })
        let stream = Interceptor.eventStream("stream", options: options) { events, _ in
            await events.send("one")
            throw Broken()
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", version: "1.0")
            #expect(try await client.readToEnd().hasSuffix("data: one\n\ndata: sorry\n\n"))
        }
    }

    @Test("A stream ends at its maximum age")
    func expires() async throws {
        let ends = Recorder<StreamEnd>()
        let options = EventStreamOptions(maximumAge: .milliseconds(100))
        let stream = Interceptor.eventStream("stream", options: options, onDisconnect: { ends.record($0) }) { _, _ in
            try await untilCancelled()
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/")
            #expect(try await client.readToEnd().hasSuffix("0\r\n\r\n"))
            #expect(try await ends.first() == [.expired])
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

    @Test("dropNewest keeps the first events, dropOldest the last", arguments: [true, false])
    func droppingPolicies(keepsOldest: Bool) async throws {
        let channels = Recorder<EventChannel>()
        let options = EventStreamOptions(buffer: keepsOldest ? .dropNewest(3) : .dropOldest(3))
        let stream = Interceptor(
            "stream",
            enter: { context in
                try await context.startEventStream(options: options) { channels.record($0) }
            }
        )
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", version: "1.0", receiveBuffer: 4096)
            let events = try await channels.first()[0]
            _ = try await client.read(until: ":\n")
            // Fills the sockets, then the buffer.
            for number in 0..<200 {
                #expect(events.offer(ServerSentEvent(data: "\(number) \(Self.large)")) == .accepted)
            }
            events.close()
            let body = try await client.readToEnd()
            let numbers = body.split(separator: "\n").compactMap { line in
                line.hasPrefix("data: ") ? Int(line.dropFirst(6).prefix { $0 != " " }) : nil
            }
            #expect(numbers == numbers.sorted())
            #expect(numbers.count < 200)
            if keepsOldest {
                // Which events follow depends on what the socket took meanwhile.
                #expect(numbers.prefix(3) == [0, 1, 2])
            } else {
                #expect(numbers.suffix(3) == [197, 198, 199])
            }
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
