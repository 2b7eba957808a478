// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP1
import Plinth

/// What a stream needs to know about its connection.
struct StreamConnection {
    let output: ResponseOutput
    let framing: ResponseFraming
    let server: ServerContext
    let loop: LoopContext
    let isSecure: Bool
    /// Whether a half-closed client counts as gone.
    let halfCloseIsLeaving: Bool
}

/// The output of a stream on a NIO channel: the socket itself for plaintext HTTP/1, otherwise the pipeline.
///
/// The source is a subclass: an application's channel, or a hub's subscription. The source sends bytes; the outlet
/// returns how many it took, and reports when it has room again. The outlet also ends the stream: it completes the
/// body, closes the connection, and bounds how long the client may take to read the end.
///
/// Confined to its event loop. Every method can be re-entered through what it writes or closes: a write may find the
/// client gone, and then the channel is inactive before the write returns.
class StreamOutlet: LoopTimer, ChannelInboundHandler, RemovableChannelHandler, Drainable {
    typealias InboundIn = NIOAny

    /// The most bytes of one write to the channel, so that the progress of a slow client shows.
    private static var pieceSize: Int { 16 * 1024 }

    // First, the properties read for every event.

    /// The socket, if the stream bypasses the pipeline: plaintext HTTP/1.
    ///
    /// Valid while ``context`` is.
    private var socket: DirectSocket?
    private(set) final var context: ChannelHandlerContext?
    /// Bytes that the channel still buffers; nothing is sent past them.
    private(set) final var pending = 0
    /// Whether the stream is over; its end may still be in flight.
    private(set) final var isOver = false
    private var isWriting = false
    private let output: ResponseOutput
    final let framing: ResponseFraming
    final let loop: LoopContext
    final let server: ServerContext
    /// Since when the connection has taken none of the pending bytes; nil if there are none.
    private(set) final var stalledSince: MonotonicTime?
    private let isSecure: Bool
    private let halfCloseIsLeaving: Bool

    init(_ connection: StreamConnection) {
        output = connection.output
        framing = connection.framing
        server = connection.server
        loop = connection.loop
        isSecure = connection.isSecure
        halfCloseIsLeaving = connection.halfCloseIsLeaving
    }

    // MARK: - Overridden by the source

    /// Called when the head has been written.
    func start() {}

    /// Called when nothing is pending any more.
    func hasRoom() {}

    /// Called when the connection has taken some of the pending bytes.
    func hasProgressed() {}

    /// Called once when the stream is over, before its connection is closed.
    func ended(_ end: StreamEnd) {}

    /// Called when the source's timer is due.
    ///
    /// - Returns: When to fire again; nil for never.
    func tick(now: MonotonicTime) -> MonotonicTime? { nil }

    /// Called when a shutdown begins: completes what is in progress, then ends.
    func drain() {}

    // MARK: - Life

