// SPDX-License-Identifier: Apache-2.0

#if Server

import HummingbirdCore
import Logging
import NIOCore
import NIOExtras
import NIOPosix
import ServiceLifecycle

/// Listens on one address, and sets up each connection that it accepts.
///
/// A connection's setup is a callback on its event loop: a task for each would cost more than the rest of accepting it.
struct Listener<ChildChannel: ServerChildChannel>: Service {
    let address: ListenAddress.Socket
    let backlog: Int
    let childChannel: ChildChannel
    let group: any EventLoopGroup
    let logger: Logger
    let maximumConnections: Int?
    /// The limit of connections of each address, which all listeners share; nil for none.
    let addressLimits: AddressLimits?
    let limitMetrics: LimitMetrics?
    let acknowledgementTimeout: Duration?
    let onRunning: @Sendable (any Channel) -> Void

    func run() async throws {
        let quiescing = ServerQuiescingHelper(group: group)
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: CInt(clamping: backlog))
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(
                .maxMessagesPerRead,
                value: AcceptNotice.maximumAtOnce(isLimited: maximumConnections != nil)
            )
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    #if os(Linux)
                    channel.setConnectionOptions(acknowledgementTimeout: acknowledgementTimeout)
                    #endif
                    try channel.pipeline.syncOperations.addHandler(AcceptNotice(logger))
                    // Before the limit in all, which does not count what it closes.
                    if let addressLimits {
                        try channel.pipeline.syncOperations.addHandler(
                            AddressLimitHandler(addressLimits, metrics: limitMetrics, logger: logger)
                        )
                    }
                    if let maximumConnections {
                        try channel.pipeline.syncOperations.addHandler(
                            AvailableConnectionsChannelHandler(
                                delegate: MaximumAvailableConnections(maximumConnections, logger: logger)
                            )
                        )
                    }
                    try channel.pipeline.syncOperations.addHandler(quiescing.makeServerChannelHandler(channel: channel))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                childChannel.setup(channel: channel, logger: logger).map { _ in }
            }
        let channel =
            switch address {
            case .tcp(let host, let port): try await bootstrap.bind(host: host, port: port).get()
            case .unix(let path):
                try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
            // Opened by systemd or a parent process.
            case .inherited(let descriptor): try await bootstrap.withBoundSocket(descriptor).get()
            }
        let closed = group.any().makePromise(of: Void.self)
        onRunning(channel)
        await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                try? await channel.closeFuture.get()
            } onGracefulShutdown: {
                quiescing.initiateShutdown(promise: closed)
            }
        } onCancel: {
            channel.close(promise: nil)
        }
        quiescing.initiateShutdown(promise: nil)
        closed.succeed()
    }
}

#endif
