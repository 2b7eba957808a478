// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth
import PlinthHub

/// Streams of a hub: to a reactor, or to this event loop's group.
extension RequestHandler {
    /// Writes the head of a stream that is not the connection's own, and hands it over.
    func handOver(
        _ body: any HandedOverBody,
        _ response: Response,
        _ framing: ResponseFraming,
        _ route: RouteIdentity?,
        _ current: Current,
        _ context: ChannelHandlerContext
    ) {
        guard let body = body as? HubStreamBody else {
            return startStream(body.eventStream(), response, framing, route, current, context)
        }
        current.framing = framing
        let channel = context.channel
        let request = body.request(isChunked: framing.isChunked)
        let preamble = body.preamble
        context.write(headPart(response, framing), promise: nil)
        let opening = preamble.withUnsafeBytes { wrapOutboundOut(Output.body($0, framing, channel.allocator)) }
        leave(current)
        guard body.service.usesReactor, Output.isSocket, !isSecure else {
            context.writeAndFlush(opening, promise: nil)
            return serve(body, framing, channel)
        }
        // Between here and the hand-over nothing may answer another request.
        isClosing = true
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(opening, promise: written)
        written.futureResult.whenComplete { result in
            guard case .success = result else { return body.service.refused(request, .clientClosed) }
            handler.value.detach(body, request, framing, channel)
        }
    }

    /// Moves the socket to a reactor, and closes the channel, which takes the connection for finished.
    private func detach(
        _ body: HubStreamBody,
        _ request: HubStreamBody.Request,
        _ framing: ResponseFraming,
        _ channel: any Channel
    ) {
        guard channel.isActive, let socket = DirectSocket(of: channel) else {
            return body.service.refused(request, .clientClosed)
        }
        guard let descriptor = socket.duplicate(), body.service.adopt(descriptor, request) else {
            body.service.lacksDescriptors()
            return serve(body, framing, channel)
        }
        channel.close(promise: nil)
    }

    /// Serves a stream on this event loop.
    private func serve(
        _ body: HubStreamBody,
        _ framing: ResponseFraming,
        _ channel: any Channel
    ) {
        let hadInputClosed = hasInputClosed
        // The channel frames what it writes.
        let stream = body.service.streamRequest(body.request(isChunked: false), .eventLoop)
        let handler = HubStreamHandler<Output>(
            group: body.service.group(of: loop),
            request: stream,
            framing: framing,
            server: server,
            loop: loop,
            halfCloseIsLeaving: halfCloseIsLeaving
        )
        guard giveWay(to: handler, channel) else { return stream.onEnd(.clientClosed) }
        if hadInputClosed { handler.clientLeft(.clientClosed) } else { handler.begin() }
    }
}

#endif
