// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOEmbedded
import Plinth
import Testing

@testable import PlinthServer

/// How the socket of a TLS connection is closed.
@Suite("TLS closure")
struct TLSClosureTests {
    /// A TLS handler that waits forever for the peer's `close_notify`.
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

    @Test("A closing connection closes its socket at the client's FIN, without `close_notify`")
    func inputClosed() {
        channel.close(promise: nil)
        #expect(channel.isActive)
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(!channel.isActive)
    }

    @Test("After the client's FIN, a close closes the socket at once")
    func closedAfterwards() {
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        #expect(channel.isActive)
        channel.close(promise: nil)
        #expect(!channel.isActive)
    }

    @Test("A shutdown that times out closes the socket at once")
    func terminated() {
        channel.close(promise: nil)
        #expect(channel.isActive)
        loop.terminate()
        #expect(!channel.isActive)
    }
}

#endif
