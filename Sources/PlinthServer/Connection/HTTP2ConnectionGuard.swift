// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP2
import Plinth

/// Closes an HTTP/2 connection whose peer breaks the protocol, closes its side, or does not answer GOAWAY in time.
///
/// NIO's handler ends connections beyond its rates of resets, control frames and errors with GOAWAY; this one counts that,
/// and ends those that have too many streams refused, which NIO does not see.
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
    private let metrics: LimitMetrics?
    private let refusalRate: RateLimit
    /// What is left of the rate of refused streams; nil before the first.
    private var refusals: TokenBucket?
    private var isEnding = false
    private var context: ChannelHandlerContext?
    private var hasSaidGoodbye = false

    init(wire: HTTP2Wire, server: ServerContext, loop: LoopContext) {
        self.wire = wire
        self.loop = loop
        grace = server.configuration.shutdownTimeout
        metrics = server.limitMetrics
        refusalRate = RateLimit(
            events: server.configuration.http2.maximumRefusedStreams,
            window: HTTP2Limits.window
        )
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
        if wire.hasSentError {
            if let limit = Self.limit(of: error) { metrics?.refused(by: limit) }
            return wire.closeInOrder()
        }
        if error is any NIOHTTP2Error { return }
        context.close(promise: nil)
    }

    /// The limit that an error of NIO's handler is about; nil for another error.
    private static func limit(of error: any Error) -> CountedLimit? {
        switch error {
        case is NIOHTTP2Errors.ExcessiveRSTFrames: .http2Resets
        case is NIOHTTP2Errors.ExcessiveControlFrames: .http2ControlFrames
        case is NIOHTTP2Errors.ExcessiveStreamErrors, is NIOHTTP2Errors.ExcessiveNumberOfGlitches: .http2StreamErrors
        default: nil
        }
    }

    /// A stream beyond the limit was refused; too many end the connection.
    func streamWasRefused() {
        guard !isEnding else { return }
        var bucket = refusals ?? TokenBucket(now: loop.now)
        defer { refusals = bucket }
        guard bucket.take(events: 1, bytes: 0, limit: refusalRate, now: loop.now) != nil else { return }
        isEnding = true
        metrics?.refused(by: .http2RefusedStreams)
        // Later, since NIO's handler is delivering the stream's first frame.
        let guardian = NIOLoopBound(self, eventLoop: loop.eventLoop)
        loop.eventLoop.execute { guardian.value.endForExcess() }
    }

    /// Ends the connection and all its streams, as NIO's handler does for an excess.
    private func endForExcess() {
        guard let context, !wire.hasSentError else { return }
        let frame = HTTP2Frame(
            streamID: .rootStream,
            payload: .goAway(lastStreamID: .rootStream, errorCode: .enhanceYourCalm, opaqueData: nil)
        )
        context.writeAndFlush(wrapOutboundOut(frame), promise: nil)
        wire.closeInOrder()
    }

    func drain() {
        // The connection's manager sends GOAWAY when the listener shuts down.
    }

    func terminate() {
        context?.close(promise: nil)
    }
}

#endif
