// SPDX-License-Identifier: Apache-2.0

import CounterService
import Plinth
import PlinthTesting
import Testing

@Suite("The counter")
struct CounterTests {
    let clock = ManualClock()

    @Test("The stream sends ten events, one per second, and ends")
    func counts() async throws {
        let stream = try await service(clock: clock).eventStream(for: .get("/counter"), clock: clock)
        for n in 1...10 {
            try await stream.expectEvent(type: "counter", data: "\(n)")
            try await clock.waitForSleepers()
            clock.advance(by: .seconds(1))
        }
        try await stream.expectEnd(.applicationClosed)
    }

    @Test("The ready function returns when the client leaves")
    func stops() async throws {
        let stream = try await service(clock: clock).eventStream(for: .get("/counter"), clock: clock)
        try await stream.expectEvent(type: "counter", data: "1")
        stream.leave()
        // The clock does not advance: cancellation ends the sleep.
        try await stream.expectReturn()
    }

    @Test("The page contains no inline script or style, so its policy allows it")
    func page() async throws {
        let response = try await service().response(for: .get("/"))
        #expect(response.status == .ok)
        #expect(response.headers[.contentType] == "text/html; charset=utf-8")
        #expect(!response.body.contains("<style"))
        #expect(!response.body.contains("<script>"))
    }
}
