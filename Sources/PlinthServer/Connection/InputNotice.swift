// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore

/// Notifies a connection's ``RequestHandler`` of received bytes before the parser buffers them.
///
/// The end of a read does not show them: over TLS some reads contain only handshake messages.
final class InputNotice: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let handler: RequestHandler

    init(_ handler: RequestHandler) {
        self.handler = handler
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        handler.bytesArrived()
        context.fireChannelRead(data)
    }
}

#endif
