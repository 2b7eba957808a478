// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Testing

@testable import PlinthHub

@Suite("Delivery timing")
struct DistributorTimingTests {
    /// The maximum delay of the wheel: one tick.
    private static let tick = Duration.milliseconds(50)

    @Test("An idle stream sends exactly one comment per interval, at its own time", arguments: [true, false])
    func heartbeats(isChunked: Bool) async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: .seconds(10)))
        let form = StreamForm(isChunked: isChunked, namesTopic: false)
        var slots: [Int] = []
        for _ in 0..<50 { slots.append(delivery.add(try exact("a"), form: form)) }
        var last = Array(repeating: Duration.zero, count: slots.count)
        var count = 0
        for step in 1...6000 {
            delivery.advance(by: .milliseconds(10))
            let time = Duration.milliseconds(10 * step)
            for slot in slots {
                let (text, writes) = delivery.sink.take(slot)
                guard writes > 0 else { continue }
                count += 1
                #expect(text == (isChunked ? "2\r\n:\n\r\n" : ":\n"))
                let idle = time - last[slot]
                #expect(idle >= .seconds(9) && idle <= .seconds(10) + Self.tick + .milliseconds(10), "\(idle)")
                last[slot] = time
            }
        }
        #expect(last.allSatisfy { $0 > .seconds(49) })
        #expect(delivery.distributor.tally.heartbeats == count)
        #expect(delivery.distributor.count == slots.count)
    }

    @Test("A heartbeat can be an event with a type and without an ID, in both forms", arguments: [true, false])
    func heartbeatEvent(isChunked: Bool) async throws {
        let options = StreamOptions(heartbeat: .seconds(10), heartbeatEvent: "still-here")
        var delivery = try await Delivery(options: options)
        let slot = delivery.add(try exact("a"), form: StreamForm(isChunked: isChunked, namesTopic: true))
        for _ in 0..<101 { delivery.advance(by: .milliseconds(100)) }
        let text = "event: still-here\ndata: \n\n"
        #expect(delivery.sink.take(slot).text == (isChunked ? "1a\r\n\(text)\r\n" : text))
        #expect(delivery.distributor.tally.heartbeats == 1)
        var parser = ServerSentEventParser()
        var events: [ServerSentEvent] = []
        try parser.parse(Array("id: 7\n\n\(text)".utf8)) { events.append($0) }
        #expect(events.map(\.type) == ["still-here"])
        #expect(parser.lastEventID == "7")
    }

    @Test("Each stream ends with its own reconnection time within the range, whatever the reason")
    func farewells() async throws {
        let options = StreamOptions(retry: .milliseconds(500)...(.milliseconds(900)))
        // Not from `Delivery`, which draws the shortest time.
        let memory = MemoryHistory.make()
        var distributor = Distributor(history: memory, options: options, head: .zero)
        let sink = TestSink()
        let now = MonotonicTime(nanoseconds: 1_000_000_000)
        var times: Set<Duration> = []
        let start = LocatedStart(position: .zero)
        // After the end of all topics nothing follows.
        let ends = StreamEnd.ofHubs.filter { $0 != .topicsEnded }
        for number in 0..<500 {
            let slot = distributor.add(Selection([try exact("a")]), start, Delivery.bare, now: now)
            distributor.end(slot, ends[number % ends.count], sink, now: now)
            var parser = ServerSentEventParser()
            try parser.parse(Array(sink.take(slot).text.utf8)) { _ in Issue.record("an unexpected event") }
            let time = try #require(parser.reconnectionTime)
            #expect(time >= .milliseconds(500) && time <= .milliseconds(900))
            times.insert(time)
        }
        #expect(times.count > 100, "\(times.count) times for 500 streams")
    }

    @Test("Reconnection times are whole milliseconds for any range, and multiplied by the factor")
    func drawing() {
        func draw(_ range: ClosedRange<Duration>, times factor: Int64 = 1, isLowest: Bool = true) -> Duration {
            var options = StreamOptions(retry: range)
            options.random = { isLowest ? $0.lowerBound : $0.upperBound }
            return options.drawRetry(times: factor)
        }
        #expect(draw(.seconds(2)...(.seconds(4))) == .seconds(2))
        #expect(draw(.seconds(2)...(.seconds(4)), times: 4, isLowest: false) == .seconds(16))
        #expect(draw(.nanoseconds(1_999_999)...(.nanoseconds(2_999_999)), isLowest: false) == .milliseconds(2))
        #expect(draw(.seconds(-5)...(.seconds(-1))) == .zero)
        let longest = draw(.seconds(Int64.max)...(.seconds(Int64.max)), times: 4, isLowest: false)
        #expect(longest == .milliseconds(Int64.max / 1_000_000 * 4))
        #expect(StreamOptions(retry: .zero...(.seconds(Int64.max))).retryBlock(times: 4).starts(with: "retry: ".utf8))
    }

    @Test("A stream with frequent events sends no heartbeats")
    func busy() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: .seconds(1)))
        let slot = delivery.add(try exact("a"))
        for _ in 0..<40 {
            try delivery.publish(event("x", "a"))
            delivery.advance(by: .milliseconds(800))
        }
        #expect(delivery.distributor.tally.heartbeats == 0)
        #expect(!delivery.sink.take(slot).text.contains(":\n"))
    }

    @Test("A blocked stream sends no heartbeats until it resumes")
    func blockedHeartbeats() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: .seconds(1), writeTimeout: .seconds(100)))
        let slot = delivery.add(try exact("a"))
        delivery.sink.room[slot] = 5
        try delivery.publish(event("x", "a"))
        for _ in 0..<50 { delivery.advance(by: .milliseconds(100)) }
        #expect(delivery.distributor.tally.heartbeats == 0)
        delivery.isWritable(slot)
        #expect(delivery.sink.take(slot).text == sent("x", 1))
        for _ in 0..<11 { delivery.advance(by: .milliseconds(100)) }
        #expect(delivery.sink.take(slot).text == ":\n")
    }

    @Test("A heartbeat that does not fit is completed before anything else", arguments: 0...6)
    func partialHeartbeat(room: Int) async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: .seconds(1), writeTimeout: .seconds(100)))
        let slot = delivery.add(try exact("a"), form: Delivery.chunked)
        delivery.sink.room[slot] = room
        for _ in 0..<11 { delivery.advance(by: .milliseconds(100)) }
        #expect(delivery.distributor.states[slot].phase == .blocked)
        try delivery.publish(event("x", "a"))
        delivery.isWritable(slot)
        #expect(delivery.sink.take(slot).text == "2\r\n:\n\r\n11\r\n\(sent("x", 1))\r\n")
        #expect(delivery.distributor.states[slot].phase == .live)
    }

    @Test("A connection that stalls between events is closed, however often it reports room")
    func timeoutBetweenEvents() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: nil, writeTimeout: .seconds(30)))
        let slot = delivery.add(try exact("a"))
        try delivery.publish(event("x", "a"))
        delivery.advance(by: .seconds(1))
        delivery.sink.room[slot] = 0
        try delivery.publish(event("y", "a"))
        for _ in 0..<299 {
            delivery.advance(by: .milliseconds(100))
            // As when the kernel lacks memory (ENOBUFS): no bytes are left over, and history is read again.
            delivery.isWritable(slot, room: 0)
        }
        #expect(delivery.takeEnded() == [])
        delivery.advance(by: .milliseconds(200))
        #expect(delivery.takeEnded() == ["\(slot) timed-out"])
    }

    @Test("A connection that takes nothing is closed after the timeout and not before")
    func timeout() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: nil, writeTimeout: .seconds(30)))
        let slot = delivery.add(try exact("a"))
        delivery.sink.room[slot] = 5
        try delivery.publish(event("x", "a"))
        for _ in 0..<299 {
            delivery.advance(by: .milliseconds(100))
            // It reports room, but takes nothing.
            delivery.isWritable(slot, room: 0)
        }
        #expect(delivery.takeEnded() == [])
        delivery.advance(by: .milliseconds(200))
        #expect(delivery.takeEnded() == ["\(slot) timed-out"])
        #expect(delivery.distributor.count == 0)
    }

    @Test("A connection that takes a byte now and then is not closed")
    func progress() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: .seconds(1), writeTimeout: .seconds(5)))
        let slot = delivery.add(try exact("a"))
        delivery.sink.room[slot] = 0
        try delivery.publish(event("0123456789", "a"))
        let count = sent("0123456789", 1).utf8.count
        for _ in 0..<count {
            delivery.advance(by: .seconds(4))
            delivery.isWritable(slot, room: 1)
        }
        #expect(delivery.takeEnded() == [])
        #expect(delivery.sink.take(slot).text == sent("0123456789", 1))
        #expect(delivery.distributor.states[slot].phase == .live)
        delivery.sink.room[slot] = 0
        for _ in 0..<130 { delivery.advance(by: .milliseconds(50)) }
        #expect(delivery.takeEnded() == ["\(slot) timed-out"])
    }

    @Test("Without a timeout, a stalled connection stays open")
    func patient() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: nil, writeTimeout: nil))
        let slot = delivery.add(try exact("a"))
        delivery.sink.room[slot] = 0
        try delivery.publish(event("x", "a"))
        for _ in 0..<100 { delivery.advance(by: .seconds(3600)) }
        #expect(delivery.takeEnded() == [])
        delivery.isWritable(slot)
        #expect(delivery.sink.take(slot).text == sent("x", 1))
    }

    @Test("A stream ends cleanly at its maximum age, whether idle, busy or blocked")
    func maximumAge() async throws {
        var delivery = try await Delivery(
            options: StreamOptions(heartbeat: .seconds(3), writeTimeout: .seconds(8), maximumAge: .seconds(20))
        )
        let idle = delivery.add(try exact("a"), form: Delivery.chunked)
        let busy = delivery.add(try exact("b"), form: Delivery.chunked)
        let blocked = delivery.add(try exact("c"), form: Delivery.chunked)
        for second in 0..<199 {
            delivery.advance(by: .milliseconds(100))
            if second % 10 == 0 { try delivery.publish(event("x", "b")) }
            if second == 180 {
                delivery.sink.room[blocked] = 5
                try delivery.publish(event("y", "c"))
            }
        }
        #expect(delivery.takeEnded() == [])
        for _ in 0..<2 { delivery.advance(by: .milliseconds(100)) }
        #expect(delivery.takeEnded().sorted() == ["\(idle) expired", "\(busy) expired"])
        #expect(delivery.sink.take(idle).text.hasSuffix(Delivery.chunkedFarewell))
        #expect(delivery.sink.take(busy).text.hasSuffix(Delivery.chunkedFarewell))
        delivery.isWritable(blocked)
        #expect(delivery.takeEnded() == ["\(blocked) expired"])
        #expect(delivery.sink.take(blocked).text.hasSuffix("data: y\nid: 1-20\n\n\r\n" + Delivery.chunkedFarewell))
    }

    @Test("A stream whose end is not taken is closed after the timeout, with its own reason")
    func endTimeout() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: nil, writeTimeout: .seconds(5)))
        let slot = delivery.add(try exact("a"), form: Delivery.chunked)
        delivery.sink.room[slot] = 2
        delivery.distributor.end(slot, .serverDraining, delivery.sink, now: delivery.now)
        for _ in 0..<49 { delivery.advance(by: .milliseconds(100)) }
        #expect(delivery.takeEnded() == [])
        for _ in 0..<3 { delivery.advance(by: .milliseconds(100)) }
        #expect(delivery.takeEnded() == ["\(slot) server-draining"])
    }

    @Test("Timers do not accumulate, however often a connection stalls and resumes")
    func accumulation() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: .seconds(10), writeTimeout: .seconds(2)))
        var slots: [Int] = []
        for _ in 0..<20 { slots.append(delivery.add(try exact("a"))) }
        for step in 0..<2000 {
            for slot in slots { delivery.sink.room[slot] = step % 25 }
            try delivery.publish(event("\(step)", "a"))
            for slot in slots { delivery.isWritable(slot) }
            delivery.advance(by: .milliseconds(20))
        }
        #expect(delivery.takeEnded() == [])
        #expect(delivery.distributor.timers <= 8 * slots.count, "\(delivery.distributor.timers) timers")
        #expect(delivery.distributor.behind == 0)
    }

    @Test("The time until the next tick is known, and nil without subscribers")
    func untilTick() async throws {
        var delivery = try await Delivery(options: StreamOptions(heartbeat: .seconds(5)))
        #expect(delivery.distributor.untilTick(now: delivery.now) == nil)
        let slot = delivery.add(try exact("a"))
        let wait = try #require(delivery.distributor.untilTick(now: delivery.now))
        #expect(wait >= 4_500_000_000 && wait <= 5_050_000_000)
        delivery.advance(by: .nanoseconds(wait))
        #expect(delivery.sink.take(slot).text == ":\n")
        delivery.distributor.remove(slot, .clientClosed)
        #expect(delivery.distributor.untilTick(now: delivery.now) == nil)
    }
}
