// SPDX-License-Identifier: Apache-2.0

#if Server

import HummingbirdCore
import Logging
import NIOCore
import NIOExtras
import NIOPosix
import ServiceLifecycle

/// Listens on a socket opened by systemd or a parent process, which Hummingbird's server cannot do.
struct InheritedListener<ChildChannel: ServerChildChannel>: Service {
    let descriptor: CInt
    let childChannel: ChildChannel
    let group: any EventLoopGroup
    let logger: Logger
    let maximumConnections: Int?
    let onRunning: @Sendable (any Channel) async -> Void

    func run() async throws {
        let quiescing = ServerQuiescingHelper(group: group)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
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
            .withBoundSocket(descriptor)
            .get()
        let closed = group.any().makePromise(of: Void.self)
        await onRunning(channel)
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
