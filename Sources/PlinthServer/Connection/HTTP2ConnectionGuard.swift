// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP2
import Plinth

/// Closes an HTTP/2 connection whose peer breaks the protocol, closes its side, or does not answer GOAWAY in time.
///
/// It also closes connections that are left when a shutdown times out. It is before the connection's manager in the
/// pipeline, so that it sees the manager's GOAWAY.
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
        // The manager waits without limit for the answer, which a client may never send.
        if case .goAway = unwrapOutboundIn(data).payload, !hasSaidGoodbye {
            hasSaidGoodbye = true
            loop.schedule(self, at: loop.now + grace)
        }
        context.write(data, promise: promise)
    }

    override func fire(now: MonotonicTime) -> MonotonicTime? {
        terminate()
        return nil
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A half-closed client cannot acknowledge anything: on HTTP/2, too, it has left.
        if let event = event as? ChannelEvent, event == .inputClosed { context.close(promise: nil) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // NIO's handler has written GOAWAY, or, for a stream error, has reset that stream alone. After too many stream
        // errors it writes GOAWAY, too.
        if wire.hasSentError { return wire.closeInOrder() }
        if error is any NIOHTTP2Error { return }
        context.close(promise: nil)
    }

    func drain() {
        // The connection's manager sends GOAWAY when the listener shuts down.
    }

    func terminate() {
        context?.close(promise: nil)
    }
}

#endif
