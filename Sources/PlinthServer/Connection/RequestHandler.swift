// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
import Plinth
import PlinthHub

/// Serves the requests of an HTTP/1 connection one after the other, or the one of an HTTP/2 stream.
///
/// It runs a task for each request, gives the socket's back-pressure to whoever writes the response, and keeps the
/// deadlines. When a response turns out to be an event stream it makes way for a ``StreamOutlet``.
///
/// Every method can be entered again while another one is under way: a write, a flush or a close may find the client gone,
/// and NIO then reads what the socket still holds and closes, before the call returns. So state changes before anything is
/// called that leads outside, and what holds before such a call is asked again after it.
final class RequestHandler<Output: ResponseOutput>: LoopTimer, ChannelDuplexHandler, RemovableChannelHandler, Drainable
{
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Output.Part
    typealias OutboundOut = Output.Part

    /// A request under way.
    final class Current {
        let method: HTTPRequest.Method
        let version: HTTPVersion
        let logger: Logger
        let body: RequestBodyStream?
        /// What the head announced; nil for chunks, and on HTTP/2 for a length that is not said.
        let bodyLength: Int?
        var task: Task<Void, Never>?
        var keepsAlive: Bool
        var expectsContinue: Bool
        var receivedBytes = 0
        var hasReceivedAll = false
        var framing: ResponseFraming?
        var sentBytes = 0
        var hasSentAll = false
        /// Those who wait for the socket to take more.
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

        /// Lets go of everyone who waits for the connection.
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
    /// Whether the client's end of sending means that it leaves: on HTTP/1, not on HTTP/2, where it ends every request.
    let halfCloseIsLeaving: Bool

    var context: ChannelHandlerContext?
    var current: Current?
    /// Parts that came while another request was under way (pipelining).
    ///
    /// Nothing is read while there are any, so there are never more than one read's worth.
    private(set) var waiting = CircularBuffer<HTTPServerRequestPart>()
    private(set) var isDraining = false
    private var isReadHeld = false
    /// A body's handler does not keep up.
    var isBodyPaused = false
    private(set) var hasInputClosed = false
    /// Whether bytes have come of a head that is not complete.
    private(set) var hasPartialHead: Bool
    /// What the client is told when the requests before it are answered.
    private var badInput: HTTPError?
    private var hasReadBytes = false
    private var hasReadPart = false
    /// Bytes of a body that nobody wants, and that are read only to reach the next request.
    var discarded = 0
    /// The last response of this connection is on its way out: what still comes in is not looked at.
    var isClosing = false
    /// It is out, and the client is given a moment to take it.
    var hasClosedOutput = false
    /// The connection is a stream's, which has a handler of its own: this one passes on what is not a request's.
    var hasLeft = false
    /// Why a stream whose opening is being written for another thread's socket would end now, nil without such a stream.
    var handOffEnd: StreamEnd?
    /// The request behind it is not complete.
    var isUploading = false
    var deadline = MonotonicTime.distantFuture
    /// When the connection is closed that is only open for the client to read its last response.
    var lingerEnd = MonotonicTime.distantFuture
    var lastBuffered = 0

    /// The most bytes of an unwanted body that are read to keep a connection; beyond that it is closed.
    static var maximumDiscarded: Int { 256 * 1024 }

    /// How long a client may be silent behind its last response.
    static var lingerPause: Duration { .seconds(5) }

    /// A handler for a connection or a stream; `hasInput` says whether the first bytes are already here.
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

    /// The client has left: nobody needs an answer any more.
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

    /// Nothing is read while a handler does not keep up with a body, or while more requests wait than are served.
    private var shouldRead: Bool { isClosing || (waiting.isEmpty && !isBodyPaused) }

    func resumeReading() {
        guard isReadHeld, shouldRead, let context else { return }
        isReadHeld = false
        context.read()
    }

    /// Whether the next part can be looked at now: a request begins when the one before is answered and the client has
    /// taken the answer, so that a client which asks and never reads costs no more than one response.
    private var takesPart: Bool {
        if let current { return !current.hasReceivedAll }
        return !Output.isSocket || context?.channel.isWritable ?? false
    }

    /// Bytes have come, which may or may not make up a part.
    func bytesArrived() {
        hasReadBytes = true
        // A client that is still sending has not come to its answer.
        if hasClosedOutput { rearm() }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A client has nothing to say on an event stream.
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

    /// Looks at what waits, as far as that is possible now.
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
        // That the client sends is no reason to wait longer for it to read.
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
            // The parser reads nothing behind a request that asks for another protocol or for a tunnel.
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
        // Otherwise the connection is closed when the response is out.
        if isClosing { return hasClosedOutput ? close() : () }
        guard let current else { return takeWaiting() }
        // A client that has said all it had to say may still read: it gets its answer, and the handler is told that
        // nobody may be waiting for it, as Go's server does.
        if waiting.isEmpty { current.keepsAlive = false }
        current.body?.fail(CancellationError())
        current.task?.cancel()
    }

    // MARK: - Bad input

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if hasLeft { return context.fireErrorCaught(error) }
        // What is read over behind the last response need not be HTTP.
        if isClosing, !(error is IOError) { return }
        switch error {
        case HTTPParserError.headerOverflow:
            refuse(HTTPError(.requestHeaderFieldsTooLarge, "the head of the request is longer than is accepted"), nil)
        case HTTPParserError.invalidVersion:
            refuse(HTTPError(.httpVersionNotSupported, "use HTTP/1.1, or HTTP/2 with its preface"), nil)
        case is HTTPParserError:
            let answer = HTTPError(.badRequest, "the request is not valid HTTP: \(error)")
            // A request that came before is answered all the same.
            guard let current, current.hasReceivedAll || !waiting.isEmpty else { return refuse(answer, nil) }
            badInput = answer
            if waiting.isEmpty { current.keepsAlive = false }
        default:
            clientGone()
            close()
        }
    }

    // MARK: - Time

    /// Sets the deadline for what is being waited for now.
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
        // Whoever reads slowly, but reads, is waited for.
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
        // Only the time counts that a handler has waited.
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
