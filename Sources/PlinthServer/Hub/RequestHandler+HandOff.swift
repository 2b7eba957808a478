// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth
import PlinthHub

/// Streams of a hub: to a reactor, or to this event loop's group.
extension RequestHandler {
    /// Writes the head of a stream that is not the connection's own, and hands it over.
    ///
    /// - Throws: `CancellationError` if the client has left by then.
    func handOff(
        _ body: any HandedOffBody,
        _ response: Response,
        _ framing: ResponseFraming,
        _ route: RouteIdentity?,
        _ current: Current,
        _ context: ChannelHandlerContext
    ) throws {
        guard let body = body as? HubStreamBody else {
            return try startStream(body.eventStream(), response, framing, route, current, context)
        }
        current.framing = framing
        let channel = context.channel
        release(current)
        // From here on nothing may answer another request, and what the client sends is not looked at.
        hasLeft = !body.service.usesReactor || !Output.isSocket || isSecure
        isClosing = !hasLeft
        let opening = body.preamble.withUnsafeBytes { wrapOutboundOut(Output.body($0, framing, channel.allocator)) }
        context.write(headPart(response, framing), promise: nil)
        if hasLeft {
            context.writeAndFlush(opening, promise: nil)
            return serve(body, framing, channel)
        }
        // Until the opening is out this handler keeps the connection, with the deadline of any response.
        handOffEnd = .clientClosed
        rearm()
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { handler.value.openingIsWritten($0, body, framing, channel) }
        context.writeAndFlush(opening, promise: written)
    }

    private func openingIsWritten(
        _ result: Result<Void, any Error>,
        _ body: HubStreamBody,
        _ framing: ResponseFraming,
        _ channel: any Channel
    ) {
        let end = handOffEnd ?? .clientClosed
        handOffEnd = nil
        let request = body.request(isChunked: framing.isChunked)
        guard case .success = result, channel.isActive, let socket = DirectSocket(of: channel) else {
            body.service.refused(request, end)
            return channel.close(promise: nil)
        }
        guard !body.service.isDraining else {
            body.service.refused(request, .serverDraining)
            return closeAfterEnd(framing)
        }
        hasLeft = true
        guard let descriptor = socket.duplicate(), body.service.handOff(descriptor, request) else {
            body.service.lacksDescriptors()
            return serve(body, framing, channel)
        }
        // The socket lives on as the reactor's descriptor, and the connection counts as finished.
        channel.close(promise: nil)
    }

    /// Serves a stream on this event loop.
    private func serve(
        _ body: HubStreamBody,
        _ framing: ResponseFraming,
        _ channel: any Channel
    ) {
        let request = body.request(isChunked: framing.isChunked)
        // The opening may have been the write that found the client gone.
        guard channel.isActive, !hasInputClosed else {
            body.service.refused(request, .clientClosed)
            return channel.close(promise: nil)
        }
        // The group first: `endStreams` finds every stream whose beginning was reported.
        let group = body.service.group(of: loop)
        let stream = body.service.streamRequest(request, .eventLoop)
        serve(HubStreamHandler<Output>(stream, of: group, on: connection(framing)), channel)
    }
}

#endif
