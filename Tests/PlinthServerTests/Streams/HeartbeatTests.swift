// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthTestSupport
import Testing

/// Heartbeats on a connection whose time the test advances; other tests cover their logic.
@Suite("Heartbeats on a connection")
struct HeartbeatTests {
    @Test("An idle stream sends a heartbeat per interval, a busy one none")
    func busy() async throws {
        let channels = Recorder<EventChannel>()
        let stream = Interceptor(
            "stream",
            enter: { context in
                try await context.startEventStream(options: .init(heartbeat: .every(.seconds(5)))) {
                    channels.record($0)
                }
            }
        )
        let connection = try await connect(stream)
        let events = try await channels.first()[0]
        for number in 0..<20 {
            #expect(await events.send("\(number)"))
            #expect(try await connection.written(until: "data: \(number)\n\n").contains(":\n") == false)
            await connection.advance(by: .seconds(1))
        }
        for _ in 0..<3 {
            await connection.advance(by: .seconds(5))
            #expect(try await connection.written(until: ":\n") == ":\n")
        }
        try await connection.close()
    }

    @Test("A stream with heartbeats off sends none")
    func off() async throws {
        let stream = Interceptor.eventStream("stream", options: .init(heartbeat: .off)) { events, _ in
            try await events.sleep(for: .seconds(86_400))
        }
        let connection = try await connect(stream)
        await connection.advance(by: .seconds(3600))
        #expect(try await connection.written().isEmpty)
        try await connection.close()
    }

    /// Opens a stream over HTTP/1.0, and reads its head and first comment.
    private func connect(_ stream: Interceptor) async throws -> TestingConnection {
        let connection = try await TestingConnection(Chain([stream]))
        try await connection.receive("GET / HTTP/1.0\r\n\r\n")
        #expect(try await connection.written(until: ":\n").hasSuffix("\r\n\r\n:\n"))
        return connection
    }
}

#endif
