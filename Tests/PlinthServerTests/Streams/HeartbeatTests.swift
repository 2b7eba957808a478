// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthTestSupport
import Testing

/// Heartbeats in real time; other tests cover their logic with a test clock.
@Suite("Heartbeats on the wire")
struct HeartbeatTests {
    @Test("A busy stream sends no heartbeats")
    func busy() async throws {
        let stream = Interceptor.eventStream("stream", options: .init(heartbeat: .every(.seconds(5)))) { events, _ in
            for _ in 0..<120 {
                await events.send("x")
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", version: "1.0")
            _ = try await client.read(until: "\r\n\r\n:\n")
            let body = try await client.readToEnd()
            #expect(body.hasPrefix("data: x\n\n"))
            #expect(!body.contains(":\n"))
        }
    }

    @Test("A stream with heartbeats off sends none")
    func off() async throws {
        let stream = Interceptor.eventStream("stream", options: .init(heartbeat: .off)) { _, _ in
            try await Task.sleep(for: .milliseconds(300))
        }
        try await withServer([routes(["/": stream])]) { server in
            let client = try await server.requesting("/", version: "1.0")
            _ = try await client.read(until: "\r\n\r\n")
            #expect(try await client.readToEnd() == ":\n")
        }
    }
}

#endif
