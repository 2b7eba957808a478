// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypesHTTP1
import Plinth

/// Performs on a channel what a ``RequestMachine`` decides, and runs its requests.
///
/// If a response is an event stream, a ``StreamOutlet`` replaces this handler, or a reactor takes the socket.
///
/// Reentrancy: every method can be called within another one, since a write, a flush or a close may find the client gone,
/// and NIO then reads the socket's remaining input and closes before the call returns. The machine's state is complete by
/// then; what it decides is performed by the call that was first.
final class RequestHandler: LoopTimer, ChannelDuplexHandler, RemovableChannelHandler, Drainable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundIn = Never
    typealias OutboundOut = Never

    /// What belongs to the request in progress, and is not a value.
    private struct Resources {
        let request: Request
        let number: UInt64
        let body: RequestBodyStream?
        var task: Task<Void, Never>?
        /// Whether the task is cancelled, even if it has not begun.
        var isCancelled = false
        /// Writers of the response that wait for the socket to take more.
        var writers: [CheckedContinuation<Void, any Error>] = []
    }

    let output: ResponseOutput
    let server: ServerContext
    let loop: LoopContext
    let isSecure: Bool
    /// Whether a half-closed client counts as gone: on HTTP/1, but not on HTTP/2, where it ends every request.
    let halfCloseIsLeaving: Bool

    private(set) var context: ChannelHandlerContext?
    private(set) var machine: RequestMachine
    private var resources: Resources?
    /// Output for HTTP/1 that is written at the next flush, as one buffer.
    var unflushed = ByteBuffer()
    private var isPerforming = false
    /// How often a writer or the next request has gone on in place.
    private var turns: UInt8 = 0
    /// After as many, other connections get their turn.
    private static let maximumTurns: UInt8 = 16
    /// The client's address, and whether it came over a loopback listener or a Unix socket: the same for all requests.
    private lazy var peer = (
        address: context?.channel.remoteAddress?.ipAddress,
        isOnLoopback: context?.channel.isOfLoopbackListener ?? false,
        isOnUnixSocket: context?.channel.isOfUnixListener ?? false
    )

    /// Creates a handler for a connection or a stream; `hasInput` is whether its first bytes have been received.
    init(
        output: ResponseOutput,
        server: ServerContext,
        loop: LoopContext,
        isSecure: Bool,
        halfCloseIsLeaving: Bool,
        hasInput: Bool
    ) {
        self.output = output
        self.server = server
        self.loop = loop
        self.isSecure = isSecure
        self.halfCloseIsLeaving = halfCloseIsLeaving
        machine = RequestMachine(
            RequestMachine.Limits(server.configuration),
            isSocket: output.isSocket,
            isSecure: isSecure,
            hasInput: hasInput
        )
    }

    // MARK: - Inputs

    /// Gives the machine an input, and performs what it decides.
    func input<Result>(_ input: (inout RequestMachine) throws -> Result) rethrows -> Result {
        defer { perform() }
        return try input(&machine)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
        input { $0.begin(now: loop.now) }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        loop.remove(self)
        loop.cancel(self)
    }

    func channelInactive(context: ChannelHandlerContext) {
        input { $0.connectionClosed() }
        context.fireChannelInactive()
    }

    func drain() {
        input { $0.drain(now: loop.now) }
    }

    func terminate() {
        input { $0.terminate() }
    }

    func read(context: ChannelHandlerContext) {
        if machine.readIsPossible() { context.read() }
    }

    /// Called for received bytes, before they are parsed.
    func bytesArrived() {
        input { $0.bytesArrived(now: loop.now) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        input { $0.received(unwrapInboundIn(data), now: loop.now) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        input { $0.readCompleted(now: loop.now) }
        context.fireChannelReadComplete()
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        input { $0.writabilityChanged(context.channel.isWritable, now: loop.now) }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if halfCloseIsLeaving, let event = event as? ChannelEvent, event == .inputClosed {
            input { $0.inputClosed(now: loop.now) }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if case .left = machine.phase { return context.fireErrorCaught(error) }
        switch error {
        case HTTPParserError.headerOverflow:
            let answer = HTTPError(.requestHeaderFieldsTooLarge, "the head of the request is longer than is accepted")
            input { $0.badInput(answer, isImmediate: true, now: loop.now) }
        case HTTPParserError.invalidVersion:
            let answer = HTTPError(.httpVersionNotSupported, "use HTTP/1.1, or HTTP/2 with its preface")
            input { $0.badInput(answer, isImmediate: true, now: loop.now) }
        case is HTTPParserError:
            let answer = HTTPError(.badRequest, "the request is not valid HTTP: \(error)")
            input { $0.badInput(answer, isImmediate: false, now: loop.now) }
        default:
            input { $0.connectionFailed(isSocketError: error is IOError) }
        }
    }

    override func fire(now: MonotonicTime) -> MonotonicTime? {
        guard let context else { return nil }
        input { $0.time(now: now, buffered: output.bufferedBytes(context.channel), body: resources?.body?.wait) }
        // Scheduled again by `perform`, if at all.
        return nil
    }

    /// The logger of the request in progress.
    var currentLogger: Logger? { resources?.request.logger }

    // MARK: - Actions

    /// Performs what the machine has decided, unless a call further up does.
    func perform() {
        guard !isPerforming else { return }
        isPerforming = true
        while let action = machine.nextAction() { perform(action) }
        isPerforming = false
        // Once for all actions: most deadlines are replaced before they matter.
        if machine.deadline == .distantFuture || context == nil {
            loop.cancel(self)
        } else if machine.deadline != fireTime || !isScheduled {
            loop.schedule(self, at: machine.deadline)
        }
    }

    // After the handler's removal there is no context, and nothing to write or close.
    private func perform(_ action: RequestMachine.Action) {
        switch action {
        case .start(let request, let current): start(request, current)
        case .run: runsInPlace && loop.isInRound ? runLater() : run()
        case .cancel:
            resources?.isCancelled = true
            resources?.task?.cancel()
        case .bodyPart(let buffer):
            if let body = resources?.body, !body.append(Array(buffer.readableBytesView)) { machine.bodyIsFull() }
        case .bodyEnd: resources?.body?.end()
        case .bodyFailure(let error): resources?.body?.fail(error)
        case .bodyDrain: resources?.body?.drain()
        case .release(let discardsBody): release(discardsBody: discardsBody)
        case .resumeWriters: resumeWriters()
        case .settleWriters: machine.settleWriters(now: loop.now)
        case .takeWaiting: takeWaiting()
        case .reportShortBody(let announced, let written):
            resources?.request.logger.error(
                "the body of a response is shorter than announced; the connection is cut off",
                metadata: ["announced": "\(announced)", "written": "\(written)"]
            )
        case .countRefusal(let limit): server.limitMetrics?.refused(by: limit)
        case .head(let response, let framing): write(response, framing)
        case .bytes(let bytes, let framing): write(bytes, framing)
        case .proceed: writeProceed()
        case .end(let framing): writeEnd(framing)
        case .flush: flush()
        case .last(let framing):
            writeLast(framing, promise { handler, _ in handler.input { $0.lastIsWritten(now: handler.loop.now) } })
        // The body may have become full since.
        case .read: if machine.readIsPossible() { context?.read() }
        case .measure: machine.measured(context.map { output.bufferedBytes($0.channel) } ?? 0)
        case .closeOutput: context?.close(mode: .output, promise: nil)
        case .stopUpload: stopUpload()
        case .close: context?.close(promise: nil)
        }
    }

    /// A promise that calls back with this handler, on its event loop.
    func promise(
        _ completed: @escaping @Sendable (RequestHandler, Result<Void, any Error>) -> Void
    ) -> EventLoopPromise<Void> {
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let promise = loop.eventLoop.makePromise(of: Void.self)
        promise.futureResult.whenComplete { completed(handler.value, $0) }
        return promise
    }

    private func start(_ request: HTTPRequest, _ current: RequestInProgress) {
        let body = current.hasBody ? bodyStream(current) : nil
        var whole = Request(
            head: request,
            version: current.version,
            body: body?.body ?? .empty,
            remoteAddress: peer.address,
            isSecure: isSecure,
            isOnLoopback: peer.isOnLoopback,
            logger: server.logger
        ).loggingItsID()
        if peer.isOnUnixSocket { whole.isOnUnixSocket = true }
        resources = Resources(request: whole, number: current.number, body: body)
    }

    private var runsInPlace: Bool { server.configuration.runsRequestsOnEventLoops }

    /// Runs the request once the round of deliveries has ended.
    ///
    /// A delivery's write may find its client gone, and NIO then reads what that client has sent. The request must not
    /// subscribe, or run an application's code, while deliveries use their state.
    private func runLater() {
        guard let number = resources?.number else { return }
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        loop.eventLoop.execute {
            guard handler.value.resources?.number == number else { return }
            handler.value.run()
        }
    }

    /// Runs the request: on this event loop, as long as it does not wait and runs nothing that might block, and without a
    /// task as long as no stage has to wait.
    private func run() {
        guard let resources else { return }
        let exchange = ServerExchange(self, number: resources.number)
        let request = resources.request
        var rest: ServerExchange.Rest?
        if runsInPlace {
            rest = exchange.runNow(request)
            guard rest != nil else { return }
        }
        let run = { @Sendable [rest] in await exchange.run(request, rest) }
        server.activities.enter()
        let task: Task<Void, Never>
        if !runsInPlace {
            task = Task(operation: run)
        } else if #available(macOS 26, iOS 26, tvOS 26, watchOS 26, visionOS 26, *) {
            task = Task.immediate(executorPreference: loop, operation: run)
        } else {
            task = Task(executorPreference: loop, operation: run)
        }
        // It may have been answered, and the next one begun.
        guard self.resources?.number == resources.number else { return }
        self.resources?.task = task
        if self.resources?.isCancelled == true { task.cancel() }
    }

    private func bodyStream(_ current: RequestInProgress) -> RequestBodyStream {
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let eventLoop = loop.eventLoop
        let number = current.number
        return RequestBodyStream(
            isAwaited: current.expectsContinue,
            now: { [loop] in loop.now },
            onDemand: {
                eventLoop.execute {
                    handler.value.input { $0.bodyIsWanted(number) }
                }
            },
            onPauseLimit: { limit in
                eventLoop.execute {
                    handler.value.input { $0.bodyMayPause(for: limit, number, now: handler.value.loop.now) }
                }
            }
        )
    }

    private func release(discardsBody: Bool) {
        // The application may keep a reference to the request, which must not keep the task's memory.
        guard let resources = resources.take() else { return }
        if discardsBody { resources.body?.discard() }
        for writer in resources.writers { writer.resume(throwing: CancellationError()) }
    }

    private func resumeWriters() {
        guard let writers = resources?.writers, !writers.isEmpty else { return }
        resources?.writers = []
        if takesTurn() {
            for writer in writers { writer.resume() }
        } else {
            loop.eventLoop.execute { for writer in writers { writer.resume() } }
        }
    }

    /// Continues with what the client sent meanwhile.
    private func takeWaiting() {
        if takesTurn() { return machine.takeWaiting(now: loop.now) }
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        loop.eventLoop.execute {
            handler.value.input { $0.takeWaiting(now: handler.value.loop.now) }
        }
    }

    /// Whether to go on in place: a fast client with a fast writer, or with many requests, must not keep the event loop.
    private func takesTurn() -> Bool {
        turns &+= 1
        return turns % Self.maximumTurns != 0
    }

    // MARK: - Commands of the request's exchange

    func begin(_ response: Response, length: Int?, route: RouteIdentity?, _ number: UInt64) throws {
        guard let context else { throw CancellationError() }
        let opening = try input { try $0.respond(response, length: length, to: number) }
        guard case .stream(let framing) = opening else { return }
        if let stream = response.body.eventStream {
            try startStream(stream, response, framing, route, number, context)
        } else if let body = response.body.handedOff {
            try startHubStream(body, response, framing, context)
        }
    }

    func respond(_ response: Response, _ bytes: [UInt8], _ number: UInt64) {
        input { $0.respond(response, bytes, to: number, now: loop.now) }
    }

    func write(_ bytes: [UInt8], _ number: UInt64, _ continuation: CheckedContinuation<Void, any Error>) {
        do {
            try machine.write(bytes, to: number)
        } catch {
            return continuation.resume(throwing: error)
        }
        // Resumed when the machine has settled the writers, or released the request.
        resources?.writers.append(continuation)
        perform()
    }

    func end(_ number: UInt64) {
        input { $0.end(number, now: loop.now) }
    }

    func abort(_ number: UInt64) {
        input { $0.abort(number, now: loop.now) }
    }
}

extension RequestMachine.Limits {
    init(_ configuration: ConnectorConfiguration) {
        headTimeout = configuration.headTimeout
        bodyTimeout = configuration.bodyTimeout
        idleTimeout = configuration.idleTimeout
        writeTimeout = configuration.writeTimeout
        lingerTimeout = configuration.lingerTimeout
        maximumTargetSize = configuration.maximumTargetSize
        maximumBodySize = configuration.maximumBodySize
    }
}

#endif
