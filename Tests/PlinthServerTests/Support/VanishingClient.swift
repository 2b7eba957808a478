// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import PlinthTestSupport

/// A client that resets its connection while the server writes to it.
///
/// It is at the socket's end of a pipeline. At the given flush it acts as NIO does when a write fails: before the flush
/// returns, the socket's unread input is delivered, the writes fail, and the channel becomes inactive.
///
/// Confined to the channel's event loop.
final class VanishingClient: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let flush: Int
    private let unread: ByteBuffer
    private var flushes = 0
    private let flushed: Recorder<Void>
    private var writes: [EventLoopPromise<Void>] = []

    /// - Parameters:
    ///   - flush: The number of the flush that fails, from 0.
    ///   - unread: The socket's unread input at that moment.
    ///   - flushed: Records each flush.
    init(at flush: Int, unread: [UInt8], flushed: Recorder<Void>) {
        self.flush = flush
        self.flushed = flushed
        self.unread = ByteBuffer(bytes: unread)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if flushes >= flush {
            if let promise { writes.append(promise) }
        } else {
            context.write(data, promise: promise)
        }
    }

    func flush(context: ChannelHandlerContext) {
        flushes += 1
        defer { flushed.record() }
        guard flushes == flush + 1 else { return context.flush() }
        let reset = IOError(errnoCode: 104, reason: "send")
        if unread.readableBytes > 0 {
            context.fireChannelRead(NIOAny(unread))
            context.fireChannelReadComplete()
        }
        for write in writes { write.fail(reset) }
        writes = []
        context.fireErrorCaught(reset)
        context.close(promise: nil)
    }
}

#endif
