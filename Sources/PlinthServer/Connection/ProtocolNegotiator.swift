// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOTLS
import Plinth

/// Detects the version of HTTP on a new connection, sets up the pipeline for it, and removes itself.
///
/// With TLS the handshake decides (ALPN). Without, the first bytes do: an HTTP/2 connection begins with a preface that
/// no HTTP/1 request can begin with (RFC 9113, section 3.4).
///
/// Every method can be re-entered. Setting up for HTTP/2 writes the server's preface; if that write finds the client
/// gone, NIO reads the socket's remaining input and closes before the write returns. So the phase changes before
/// anything else is called, and bytes that arrive meanwhile are kept.
final class ProtocolNegotiator: LoopTimer, ChannelInboundHandler, RemovableChannelHandler, Drainable {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    private enum Phase {
        /// The protocol is not known.
        case waiting
        /// The pipeline is being set up, or receives the bytes that arrived before.
        case settling
        /// This handler only forwards.
        case settled
    }

    private let isSecure: Bool
    private let server: ServerContext
    private let loop: LoopContext
    private var context: ChannelHandlerContext?
    private var phase = Phase.waiting
    /// Bytes for the handlers that are not in the pipeline yet.
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
        loop.schedule(self, at: loop.now + timeout)
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
        if phase == .waiting, received == nil { terminate() }
    }

    func terminate() {
        context?.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if isSecure, phase == .waiting, case .handshakeCompleted(let name)? = event as? TLSUserEvent {
            settle(context, isHTTP2: name == "h2")
        } else if phase == .waiting, let event = event as? ChannelEvent, event == .inputClosed {
            // Less than a preface, and no more will arrive: neither a request nor HTTP/2.
            context.close(promise: nil)
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard phase != .settled else { return context.fireChannelRead(data) }
        var buffer = unwrapInboundIn(data)
        let isFirst = received == nil
        if isFirst { received = buffer } else { received?.writeBuffer(&buffer) }
        guard !isSecure, phase == .waiting, let received else { return }
        let start = received.readableBytesView.prefix(Self.preface.count)
        if !Self.preface.starts(with: start) {
            settle(context, isHTTP2: false)
        } else if start.count == Self.preface.count {
            settle(context, isHTTP2: true)
        } else if isFirst {
            // A part of a preface: the rest has the time of a head.
            loop.schedule(self, at: loop.now + server.configuration.headTimeout)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard phase == .waiting else { return context.fireErrorCaught(error) }
        // A handshake that failed, or a client that left.
        server.logger.debug("a connection ended before its first request", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }

    private func settle(_ context: ChannelHandlerContext, isHTTP2: Bool) {
        phase = .settling
        loop.cancel(self)
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
            received = nil
            phase = .settled
            return context.close(promise: nil)
        }
        // Each read may cause a response, whose write may find the client gone.
        while context.channel.isActive, let bytes = received {
            received = nil
            context.fireChannelRead(wrapInboundOut(bytes))
            if received == nil { context.fireChannelReadComplete() }
        }
        received = nil
        phase = .settled
        context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
    }
}

#endif
