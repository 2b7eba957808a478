// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP1
import Plinth

/// The commands of a request's task, and the end of a connection.
extension RequestHandler {
    func commands(for current: Current) -> HandlerCommands<Output> {
        HandlerCommands(
            eventLoop: loop.eventLoop,
            handler: NIOLoopBound(self, eventLoop: loop.eventLoop),
            current: NIOLoopBound(current, eventLoop: loop.eventLoop)
        )
    }

    func headPart(_ response: Response, _ framing: ResponseFraming) -> NIOAny {
        let allocator = context?.channel.allocator ?? ByteBufferAllocator()
        return wrapOutboundOut(
            Output.head(response, framing, date: loop.date(), serverName: server.serverName, allocator)
        )
    }

    /// How a response to this request is framed.
    private func framing(_ response: Response, _ current: Current, length: Int?) -> ResponseFraming {
        var framing = ResponseFraming(version: current.version, body: .unknown, keepsAlive: current.keepsAlive)
        if framing.version < .http1_1 { framing.version = .http1_0 }
        if framing.version > .http1_1, framing.version < .http2 { framing.version = .http1_1 }
        if response.forbidsBody {
            framing.body = .none
        } else if let length {
            framing.body = .length(length)
        } else if framing.version == .http1_0 {
            framing.keepsAlive = false
        }
        // Without `100 Continue` the client may send the body or omit it, so the next input is ambiguous.
        if current.expectsContinue, current.receivedBytes == 0, !current.hasReceivedAll { framing.keepsAlive = false }
        if isDraining { framing.keepsAlive = false }
        // The rest of the body is longer than what is discarded to reach the next request.
        if !current.hasReceivedAll, let length = current.bodyLength,
            length - current.receivedBytes > Self.maximumDiscarded
        {
            framing.keepsAlive = false
        }
        return framing
    }

    func begin(_ response: Response, length: Int?, route: RouteIdentity?, _ current: Current) throws {
        guard let context, self.current === current, current.framing == nil else { throw CancellationError() }
        var framing = framing(response, current, length: length)
        if let stream = response.body.eventStream, framing.body == .unknown {
            framing.keepsAlive = false
            if current.method != .head { return try startStream(stream, response, framing, route, current, context) }
        }
        if let body = response.body.handedOff, framing.body == .unknown {
            framing.keepsAlive = false
            if current.method != .head { return try startHubStream(body, response, framing, current, context) }
        }
        if current.method == .head { framing.body = .none }
        current.framing = framing
        current.keepsAlive = framing.keepsAlive
        context.writeAndFlush(headPart(headResponse(response, current, length), framing), promise: nil)
    }

    func respond(_ response: Response, _ bytes: [UInt8], _ current: Current) {
        guard let context, self.current === current, current.framing == nil else { return }
        var framing = framing(response, current, length: bytes.count)
        if current.method == .head { framing.body = .none }
        current.framing = framing
        current.keepsAlive = framing.keepsAlive
        context.write(headPart(headResponse(response, current, bytes.count), framing), promise: nil)
        if !bytes.isEmpty, framing.body != .none { writeBody(bytes, current, framing, context) }
        end(current)
    }

    /// Adds the length of the body to a response to `HEAD`, unless the application has set it.
    private func headResponse(_ response: Response, _ current: Current, _ length: Int?) -> Response {
        guard current.method == .head, let length, response.headers[.contentLength] == nil, !response.forbidsBody
        else { return response }
        var response = response
        response.headers[.contentLength] = "\(length)"
        return response
    }

    func write(_ bytes: [UInt8], _ current: Current, _ continuation: CheckedContinuation<Void, any Error>) {
        guard let context, self.current === current, let framing = current.framing, !current.hasSentAll,
            context.channel.isActive
        else { return continuation.resume(throwing: CancellationError()) }
        if !bytes.isEmpty, framing.body != .none {
            // The client would take the excess for the next response.
            if case .length(let length) = framing.body, bytes.count > length - current.sentBytes {
                return continuation.resume(throwing: BodyLengthError(announced: length))
            }
            writeBody(bytes, current, framing, context)
            context.flush()
            // The flush may have found the connection gone.
            guard self.current === current else { return continuation.resume(throwing: CancellationError()) }
        }
        if context.channel.isWritable {
            continuation.resume()
        } else {
            current.writers.append(continuation)
            rearm()
        }
    }

