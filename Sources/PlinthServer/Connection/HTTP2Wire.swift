// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHPACK
import NIOHTTP2
import Plinth

/// Stands between the socket and NIO's HTTP/2 handler, and does on the wire what that handler does not.
///
/// - **The limit of streams.** NIO enforces the `SETTINGS_MAX_CONCURRENT_STREAMS` that it announces, and 100 until the client
///   has acknowledged it, and ends the connection with all its streams for one too many. RFC 9113, section 5.1.2, makes that
///   an error of the one stream. So NIO is given a limit that no client reaches; its first frame, SETTINGS, leaves here with
///   the announced one; and the client's own SETTINGS are followed by an acknowledgement of ours, so that NIO's limit holds
///   before the first request. The client's acknowledgement, when it comes, is dropped: a second one would be an error.
///   Streams beyond the announced limit are refused one by one (``HTTP2StreamLimit``).
/// - **Which errors end the connection.** NIO reports errors of streams and of the connection alike, but writes GOAWAY for
///   the latter only.
/// - **An orderly close after GOAWAY** (RFC 9113, section 5.4.1). To close a socket with unread input is to reset it, and the
///   client may lose the GOAWAY. So the output is closed, and what comes in is read over, for a moment.
final class HTTP2Wire: LoopTimer, ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    /// What NIO is to allow: more than any client opens, and as many as fit into its count.
    static let acceptedStreams = Int(Int32.max)

    /// How far the exchange of settings has come, and what is left of the frame under way.
    private enum Input {
        /// Bytes of a frame or of the preface, which pass; `isSettings` if they are those of the client's SETTINGS.
        case passing(Int, isSettings: Bool)
        /// The next frame's head, whole or in part.
        case head([UInt8])
        /// Everything passes.
        case open
        /// Nothing passes: the connection is being closed.
        case closed
    }

    private static let prefaceLength = 24
    private static let headLength = 9
    private static let acknowledgement: [UInt8] = [0, 0, 0, 4, 1, 0, 0, 0, 0]

    private let loop: LoopContext
    private let maximumStreams: UInt32
    private var context: ChannelHandlerContext?
    private var input = Input.passing(prefaceLength, isSettings: false)
    private var hasAcknowledged = false
    private var hasAnnounced = false
    /// The head of a DATA frame, whose payload is the next write.
    private var dataHead: ByteBuffer?
    /// The connection's streams.
    private let limit: HTTP2StreamLimit
    /// The bytes written since the last flush.
    private var unflushedBytes = 0
    /// Whether the event loop flushes at the end of its round.
    private var isFlushPostponed = false

    /// More bytes than this are flushed within a round.
    private static let maximumUnflushedBytes = 32 * 1024
    /// A larger payload is not copied behind its head.
    private static let maximumMergedPayload = 4 * 1024
    private var discarded = 0
    /// Whether NIO has ended the connection for an error.
    private(set) var hasSentError = false

    init(loop: LoopContext, limit: HTTP2StreamLimit, maximumStreams: Int) {
        self.loop = loop
        self.limit = limit
        self.maximumStreams = UInt32(clamping: maximumStreams)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.cancel(self)
    }

    // MARK: - Output

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .byteBuffer(var buffer) = unwrapOutboundIn(data) else {
            writeDataHead(context)
            return context.write(data, promise: promise)
        }
        unflushedBytes += buffer.readableBytes
        if var head = dataHead.take() {
            // One write, and over TLS one record, for a small frame.
            guard buffer.readableBytes <= Self.maximumMergedPayload else {
                context.write(wrapOutboundOut(.byteBuffer(head)), promise: nil)
                return context.write(data, promise: promise)
            }
            head.writeBuffer(&buffer)
            return context.write(wrapOutboundOut(.byteBuffer(head)), promise: promise)
        }
        let start = buffer.readerIndex
        guard buffer.readableBytes >= Self.headLength, let kind: UInt8 = buffer.getInteger(at: start + 3) else {
            return context.write(data, promise: promise)
        }
        switch kind {
        case 0:
            let owesPayload =
                buffer.readableBytes == Self.headLength
                && buffer.readableBytesView.prefix(3).contains { $0 != 0 }
            if owesPayload, promise == nil {
                dataHead = buffer
                return
            }
        case 4 where !hasAnnounced:
            hasAnnounced = true
            announce(in: &buffer)
            return context.write(wrapOutboundOut(.byteBuffer(buffer)), promise: promise)
        case 7:
            // Behind the head: the last stream, then the code.
            let code: UInt32? = buffer.getInteger(at: start + Self.headLength + 4)
            if code != 0 { hasSentError = true }
        default: break
        }
        context.write(data, promise: promise)
    }

    private func writeDataHead(_ context: ChannelHandlerContext) {
        guard let head = dataHead.take() else { return }
        context.write(wrapOutboundOut(.byteBuffer(head)), promise: nil)
    }

    func flush(context: ChannelHandlerContext) {
        writeDataHead(context)
        if isFlushPostponed, unflushedBytes <= Self.maximumUnflushedBytes { return }
        // With one stream there is nothing to gather, and its connection is in the cache now.
        if limit.count > 1, unflushedBytes <= Self.maximumUnflushedBytes, loop.postponesFlush(of: self) {
            isFlushPostponed = true
            return
        }
        unflushedBytes = 0
        context.flush()
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        // What the round has written is not lost.
        if isFlushPostponed { flushRound() }
        context.close(mode: mode, promise: promise)
    }

    /// Flushes what was written in a round of the event loop.
    func flushRound() {
        isFlushPostponed = false
        unflushedBytes = 0
        context?.flush()
    }

    /// Puts the announced limit into NIO's SETTINGS.
    private func announce(in buffer: inout ByteBuffer) {
        let start = buffer.readerIndex
        guard let high: UInt8 = buffer.getInteger(at: start), let low: UInt16 = buffer.getInteger(at: start + 1) else {
            return
        }
        // Other frames may follow in the same buffer.
        let end = min(buffer.writerIndex, start + Self.headLength + (Int(high) << 16 | Int(low)))
        for entry in stride(from: start + Self.headLength, to: end - 5, by: 6)
        where buffer.getInteger(at: entry, as: UInt16.self) == 3 {
            buffer.setInteger(maximumStreams, at: entry + 2)
        }
    }

    // MARK: - Input

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch input {
        case .open: context.fireChannelRead(data)
        case .closed: discard(unwrapInboundIn(data).readableBytes)
        case .passing, .head:
            let buffer = passOn(unwrapInboundIn(data), context.channel.allocator)
            // What this leads to may come back here, so it is the last thing done.
            if buffer.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(buffer)) }
        }
    }

    /// Takes bytes of the client's, until it has acknowledged the settings.
    ///
    /// - Returns: What NIO is to see of them.
    private func passOn(_ bytes: ByteBuffer, _ allocator: ByteBufferAllocator) -> ByteBuffer {
        var bytes = bytes
        var output = allocator.buffer(capacity: bytes.readableBytes + Self.acknowledgement.count)
        while bytes.readableBytes > 0 {
            switch input {
            case .passing(let count, let isSettings):
                guard var piece = bytes.readSlice(length: min(count, bytes.readableBytes)) else { return output }
                let left = count - piece.readableBytes
                output.writeBuffer(&piece)
                input = left > 0 ? .passing(left, isSettings: isSettings) : .head([])
                if left == 0, isSettings { acknowledge(&output) }
            case .head(var head):
                let piece = bytes.readBytes(length: min(Self.headLength - head.count, bytes.readableBytes)) ?? []
                head += piece
                input = .head(head)
                if head.count == Self.headLength { begin(head, &output) }
            case .open, .closed:
                output.writeBuffer(&bytes)
            }
        }
        return output
    }

    private func begin(_ head: [UInt8], _ output: inout ByteBuffer) {
        let length = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
        let isSettings = head[3] == 4 && head[4] & 1 == 0
        if hasAcknowledged, head == Self.acknowledgement {
            // Of NIO's settings, which have been acknowledged.
            input = .open
            return
        }
        output.writeBytes(head)
        // The first frame has to be SETTINGS. What NIO says to another needs no settings.
        guard hasAcknowledged || isSettings else { return input = .open }
        let isFirst = isSettings && !hasAcknowledged
        input = length > 0 ? .passing(length, isSettings: isFirst) : .head([])
        if length == 0, isFirst { acknowledge(&output) }
    }

    private func acknowledge(_ output: inout ByteBuffer) {
        hasAcknowledged = true
        output.writeBytes(Self.acknowledgement)
    }

    // MARK: - Closing

    /// Closes the output behind the GOAWAY, and the rest when the client has closed its side or has had its time.
    func closeInOrder() {
        if case .closed = input { return }
        input = .closed
        guard let context, context.channel.isActive else { return }
        loop.schedule(self, at: .now() + .seconds(2))
        let wire = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenSuccess { wire.value.context?.close(mode: .output, promise: nil) }
        // Holds nothing, and is written when everything before it is.
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(ByteBuffer())), promise: written)
    }

    private func discard(_ count: Int) {
        discarded += count
        if discarded > RequestHandler<HTTP2Output>.maximumDiscarded { context?.close(promise: nil) }
    }

    override func fire(now: MonotonicTime) -> MonotonicTime? {
        context?.close(promise: nil)
        return nil
    }
}

