// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP2

/// Closes an HTTP/2 connection that a shutdown cannot wait for any longer, and one whose peer breaks the protocol.
final class HTTP2ConnectionGuard: ChannelInboundHandler, Drainable {
    typealias InboundIn = HTTP2Frame

    private let loop: LoopContext
    private var context: ChannelHandlerContext?

    init(loop: LoopContext) {
        self.loop = loop
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.remove(self)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that sends nothing more can acknowledge nothing: on HTTP/2, too, it has left.
        if let event = event as? ChannelEvent, event == .inputClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The protocol handler has said what it had to say (GOAWAY); errors of one stream close that stream alone.
        if error is NIOHTTP2Errors.StreamError { return }
        context.close(promise: nil)
    }

    func drain() {
        // The connection's manager says goodbye when the listener tells it to.
    }

    func terminate() {
        context?.close(promise: nil)
    }
}

#endif
