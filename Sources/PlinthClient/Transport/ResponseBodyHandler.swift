// SPDX-License-Identifier: Apache-2.0

#if Client

import NIOCore
import NIOHTTP1

/// The connection ended, or sent invalid HTTP, in the middle of a body.
struct BrokenBody: Error, CustomStringConvertible {
    var description: String { "the connection ended in the middle of the body" }
}

/// Gathers the small parts of a body, and keeps what was received of a body that is cut off.
///
/// Servers send one chunk per event. Passing each through AsyncHTTPClient alone would cost more than everything else,
/// so the parts of one socket read are forwarded as one.
///
/// AsyncHTTPClient fails a response at once, and drops what its reader has not requested: events that a browser would
/// still dispatch. Here a body that is cut off ends instead, after a mark that the reader recognises.
final class ResponseBodyHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias InboundOut = HTTPClientResponsePart

    /// Identified by its address in memory, so that no server can send it.
    private static let mark = ByteBuffer(string: "broken")

    /// A part of at least `largeSize` bytes is forwarded as it is; smaller ones are gathered up to `gatheredSize` bytes.
    private static let largeSize = 16 * 1024
    private static let gatheredSize = 64 * 1024

    private var isInBody = false
    /// The parts of the current read that have not been forwarded yet.
    private var gathered: ByteBuffer?

    /// Adds a handler behind the connection's decoder.
    static func add(to channel: any Channel) throws {
        // Called on the channel's event loop.
        let pipeline = channel.pipeline.syncOperations
        let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPResponseDecoder>.self)
        try pipeline.addHandler(ResponseBodyHandler(), position: .after(decoder))
    }

    static func isMark(_ buffer: ByteBuffer) -> Bool {
        buffer.withUnsafeReadableBytes { bytes in
            mark.withUnsafeReadableBytes { bytes.count == $0.count && bytes.baseAddress == $0.baseAddress }
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): isInBody = head.status.code >= 200
        case .body(let part):
            // A large part is forwarded as it is, after what was gathered before it.
            guard part.readableBytes < Self.largeSize else {
                forward(context)
                break
            }
            gather(part, context)
            return
        case .end:
            forward(context)
            isInBody = false
        }
        context.fireChannelRead(data)
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        forward(context)
        context.fireChannelReadComplete()
    }

    private func gather(_ part: ByteBuffer, _ context: ChannelHandlerContext) {
        // A single part is not copied.
        guard gathered?.writeImmutableBuffer(part) != nil else {
            gathered = part
            return
        }
        if let count = gathered?.readableBytes, count >= Self.gatheredSize { forward(context) }
    }

    private func forward(_ context: ChannelHandlerContext) {
        guard let part = gathered else { return }
        gathered = nil
        context.fireChannelRead(wrapInboundOut(.body(part)))
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
        forward(context)
        context.fireChannelRead(wrapInboundOut(.body(Self.mark)))
        context.fireChannelRead(wrapInboundOut(.end(nil)))
        context.fireChannelReadComplete()
    }
}

#endif
