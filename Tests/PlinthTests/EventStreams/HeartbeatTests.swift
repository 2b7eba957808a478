// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

@Suite("Heartbeats", .timeLimit(.minutes(1)))
struct HeartbeatTests {
    /// An idle stream.
    private func idle(_ options: EventStreamOptions, stalled: Bool = false) async throws -> (
        TestEventStream, EventChannel
    ) {
        let registry = Registry()
        let chain = Chain.stream(options: options, lifetime: .open) { registry.add($0) }
        let stream = try await chain.eventStream(for: .get("/"), stalled: stalled)
        try await stream.expectReturn()
        return (stream, try #require(registry.channels.first))
    }

    @Test("A heartbeat comes 9 to 10 seconds after the last write")
    func afterTenSeconds() async throws {
        let (stream, _) = try await idle(.init())
        #expect(stream.received == [.comment("")])
        stream.advance(by: .milliseconds(8999))
        #expect(stream.received.count == 1)
        stream.advance(by: .milliseconds(1001))
        #expect(stream.received == [.comment(""), .comment("")])
        #expect(stream.receivedBytes == Array(":\n:\n".utf8))
    }

    @Test("Heartbeats repeat while the stream is idle")
    func again() async throws {
        let (stream, _) = try await idle(.init(heartbeat: .seconds(1)))
        stream.advance(by: .seconds(90))
        // The first one is the opening comment.
        #expect((91...101).contains(stream.received.count))
        #expect(Set(stream.received) == [.comment("")])
    }

    @Test("A busy stream has no heartbeats")
    func busy() async throws {
        let (stream, events) = try await idle(.init())
        for n in 0..<20 {
            stream.advance(by: .seconds(8))
            await events.send("\(n)")
        }
        #expect(stream.receivedEvents.count == 20)
        #expect(stream.received.count == 21)
        stream.advance(by: .seconds(10))
        #expect(stream.received.count == 22)
        #expect(stream.received.last == .comment(""))
    }

    @Test("Heartbeats of streams opened together are spread over the last tenth of the interval")
    func jitter() {
        let transport = Wakes()
        let ticks = (0..<500).map { _ in
            let stream = EventStream { _ in }
            stream.channel.attach(transport, preamble: [], metrics: nil, now: .seconds(0))
            return stream.channel.firstTick
        }
        #expect(ticks.allSatisfy { $0 >= .seconds(9) && $0 <= .seconds(10) })
        // With 500 independent times in a second, an empty fifth is practically impossible.
        for part in 0..<5 {
            let range = MonotonicTime.seconds(9 + 0.2 * Double(part)) ... .seconds(9.2 + 0.2 * Double(part))
            #expect(ticks.contains { range.contains($0) })
        }
    }

    @Test("A heartbeat can be an event, both periodic and on demand")
    func event() async throws {
        let beat = ServerSentEvent(type: "beat", data: "")
        let (stream, events) = try await idle(.init(heartbeat: .event(beat, every: .seconds(1))))
        try await stream.expectComment()
        stream.advance(by: .seconds(1))
        try await stream.expectEvent(beat)
        #expect(events.heartbeat())
        try await stream.expectEvent(beat)
    }

    @Test("With periodic heartbeats off, they are still sent on demand")
    func off() async throws {
        let (stream, events) = try await idle(.init(heartbeat: .off))
        try await stream.expectComment()
        stream.advance(by: .seconds(1_000_000))
        #expect(stream.received.count == 1)
        #expect(events.heartbeat())
        try await stream.expectComment()
    }

    @Test("Heartbeats do not accumulate for a stalled client")
    func stalled() async throws {
        let (stream, _) = try await idle(.init(heartbeat: .seconds(1), writeTimeout: nil), stalled: true)
        stream.advance(by: .seconds(3600))
        #expect(stream.received.isEmpty)
        stream.resume()
        #expect(stream.received.count <= 2)
    }

    @Test("Heartbeats stop with the stream")
    func ended() async throws {
        let (stream, events) = try await idle(.init())
        events.close()
        #expect(!events.heartbeat())
        stream.advance(by: .seconds(60))
        #expect(stream.received == [.comment(""), .end(.applicationClosed)])
    }
}

@Suite("Time limits", .timeLimit(.minutes(1)))
struct TimeLimitTests {
    private func open(_ options: EventStreamOptions, stalled: Bool) async throws -> (TestEventStream, EventChannel) {
        let registry = Registry()
        let chain = Chain.stream(options: options, lifetime: .open) { registry.add($0) }
        let stream = try await chain.eventStream(for: .get("/"), stalled: stalled)
        try await stream.expectReturn()
        return (stream, try #require(registry.channels.first))
    }

    @Test("A client that reads nothing for 60 seconds times out")
    func writeTimeout() async throws {
        let (stream, events) = try await open(.init(), stalled: true)
        stream.advance(by: .milliseconds(59_999))
        #expect(!events.isClosed)
        stream.advance(by: .milliseconds(1))
        try await stream.expectEnd(.timedOut)
        #expect(stream.receivedBytes.isEmpty)
    }

    @Test("A client that reads in time does not time out, nor does an idle one")
    func progress() async throws {
        let (stream, events) = try await open(.init(heartbeat: .off), stalled: false)
        stream.advance(by: .seconds(3600))
        for n in 0..<5 {
            stream.stall()
            events.offer("\(n)")
            stream.advance(by: .seconds(29))
            stream.resume()
        }
        #expect(!events.isClosed)
        #expect(stream.receivedEvents.count == 5)
    }

    @Test("Without a write timeout, a client may stall forever")
    func noTimeout() async throws {
        let (stream, events) = try await open(.init(writeTimeout: nil), stalled: true)
        stream.advance(by: .seconds(1_000_000))
        #expect(!events.isClosed)
    }

    @Test("A stream expires at its maximum age, after its buffered events")
    func expires() async throws {
        let (stream, events) = try await open(.init(heartbeat: .off, maximumAge: .seconds(60)), stalled: false)
        stream.advance(by: .milliseconds(59_999))
        #expect(!events.isClosed)
        stream.stall()
        events.offer("last")
        stream.advance(by: .milliseconds(1))
        #expect(events.disconnectReason == .expired)
        #expect(events.offer("later") == .closed)
        stream.resume()
        try await stream.expectEvent(data: "last")
        try await stream.expectEnd(.expired)
    }

    @Test("An ending stream also times out, keeping its original reason")
    func endingTimesOut() async throws {
        let (stream, events) = try await open(.init(), stalled: true)
        events.offer("never read")
        events.close()
        stream.advance(by: .seconds(61))
        try await stream.expectEnd(.applicationClosed)
        #expect(stream.receivedEvents.isEmpty)
    }
}
