// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthTestSupport
import Testing

@testable import PlinthServer

@Suite("Rate limiter")
struct RateLimiterTests {
    private static func time(_ milliseconds: Int64) -> MonotonicTime {
        MonotonicTime(nanoseconds: milliseconds * 1_000_000)
    }

    // MARK: - Rates

    @Test("A second's events may be taken at once; then they come back one by one", arguments: [1, 2, 3, 7, 10, 1000])
    func burst(rate: Int) {
        let limiter = RateLimiter<String>(RateLimit(events: rate))
        for _ in 0..<rate { #expect(limiter.take("a", now: Self.time(0)) == .taken) }
        guard case .refused(let wait) = limiter.take("a", now: Self.time(0)) else {
            Issue.record("more than a second's events were taken")
            return
        }
        // To a nanosecond for each event, since their cost is rounded down.
        let exact = Duration.nanoseconds(1_000_000_000 / Int64(rate))
        #expect(wait <= exact && wait >= exact - .nanoseconds(rate))
        let later = MonotonicTime(nanoseconds: 0) + wait
        #expect(limiter.take("a", now: MonotonicTime(nanoseconds: later.nanoseconds - 1)) != .taken)
        #expect(limiter.take("a", now: later) == .taken)
        #expect(limiter.take("a", now: later) != .taken)
        #expect(limiter.take("b", now: later) == .taken)
    }

    @Test("Over a long time the rate is kept, however the events are spread")
    func longTime() {
        var generator = SeededGenerator(seed: 3)
        let limiter = RateLimiter<Int>(RateLimit(events: 60, bytes: 5_000))
        var now = Int64(0)
        var (events, bytes) = (0, 0)
        for _ in 0..<20_000 {
            now += Int64.random(in: 0...20, using: &generator)
            let size = Int.random(in: 0...400, using: &generator)
            if limiter.take(0, events: 1, bytes: size, now: Self.time(now)) == .taken {
                events += 1
                bytes += size
            }
            let seconds = Double(now) / 1000
            #expect(Double(events) <= 60 * (seconds + 1) + 1)
            #expect(Double(bytes) <= 5_000 * (seconds + 1) + 1)
        }
        // The bytes are the narrower bound here.
        #expect(Double(bytes) > 5_000 * Double(now) / 1000 * 0.9)
    }

    @Test("Neither events nor bytes are taken if one of them is refused")
    func both() {
        let limiter = RateLimiter<String>(RateLimit(events: 2, bytes: 100))
        #expect(limiter.take("a", bytes: 90, now: Self.time(0)) == .taken)
        #expect(limiter.take("a", bytes: 20, now: Self.time(0)) == .refused(wait: .milliseconds(100)))
        #expect(limiter.take("a", bytes: 10, now: Self.time(0)) == .taken)
        #expect(limiter.take("a", events: 1, now: Self.time(0)) == .refused(wait: .milliseconds(500)))
        // What costs nothing is not refused.
        #expect(limiter.take("a", events: 0, bytes: 0, now: Self.time(0)) == .taken)
    }

    @Test("A request larger than a second's amount is taken from full buckets, and all of it has to come back")
    func debt() {
        let limiter = RateLimiter<String>(RateLimit(bytes: 100))
        #expect(limiter.take("a", bytes: 250, now: Self.time(0)) == .taken)
        #expect(limiter.take("a", bytes: 100, now: Self.time(0)) == .refused(wait: .milliseconds(2500)))
        #expect(limiter.take("a", bytes: 1, now: Self.time(1000)) == .refused(wait: .milliseconds(510)))
        #expect(limiter.take("a", bytes: 250, now: Self.time(2499)) == .refused(wait: .milliseconds(1)))
        #expect(limiter.take("a", bytes: 250, now: Self.time(2500)) == .taken)
    }

    @Test("A limit may be for another time, such as new topics a minute")
    func window() {
        let limiter = RateLimiter<String>(RateLimit(events: 3, window: .seconds(60)))
        #expect(limiter.take("a", events: 2, now: Self.time(0)) == .taken)
        #expect(limiter.take("a", events: 2, now: Self.time(0)) == .refused(wait: .seconds(20)))
        #expect(limiter.take("a", now: Self.time(0)) == .taken)
        #expect(limiter.take("a", now: Self.time(0)) == .refused(wait: .seconds(20)))
        #expect(limiter.take("a", events: 3, now: Self.time(60_000)) == .taken)
    }

    @Test("Without a limit for them, events or bytes are not limited")
    func unlimited() {
        let bytes = RateLimiter<String>(RateLimit(bytes: 1))
        let events = RateLimiter<String>(RateLimit(events: 1))
        #expect(bytes.take("a", events: .max, bytes: 1, now: Self.time(0)) == .taken)
        #expect(bytes.take("a", events: .max, bytes: 0, now: Self.time(0)) == .taken)
        #expect(events.take("a", events: 1, bytes: .max, now: Self.time(0)) == .taken)
    }

    @Test("Extreme numbers and times neither trap nor open a bucket", arguments: [Int64.min, -1, 0, 1, .max - 1, .max])
    func extremes(start: Int64) {
        for limit in [
            RateLimit(events: .max, bytes: .max, window: .zero),
            RateLimit(events: .min, bytes: 0, window: .seconds(Int64.max)),
            RateLimit(events: 1, bytes: 1, window: .seconds(Int64.min)),
        ] {
            let limiter = RateLimiter<Int>(limit, maximumKeys: .min)
            for amount in [Int.min, -1, 0, 1, .max] {
                for time in [start, .min, 0, .max] {
                    _ = limiter.take(0, events: amount, bytes: amount, now: MonotonicTime(nanoseconds: time))
                }
            }
        }
        let limiter = RateLimiter<Int>(RateLimit(events: 1, window: .seconds(86_400)))
        #expect(limiter.take(0, events: .max, now: MonotonicTime(nanoseconds: start)) == .taken)
        if start < .max - 1 {
            #expect(limiter.take(0, now: MonotonicTime(nanoseconds: start) + .seconds(86_400)) != .taken)
        }
    }

    @Test("`Retry-After` is in whole seconds, rounded up")
    func retryAfter() {
        let waits: [(Duration, String)] = [
            (.zero, "1"), (.nanoseconds(1), "1"), (.seconds(1), "1"), (.milliseconds(1001), "2"), (.seconds(60), "60"),
            (.seconds(Int64.max), "\(Int64.max)"), (.seconds(-5), "1"),
        ]
        for (wait, text) in waits { #expect(wait.retryAfter == text) }
    }

    // MARK: - Keys

    @Test("Keys whose buckets are full again are dropped while others come")
    func idleKeys() {
        let limiter = RateLimiter<Int>(RateLimit(events: 10))
        for key in 0..<1_000 { _ = limiter.take(key, now: Self.time(0)) }
        #expect(limiter.count == 1_000)
        // A hundred new ones a second; each is full again after 100 ms.
        for key in 1_000..<3_000 { _ = limiter.take(key, now: Self.time(200 + Int64(key - 1_000) * 10)) }
        #expect(limiter.count < 50)
    }

    @Test("A key that has something left to come back is kept while idle ones can be dropped")
    func keptKeys() {
        let limiter = RateLimiter<Int>(RateLimit(bytes: 100), maximumKeys: 100)
        // In debt for ten minutes.
        #expect(limiter.take(-1, bytes: 60_000, now: Self.time(0)) == .taken)
        for key in 0..<50_000 { _ = limiter.take(key, bytes: 1, now: Self.time(Int64(key))) }
        #expect(limiter.take(-1, bytes: 1, now: Self.time(50_000)) != .taken)
        #expect(limiter.count <= 100)
    }

    @Test("At the bound a new key displaces one that is nearly full, and none is refused", arguments: [1, 2, 7, 100])
    func bound(maximum: Int) {
        let limiter = RateLimiter<Int>(RateLimit(events: 2), maximumKeys: maximum)
        for key in 0..<(10 * maximum) {
            #expect(limiter.take(key, events: 2, now: Self.time(0)) == .taken)
            #expect(limiter.take(key, now: Self.time(0)) != .taken)
            #expect(limiter.count <= maximum)
        }
        #expect(limiter.count == maximum)
    }

    @Test("Random use of few keys gives the same answers as buckets that are all kept")
    func model() {
        var generator = SeededGenerator(seed: 9)
        let limit = RateLimit(events: 5, bytes: 1_000)
        let limiter = RateLimiter<Int>(limit)
        var model: [Int: TokenBucket] = [:]
        var now = Int64(0)
        for _ in 0..<20_000 {
            now += Int64.random(in: 0...30, using: &generator)
            let key = Int.random(in: 0..<50, using: &generator)
            let (events, bytes) = (Int.random(in: 0...3, using: &generator), Int.random(in: 0...900, using: &generator))
            var bucket = model[key] ?? TokenBucket(now: Self.time(now))
            let wait = bucket.take(events: events, bytes: bytes, limit: limit, now: Self.time(now))
            model[key] = bucket
            let expected = wait.map { RateLimiter<Int>.Answer.refused(wait: $0) } ?? .taken
            #expect(limiter.take(key, events: events, bytes: bytes, now: Self.time(now)) == expected)
        }
    }
}

#endif
