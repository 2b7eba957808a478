// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore

/// Tells a connection's ``RequestHandler`` that bytes have come, before the parser swallows them.
///
/// The end of a read says nothing of that: with TLS there are reads that hold only handshakes.
final class InputNotice: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let handler: RequestHandler<HTTP1Output>

    init(_ handler: RequestHandler<HTTP1Output>) {
        self.handler = handler
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        handler.bytesArrived()
        context.fireChannelRead(data)
    }
}

#endif