    final func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
    }

    final func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.remove(self)
        loop.cancel(self)
    }

    /// Begins to serve; called when the head has been written.
    final func begin() {
        guard !isOver else { return }
        // A connection that has already closed does not report it again.
        guard let context, context.channel.isActive else { return leave(.clientClosed) }
        if output.isSocket, let socket = DirectSocket(of: context.channel) {
            socket.limitUnsent()
            if !isSecure { self.socket = socket }
        }
        // The head may still be buffered: nothing is sent past it.
        if socket != nil, output.bufferedBytes(context.channel) > 0 {
            hold(UnsafeRawBufferPointer(start: nil, count: 0))
        }
        start()
    }

    /// Ends the stream without completing the body, and closes the connection.
    final func leave(_ end: StreamEnd) {
        if !isOver {
            isOver = true
            ended(end)
        }
        context?.close(promise: nil)
    }

    /// Completes the body, and closes the connection when that is written.
    ///
    /// - Parameters:
    ///   - end: Why the stream ends.
    ///   - isComplete: Whether the body's end has been sent already.
    final func finish(_ end: StreamEnd, isComplete: Bool = false) {
        guard !isOver else { return }
        isOver = true
        ended(end)
        guard let context else { return }
        guard end.completesBody else { return context.close(promise: nil) }
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(isComplete ? output.piece(ByteBuffer()) : output.end(framing), promise: written)
        written.futureResult.whenComplete { _ in handler.value.context?.close(promise: nil) }
        // A client that does not read the end gets the write timeout of any response.
        if self.context != nil { loop.schedule(self, at: loop.now + server.configuration.writeTimeout) }
    }

    final func terminate() {
        leave(.serverDraining)
    }

    override final func fire(now: MonotonicTime) -> MonotonicTime? {
        guard isOver else { return tick(now: now) }
        context?.close(promise: nil)
        return nil
    }

    // MARK: - To the connection

    /// Sends bytes that already have the body's framing.
    ///
    /// The channel buffers what the socket does not take, up to `room`. The source keeps the rest, and sends it when
    /// ``hasRoom()`` is called.
    ///
    /// - Parameters:
    ///   - bytes: The bytes, valid during the call.
    ///   - room: The most bytes that may be pending afterwards.
    /// - Returns: The number of bytes taken, or why the stream has ended.
    final func send(_ bytes: UnsafeRawBufferPointer, room: Int) -> StreamWrite {
        var taken = 0
        // Repeated if the channel flushes all of it at once: then nothing would report room.
        repeat {
            if let socket, pending == 0 {
                switch socket.send(UnsafeRawBufferPointer(rebasing: bytes[taken...])) {
                case .took(let count): taken += count
                case .failed(let end): return .failed(end)
                }
                if taken == bytes.count { break }
            }
            let end = taken + min(bytes.count - taken, max(0, room - pending))
            if taken < end { hold(UnsafeRawBufferPointer(rebasing: bytes[taken..<end])) }
            taken = end
        } while taken < bytes.count && pending == 0 && context?.channel.isActive == true
        return .took(taken)
    }

    /// Buffers bytes in the channel; no bytes stand for those it has already.
    private func hold(_ bytes: UnsafeRawBufferPointer) {
        guard let context else { return }
        let wasWriting = isWriting
        isWriting = true
        defer { isWriting = wasWriting }
        // Nearly every event is one piece, which the connection takes at once: no promise for it.
        var bytes = bytes
        let size = bytes.count
        if socket == nil, pending == 0, size > 0, size <= Self.pieceSize {
            context.writeAndFlush(piece(bytes, context), promise: nil)
            guard output.bufferedBytes(context.channel) > 0 else { return }
            bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        }
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        var start = 0
        repeat {
            let end = min(bytes.count, start + Self.pieceSize)
            let piece = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            // An empty piece stands for what the channel has already.
            let count = piece.isEmpty ? max(1, size) : piece.count
            pending += count
            let written = context.eventLoop.makePromise(of: Void.self)
            context.write(self.piece(piece, context), promise: written)
            written.futureResult.whenSuccess { handler.value.wrote(count) }
            start = end
        } while start < bytes.count
        context.flush()
        if pending > 0, stalledSince == nil { stalledSince = loop.now }
    }

    private func piece(_ bytes: UnsafeRawBufferPointer, _ context: ChannelHandlerContext) -> NIOAny {
        output.piece(bytes.isEmpty ? ByteBuffer() : loop.buffer(of: bytes, context.channel.allocator))
    }

    private func wrote(_ count: Int) {
        pending -= count
        stalledSince = pending > 0 ? loop.now : nil
        guard !isWriting, !isOver else { return }
        if pending > 0 { hasProgressed() } else { hasRoom() }
    }

    // MARK: - From the connection

    final func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Input on a stream is ignored.
    }

    final func channelInactive(context: ChannelHandlerContext) {
        leave(.clientClosed)
        context.fireChannelInactive()
    }

    final func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if halfCloseIsLeaving, let event = event as? ChannelEvent, event == .inputClosed { leave(.clientClosed) }
        context.fireUserInboundEventTriggered(event)
    }

    final func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Bytes pipelined after the request are ignored, and need not be HTTP.
        if error is HTTPParserError { return }
        leave((error as? IOError).map { SocketError.end($0.errnoCode) } ?? .clientClosed)
    }
}

#endif
