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

/// A connection on NIO's testing channel, set up like an accepted one.
struct TestingConnection {
    let server: ServerContext
    let channel: NIOAsyncTestingChannel
    private let loop: NIOAsyncTestingEventLoop

    /// Creates a connection; the handler that `client` returns acts as the client, at the socket's end of the pipeline.
    init(
        _ chain: Chain,
        configuration: ConnectorConfiguration = ConnectorConfiguration(),
        client: @escaping @Sendable () -> any ChannelHandler
    ) async throws {
        let loop = NIOAsyncTestingEventLoop()
        let channel = NIOAsyncTestingChannel(loop: loop)
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let server = ServerContext(
            chain: chain,
            configuration: configuration,
            logger: logger,
            metrics: EventStreamMetricsRegistry(factory: NOOPMetricsHandler.instance),
            threadPool: .singleton,
            group: loop
        )
        self.loop = loop
        self.channel = channel
        self.server = server
        try await loop.executeInContext { try channel.pipeline.syncOperations.addHandler(client()) }
        try await channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).get()
        try await loop.executeInContext {
            _ = HTTPServerChannel(server: server, isSecure: false).setup(channel: channel, logger: logger)
        }
    }

    /// Delivers bytes from the client.
    func receive(_ bytes: [UInt8]) async throws {
        try await loop.executeInContext { [channel] in
            guard channel.isActive else { return }
            channel.pipeline.syncOperations.fireChannelRead(NIOAny(ByteBuffer(bytes: bytes)))
            channel.pipeline.syncOperations.fireChannelReadComplete()
        }
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
