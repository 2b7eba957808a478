// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

@Suite("Heartbeats", .timeLimit(.minutes(1)))
struct HeartbeatTests {
    /// A stream with nothing of its own to send.
    private func idle(_ options: EventStreamOptions, stalled: Bool = false) async throws -> (
        TestEventStream, EventChannel
    ) {
        let registry = Registry()
        let chain = Chain.stream(options: options, lifetime: .open) { registry.add($0) }
        let stream = try await chain.eventStream(for: .get("/"), stalled: stalled)
        try await stream.expectReturn()
        return (stream, try #require(registry.channels.first))
    }

    @Test("come 10 seconds after the last write, up to a tenth early and never late")
    func afterTenSeconds() async throws {
        let (stream, _) = try await idle(.init())
        #expect(stream.received == [.comment("")])
        stream.advance(by: .milliseconds(8999))
        #expect(stream.received.count == 1)
        stream.advance(by: .milliseconds(1001))
        #expect(stream.received == [.comment(""), .comment("")])
        #expect(stream.receivedBytes == Array(":\n:\n".utf8))
    }

    @Test("go on as long as the stream is idle")
    func again() async throws {
        let (stream, _) = try await idle(.init(heartbeat: .seconds(1)))
        stream.advance(by: .seconds(90))
        // The first of them is the comment that opens the stream.
        #expect((91...101).contains(stream.received.count))
        #expect(Set(stream.received) == [.comment("")])
    }

    @Test("do not come while the stream is busy")
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

    @Test("of streams that were opened together are spread over the last tenth")
    func jitter() {
        let transport = Wakes()
        let ticks = (0..<500).map { _ in
            let stream = EventStream { _ in }
            stream.channel.attach(transport, preamble: [], metrics: nil, now: .seconds(0))
            return stream.channel.firstTick
        }
        #expect(ticks.allSatisfy { $0 >= .seconds(9) && $0 <= .seconds(10) })
        // Five hundred independent times in a second: chance does not leave a fifth of it empty.
        for part in 0..<5 {
            let range = MonotonicTime.seconds(9 + 0.2 * Double(part)) ... .seconds(9.2 + 0.2 * Double(part))
            #expect(ticks.contains { range.contains($0) })
        }
    }

    @Test("may be an event, by themselves and on demand")
    func event() async throws {
        let beat = ServerSentEvent(type: "beat", data: "")
        let (stream, events) = try await idle(.init(heartbeat: .event(beat, every: .seconds(1))))
        try await stream.expectComment()
        stream.advance(by: .seconds(1))
        try await stream.expectEvent(beat)
        #expect(events.heartbeat())
        try await stream.expectEvent(beat)
    }

    @Test("may be off, and on demand all the same")
    func off() async throws {
        let (stream, events) = try await idle(.init(heartbeat: .off))
        try await stream.expectComment()
        stream.advance(by: .seconds(1_000_000))
        #expect(stream.received.count == 1)
        #expect(events.heartbeat())
        try await stream.expectComment()
    }

    @Test("do not pile up for a client that reads nothing")
    func stalled() async throws {
        let (stream, _) = try await idle(.init(heartbeat: .seconds(1), writeTimeout: nil), stalled: true)
        stream.advance(by: .seconds(3600))
        #expect(stream.received.isEmpty)
        stream.resume()
        #expect(stream.received.count <= 2)
    }

    @Test("stop with the stream")
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

    @Test("a client that takes nothing for 60 seconds is given up")
    func writeTimeout() async throws {
        let (stream, events) = try await open(.init(), stalled: true)
        stream.advance(by: .milliseconds(59_999))
        #expect(!events.isClosed)
        stream.advance(by: .milliseconds(1))
        try await stream.expectEnd(.timedOut)
        #expect(stream.receivedBytes.isEmpty)
    }

    @Test("a client that reads in time is not given up, and an idle one is not stalled")
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

    @Test("without a write timeout a client may stall for ever")
    func noTimeout() async throws {
        let (stream, events) = try await open(.init(writeTimeout: nil), stalled: true)
        stream.advance(by: .seconds(1_000_000))
        #expect(!events.isClosed)
    }

    @Test("a stream expires at its age, after what is buffered")
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

    @Test("a stream that is ending times out, too, with the reason why it was ending")
    func endingTimesOut() async throws {
        let (stream, events) = try await open(.init(), stalled: true)
        events.offer("never read")
        events.close()
        stream.advance(by: .seconds(61))
        try await stream.expectEnd(.applicationClosed)
        #expect(stream.receivedEvents.isEmpty)
    }
}
