// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import Metrics
import NIOCore
import NIOEmbedded
import NIOPosix
import Plinth
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthServer

/// Connections whose client vanishes within a write of the server: every callback of every handler may be entered again by
/// what it calls.
@Suite("A client that vanishes within a write")
struct ReentryTests {
    /// What a client sends before it vanishes.
    enum Sent: String, CaseIterable, CustomTestStringConvertible {
        case get, pipelined, refused, upload, stream, hubStream, http2, http2Stream, http2HubStream, http2Garbage

        var bytes: [UInt8] {
            switch self {
            case .get: Array("GET /text HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".utf8)
            case .pipelined:
                Array(
                    "GET /text HTTP/1.1\r\nHost: a\r\n\r\nGET /text HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                        .utf8
                )
            case .refused: Array("GET nothing HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            case .upload:
                Array("POST /text HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n".utf8)
            case .stream: Array("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            case .hubStream: Array("GET /topics/a HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
            case .http2: HTTP2Client.preface + HTTP2Client.get("/text", stream: 1)
            case .http2Stream: HTTP2Client.preface + HTTP2Client.get("/stream", stream: 1)
            case .http2HubStream: HTTP2Client.preface + HTTP2Client.get("/topics/a", stream: 1)
            case .http2Garbage: HTTP2Client.preface + [UInt8](repeating: 0x41, count: 64)
            }
        }

        var isHTTP2: Bool { rawValue.hasPrefix("http2") }

        var testDescription: String { rawValue }
    }

    @Test("ends with its connection, at whichever write it vanishes and whatever it has sent", arguments: Sent.allCases)
    func vanishes(_ sent: Sent) async throws {
        let more: [[UInt8]] = [
            [],
            sent.isHTTP2
                ? (0..<200).flatMap { _ in HTTP2Client.frame(type: 6, flags: 0, stream: 0, Array("AAAAAAAA".utf8)) }
                : Array("GET /stream HTTP/1.1\r\nHost: a\r\n\r\nGET /topics/a HTTP/1.1\r\nHost: a\r\n\r\n".utf8),
        ]
        for transport in [HubService.Configuration.Transport.automatic, .eventLoops] {
            for unread in more {
                for flush in 0..<8 {
                    try await runsOut(sent, at: flush, unread: unread, transport)
                }
            }
        }
    }

    /// Runs one connection to its end, and looks whether anything is left of it.
    private func runsOut(
        _ sent: Sent,
        at flush: Int,
        unread: [UInt8],
        _ transport: HubService.Configuration.Transport
    ) async throws {
        let begun = Recorder<Void>()
        let ended = Recorder<Void>()
        let stream = Interceptor.eventStream("stream", onDisconnect: { _ in ended.record() }) { events, _ in
            begun.record()
            await events.send("one")
        }
        let service = HubService(try await Hub(), configuration: .init(transport: transport))
        let routes = try Routes {
            Route.get("/text") { _ in .text("text") }
            Route.post("/text") { .text("\(try await $0.body.collect(upTo: 100).count)") }
            Route.get("/stream", stream)
            HubEndpoints(service).routes()
        }
        let connection = try await TestingConnection(Chain([routes.router]), vanishingAt: flush, unread: unread)
        try await connection.receive(sent.bytes)
        // A client that is still there leaves when it has its answer, or when it is asked for the body.
        if sent == .upload { try await connection.flushed.first() } else { try await connection.isQuiet() }
        try await connection.close()
        let server = connection.server
        _ = try await wait(for: "the end of \(sent.rawValue), vanishing at flush \(flush)") {
            await server.activities.wait()
        }
        #expect(ended.values.count >= begun.values.count, "\(sent.rawValue) at flush \(flush)")
        #expect(service.hub.subscriberCount == 0)
        // Every permit is back.
        #expect(service.limit.count == 0)
    }
}

/// A connection on NIO's testing channel, set up as an accepted one is.
struct TestingConnection {
    let server: ServerContext
    let channel: NIOAsyncTestingChannel
    let flushed = Recorder<Void>()
    private let loop: NIOAsyncTestingEventLoop

    init(_ chain: Chain, vanishingAt flush: Int, unread: [UInt8]) async throws {
        let loop = NIOAsyncTestingEventLoop()
        let channel = NIOAsyncTestingChannel(loop: loop)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let server = ServerContext(
            chain: chain,
            configuration: ConnectorConfiguration(),
            logger: logger,
            metrics: EventStreamMetricsRegistry(factory: NOOPMetricsHandler.instance),
            threadPool: .singleton,
            group: loop
        )
        self.loop = loop
        self.channel = channel
        self.server = server
        try await loop.executeInContext { [flushed] in
            let client = VanishingClient(at: flush, unread: unread, flushed: flushed)
            try channel.pipeline.syncOperations.addHandler(client)
        }
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
        try await loop.executeInContext {
            _ = HTTPServerChannel(server: server, isSecure: false).setup(channel: channel, logger: logger)
        }
    }

    /// Bytes arrive from the client.
    func receive(_ bytes: [UInt8]) async throws {
        try await loop.executeInContext { [channel] in
            guard channel.isActive else { return }
            channel.pipeline.syncOperations.fireChannelRead(NIOAny(ByteBuffer(bytes: bytes)))
            channel.pipeline.syncOperations.fireChannelReadComplete()
        }
    }

    /// Waits until nothing but the connection itself is under way, or not even that.
    func isQuiet() async throws {
        try await wait(for: "the end of requests") { [server, loop] in
            while server.activities.count > 1 {
                await loop.run()
                await Task.yield()
            }
        }
    }

    /// The client leaves.
    func close() async throws {
        try? await channel.close().get()
    }
}

#endif
