// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
import NIOCore
import NIOHTTP1
import Plinth
import PlinthHub

/// A stream of a hub on its connection: TLS, HTTP/2, and where there is no reactor.
final class HubStreamHandler<Output: ResponseOutput>: ChannelInboundHandler, RemovableChannelHandler, HubConnection,
    Drainable
{
    typealias InboundIn = NIOAny
    typealias OutboundOut = Output.Part

    private let group: HubLoopGroup
    private let request: StreamRequest
    private let framing: ResponseFraming
    private let server: ServerContext
    private let loop: LoopContext
    private let halfCloseIsLeaving: Bool
    private var context: ChannelHandlerContext?
    private var slot: Int?
    private var isOver = false
    private var isDraining = false
    /// Whether the group tells of the stream's end: from the moment that it is handed over.
    private var isWithGroup = false

    init(
        group: HubLoopGroup,
        request: StreamRequest,
        framing: ResponseFraming,
        server: ServerContext,
        loop: LoopContext,
        halfCloseIsLeaving: Bool
    ) {
        self.group = group
        self.request = request
        self.framing = framing
        self.server = server
        self.loop = loop
        self.halfCloseIsLeaving = halfCloseIsLeaving
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.remove(self)
    }

    /// The head has been written: events may flow.
    func begin() {
        guard !isOver else { return }
        guard let context, context.channel.isActive else { return clientLeft(.clientClosed) }
        if Output.isSocket, let options = context.channel.syncOptions {
            // What the socket does not take stays in history.
            try? options.setOption(.writeBufferWaterMark, value: .init(low: 1, high: 16 * 1024))
        }
        isWithGroup = true
        let slot = group.add(self, request)
        // It may be over by now: the first write has found the client gone, or there was no more to come.
        guard !isOver else { return group.remove(self, slot, .clientClosed) }
        self.slot = slot
        if isDraining { drain() }
    }

    /// The connection is gone, or given up.
    func clientLeft(_ end: StreamEnd) {
        guard !isOver else { return }
        isOver = true
        if let slot { group.remove(self, slot, end) } else if !isWithGroup { request.onEnd(end) }
        context?.close(promise: nil)
    }

    // MARK: - From the group

    func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let context, context.channel.isActive, context.channel.isWritable else { return false }
        context.writeAndFlush(wrapOutboundOut(Output.body(bytes, framing, context.channel.allocator)), promise: nil)
        return true
    }

    func finish(_ end: StreamEnd) {
        slot = nil
        guard !isOver else { return }
        isOver = true
        guard let context else { return }
        guard end.completesBody else { return context.close(promise: nil) }
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        let nothing = Output.body(UnsafeRawBufferPointer(start: nil, count: 0), .empty, context.channel.allocator)
        context.writeAndFlush(
            wrapOutboundOut(Output.end(framing, context.channel.allocator) ?? nothing),
            promise: written
        )
        written.futureResult.whenComplete { _ in handler.value.context?.close(promise: nil) }
        // One that does not take even the end is not waited for longer than for any response.
        let timeout = TimeAmount(server.configuration.writeTimeout)
        context.eventLoop.scheduleTask(in: timeout) { handler.value.context?.close(promise: nil) }
    }

    // MARK: - From the server

    func drain() {
        isDraining = true
        if let slot { group.end(self, slot, .serverDraining) }
    }

    func terminate() {
        clientLeft(.serverDraining)
    }

    // MARK: - From the connection

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A subscriber has nothing to say.
    }

    func channelInactive(context: ChannelHandlerContext) {
        clientLeft(.clientClosed)
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if halfCloseIsLeaving, let event = event as? ChannelEvent, event == .inputClosed { clientLeft(.clientClosed) }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is HTTPParserError { return }
        clientLeft((error as? IOError).map { SocketError.end($0.errnoCode) } ?? .clientClosed)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, let slot { group.isWritable(self, slot) }
        context.fireChannelWritabilityChanged()
    }
}

#endif