/// Counts the open streams of a connection, and refuses those beyond its limit (RFC 9113, section 5.1.2).
///
/// A stream counts until NIO says that it is closed, not until its channel is, which is a turn of the event loop later: a
/// client may open the next one in the bytes behind the reset of the last.
final class HTTP2StreamLimit: NIOHTTP2StreamDelegate {
    private let maximum: Int
    /// The connection's manager, which follows the same streams.
    private let manager: any NIOHTTP2StreamDelegate & Sendable
    /// The channels of the streams that were admitted and are open.
    private let open: NIOLoopBoundBox<Set<ObjectIdentifier>>

    init(maximum: Int, manager: any NIOHTTP2StreamDelegate & Sendable, eventLoop: any EventLoop) {
        self.maximum = maximum
        self.manager = manager
        open = .makeBoxSendingValue([], eventLoop: eventLoop)
    }

    func streamCreated(_ id: HTTP2StreamID, channel: any Channel) {
        manager.streamCreated(id, channel: channel)
    }

    func streamClosed(_ id: HTTP2StreamID, channel: any Channel) {
        open.value.remove(ObjectIdentifier(channel))
        manager.streamClosed(id, channel: channel)
    }

    /// The number of open streams.
    var count: Int { open.value.count }

    /// Takes a new stream into account.
    ///
    /// - Returns: Whether there is room for it; if not, it has been refused.
    func admit(_ stream: any Channel) throws -> Bool {
        guard open.value.count < maximum else {
            try stream.pipeline.syncOperations.addHandler(Refusal())
            return false
        }
        let name = ObjectIdentifier(stream)
        open.value.insert(name)
        // Of a stream that ends without having been open.
        let open = self.open
        stream.closeFuture.whenComplete { _ in open.value.remove(name) }
        return true
    }