    private func writeBody(
        _ bytes: [UInt8],
        _ current: Current,
        _ framing: ResponseFraming,
        _ context: ChannelHandlerContext
    ) {
        current.sentBytes += bytes.count
        bytes.withUnsafeBytes { raw in
            context.write(wrapOutboundOut(Output.body(raw, framing, context.channel.allocator)), promise: nil)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, !isClosing {
            if let current {
                let writers = current.writers
                current.writers = []
                rearm()
                for writer in writers { writer.resume() }
            } else {
                rearm()
                takeWaiting()
            }
        }
        context.fireChannelWritabilityChanged()
    }

    func end(_ current: Current) {
        guard let context, self.current === current, let framing = current.framing, !current.hasSentAll else { return }
        if case .length(let length) = framing.body, current.sentBytes != length {
            current.logger.error(
                "the body of a response is shorter than announced; the connection is cut off",
                metadata: ["announced": "\(length)", "written": "\(current.sentBytes)"]
            )
            return abort(current)
        }
        current.hasSentAll = true
        isBodyPaused = false
        if !current.keepsAlive || !Output.isSocket { return closeAfterEnd(framing) }
        current.release()
        if let end = Output.end(framing, context.channel.allocator) {
            context.write(wrapOutboundOut(end), promise: nil)
        }
        context.flush()
        if current.hasReceivedAll {
            finish(current)
        } else {
            rearm()
            resumeReading()
        }
    }

    func abort(_ current: Current) {
        guard self.current === current else { return }
        if current.framing == nil {
            refuse(HTTPError(.internalServerError), nil)
        } else {
            clientGone()
            close()
        }
    }

    /// Called when the request and its response are complete; continues with the next request.
    func finish(_ current: Current) {
        // Ending the response may have re-entered, found the end of the request, and begun the next one.
        guard self.current === current else { return }
        self.current = nil
        rearm()
        takeWaiting()
    }

    // MARK: - Closing

    /// Answers an invalid request and closes the connection, since its further input cannot be trusted.
    func refuse(_ error: HTTPError, _ head: HTTPRequestHead?) {
        guard let context, !isClosing else { return }
        if let current {
            clientGone()
            // Another response has already begun.
            if current.framing != nil { return close() }
        }
        let response = error.response
        guard case .bytes(let bytes) = response.body.storage else { return close() }
        let framing = ResponseFraming(
            version: Output.isSocket ? (head?.version == .http1_0 ? .http1_0 : .http1_1) : .http2,
            body: head?.method == .HEAD ? .none : .length(bytes.count),
            keepsAlive: false
        )
        context.write(headPart(response, framing), promise: nil)
        if framing.body != .none {
            bytes.withUnsafeBytes { raw in
                context.write(wrapOutboundOut(Output.body(raw, framing, context.channel.allocator)), promise: nil)
            }
        }
        closeAfterEnd(framing)
    }

    /// Writes the end of a response, and closes once it is written.
    func closeAfterEnd(_ framing: ResponseFraming) {
        guard let context else { return }
        let current = self.current
        self.current = nil
        isClosing = true
        dropWaiting()
        current?.release()
        isUploading = !(current?.hasReceivedAll ?? false)
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in handler.value.hasWrittenLast() }
        context.writeAndFlush(
            wrapOutboundOut(Output.end(framing, context.channel.allocator) ?? nothing(context)),
            promise: written
        )
        guard !hasClosedOutput else { return }
        rearm()
        resumeReading()
    }

    /// Closes a connection between requests when the client has taken the last response.
    func closeWhenWritten() {
        guard let context, !isClosing else { return }
        isClosing = true
        dropWaiting()
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        written.futureResult.whenComplete { _ in handler.value.close() }
        context.writeAndFlush(wrapOutboundOut(nothing(context)), promise: written)
        rearm()
    }

    /// An empty write, whose promise succeeds once everything before it is written.
    private func nothing(_ context: ChannelHandlerContext) -> Output.Part {
        Output.body(UnsafeRawBufferPointer(start: nil, count: 0), .empty, context.channel.allocator)
    }

