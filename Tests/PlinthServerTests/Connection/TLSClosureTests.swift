// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOEmbedded
import Plinth
import Testing

@testable import PlinthServer

/// How the socket under TLS is closed.
@Suite("Closing under TLS")
struct TLSClosureTests {
    /// A TLS handler that waits for the peer's `close_notify` for ever.
    private final class Waiting: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            if mode != .all { context.close(mode: mode, promise: promise) }
        }
    }

    private let channel = EmbeddedChannel()
    private let loop: LoopContext

    init() throws {
        loop = LoopContext(channel.embeddedEventLoop)
        try channel.pipeline.syncOperations.addHandler(Waiting())
        try TLSClosure.add(to: channel, loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    }

    @Test("waits for no `close_notify` behind the client's FIN")
    func inputClosed() {
        channel.close(promise: nil)
        #expect(channel.isActive)
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!channel.isActive)
    }

    @Test("closes at once when the client's FIN came first")
    func closedAfterwards() {
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(channel.isActive)
        channel.close(promise: nil)
        #expect(!channel.isActive)
    }

    @Test("closes at once when a shutdown has taken its time")
    func terminated() {
        channel.close(promise: nil)
        #expect(channel.isActive)
        loop.terminate()
        #expect(!channel.isActive)
    }
}

#endif
