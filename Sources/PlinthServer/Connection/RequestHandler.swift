// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
import Plinth
import PlinthHub

/// Serves the requests of an HTTP/1 connection one after the other, or the one request of an HTTP/2 stream.
///
/// It runs a task for each request, applies the socket's back-pressure to the writer of the response, and enforces the
/// timeouts. If a response is an event stream, a ``StreamOutlet`` replaces this handler, or a reactor takes the socket.
///
/// Every method can be re-entered: a write, a flush or a close may find the client gone, and NIO then reads the
/// socket's remaining input and closes before the call returns. So state changes before any call to the outside, and
/// conditions are checked again after it.
final class RequestHandler<Output: ResponseOutput>: LoopTimer, ChannelDuplexHandler, RemovableChannelHandler, Drainable
{
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Output.Part
    typealias OutboundOut = Output.Part

    /// A request in progress.
    final class Current {
        let method: HTTPRequest.Method
        let version: HTTPVersion
        let logger: Logger
        let body: RequestBodyStream?
        /// The `Content-Length`; nil for chunks, and on HTTP/2 if the head has none.
        let bodyLength: Int?
        var task: Task<Void, Never>?
        var keepsAlive: Bool
        var expectsContinue: Bool
        var receivedBytes = 0
        var hasReceivedAll = false
        var framing: ResponseFraming?
        var sentBytes = 0
        var hasSentAll = false
        /// Writers that wait for the socket to take more.
        var writers: [CheckedContinuation<Void, any Error>] = []

        init(
            method: HTTPRequest.Method,
            version: HTTPVersion,
            logger: Logger,
            body: RequestBodyStream?,
            bodyLength: Int?,
            keepsAlive: Bool,
            expectsContinue: Bool
        ) {
            self.method = method
            self.version = version
            self.logger = logger
            self.body = body
            self.bodyLength = bodyLength
            self.keepsAlive = keepsAlive
            self.expectsContinue = expectsContinue
        }

        /// Resumes the tasks that wait for the connection, with an error.
        func release() {
            body?.discard()
            let writers = self.writers
            self.writers = []
            for writer in writers { writer.resume(throwing: CancellationError()) }
        }
    }

    let server: ServerContext
    let loop: LoopContext
    let isSecure: Bool
    /// Whether a half-closed client counts as gone: on HTTP/1, but not on HTTP/2, where it ends every request.
    let halfCloseIsLeaving: Bool

    var context: ChannelHandlerContext?
    var current: Current?
    /// Parts received while another request was in progress (pipelining).
    ///
    /// Nothing is read while there are any, so they never exceed one read.
    private(set) var waiting = CircularBuffer<HTTPServerRequestPart>()
    private(set) var isDraining = false
    private var isReadHeld = false
    /// Whether a body arrives faster than its handler reads it.
    var isBodyPaused = false
    private(set) var hasInputClosed = false
    /// Whether a head has been received in part.
    private(set) var hasPartialHead: Bool
    /// The response to invalid input, sent after those to the requests before it.
    private var badInput: HTTPError?
    private var hasReadBytes = false
    private var hasReadPart = false
    /// The bytes of an unread body that were discarded to reach the next request.
    var discarded = 0
    /// Whether the last response of this connection is being written; further input is discarded.
    var isClosing = false
    /// Whether the last response is written, and the connection stays open for the client to read it.
    var hasClosedOutput = false
    /// Whether a stream's handler has taken over the connection: this one ignores input, and forwards other events.
    var hasLeft = false
    /// While the opening of a stream to be handed off is written: why the stream would end now; nil otherwise.
    var handOffEnd: StreamEnd?
    /// Whether the client has not sent all of the last request.
    var isUploading = false
    var deadline = MonotonicTime.distantFuture
    /// When a connection is closed that is open only for the client to read its last response.
    var lingerEnd = MonotonicTime.distantFuture
    var lastBuffered = 0

    /// The most bytes of an unwanted body that are read to keep a connection; beyond that it is closed.
    static var maximumDiscarded: Int { 256 * 1024 }

    /// How long a client may be silent after its last response.
    static var lingerPause: Duration { .seconds(5) }

    /// Creates a handler for a connection or a stream; `hasInput` is whether its first bytes have been received.
    init(server: ServerContext, loop: LoopContext, isSecure: Bool, halfCloseIsLeaving: Bool, hasInput: Bool) {
        self.server = server
        self.loop = loop
        self.isSecure = isSecure
        self.halfCloseIsLeaving = halfCloseIsLeaving
        self.hasPartialHead = hasInput
    }

    // MARK: - Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        rearm()
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

    /// Called when the client has left: cancels the current request.
    func clientGone() {
        guard let current else { return }
        self.current = nil
        current.task?.cancel()
        current.body?.fail(CancellationError())
        current.release()
    }