    /// Resets a stream in the way that says: nothing of it was looked at, so it may be tried again.
    private final class Refusal: ChannelInboundHandler {
        typealias InboundIn = HTTP2Frame.FramePayload
        typealias OutboundOut = HTTP2Frame.FramePayload

        func channelActive(context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(.rstStream(.refusedStream)), promise: nil)
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {}

        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            context.close(promise: nil)
        }
    }
}

/// Sees to it that the codec behind it, which lets a `Host` field replace `:authority`, cannot be used to say two things.
///
/// RFC 9113, section 8.3.1: a request whose `Host` differs from its `:authority` is malformed. It is given both as `Host`
/// fields, which is refused as it is on HTTP/1.
final class HTTP2HostCheck: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = HTTP2Frame.FramePayload

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var payload = unwrapInboundIn(data)
        guard case .headers(var headers) = payload else { return context.fireChannelRead(data) }
        let hosts = headers.headers["host"]
        if !hosts.isEmpty, let authority = headers.headers.first(name: ":authority"), hosts != [authority] {
            headers.headers.add(name: "host", value: authority)
            payload = .headers(headers)
        }
        // Trailers have no such field, and nothing else is looked at.
        context.fireChannelRead(wrapInboundOut(payload))
        if context.channel.isActive { context.pipeline.syncOperations.removeHandler(context: context, promise: nil) }
    }
}

#endif
