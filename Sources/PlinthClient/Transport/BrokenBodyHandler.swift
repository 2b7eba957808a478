// SPDX-License-Identifier: Apache-2.0

#if Client

import NIOCore
import NIOHTTP1

/// The connection ended, or what came was no HTTP, in the middle of a body.
struct BrokenBody: Error, CustomStringConvertible {
    var description: String { "the connection ended in the middle of the body" }
}

/// Keeps what has come of a body that breaks off.
///
/// AsyncHTTPClient fails a response at once, and drops what its reader has not asked for: events that a browser would
/// still get. Here a body that breaks off ends instead, behind a mark that the reader recognises.
final class BrokenBodyHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = HTTPClientResponsePart

    /// Known by where it lies in memory, so that no server can send it.
    private static let mark = ByteBuffer(string: "broken")

    private var isInBody = false

    /// Puts one behind the connection's decoder.
    static func add(to channel: any Channel) throws {
        // This is called on the channel's event loop.
        let pipeline = channel.pipeline.syncOperations
        let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPResponseDecoder>.self)
        try pipeline.addHandler(BrokenBodyHandler(), position: .after(decoder))
    }

    static func isMark(_ buffer: ByteBuffer) -> Bool {
        buffer.withUnsafeReadableBytes { bytes in
            mark.withUnsafeReadableBytes { bytes.count == $0.count && bytes.baseAddress == $0.baseAddress }
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): isInBody = head.status.code >= 200
        case .body: break
        case .end: isInBody = false
        }
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard isInBody else {
            context.fireErrorCaught(error)
            return
        }
        endBody(context)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if isInBody { endBody(context) }
        context.fireChannelInactive()
    }

    private func endBody(_ context: ChannelHandlerContext) {
        isInBody = false
        context.fireChannelRead(wrapInboundOut(.body(Self.mark)))
        context.fireChannelRead(wrapInboundOut(.end(nil)))
        context.fireChannelReadComplete()
    }
}

#endif
