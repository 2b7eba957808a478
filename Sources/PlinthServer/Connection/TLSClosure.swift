// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth

/// Closes the socket of a TLS connection without waiting for a `close_notify` that cannot arrive.
///
/// To close, NIO's TLS handler sends `close_notify` and waits for the peer's until a timeout, even after the peer's
/// FIN, when none can arrive (RFC 8446, section 6.1, requires neither side to wait). So two handlers surround it: this
/// one, at the socket, detects the FIN; ``Request``, on the application's side, detects the close. After both, or when
/// a shutdown times out, the socket is closed at once.
///
/// Confined to the connection's event loop.
final class TLSClosure: ChannelInboundHandler, Drainable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// How long a closed connection waits for a silent peer.
    static let patience = TimeAmount.seconds(2)

    private let loop: LoopContext
    private var context: ChannelHandlerContext?
    private var hasInputClosed = false
    private var isClosing = false

    init(loop: LoopContext) {
        self.loop = loop
    }

    /// Adds both handlers to a pipeline that holds the TLS handler and nothing else.
    static func add(to channel: any Channel, loop: LoopContext) throws {
        let closure = TLSClosure(loop: loop)
        try channel.pipeline.syncOperations.addHandler(closure, position: .first)
        try channel.pipeline.syncOperations.addHandler(Request(closure))
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
        if let event = event as? ChannelEvent, event == .inputClosed { hasInputClosed = true }
        context.fireUserInboundEventTriggered(event)
        closeIfDone()
    }

    func drain() {
        // The application's handlers finish, and then close.
    }

    func terminate() {
        context?.close(promise: nil)
    }

    private func isAskedToClose() {
        isClosing = true
        closeIfDone()
    }

    private func closeIfDone() {
        if isClosing, hasInputClosed { context?.close(promise: nil) }
    }

    /// The handler on the application's side.
    final class Request: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer

        private let closure: TLSClosure

        init(_ closure: TLSClosure) {
            self.closure = closure
        }

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            // First, so that `close_notify` is sent.
            context.close(mode: mode, promise: promise)
            if mode == .all { closure.isAskedToClose() }
        }
    }
}

#endif
