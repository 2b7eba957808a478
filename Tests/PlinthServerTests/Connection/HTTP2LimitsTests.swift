// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthTestSupport
import Testing

@testable import PlinthServer

/// Clients that make an HTTP/2 connection work without using it.
@Suite("Limits of HTTP/2")
struct HTTP2LimitsTests {
    private static let enhanceYourCalm: UInt8 = 11
    private static let refusedStream: UInt8 = 7

    private let counts = RefusalRecord()

    private func connection(_ limits: HTTP2Limits, _ interceptor: Interceptor) async throws -> TestingConnection {
        let connection = try await TestingConnection(
            Chain([interceptor]),
            configuration: ConnectorConfiguration(http2: limits),
            limitMetrics: LimitMetrics(factory: counts)
        )
        try await connection.receive(HTTP2Client.preface)
        return connection
    }

    /// Sends a request on a stream, and waits for its answer.
    private func answer(_ connection: TestingConnection, stream: UInt32) async throws {
        try await connection.receive(HTTP2Client.get("/", stream: stream))
        let frames = try await connection.frames { frames in
            frames.contains { $0.type == 7 || ($0.stream == stream && $0.payload == Array("x".utf8)) }
        }
        #expect(!frames.contains { $0.type == 7 })
    }

    /// Waits for the GOAWAY with ENHANCE_YOUR_CALM, then for the end of the connection.
    private func endsForExcess(_ connection: TestingConnection) async throws {
        let frames = try await connection.frames { frames in frames.contains { $0.type == 7 } }
        #expect(frames.filter { $0.type == 7 }.map(\.code) == [Self.enhanceYourCalm])
        try await connection.isClosed()
    }

    @Test("More resets than are allowed end the connection with ENHANCE_YOUR_CALM")
    func resets() async throws {
        let connection = try await connection(HTTP2Limits(maximumResets: 10), answering("x"))
        var stream: UInt32 = 1
        func reset() async throws {
            try await connection.receive(HTTP2Client.get("/", stream: stream) + HTTP2Client.reset(stream: stream))
            stream += 2
        }
        for _ in 0..<10 { try await reset() }
        try await answer(connection, stream: stream)
        #expect(counts.refusals.isEmpty)
        stream += 2
        try await reset()
        try await endsForExcess(connection)
        #expect(counts.refusals == ["http2-resets": 1])
    }

    /// Frames that need an answer, or change what is answered.
    static let frames: [(String, [UInt8])] = [
        ("SETTINGS", HTTP2Client.frame(type: 4, flags: 0, stream: 0, [])),
        ("PING", HTTP2Client.frame(type: 6, flags: 0, stream: 0, [1, 2, 3, 4, 5, 6, 7, 8])),
        ("PRIORITY", HTTP2Client.frame(type: 2, flags: 0, stream: 5, [0, 0, 0, 0, 7])),
    ]

    @Test("More control frames than are allowed end the connection with ENHANCE_YOUR_CALM", arguments: frames)
    func controlFrames(name: String, frame: [UInt8]) async throws {
        let connection = try await connection(HTTP2Limits(maximumControlFrames: 10), answering("x"))
        // The first SETTINGS and their acknowledgement count, too.
        for _ in 0..<8 { try await connection.receive(frame) }
        try await answer(connection, stream: 1)
        #expect(counts.refusals.isEmpty)
        try await connection.receive(frame)
        try await endsForExcess(connection)
        #expect(counts.refusals == ["http2-control-frames": 1])
    }

    @Test("More refused streams than are allowed end the connection and its open streams")
    func refusedStreams() async throws {
        let ends = Recorder<StreamEnd>()
        let stream = Interceptor.eventStream("stream", onDisconnect: { ends.record($0) }) { events, _ in
            await events.send("first")
            try await untilCancelled()
        }
        let connection = try await connection(HTTP2Limits(maximumRefusedStreams: 3), stream)
        let maximum = HTTPServerChannel.maximumStreams
        var number: UInt32 = 1
        func open(_ count: Int) async throws {
            var bytes: [UInt8] = []
            for _ in 0..<count {
                bytes += HTTP2Client.get("/", stream: number)
                number += 2
            }
            try await connection.receive(bytes)
        }
        func threeAreRefused() async throws {
            let frames = try await connection.frames { frames in
                frames.count { $0.type == 7 || $0.code == Self.refusedStream } >= 3
            }
            #expect(!frames.contains { $0.type == 7 })
        }
        try await open(maximum + 3)
        try await threeAreRefused()
        // Later others may be refused.
        await connection.advance(by: .seconds(30))
        try await open(3)
        try await threeAreRefused()
        #expect(counts.refusals.isEmpty)

        try await open(5)
        await connection.advance(by: .zero)
        try await endsForExcess(connection)
        #expect(counts.refusals == ["http2-refused-streams": 1])
        #expect(try await ends.first(maximum).allSatisfy { $0 == .clientClosed })
    }

    @Test("By default, a proxy may reset as many streams as it may have open")
    func defaults() {
        let limits = HTTP2Limits()
        #expect(limits.maximumResets > HTTPServerChannel.maximumStreams)
    }
}

#endif
