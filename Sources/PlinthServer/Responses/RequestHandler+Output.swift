// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP1
import Plinth

/// What a response becomes on the channel: bytes, gathered until the next flush, or the parts of HTTP/2's codec.
extension RequestHandler {
    /// Writes the head of a response; on HTTP/1, at the next flush.
    func write(_ response: Response, _ framing: ResponseFraming) {
        let date = loop.date()
        switch output {
        case .http1:
            HTTP1Output.writeHead(response, framing, date: date, serverName: server.serverName, to: &unflushed)
        case .http2:
            let head = HTTP2Output.head(response, framing, date: date, serverName: server.serverName)
            context?.write(NIOAny(head), promise: nil)
        }
    }

    /// Writes a piece of a body; on HTTP/1, at the next flush.
    func write(_ bytes: [UInt8], _ framing: ResponseFraming) {
        switch output {
        case .http1: HTTP1Output.writeBody(bytes, framing, to: &unflushed)
        case .http2: context?.write(NIOAny(HTTP2Output.body(ByteBuffer(bytes: bytes))), promise: nil)
        }
    }

    func writeProceed() {
        switch output {
        case .http1: unflushed.writeStaticString(HTTP1Output.proceed)
        case .http2: context?.write(NIOAny(HTTP2Output.proceed), promise: nil)
        }
        flush()
    }

    func writeEnd(_ framing: ResponseFraming) {
        switch output {
        case .http1: if framing.isChunked { unflushed.writeStaticString(HTTP1Output.lastChunk) }
        case .http2: context?.write(NIOAny(HTTP2Output.end), promise: nil)
        }
    }

    /// Flushes the last response, with its end if there is one.
    ///
    /// The promise succeeds once everything is written; an empty write stands for what was written before.
    func writeLast(_ framing: ResponseFraming?, _ promise: EventLoopPromise<Void>) {
        switch output {
        case .http1:
            if let framing { writeEnd(framing) }
            flush(promise)
        case .http2:
            let last = framing == nil ? HTTP2Output.body(ByteBuffer()) : HTTP2Output.end
            guard let context else { return promise.fail(ChannelError.ioOnClosedChannel) }
            context.writeAndFlush(NIOAny(last), promise: promise)
        }
    }

    /// Flushes, with what is not written yet.
    ///
    /// - Parameter promise: Completed when all of it is written, or never will be.
    func flush(_ promise: EventLoopPromise<Void>? = nil) {
        guard let context else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        if unflushed.readableBytes > 0 || promise != nil {
            var whole = ByteBuffer()
            swap(&whole, &unflushed)
            context.write(output.piece(whole), promise: promise)
        }
        context.flush()
    }

    func stopUpload() {
        guard let context, output == .http2, context.channel.isActive else { return }
        HTTP2Output.stopUpload(context.channel)
    }
}

#endif
