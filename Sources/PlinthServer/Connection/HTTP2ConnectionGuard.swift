// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP2
import Plinth

/// Closes an HTTP/2 connection that cannot be waited for any longer.
///
/// That is one whose peer breaks the protocol, closes its side, or does not answer a goodbye, and whatever is left when a
/// shutdown has taken its time. It stands before the connection's manager, whose goodbye it sees.
final class HTTP2ConnectionGuard: LoopTimer, ChannelDuplexHandler, Drainable {
    typealias InboundIn = HTTP2Frame
    typealias OutboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    private let wire: HTTP2Wire
    private let loop: LoopContext
    private let grace: Duration
    private var context: ChannelHandlerContext?
    private var hasSaidGoodbye = false

    init(wire: HTTP2Wire, loop: LoopContext, grace: Duration) {
        self.wire = wire
        self.loop = loop
        self.grace = grace
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.remove(self)
        loop.cancel(self)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        // The manager waits for the answer without limit, and only a decent client gives one.
        if case .goAway = unwrapOutboundIn(data).payload, !hasSaidGoodbye {
            hasSaidGoodbye = true
            loop.schedule(self, at: .now() + grace)
        }
        context.write(data, promise: promise)
    }

    override func fire(now: MonotonicTime) -> MonotonicTime? {
        terminate()
        return nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that sends nothing more can acknowledge nothing: on HTTP/2, too, it has left.
        if let event = event as? ChannelEvent, event == .inputClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The protocol handler has written GOAWAY, unless the error is about one stream, which it has reset: that closes
        // this stream alone, and a client that makes many is sent GOAWAY for it.
        if wire.hasSentError { return wire.closeInOrder() }
        if error is any NIOHTTP2Error { return }
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
