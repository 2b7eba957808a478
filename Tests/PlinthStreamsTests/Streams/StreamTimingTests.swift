// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import Testing

@Suite("Stream timing")
struct StreamTimingTests {
    private let start = MonotonicTime(nanoseconds: 1_000_000_000)

    @Test("Heartbeats are spread over the last tenth of the interval and never late")
    func heartbeats() {
        let timing = StreamTiming(heartbeat: .seconds(10), writeTimeout: nil, maximumAge: nil)
        let due = (0..<64).map { timing.heartbeatDue(after: start, spread: $0) }
        #expect(due.allSatisfy { $0 > start + .seconds(9) && $0 <= start + .seconds(10) })
        #expect(Set(due).count == 64)
        #expect(timing.heartbeatDue(after: start, spread: .max) <= start + .seconds(10))
        #expect(timing.heartbeatDue(after: MonotonicTime(nanoseconds: .max - 5), spread: 3) == .distantFuture)
    }

    @Test("Durations are clamped, and a time that is not set is in the distant future")
    func bounds() {
        let none = StreamTiming(heartbeat: nil, writeTimeout: nil, maximumAge: nil)
        #expect(none.heartbeatDue(after: start, spread: 3) == .distantFuture)
        #expect(none.writeDeadline(since: start) == .distantFuture)
        #expect(none.expiry(of: start) == .distantFuture)
        let odd = StreamTiming(heartbeat: .zero, writeTimeout: .seconds(-1), maximumAge: .seconds(Int64.max))
        #expect(odd.heartbeatDue(after: start, spread: 0) == start + .milliseconds(1))
        #expect(odd.writeDeadline(since: start) == start)
        #expect(odd.expiry(of: start) == .distantFuture)
    }
}
