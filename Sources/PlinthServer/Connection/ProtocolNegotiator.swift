// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOTLS
import Plinth

/// Finds out which HTTP a new connection speaks, sets it up for that, and goes.
///
/// With TLS the handshake says so (ALPN). Without, the first bytes do: an HTTP/2 connection begins with a preface that no
/// HTTP/1 request can begin with (RFC 9113, section 3.4).
final class ProtocolNegotiator: LoopTimer, ChannelInboundHandler, RemovableChannelHandler, Drainable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private let isSecure: Bool
    private let server: ServerContext
    private let loop: LoopContext
    private var context: ChannelHandlerContext?
    private var received: ByteBuffer?

    init(isSecure: Bool, server: ServerContext, loop: LoopContext) {
        self.isSecure = isSecure
        self.server = server
        self.loop = loop
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        let timeout = isSecure ? server.configuration.headTimeout : server.configuration.idleTimeout
        loop.schedule(self, at: .now() + timeout)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.remove(self)
        loop.cancel(self)
    }

    override func fire(now: MonotonicTime) -> MonotonicTime? {
        terminate()
        return nil
    }

    func drain() {
        if received == nil { terminate() }
    }

    func terminate() {
        context?.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if isSecure, case .handshakeCompleted(let name)? = event as? TLSUserEvent {
            settle(context, isHTTP2: name == "h2")
        } else if let event = event as? ChannelEvent, event == .inputClosed {
            // Less than a preface, and no more will come: it is no request, and no HTTP/2.
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        let isFirst = received == nil
        if isFirst { received = buffer } else { received?.writeBuffer(&buffer) }
        guard !isSecure, let received else { return }
        let start = received.readableBytesView.prefix(Self.preface.count)
        if !Self.preface.starts(with: start) {
            settle(context, isHTTP2: false)
        } else if start.count == Self.preface.count {
            settle(context, isHTTP2: true)
        } else if isFirst {
            // A preface in parts; the rest of it is due as any head is.
            loop.schedule(self, at: .now() + server.configuration.headTimeout)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // A handshake that failed, or a client that left.
        server.logger.debug("a connection ended before its first request", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }

    private func settle(_ context: ChannelHandlerContext, isHTTP2: Bool) {
        guard self.context != nil else { return }
        do {
            if isHTTP2 {
                try HTTPServerChannel.configureHTTP2(context.channel, server, loop, isSecure: isSecure)
            } else {
                try HTTPServerChannel.configureHTTP1(
                    context.channel,
                    server,
                    loop,
                    isSecure: isSecure,
                    hasInput: received != nil
                )
            }
        } catch {
            context.close(promise: nil)
            return
        }
        if let received {
            self.received = nil
            context.fireChannelRead(wrapInboundOut(received))
            context.fireChannelReadComplete()
        }
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }
}

#endif
