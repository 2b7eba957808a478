// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth

/// Responses that are streams, which leave the connection to another handler.
extension RequestHandler {
    /// What a stream needs to know about this connection.
    func connection(_ framing: ResponseFraming) -> StreamConnection {
        StreamConnection(
            output: output,
            framing: framing,
            server: server,
            loop: loop,
            isSecure: isSecure,
            halfCloseIsLeaving: halfCloseIsLeaving
        )
    }

    /// Writes the head of an event stream, and hands the connection to its handler.
    ///
    /// - Throws: `CancellationError` if the client has left; the stream has not begun, and the caller must abandon it.
    func startStream(
        _ stream: EventStream,
        _ response: Response,
        _ framing: ResponseFraming,
        _ route: RouteIdentity?,
        _ number: UInt64,
        _ context: ChannelHandlerContext
    ) throws {
        let channel = context.channel
        write(response, framing)
        flush()
        guard machine.serves(number), channel.isActive, let logger = currentLogger else {
            throw CancellationError()
        }
        let handler = ApplicationStreamHandler(
            stream,
            on: connection(framing),
            logger: logger,
            route: route
        )
        input { $0.leave() }
        serve(handler, channel)
    }

    /// Begins a stream whose head has been written, in place of this handler.
    func serve(_ stream: StreamOutlet, _ channel: any Channel) {
        if giveWay(to: stream, channel), !machine.hasInputClosed { stream.begin() } else { stream.leave(.clientClosed) }
    }

    /// Replaces this handler with a stream's.
    ///
    /// - Returns: Whether it was added, and the connection is still active.
    private func giveWay(to handler: some ChannelHandler, _ channel: any Channel) -> Bool {
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            return false
        }
        // On HTTP/1 the connection serves only this stream from now on, and the parsers of ten thousand streams would
        // hold most of the memory.
        if output.isSocket { HTTPServerChannel.removeParser(from: channel) }
        channel.pipeline.syncOperations.removeHandler(self, promise: nil)
        // Reading may have been held back; it resumes to detect that the client leaves.
        channel.read()
        return channel.isActive
    }
}

#endif
