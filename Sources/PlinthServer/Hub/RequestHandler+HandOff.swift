// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth
import PlinthHub

/// Hub streams: handed off to a reactor, or served by this event loop's group.
extension RequestHandler {
    private struct UnknownHandedOffBody: Error {}

    /// Writes the head of a hub's stream, and hands the socket off to a reactor, or serves it on this event loop.
    ///
    /// - Throws: ``UnknownHandedOffBody`` if the body is not a hub's.
    func startHubStream(
        _ body: any HandedOffBody,
        _ response: Response,
        _ framing: ResponseFraming,
        _ context: ChannelHandlerContext
    ) throws {
        guard let body = body as? HubStreamBody else { throw UnknownHandedOffBody() }
        let channel = context.channel
        // From here on, no other request is answered, and the client's input is ignored.
        let staysOnLoop = !body.service.usesReactor || !output.isSocket || isSecure
        write(response, framing)
        write(body.preamble, framing)
        if staysOnLoop {
            input { $0.leave() }
            flush()
            return serve(body, framing, channel)
        }
        // Until the opening is written, this handler keeps the connection.
        input { $0.handOff(now: loop.now) }
        flush(promise { $0.openingIsWritten($1, body, framing, channel) })
    }

    private func openingIsWritten(
        _ result: Result<Void, any Error>,
        _ body: HubStreamBody,
        _ framing: ResponseFraming,
        _ channel: any Channel
    ) {
        let end = input { $0.openingIsWritten() }
        let stream = body.stream(isChunked: framing.isChunked)
        guard case .success = result, channel.isActive else {
            body.service.refused(stream, end)
            return channel.close(promise: nil)
        }
        guard !body.service.isDraining else {
            body.service.refused(stream, .serverDraining)
            return input { $0.endStream(framing, now: loop.now) }
        }
        // A channel without a socket of its own, such as a pipe's.
        guard let socket = DirectSocket(of: channel) else { return serve(body, framing, channel) }
        guard let descriptor = socket.duplicate(), body.service.handOff(descriptor, stream) else {
            body.service.couldNotHandOff()
            return serve(body, framing, channel)
        }
        // The reactor's descriptor keeps the socket open; the connection counts as finished.
        channel.close(promise: nil)
    }

    /// Serves a stream on this event loop.
    private func serve(
        _ body: HubStreamBody,
        _ framing: ResponseFraming,
        _ channel: any Channel
    ) {
        let stream = body.stream(isChunked: framing.isChunked)
        // The client may have been found gone when the opening was written.
        guard channel.isActive, !machine.hasInputClosed else {
            body.service.refused(stream, .clientClosed)
            return channel.close(promise: nil)
        }
        // The group first, so that `endStreams` finds every stream whose start was reported.
        let group = body.service.group(of: loop)
        let request = body.service.streamRequest(stream, .eventLoop)
        serve(HubStreamHandler(request, of: group, on: connection(framing)), channel)
    }
}

#endif
