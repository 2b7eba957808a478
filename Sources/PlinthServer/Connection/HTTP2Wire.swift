// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHPACK
import NIOHTTP2
import Plinth

/// Sits between the socket and NIO's HTTP/2 handler, and adds on the wire what that handler lacks.
///
/// - **The limit of streams.** NIO enforces the `SETTINGS_MAX_CONCURRENT_STREAMS` that it announces, or 100 until the
///   client has acknowledged it, and ends the connection with all its streams for one too many. RFC 9113, section
///   5.1.2, makes that an error of this stream only. So NIO gets a limit that no client reaches, and its first frame,
///   SETTINGS, is changed here to the announced limit. An acknowledgement is inserted after the client's own SETTINGS,
///   so that NIO's limit holds before the first request. The client's real acknowledgement is dropped: a second one
///   would be an error. Streams beyond the announced limit are refused one by one (``HTTP2StreamLimit``).
/// - **Which errors end the connection.** NIO reports stream and connection errors alike, but writes GOAWAY only for
///   connection errors.
/// - **One flush a round.** Within a round of deliveries (``LoopContext/beginRound()``), a connection with several
///   streams flushes at the round's end, or beyond 32 KiB. The head and payload of a small DATA frame are one write.
/// - **An orderly close after GOAWAY** (RFC 9113, section 5.4.1). Closing a socket with unread input resets it, and the
///   client may lose the GOAWAY. So the output is closed, and input is discarded, for at most 2 s.
final class HTTP2Wire: LoopTimer, ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    /// The limit that NIO enforces, the highest it can count: no client reaches it.
    static let acceptedStreams = Int(Int32.max)

    /// The progress of the settings exchange, and the rest of the current frame.
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
    /// Where the output is within a DATA frame, which comes in two writes.
    private enum DataFrame {
        case none
        /// The head is kept, to be written with the payload.
        case head(ByteBuffer)
        /// The head has been written.
        case payload
    }

    private var dataFrame = DataFrame.none
    /// The connection's streams.
    private let limit: HTTP2StreamLimit
    /// The bytes written since the last flush.
    private var unflushedBytes = 0
    /// Whether the event loop flushes at the end of its round.
    private var isFlushPostponed = false

    /// More bytes than this are flushed within a round.
    private static let maximumUnflushedBytes = 32 * 1024
    /// A larger payload is not copied into the buffer of its head.
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
        switch dataFrame {
        case .none: break
        case .payload:
            dataFrame = .none
            return context.write(data, promise: promise)
        case .head where buffer.readableBytes > Self.maximumMergedPayload:
            writeDataHead(context)
            return context.write(data, promise: promise)
        case .head(var head):
            // One write, and over TLS one record, for a small frame.
            dataFrame = .none
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
                dataFrame = .head(buffer)
                return
            }
            if owesPayload { dataFrame = .payload }
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

    /// Writes the head that is kept, if any, and leaves the frame.
    private func writeDataHead(_ context: ChannelHandlerContext) {
        if case .head(let head) = dataFrame { context.write(wrapOutboundOut(.byteBuffer(head)), promise: nil) }
        dataFrame = .none
    }

    func flush(context: ChannelHandlerContext) {
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
            // May re-enter this handler, so it comes last.
            if buffer.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(buffer)) }
        }
    }

    /// Filters the client's bytes until it has acknowledged the settings.
    ///
    /// - Returns: The bytes for NIO.
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
            // The client's acknowledgement of NIO's settings; the inserted one has replaced it.
            input = .open
            return
        }
        output.writeBytes(head)
        // The first frame must be SETTINGS. NIO's response to another frame needs no settings.
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

    /// Closes the output after the GOAWAY, and the connection once the client has closed its side, or after 2 s.
    func closeInOrder() {
        if case .closed = input { return }
        input = .closed
        guard let context, context.channel.isActive else { return }
        loop.schedule(self, at: loop.now + .seconds(2))
        let wire = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenSuccess { wire.value.context?.close(mode: .output, promise: nil) }
        // Empty; its promise succeeds once everything before it is written.
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(ByteBuffer())), promise: written)
    }

    private func discard(_ count: Int) {
        discarded += count
        if discarded > RequestMachine.Limits.maximumDiscarded { context?.close(promise: nil) }
    }

    override func fire(now: MonotonicTime) -> MonotonicTime? {
        context?.close(promise: nil)
        return nil
    }
}

/// Counts the open streams of a connection, and refuses those beyond its limit (RFC 9113, section 5.1.2).
///
/// A stream counts until NIO reports it closed. Its channel closes one turn of the event loop later, too late for a
/// client that opens the next stream right after a reset.
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

    /// Counts a new stream, or refuses it at the limit.
    ///
    /// - Returns: False if it was refused.
    func admit(_ stream: any Channel) throws -> Bool {
        guard open.value.count < maximum else {
            try stream.pipeline.syncOperations.addHandler(Refusal())
            return false
        }
        let name = ObjectIdentifier(stream)
        open.value.insert(name)
        // For a stream that ends before it has opened.
        let open = self.open
        stream.closeFuture.whenComplete { _ in open.value.remove(name) }
        return true
    }

    /// Resets a stream with REFUSED_STREAM: it was not processed, so the client may retry it.
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

/// Has a request refused whose `Host` differs from its `:authority` (RFC 9113, section 8.3.1).
///
/// The next handler, NIO's codec, would let `Host` replace `:authority`. So a second `Host` field is added with the
/// authority's value: two are refused, as on HTTP/1.
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
        // Only the first frame with headers is checked: trailers have no such field.
        context.fireChannelRead(wrapInboundOut(payload))
        if context.channel.isActive { context.pipeline.syncOperations.removeHandler(context: context, promise: nil) }
    }
}

#endif
