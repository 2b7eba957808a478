// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthServer

/// Connections whose client vanishes within a write of the server, which can re-enter every handler.
@Suite("Reentrancy")
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

    @Test("A client that vanishes within any write, whatever it sent, leaves nothing", arguments: Sent.allCases)
    func vanishes(_ sent: Sent) async throws {
        let more: [[UInt8]] = [
            [],
            // Requests that run, and subscribe, within the write, if they run in place.
            sent.isHTTP2 ? HTTP2Client.get("/topics/a", stream: 3) + HTTP2Client.get("/stream", stream: 5) : [],
            sent.isHTTP2
                ? (0..<200).flatMap { _ in HTTP2Client.frame(type: 6, flags: 0, stream: 0, Array("AAAAAAAA".utf8)) }
                : Array("GET /stream HTTP/1.1\r\nHost: a\r\n\r\nGET /topics/a HTTP/1.1\r\nHost: a\r\n\r\n".utf8),
        ]
        for handOff in [HubService.Configuration.HandOff.automatic, .never] {
            for unread in more {
                for flush in 0..<8 {
                    for inPlace in [false, true] {
                        try await runsOut(sent, at: flush, unread: unread, handOff, inPlace: inPlace)
                    }
                }
            }
        }
    }

    /// Runs one connection to its end, and checks that it leaves nothing behind.
    private func runsOut(
        _ sent: Sent,
        at flush: Int,
        unread: [UInt8],
        _ handOff: HubService.Configuration.HandOff,
        inPlace: Bool
    ) async throws {
        let begun = Recorder<Void>()
        let ended = Recorder<Void>()
        let stream = Interceptor.eventStream("stream", onDisconnect: { _ in ended.record() }) { events, _ in
            begun.record()
            await events.send("one")
        }
        let service = HubService(try await Hub(), configuration: .init(handOff: handOff))
        let routes = try Routes {
            Route.get("/text") { _ in .text("text") }
            Route.post("/text") { .text("\(try await $0.body.collect(upTo: 100).count)") }
            Route.get("/stream", stream)
            HubEndpoints(service).routes()
        }
        let flushed = Recorder<Void>()
        let connection = try await TestingConnection(
            Chain([routes.router]),
            configuration: ConnectorConfiguration(runsRequestsOnEventLoops: inPlace)
        ) {
            VanishingClient(at: flush, unread: unread, flushed: flushed)
        }
        try await connection.receive(sent.bytes)
        if sent == .hubStream || sent == .http2HubStream {
            for _ in 0..<3 {
                try await service.hub.publish(ServerSentEvent(data: "x"), to: try Topic("a"))
                await connection.advance(by: .zero)
            }
        }
        // A client that has not vanished leaves when it has its response, or is asked for the body.
        await connection.advance(by: .zero)
        if sent == .upload { try await flushed.first() } else { try await connection.isQuiet() }
        try await connection.close()
        let server = connection.server
        _ = try await wait(for: "the end of \(sent.rawValue), vanishing at flush \(flush)") {
            await server.activities.wait()
        }
        #expect(ended.values.count >= begun.values.count, "\(sent.rawValue) at flush \(flush)")
        #expect(service.hub.subscriberCount == 0)
        // Every permit has been returned.
        #expect(service.limit.count == 0)
    }

    /// A client that takes no bytes.
    private final class Deaf: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        private var writes: [EventLoopPromise<Void>] = []

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            if let promise { writes.append(promise) }
        }

        func flush(context: ChannelHandlerContext) {}

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            for write in writes { write.fail(ChannelError.ioOnClosedChannel) }
            writes = []
            context.close(mode: mode, promise: promise)
        }
    }

    @Test("A client that does not take the head of a hub's stream is timed out, and no other request begins")
    func deaf() async throws {
        let ends = StreamRecorder()
        let service = HubService(try await Hub(observer: ends))
        let others = Recorder<Void>()
        let routes = try Routes {
            Route.get("/text") { _ in
                others.record()
                return .text("text")
            }
            HubEndpoints(service).routes()
        }
        let connection = try await TestingConnection(
            Chain([routes.router]),
            configuration: ConnectorConfiguration(writeTimeout: .milliseconds(1))
        ) { Deaf() }
        try await connection.receive(Array("GET /topics/a HTTP/1.1\r\nHost: a\r\n\r\nGET /text HTTP/1.1\r\n".utf8))
        try await connection.isQuiet()
        try await connection.receive(Array("Host: a\r\n\r\n".utf8))
        try await connection.isClosed()
        #expect(try await ends.ends.first() == [.timedOut])
        #expect(others.values.isEmpty)
        #expect(service.limit.count == 0)
        let server = connection.server
        _ = try await wait(for: "the end") { await server.activities.wait() }
    }
}

#endif