    func drain() {
        isDraining = true
        current?.body?.drain()
        // An HTTP/2 stream ends with its one request, and the connection's manager ends the connection.
        guard Output.isSocket, !isClosing, !hasLeft else { return }
        if let current {
            current.keepsAlive = false
        } else if !hasPartialHead, waiting.isEmpty {
            closeWhenWritten()
        }
    }

    func terminate() {
        close()
    }

    func close() {
        context?.close(promise: nil)
    }

    // MARK: - Reading

    func read(context: ChannelHandlerContext) {
        if shouldRead { context.read() } else { isReadHeld = true }
    }

    /// False while a body's handler does not keep up, or while pipelined requests wait.
    private var shouldRead: Bool { isClosing || (waiting.isEmpty && !isBodyPaused) }

    func resumeReading() {
        guard isReadHeld, shouldRead, let context else { return }
        isReadHeld = false
        context.read()
    }

    /// Whether the next part can be processed now.
    ///
    /// A request begins once the client has taken the previous response, so that a client that never reads costs at
    /// most one response.
    private var takesPart: Bool {
        if let current { return !current.hasReceivedAll }
        return !Output.isSocket || context?.channel.isWritable ?? false
    }

    /// Called for received bytes, before they are parsed.
    func bytesArrived() {
        hasReadBytes = true
        // A client that is still sending may not have read its response.
        if hasClosedOutput { rearm() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // Input on an event stream is ignored.
        guard !hasLeft else { return }
        let part = unwrapInboundIn(data)
        guard !isClosing else { return linger(part) }
        hasReadPart = true
        hasPartialHead = false
        if waiting.isEmpty, takesPart { receive(part) } else { waiting.append(part) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        if hasReadBytes, !hasReadPart, current == nil, !hasPartialHead, !isClosing, !hasLeft {
            hasPartialHead = true
            rearm()
        }
        hasReadBytes = false
        hasReadPart = false
        context.fireChannelReadComplete()
    }

    /// Processes waiting parts, as far as possible now.
    func takeWaiting() {
        while !isClosing, !hasLeft, takesPart, let part = waiting.popFirst() { receive(part) }
        if isClosing || hasLeft { return }
        if let badInput, waiting.isEmpty, !(current?.hasReceivedAll ?? false) { return refuse(badInput, nil) }
        if current == nil, waiting.isEmpty, isDraining || hasInputClosed { return closeWhenWritten() }
        resumeReading()
    }

    func dropWaiting() {
        waiting.removeAll()
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
            if current.hasSentAll { finish(current) } else if current.writers.isEmpty { rearm() }
        }
    }

    private func receive(_ buffer: ByteBuffer) {
        guard let current else { return }
        current.receivedBytes += buffer.readableBytes
        if current.hasSentAll {
            discarded += buffer.readableBytes
            if discarded > Self.maximumDiscarded { stopServing() }
            return
        }
        if current.receivedBytes > server.configuration.maximumBodySize {
            current.keepsAlive = false
            current.body?.fail(HTTPError.contentTooLarge(limit: server.configuration.maximumBodySize))
            // The rest is read again when the response has been written, and only for a moment.
            isBodyPaused = true
            return
        }
        guard let body = current.body else { return }
        isBodyPaused = !body.append(Array(buffer.readableBytesView))
        // Input does not extend the write timeout.
        if current.writers.isEmpty { rearm() }
    }

    private func begin(_ head: HTTPRequestHead) {
        let request: HTTPRequest
        let bodyLength: Int?
        do {
            request = try HTTPRequest(checking: head, secure: isSecure)
            bodyLength = try HTTPRequest.bodyLength(head, limit: server.configuration.maximumBodySize)
        } catch {
            return refuse(error, head)
        }
        let version = HTTPVersion(major: Int(head.version.major), minor: Int(head.version.minor))
        // HTTP/2 needs no field to announce a body.
        let hasBody =
            bodyLength.map { $0 > 0 }
            ?? (head.headers.contains(name: "transfer-encoding")
                || (version >= .http2 && request.method != .get && request.method != .head))
        // RFC 9110, section 10.1.1: not on HTTP/1.0.
        let expectsContinue =
            version >= .http1_1 && head.headers["expect"].contains { $0.lowercased() == "100-continue" }
        var body: RequestBodyStream?
        if hasBody {
            let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
            let eventLoop = loop.eventLoop
            body = RequestBodyStream(
                isAwaited: expectsContinue,
                onDemand: { eventLoop.execute { handler.value.bodyIsWanted() } },
                onPauseLimit: { eventLoop.execute { handler.value.bodyMayPause() } }
            )
        }
        let id = RequestID.next()
        var logger = server.logger
        logger[metadataKey: "request-id"] = "\(id)"
        let current = Current(
            method: request.method,
            version: version,
            logger: logger,
            body: body,
            bodyLength: bodyLength,
            // The parser reads nothing after a request for an upgrade or a tunnel.
            keepsAlive: head.isKeepAlive && !isDraining && !head.headers.contains(name: "upgrade")
                && head.method != .CONNECT,
            expectsContinue: expectsContinue
        )
        self.current = current
        discarded = 0
        let whole = Request(
            head: request,
            version: version,
            body: body?.body ?? .empty,
            remoteAddress: context?.channel.remoteAddress?.ipAddress,
            isSecure: isSecure,
            isOnLoopback: context?.channel.isOfLoopbackListener ?? false,
            id: id,
            logger: logger
        )
        rearm()
        let exchange = ServerExchange(commands: commands(for: current), server: server)
        let activities = server.activities
        activities.enter()
        let executor = server.configuration.runsRequestsOnEventLoops ? loop : nil
        current.task = Task(executorPreference: executor) {
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
        guard current.receivedBytes <= server.configuration.maximumBodySize else { return }
        isBodyPaused = false
        resumeReading()
    }

    private func bodyMayPause() {
        guard let current, !current.hasReceivedAll, !current.hasSentAll, current.writers.isEmpty else { return }
        rearm()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if halfCloseIsLeaving, let event = event as? ChannelEvent, event == .inputClosed { inputClosed() }
        context.fireUserInboundEventTriggered(event)
    }

    private func inputClosed() {
        hasInputClosed = true
        if hasLeft { return }
        // Otherwise the connection is closed once the response is written.
        if isClosing { return hasClosedOutput ? close() : () }
        guard let current else { return takeWaiting() }
        // A half-closed client may still read: it gets its response. The task is cancelled, since the client may be
        // gone; Go's server does the same.
        if waiting.isEmpty { current.keepsAlive = false }
        current.body?.fail(CancellationError())
        current.task?.cancel()
    }

    // MARK: - Bad input

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if hasLeft { return context.fireErrorCaught(error) }
        // Input discarded after the last response need not be HTTP.
        if isClosing, !(error is IOError) { return }
        switch error {
        case HTTPParserError.headerOverflow:
            refuse(HTTPError(.requestHeaderFieldsTooLarge, "the head of the request is longer than is accepted"), nil)
        case HTTPParserError.invalidVersion:
            refuse(HTTPError(.httpVersionNotSupported, "use HTTP/1.1, or HTTP/2 with its preface"), nil)
        case is HTTPParserError:
            let answer = HTTPError(.badRequest, "the request is not valid HTTP: \(error)")
            // A complete request before it is still answered.
            guard let current, current.hasReceivedAll || !waiting.isEmpty else { return refuse(answer, nil) }
            badInput = answer
            if waiting.isEmpty { current.keepsAlive = false }
        default:
            clientGone()
            close()
        }
    }

    // MARK: - Time

    /// Sets the deadline of the current state.
    func rearm() {
        guard context != nil, !hasLeft, let timeout else {
            deadline = .distantFuture
            return loop.cancel(self)
        }
        deadline = min(.now() + timeout, lingerEnd)
        lastBuffered = context.map { Output.bufferedBytes($0.channel) } ?? 0
        loop.schedule(self, at: deadline)
    }

    private var timeout: Duration? {
        if isClosing { return hasClosedOutput ? Self.lingerPause : server.configuration.writeTimeout }
        guard let current else {
            if !takesPart { return server.configuration.writeTimeout }
            return hasPartialHead ? server.configuration.headTimeout : server.configuration.idleTimeout
        }
        if !current.writers.isEmpty { return server.configuration.writeTimeout }
        if !current.hasReceivedAll, current.body != nil || current.hasSentAll {
            return current.body?.pauseLimit ?? server.configuration.bodyTimeout
        }
        return nil
    }

    override func fire(now: MonotonicTime) -> MonotonicTime? {
        guard let context else { return nil }
        if now < deadline { return deadline }
        if let current, current.writers.isEmpty, !current.hasSentAll {
            return waitForBody(current, now)
        }
        // A slow client that makes progress gets more time.
        let buffered = Output.bufferedBytes(context.channel)
        if buffered > 0, buffered < lastBuffered {
            lastBuffered = buffered
            deadline = now + server.configuration.writeTimeout
            return deadline
        }
        if current == nil, hasPartialHead, !isClosing {
            refuse(HTTPError(.requestTimeout, "the head of the request did not arrive in time"), nil)
        } else if hasClosedOutput {
            stopLingering()
        } else {
            if handOffEnd != nil { handOffEnd = .timedOut }
            clientGone()
            close()
        }
        return nil
    }

    private func waitForBody(_ current: Current, _ now: MonotonicTime) -> MonotonicTime? {
        guard let body = current.body, !current.hasReceivedAll else { return nil }
        // Only the time during which a handler waits counts.
        let due = (body.waitingSince ?? now) + (body.pauseLimit ?? server.configuration.bodyTimeout)
        guard now >= due else {
            deadline = due
            return due
        }
        current.keepsAlive = false
        body.fail(HTTPError(.requestTimeout, "the body of the request did not arrive in time"))
        return nil
    }
}

#endif
