// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import Metrics
import NIOCore
import NIOEmbedded
import NIOPosix
import Plinth
import PlinthTestSupport

@testable import PlinthServer

/// A connection on NIO's testing channel, set up like an accepted one; its time passes only when a test advances it.
struct TestingConnection {
    let server: ServerContext
    let channel: NIOAsyncTestingChannel
    private let loop: NIOAsyncTestingEventLoop

    /// Creates a connection; the handler that `client` returns, if any, acts as the client, at the socket's end of the
    /// pipeline.
    init(
        _ chain: Chain,
        configuration: ConnectorConfiguration = ConnectorConfiguration(),
        limitMetrics: LimitMetrics? = nil,
        client: (@Sendable () -> any ChannelHandler)? = nil
    ) async throws {
        let loop = NIOAsyncTestingEventLoop()
        let channel = NIOAsyncTestingChannel(loop: loop)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let server = ServerContext(
            chain: chain,
            configuration: configuration,
            logger: logger,
            metrics: EventStreamMetricsRegistry(factory: NOOPMetricsHandler.instance),
            limitMetrics: limitMetrics,
            threadPool: .singleton,
            group: loop
        )
        self.loop = loop
        self.channel = channel
        self.server = server
        if let client { try await loop.executeInContext { try channel.pipeline.syncOperations.addHandler(client()) } }
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
        try await loop.executeInContext {
            _ = HTTPServerChannel(server: server, isSecure: false, setsOptions: false).setup(
                channel: channel,
                logger: logger
            )
        }
    }

    /// Whether the server has not closed it.
    var isActive: Bool { channel.isActive }

    /// Delivers bytes from the client.
    func receive(_ bytes: [UInt8]) async throws {
        try await loop.executeInContext { [channel] in
            guard channel.isActive else { return }
            channel.pipeline.syncOperations.fireChannelRead(NIOAny(ByteBuffer(bytes: bytes)))
            channel.pipeline.syncOperations.fireChannelReadComplete()
        }
    }

    func receive(_ text: String) async throws {
        try await receive(Array(text.utf8))
    }

    /// Lets time pass for the server.
    func advance(by duration: Duration) async {
        await loop.advanceTime(by: TimeAmount(duration))
    }

    /// What the server writes, from the last call on, until it contains a text.
    func written(until end: String) async throws -> String {
        var text = ""
        while !text.contains(end) {
            text += String(
                buffer: try await wait(for: end) { try await channel.waitForOutboundWrite(as: ByteBuffer.self) }
            )
        }
        return text
    }

    /// What the server has written since the last call.
    func written() async throws -> String {
        var text = ""
        while let buffer = try await channel.readOutbound(as: ByteBuffer.self) { text += String(buffer: buffer) }
        return text
    }

    /// The HTTP/2 frames that the server writes, from the last call on, until there are enough.
    func frames(until isEnough: ([HTTP2Client.Frame]) -> Bool) async throws -> [HTTP2Client.Frame] {
        var bytes: [UInt8] = []
        while !isEnough(HTTP2Client.frames(bytes)) {
            let buffer = try await wait(for: "a frame") { try await channel.waitForOutboundWrite(as: ByteBuffer.self) }
            bytes += buffer.readableBytesView
        }
        return HTTP2Client.frames(bytes)
    }

    /// Waits until no activity is left but the connection itself.
    func isQuiet() async throws {
        try await wait(for: "the end of requests") { [server, loop] in
            while server.activities.count > 1 {
                await loop.run()
                await Task.yield()
            }
        }
    }

    /// Advances time until the server has closed the connection.
    func isClosed() async throws {
        try await wait(for: "the server to close") { [channel, loop] in
            while channel.isActive {
                await loop.advanceTime(by: .milliseconds(100))
                await Task.yield()
            }
        }
    }

    /// Closes the connection, as a client that leaves.
    func close() async throws {
        try? await channel.close().get()
    }
}

#endif