    /// Closes a connection whose client sends more than ``maximumDiscarded`` bytes of an unread body.
    func stopServing() {
        guard let current, !isClosing else { return }
        self.current = nil
        isClosing = true
        isUploading = true
        dropWaiting()
        current.release()
        hasWrittenLast()
    }

    private func hasWrittenLast() {
        guard let context else { return }
        // The client may still be sending: closing at once would reset the connection, and the client could lose the
        // response (RFC 9112, section 9.6). So the output is closed first, and the rest once the client has closed its
        // side. On HTTP/2 this concerns one stream, whose output has just been closed: some clients lose a response
        // when their upload is reset.
        let mayStillSend = Output.isSocket ? !hasInputClosed : isUploading
        guard mayStillSend, context.channel.isActive else { return close() }
        hasClosedOutput = true
        lingerEnd = .now() + server.configuration.lingerTimeout
        if Output.isSocket { context.close(mode: .output, promise: nil) }
        rearm()
        // Input held back while a handler did not keep up is discarded now.
        resumeReading()
    }

    /// Discards input after the last response.
    func linger(_ part: HTTPServerRequestPart) {
        guard !Output.isSocket else { return }
        switch part {
        case .head: break
        case .body(let buffer):
            discarded += buffer.readableBytes
            if hasClosedOutput, discarded > Self.maximumDiscarded { stopLingering() }
        case .end:
            isUploading = false
            if hasClosedOutput { close() }
        }
    }

    func stopLingering() {
        if isUploading, let context, context.channel.isActive { Output.stopUpload(context.channel) }
        close()
    }

    // MARK: - Event streams

    /// Writes the head of an event stream, and hands the connection to its handler.
    ///
    /// - Throws: `CancellationError` if the client has left; the stream has not begun, and the caller must abandon it.
    func startStream(
        _ stream: EventStream,
        _ response: Response,
        _ framing: ResponseFraming,
        _ route: RouteIdentity?,
        _ current: Current,
        _ context: ChannelHandlerContext
    ) throws {
        current.framing = framing
        let channel = context.channel
        context.writeAndFlush(headPart(response, framing), promise: nil)
        guard self.current === current, channel.isActive else { throw CancellationError() }
        let handler = ApplicationStreamHandler<Output>(
            stream,
            on: connection(framing),
            logger: current.logger,
            route: route
        )
        release(current)
        hasLeft = true
        serve(handler, channel)
    }

    /// What a stream needs to know about this connection.
    func connection(_ framing: ResponseFraming) -> StreamConnection {
        StreamConnection(
            framing: framing,
            server: server,
            loop: loop,
            isSecure: isSecure,
            halfCloseIsLeaving: halfCloseIsLeaving
        )
    }

    /// Begins a stream whose head has been written, in place of this handler.
    func serve(_ stream: StreamOutlet<Output>, _ channel: any Channel) {
        if giveWay(to: stream, channel), !hasInputClosed { stream.begin() } else { stream.leave(.clientClosed) }
    }

    /// Releases the last request of this connection, whose response is a stream.
    func release(_ current: Current) {
        self.current = nil
        // The application may keep a reference to this request, which must not keep the task's memory.
        current.task = nil
        // A reader of the rest of the body would wait forever: a stream's connection reads no body.
        if !current.hasReceivedAll { current.body?.fail(RequestBodyLost()) }
        dropWaiting()
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
        if Output.isSocket { HTTPServerChannel.removeParser(from: channel) }
        channel.pipeline.syncOperations.removeHandler(self, promise: nil)
        // Reading may have been held back; it resumes to detect that the client leaves.
        channel.read()
        return channel.isActive
    }
}

extension ResponseFraming {
    /// The framing of an empty write.
    static let empty = ResponseFraming(version: .http1_0, body: .unknown, keepsAlive: false)
}

extension Response {
    /// Whether the status allows no body, whatever the request was (RFC 9110, section 6.4.1).
    var forbidsBody: Bool { status == .noContent || status == .notModified || status.code < 200 }
}

/// A body is longer than its `Content-Length`.
struct BodyLengthError: Error, CustomStringConvertible {
    let announced: Int

    var description: String { "the body is longer than the \(announced) bytes announced for it" }
}

/// A body that was not read before its response became an event stream.
struct RequestBodyLost: Error, CustomStringConvertible {
    var description: String { "the rest of the request's body is lost: read it before the event stream opens" }
}

#endif
