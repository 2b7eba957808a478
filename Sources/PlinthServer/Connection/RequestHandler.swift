// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
import Plinth

/// Serves the requests of an HTTP/1 connection one after the other, or the one of an HTTP/2 stream.
///
/// It runs a task for each request, gives the socket's back-pressure to whoever writes the response, and keeps the
/// deadlines. When a response turns out to be an event stream it makes way for an ``EventStreamHandler``.
final class RequestHandler<Output: ResponseOutput>: LoopTimer, ChannelDuplexHandler, RemovableChannelHandler, Drainable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Output.Part
    typealias OutboundOut = Output.Part

    /// A request under way.
    final class Current {
        let method: HTTPRequest.Method
        let version: HTTPVersion
        let logger: Logger
        let body: RequestBodyStream?
        var task: Task<Void, Never>?
        var keepsAlive: Bool
        var expectsContinue: Bool
        var receivedBytes = 0
        var hasReceivedAll = false
        var framing: ResponseFraming?
        var hasSentAll = false
        /// Who waits for the socket to take more.
        var writer: CheckedContinuation<Void, any Error>?

        init(
            method: HTTPRequest.Method,
            version: HTTPVersion,
            logger: Logger,
            body: RequestBodyStream?,
            keepsAlive: Bool,
            expectsContinue: Bool
        ) {
            self.method = method
            self.version = version
            self.logger = logger
            self.body = body
            self.keepsAlive = keepsAlive
            self.expectsContinue = expectsContinue
        }
    }

    let server: ServerContext
    let loop: LoopContext
    let isSecure: Bool
    /// Whether the client's end of sending means that it leaves: on HTTP/1, not on HTTP/2, where it ends every request.
    let halfCloseIsLeaving: Bool

    private var context: ChannelHandlerContext?
    private var current: Current?
    /// Parts that came while another request was under way (pipelining).
    private var waiting = CircularBuffer<HTTPServerRequestPart>()
    private var isDraining = false
    private var isReadHeld = false
    private var hasInputClosed = false
    /// Whether bytes have come of a head that is not complete.
    private var hasPartialHead = false
    private var hasReadPart = false
    /// Bytes of a body that nobody wants, and that are read only to reach the next request.
    private var discarded = 0
    private var deadline = MonotonicTime.distantFuture
    private var lastBuffered = 0

    /// The most bytes of an unwanted body that are read to keep a connection; beyond that it is closed.
    static var maximumDiscarded: Int { 256 * 1024 }

    init(server: ServerContext, loop: LoopContext, isSecure: Bool, halfCloseIsLeaving: Bool) {
        self.server = server
        self.loop = loop
        self.isSecure = isSecure
        self.halfCloseIsLeaving = halfCloseIsLeaving
    }

    // MARK: - Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        setDeadline(server.configuration.idleTimeout)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.remove(self)
        loop.cancel(self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        clientGone()
        waiting.removeAll()
        loop.cancel(self)
        context.fireChannelInactive()
    }

    /// The client has left: nobody needs an answer any more.
    private func clientGone() {
        guard let current else { return }
        self.current = nil
        current.task?.cancel()
        current.body?.fail(CancellationError())
        current.writer?.resume(throwing: ConnectionGone())
        current.writer = nil
    }

    func drain() {
        isDraining = true
        if current == nil, !hasPartialHead { close() } else { current?.keepsAlive = false }
    }

    func terminate() {
        close()
    }

    private func close() {
        context?.close(promise: nil)
    }

    // MARK: - Reading

    func read(context: ChannelHandlerContext) {
        if shouldRead { context.read() } else { isReadHeld = true }
    }

    /// Nothing is read while a handler does not keep up with a body, or while more requests wait than are served.
    private var shouldRead: Bool { waiting.isEmpty && !isBodyPaused }
    private var isBodyPaused = false

    private func resumeReading() {
        guard isReadHeld, shouldRead, let context else { return }
        isReadHeld = false
        context.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        hasReadPart = true
        hasPartialHead = false
        let part = unwrapInboundIn(data)
        if let current, current.hasReceivedAll || !waiting.isEmpty {
            waiting.append(part)
        } else {
            receive(part)
        }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if !hasReadPart, current == nil, !hasPartialHead {
            hasPartialHead = true
            setDeadline(server.configuration.headTimeout)
        }
        hasReadPart = false
        context.fireChannelReadComplete()
    }

    private func receive(_ part: HTTPServerRequestPart) {
        switch part {
        case .head(let head):
            guard current == nil else { return refuse(HTTPError(.badRequest, "a request in a request"), nil) }
            begin(head)
        case .body(let buffer):
            receive(buffer)
        case .end:
            guard let current else { return }
            current.hasReceivedAll = true
            current.body?.end()
            if current.hasSentAll { finish(current) } else { setDeadline(nil) }
        }
    }

    private func receive(_ buffer: ByteBuffer) {
        guard let current else { return }
        current.receivedBytes += buffer.readableBytes
        if current.hasSentAll {
            discarded += buffer.readableBytes
            if discarded > Self.maximumDiscarded { close() }
            return
        }
        if current.receivedBytes > server.configuration.maximumBodySize {
            current.keepsAlive = false
            current.body?.fail(HTTPError.contentTooLarge(limit: server.configuration.maximumBodySize))
            return
        }
        guard let body = current.body else { return }
        isBodyPaused = !body.append(Array(buffer.readableBytesView))
        setDeadline(server.configuration.bodyTimeout)
    }

    private func begin(_ head: HTTPRequestHead) {
        let request: HTTPRequest
        do {
            request = try HTTPRequest(checking: head, secure: isSecure)
        } catch {
            return refuse(error, head)
        }
        let version = HTTPVersion(major: Int(head.version.major), minor: Int(head.version.minor))
        let hasBody = head.headers.contains(name: "transfer-encoding")
            || (head.headers.first(name: "content-length").map { $0 != "0" } ?? false)
            || (version >= .http2 && request.method != .get && request.method != .head)
        var body: RequestBodyStream?
        if hasBody {
            if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }),
                length > server.configuration.maximumBodySize
            {
                return refuse(.contentTooLarge(limit: server.configuration.maximumBodySize), head)
            }
            let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
            let eventLoop = loop.eventLoop
            body = RequestBodyStream { eventLoop.execute { handler.value.bodyIsWanted() } }
        }
        let id = RequestID.next()
        var logger = server.logger
        logger[metadataKey: "request-id"] = "\(id)"
        let current = Current(
            method: request.method,
            version: version,
            logger: logger,
            body: body,
            keepsAlive: head.isKeepAlive && !isDraining,
            expectsContinue: head.headers["expect"].contains { $0.lowercased() == "100-continue" }
        )
        self.current = current
        discarded = 0
        let whole = Request(
            head: request,
            version: version,
            body: body?.body ?? .empty,
            remoteAddress: context?.channel.remoteAddress?.ipAddress,
            isSecure: isSecure,
            id: id,
            logger: logger
        )
        setDeadline(hasBody ? server.configuration.bodyTimeout : nil)
        let exchange = ServerExchange(commands: commands(for: current), server: server)
        let activities = server.activities
        activities.enter()
        current.task = Task {
            await exchange.run(whole)
            activities.leave()
        }
        if hasInputClosed { current.task?.cancel() }
    }

    private func bodyIsWanted() {
        guard let current, let context else { return }
        if current.expectsContinue {
            current.expectsContinue = false
            if current.receivedBytes == 0, !current.hasReceivedAll, current.framing == nil {
                context.writeAndFlush(wrapOutboundOut(Output.proceed(context.channel.allocator)), promise: nil)
            }
        }
        isBodyPaused = false
        resumeReading()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if halfCloseIsLeaving, let event = event as? ChannelEvent, event == .inputClosed {
            hasInputClosed = true
            guard let current else { return close() }
            // A client that has said all it had to say may still read: it gets its answer, and the handler is told that
            // nobody may be waiting for it, as Go's server does.
            current.keepsAlive = false
            current.body?.fail(CancellationError())
            current.task?.cancel()
        }
        context.fireUserInboundEventTriggered(event)
    }

    // MARK: - Bad input

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case HTTPParserError.headerOverflow:
            refuse(HTTPError(.requestHeaderFieldsTooLarge, "the head of the request is longer than is accepted"), nil)
        case is HTTPParserError:
            refuse(HTTPError(.badRequest, "the request is not valid HTTP: \(error)"), nil)
        default:
            clientGone()
            close()
        }
    }

    /// Answers a request that no chain can be given, and closes: what follows it on the connection cannot be trusted.
    private func refuse(_ error: HTTPError, _ head: HTTPRequestHead?) {
        guard let context else { return }
        if let current {
            // An answer of another kind is under way already.
            if current.framing != nil {
                clientGone()
                return close()
            }
            clientGone()
        }
        waiting.removeAll()
        let response = error.response
        guard case .bytes(let bytes) = response.body.storage else { return close() }
        let framing = ResponseFraming(
            version: head?.version == .http1_0 ? .http1_0 : (head?.version.major == 2 ? .http2 : .http1_1),
            body: .length(bytes.count),
            keepsAlive: false
        )
        context.write(headPart(response, framing), promise: nil)
        bytes.withUnsafeBytes { raw in
            context.write(wrapOutboundOut(Output.body(raw, framing, context.channel.allocator)), promise: nil)
        }
        closeAfterEnd(framing)
    }

    // MARK: - Writing

    private func commands(for current: Current) -> HandlerCommands<Output> {
        HandlerCommands(
            eventLoop: loop.eventLoop,
            handler: NIOLoopBound(self, eventLoop: loop.eventLoop),
            current: NIOLoopBound(current, eventLoop: loop.eventLoop)
        )
    }

    private func headPart(_ response: Response, _ framing: ResponseFraming) -> NIOAny {
        let allocator = context?.channel.allocator ?? ByteBufferAllocator()
        return wrapOutboundOut(
            Output.head(
                response,
                framing,
                date: loop.date(),
                serverName: server.configuration.serverName,
                allocator
            )
        )
    }

    /// How a response to this request is framed.
    private func framing(_ response: Response, _ current: Current, length: Int?) -> ResponseFraming {
        let hasNoBody = response.status == .noContent || response.status == .notModified
            || response.status.code < 200
        var framing = ResponseFraming(version: current.version, body: .unknown, keepsAlive: current.keepsAlive)
        if framing.version < .http1_1 { framing.version = .http1_0 }
        if framing.version > .http1_1, framing.version < .http2 { framing.version = .http1_1 }
        if hasNoBody {
            framing.body = .none
        } else if let length {
            framing.body = .length(length)
        } else if framing.version == .http1_0 {
            framing.keepsAlive = false
        }
        // A request whose body has not been read is in the way of the next one.
        if isDraining { framing.keepsAlive = false }
        return framing
    }

    func begin(_ response: Response, length: Int?, route: RouteIdentity?, _ current: Current) throws {
        guard let context, self.current === current, current.framing == nil else { throw ConnectionGone() }
        var framing = framing(response, current, length: length)
        if let stream = response.body.eventStream, framing.body == .unknown {
            framing.keepsAlive = false
            if current.method == .head {
                framing.body = .none
            } else {
                return startStream(stream, response, framing, route, current, context)
            }
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
        if !bytes.isEmpty, framing.body != .none {
            bytes.withUnsafeBytes { raw in
                context.write(wrapOutboundOut(Output.body(raw, framing, context.channel.allocator)), promise: nil)
            }
        }
        end(current)
    }

    /// A response to `HEAD` says how long its body would have been, unless the application did.
    private func headResponse(_ response: Response, _ current: Current, _ length: Int?) -> Response {
        guard current.method == .head, let length, response.headers[.contentLength] == nil,
            response.status != .noContent, response.status != .notModified
        else { return response }
        var response = response
        response.headers[.contentLength] = "\(length)"
        return response
    }

    func write(_ bytes: [UInt8], _ current: Current, _ continuation: CheckedContinuation<Void, any Error>) {
        guard let context, self.current === current, let framing = current.framing, context.channel.isActive else {
            return continuation.resume(throwing: ConnectionGone())
        }
        if !bytes.isEmpty, framing.body != .none {
            bytes.withUnsafeBytes { raw in
                context.writeAndFlush(
                    wrapOutboundOut(Output.body(raw, framing, context.channel.allocator)),
                    promise: nil
                )
            }
        }
        if context.channel.isWritable {
            continuation.resume()
        } else {
            current.writer = continuation
            setDeadline(server.configuration.writeTimeout)
        }
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, let current, let writer = current.writer {
            current.writer = nil
            setDeadline(nil)
            writer.resume()
        }
        context.fireChannelWritabilityChanged()
    }

    func end(_ current: Current) {
        guard let context, self.current === current, let framing = current.framing, !current.hasSentAll else { return }
        current.hasSentAll = true
        current.body?.discard()
        isBodyPaused = false
        if !current.keepsAlive || framing.version == .http2 { return closeAfterEnd(framing) }
        if let end = Output.end(framing, context.channel.allocator) {
            context.write(wrapOutboundOut(end), promise: nil)
        }
        context.flush()
        if current.hasReceivedAll {
            finish(current)
        } else {
            setDeadline(server.configuration.bodyTimeout)
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

    /// Writes what ends a response, then closes when it is out.
    private func closeAfterEnd(_ framing: ResponseFraming) {
        guard let context else { return }
        current = nil
        isClosing = true
        waiting.removeAll()
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        if let end = Output.end(framing, context.channel.allocator) {
            context.writeAndFlush(wrapOutboundOut(end), promise: written)
        } else {
            context.writeAndFlush(
                wrapOutboundOut(Output.body(UnsafeRawBufferPointer(start: nil, count: 0), .empty, context.channel.allocator)),
                promise: written
            )
        }
        written.futureResult.whenComplete { _ in handler.value.hasWrittenLast(framing) }
        setDeadline(server.configuration.writeTimeout)
    }

    private var isClosing = false

    private func hasWrittenLast(_ framing: ResponseFraming) {
        guard let context else { return }
        // On HTTP/2 this closes one stream, and tells the client if it need not send the rest of its request.
        guard framing.version != .http2 else { return close() }
        // The client may still be sending: to close at once would reset the connection, and with it what we have written
        // (RFC 9112, section 9.6). So our side is closed first, and the rest when the client has closed its own.
        guard !hasInputClosed, context.channel.isActive else { return close() }
        context.close(mode: .output, promise: nil)
        setDeadline(.seconds(2))
    }

    /// The request and its response are complete: on to the next one.
    private func finish(_ current: Current) {
        self.current = nil
        setDeadline(server.configuration.idleTimeout)
        while self.current == nil || !(self.current?.hasReceivedAll ?? true), let part = waiting.popFirst() {
            receive(part)
        }
        if self.current == nil, isDraining || hasInputClosed { return close() }
        resumeReading()
    }

    // MARK: - Event streams

    private func startStream(
        _ stream: EventStream,
        _ response: Response,
        _ framing: ResponseFraming,
        _ route: RouteIdentity?,
        _ current: Current,
        _ context: ChannelHandlerContext
    ) {
        current.framing = framing
        context.writeAndFlush(headPart(response, framing), promise: nil)
        let handler = EventStreamHandler<Output>(
            stream: stream,
            framing: framing,
            server: server,
            loop: loop,
            isSecure: isSecure,
            logger: current.logger,
            halfCloseIsLeaving: halfCloseIsLeaving,
            route: route
        )
        self.current = nil
        // The application may keep what leads to this request; the task's memory is not to be kept with it.
        current.task = nil
        let hadInputClosed = hasInputClosed
        let channel = context.channel
        waiting.removeAll()
        do {
            try channel.pipeline.syncOperations.addHandler(handler)
        } catch {
            // Only a pipeline that is gone takes no handler; the stream is told as of any client that left.
            stream.channel.disconnect(.clientClosed)
            handler.complete()
            return
        }
        // What parsed the request is not needed any more: on HTTP/1 the connection speaks nothing but this stream now, and
        // ten thousand parsers would hold most of the memory.
        if Output.self == HTTP1Output.self { HTTPServerChannel.removeParser(from: channel) }
        channel.pipeline.syncOperations.removeHandler(self, promise: nil)
        if isReadHeld { channel.read() }
        if hadInputClosed { handler.clientLeft(.clientClosed) } else { handler.begin() }
    }

    // MARK: - Time

    private func setDeadline(_ timeout: Duration?) {
        guard let timeout else {
            deadline = .distantFuture
            return loop.cancel(self)
        }
        let now = MonotonicTime.now()
        deadline = now + timeout
        lastBuffered = context.map { Output.bufferedBytes($0.channel) } ?? 0
        loop.schedule(self, at: deadline)
    }

    override func fire(now: MonotonicTime) -> MonotonicTime? {
        guard let context else { return nil }
        if now < deadline { return deadline }
        if isClosing { close(); return nil }
        guard let current else {
            if hasPartialHead {
                refuse(HTTPError(.requestTimeout, "the head of the request did not arrive in time"), nil)
            } else {
                close()
            }
            return nil
        }
        if current.writer != nil {
            // Whoever reads slowly, but reads, is waited for.
            let buffered = Output.bufferedBytes(context.channel)
            if buffered < lastBuffered {
                lastBuffered = buffered
                deadline = now + server.configuration.writeTimeout
                return deadline
            }
            clientGone()
            close()
        } else if current.hasSentAll {
            close()
        } else if let body = current.body, !current.hasReceivedAll {
            if body.isWanted {
                current.keepsAlive = false
                body.fail(HTTPError(.requestTimeout, "the body of the request did not arrive in time"))
            } else {
                deadline = now + server.configuration.bodyTimeout
                return deadline
            }
        }
        return nil
    }
}

extension ResponseFraming {
    /// For a write that holds nothing and is made for its promise.
    static let empty = ResponseFraming(version: .http1_0, body: .unknown, keepsAlive: false)
}

#endif
