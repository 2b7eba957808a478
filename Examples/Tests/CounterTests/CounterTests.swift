// SPDX-License-Identifier: Apache-2.0

import CounterService
import Plinth
import PlinthTesting
import Testing

@Suite("The counter")
struct CounterTests {
    let clock = ManualClock()

    @Test("sends ten events, one a second, and ends")
    func counts() async throws {
        let stream = try await service(clock: clock).eventStream(for: .get("/counter"), clock: clock)
        for n in 1...10 {
            try await stream.expectEvent(type: "counter", data: "\(n)")
            try await clock.waitForSleepers()
            clock.advance(by: .seconds(1))
        }
        try await stream.expectEnd(.applicationClosed)
    }

    @Test("stops when the client leaves")
    func stops() async throws {
        let stream = try await service(clock: clock).eventStream(for: .get("/counter"), clock: clock)
        try await stream.expectEvent(type: "counter", data: "1")
        stream.leave()
        // Without a second going by: the sleep has been cancelled.
        try await stream.expectReturn()
    }

    @Test("has a page that its own policy lets load")
    func page() async throws {
        let response = try await service().response(for: .get("/"))
        #expect(response.status == .ok)
        #expect(response.headers[.contentType] == "text/html; charset=utf-8")
        #expect(!response.body.contains("<style"))
        #expect(!response.body.contains("<script>"))
    }
}
