// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import PlinthTestSupport
import Testing

@Suite("The timer wheel")
struct TimerWheelTests {
    /// The length of a tick in nanoseconds.
    private static let tick: Int64 = 50_000_000
    private static let turn: Int64 = 256 * tick

    private func at(_ nanoseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: nanoseconds) }

    @Test(
        "A timer within a turn is due at most a tick late, and never early",
        arguments: [1, 2, 3, 4, 5] as [UInt64]
    )
    func met(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var wheel = TimerWheel()
        var now: Int64 = Int64.random(in: 0...10_000_000_000_000, using: &random)
        var deadlines: [UInt32: Int64] = [:]
        var next: UInt32 = 0
        for _ in 0..<5000 {
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                next += 1
                // Some are in the past.
                let deadline = now + Int64.random(in: -Self.tick...(Self.turn - 3 * Self.tick), using: &random)
                // A deadline in the past is due with the next tick.
                deadlines[next] = max(deadline, now)
                wheel.schedule(Int(next % 100), number: next, at: at(deadline), now: at(now))
            }
            now += Int64.random(in: 0...(Self.tick * 3 / 2), using: &random)
            for (slot, timer) in wheel.advance(to: at(now)) {
                guard let deadline = deadlines.removeValue(forKey: timer) else {
                    Issue.record("seed \(seed): a timer was due twice")
                    continue
                }
                #expect(slot == Int(timer % 100))
                #expect(now >= deadline, "seed \(seed): \(deadline - now) ns early")
            }
            for deadline in deadlines.values where deadline + Self.tick <= now {
                Issue.record("seed \(seed): a timer is \(now - deadline) ns late")
            }
        }
    }

    @Test(
        "A timer further away is due early, within a turn, and can be rescheduled",
        arguments: [1, 2, 3] as [UInt64]
    )
    func far(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var wheel = TimerWheel()
        var now: Int64 = 7 * Self.turn + 3
        let start = now
        let deadline = now + Int64.random(in: 3 * Self.turn...9 * Self.turn, using: &random)
        wheel.schedule(1, number: 1, at: at(deadline), now: at(now))
        var looks = 0
        while true {
            now += Int64.random(in: 0...Self.tick, using: &random)
            let due = wheel.advance(to: at(now))
            guard !due.isEmpty else {
                #expect(now <= deadline + Self.tick)
                continue
            }
            #expect(due.count == 1)
            looks += 1
            if now >= deadline { break }
            wheel.schedule(1, number: 1, at: at(deadline), now: at(now))
        }
        #expect(now - deadline <= 2 * Self.tick)
        #expect(looks <= Int((deadline - start) / (Self.turn - 2 * Self.tick)) + 2)
    }

    @Test("After a long sleep, each timer is due exactly once")
    func sleep() {
        var wheel = TimerWheel()
        for slot in 0..<300 { wheel.schedule(slot, number: 1, at: at(Int64(slot) * Self.tick / 2), now: at(0)) }
        let due = wheel.advance(to: at(1000 * Self.turn + 17))
        #expect(due.map(\.slot).sorted() == Array(0..<300))
        #expect(wheel.advance(to: at(1001 * Self.turn)).isEmpty)
    }

    @Test("The distant future and past do not overflow")
    func never() {
        var wheel = TimerWheel()
        wheel.schedule(1, number: 1, at: at(.max), now: at(0))
        #expect(wheel.advance(to: at(200 * Self.tick)).isEmpty)
        #expect(wheel.advance(to: at(Self.turn)).count == 1)
        wheel.schedule(1, number: 1, at: at(.min), now: at(Self.turn))
        #expect(wheel.advance(to: at(Self.turn + Self.tick)).count == 1)
    }

    @Test("The time until the next timer is neither too long nor too short")
    func untilNext() {
        var wheel = TimerWheel()
        var now: Int64 = 123_456_789
        #expect(wheel.untilNext(now: at(now)) == Self.turn)
        wheel.schedule(1, number: 1, at: at(now + 1_000_000_000), now: at(now))
        let wait = wheel.untilNext(now: at(now))
        #expect((1_000_000_000...(1_000_000_000 + Self.tick)).contains(wait))
        now += wait
        #expect(wheel.advance(to: at(now - 1)).isEmpty)
        #expect(wheel.advance(to: at(now)).map(\.slot) == [1])
        wheel.schedule(2, number: 1, at: at(now - 5 * Self.tick), now: at(now))
        #expect(wheel.untilNext(now: at(now)) <= Self.tick)
    }
}
