// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOHTTP1
import Plinth

/// Serves the requests of an HTTP/1 connection one after the other, or the one request of an HTTP/2 stream: without I/O.
///
/// Each method is an input: parts of requests, room in the output, ends, time, and what the application does. It changes
/// the phase, and appends what to do to the actions, which ``nextAction()`` returns in order.
///
/// Reentrancy: an action may cause inputs before it returns, as a write finds the client gone. They find a state that is
/// complete, since no action is performed within an input. Their own actions follow those that are already queued.
struct RequestMachine {
    /// The limits of a connection; the threat model lists them.
    struct Limits {
        var headTimeout: Duration
        var bodyTimeout: Duration
        var idleTimeout: Duration
        var writeTimeout: Duration
        var lingerTimeout: Duration
        var maximumTargetSize: Int
        var maximumBodySize: Int

        /// How long a client may be silent after its last response.
        static let lingerPause = Duration.seconds(5)
        /// The most bytes of an unwanted body that are read to keep a connection; beyond that it is closed.
        static let maximumDiscarded = 256 * 1024
    }

    /// What is being served.
    enum Phase {
        /// No request; `hasPartialHead` is whether part of a head has been received.
        case waiting(hasPartialHead: Bool)
        /// A request is in progress.
        case serving(RequestInProgress)
        /// The last response, if any, is being written. Then the connection closes, at once or after lingering.
        case ending(lingers: Bool, isUploading: Bool)
        /// The last response is written, and the connection stays open for the client to read it.
        case lingering(until: MonotonicTime, isUploading: Bool)
        /// The head and opening of a stream that is handed off are being written: why the stream would end now.
        case handingOff(StreamEnd)
        /// Something else serves the connection; input is ignored.
        case left
        /// The connection is closed.
        case closed
    }

    let limits: Limits
    /// Whether there is a socket, as on HTTP/1; an HTTP/2 stream serves one request.
    let isSocket: Bool
    private let isSecure: Bool

    var phase: Phase
    /// When ``time(now:buffered:body:)`` is due.
    var deadline = MonotonicTime.distantFuture
    var isDraining = false
    /// Whether the client has closed its side.
    var hasInputClosed = false

    var actions: [Action] = []
    /// How many of the actions have been returned.
    private var performed = 0
    /// Parts received while another request was in progress (pipelining).
    ///
    /// Nothing is read while there are any, so they never exceed one read.
    var waiting = CircularBuffer<HTTPServerRequestPart>()
    private var nextNumber: UInt64 = 0
    var isWritable = true
    private var isReadHeld = false
    /// Whether a body arrives faster than its handler reads it.
    var isBodyPaused = false
    /// The response to invalid input, sent after those to the requests before it.
    var badInput: HTTPError?
    private var hasReadBytes = false
    private var hasReadPart = false
    /// The bytes of an unread body that were discarded to reach the next request.
    var discarded = 0
    /// The bytes that waited for the socket when progress was last seen.
    var lastBuffered = 0

    /// Creates a machine; `hasInput` is whether the client's first bytes have been received.
    init(_ limits: Limits, isSocket: Bool, isSecure: Bool, hasInput: Bool) {
        self.limits = limits
        self.isSocket = isSocket
        self.isSecure = isSecure
        phase = .waiting(hasPartialHead: hasInput)
    }

    /// The next action, in order; nil if there is none.
    mutating func nextAction() -> Action? {
        guard performed < actions.count else {
            actions.removeAll(keepingCapacity: true)
            performed = 0
            return nil
        }
        // Replaced, so that what it holds is free once it is performed.
        var action = Action.flush
        swap(&action, &actions[performed])
        performed += 1
        return action
    }

    // MARK: - State

    /// Whether a request is the one in progress.
    func serves(_ number: UInt64) -> Bool { current?.number == number }

    var current: RequestInProgress? {
        if case .serving(let current) = phase { current } else { nil }
    }

    /// Whether no further request is served.
    private var isOver: Bool {
        switch phase {
        case .waiting, .serving: false
        case .ending, .lingering, .handingOff, .left, .closed: true
        }
    }

    mutating func update(_ change: (inout RequestInProgress) -> Void) {
        guard case .serving(var current) = phase else { return }
        change(&current)
        phase = .serving(current)
    }

    /// Whether the next part can be processed now.
    ///
    /// A request begins once the client has taken the previous response, so that a client that never reads costs at
    /// most one response.
    var takesPart: Bool {
        switch phase {
        case .waiting: !isSocket || isWritable
        case .serving(let current): !current.hasReceivedAll
        case .ending, .lingering, .handingOff, .left, .closed: false
        }
    }

    // MARK: - Life

    /// The connection is set up.
    mutating func begin(now: MonotonicTime) { rearm(now) }

    /// The connection is closed.
    mutating func connectionClosed() {
        waiting.removeAll()
        badInput = nil
        deadline = .distantFuture
        if case .left = phase { return }
        // The opening's write fails, and `openingIsWritten()` ends the stream.
        if case .handingOff = phase { return }
        abandon()
        phase = .closed
    }

    /// The client has left, or is to be: cancels the request in progress.
    mutating func abandon() {
        guard case .serving = phase else { return }
        phase = .closed
        actions.append(.cancel)
        actions.append(.bodyFailure(CancellationError()))
        actions.append(.release(discardsBody: true))
    }

    /// Closes the connection at once.
    mutating func terminate() {
        actions.append(.close)
    }

    /// A shutdown begins: finishes the request in progress, and closes.
    mutating func drain(now: MonotonicTime) {
        isDraining = true
        if case .serving = phase { actions.append(.bodyDrain) }
        // An HTTP/2 stream ends with its one request, and the connection's manager ends the connection.
        guard isSocket else { return }
        switch phase {
        case .waiting(hasPartialHead: false) where waiting.isEmpty: closeWhenWritten(now)
        case .serving: update { $0.keepsAlive = false }
        case .waiting, .ending, .lingering, .handingOff, .left, .closed: break
        }
    }

    // MARK: - Reading

    /// False while a body's handler does not keep up, or while pipelined requests wait.
    private var shouldRead: Bool { isOver || (waiting.isEmpty && !isBodyPaused) }

    /// The channel is ready to read.
    ///
    /// - Returns: Whether to read now; if not, ``Action/read`` follows later.
    mutating func readIsPossible() -> Bool {
        isReadHeld = !shouldRead
        return !isReadHeld
    }

    mutating func resumeReading() {
        guard isReadHeld, shouldRead else { return }
        isReadHeld = false
        actions.append(.read)
    }

    /// Bytes were received; they are not yet parsed.
    mutating func bytesArrived(now: MonotonicTime) {
        hasReadBytes = true
        // A client that is still sending may not have read its response.
        if case .lingering = phase { rearm(now) }
    }

    /// A part of a request was received.
    mutating func received(_ part: HTTPServerRequestPart, now: MonotonicTime) {
        switch phase {
        case .left, .closed, .handingOff: return
        case .ending, .lingering: return discard(part)
        case .waiting(hasPartialHead: true): phase = .waiting(hasPartialHead: false)
        case .waiting, .serving: break
        }
        hasReadPart = true
        if waiting.isEmpty, takesPart { take(part, now) } else { waiting.append(part) }
    }

    /// A read has ended.
    mutating func readCompleted(now: MonotonicTime) {
        if hasReadBytes, !hasReadPart, case .waiting(hasPartialHead: false) = phase {
            phase = .waiting(hasPartialHead: true)
            rearm(now)
        }
        hasReadBytes = false
        hasReadPart = false
        run()
    }

    /// Runs the request that was begun, unless it runs already: at its end, or with what came in the same read.
    private mutating func run() {
        guard let current, !current.isRunning else { return }
        update { $0.isRunning = true }
        actions.append(.run)
        if hasInputClosed { actions.append(.cancel) }
    }

    /// Processes parts that waited, as far as possible now.
    mutating func takeWaiting(now: MonotonicTime) {
        while takesPart, let part = waiting.popFirst() { take(part, now) }
        run()
        if isOver { return }
        if let badInput, waiting.isEmpty, !(current?.hasReceivedAll ?? false) {
            self.badInput = nil
            return refuse(badInput, nil, now)
        }
        if case .waiting = phase, waiting.isEmpty, isDraining || hasInputClosed { return closeWhenWritten(now) }
        resumeReading()
    }

    mutating func take(_ part: HTTPServerRequestPart, _ now: MonotonicTime) {
        switch part {
        case .head(let head):
            guard current == nil else { return refuse(HTTPError(.badRequest, "a request in a request"), nil, now) }
            start(head, now)
        case .body(let buffer):
            take(buffer, now)
        case .end:
            guard let current else { return }
            update { $0.hasReceivedAll = true }
            actions.append(.bodyEnd)
            run()
            if current.hasSentAll { finish(now) } else if !current.hasWaitingWriters { rearm(now) }
        }
    }

    mutating func take(_ buffer: ByteBuffer, _ now: MonotonicTime) {
        guard let current else { return }
        update { $0.receivedBytes += buffer.readableBytes }
        if current.hasSentAll {
            discarded += buffer.readableBytes
            if discarded > Limits.maximumDiscarded { stopServing(now) }
            return
        }
        if current.receivedBytes + buffer.readableBytes > limits.maximumBodySize {
            update { $0.keepsAlive = false }
            actions.append(.bodyFailure(HTTPError.contentTooLarge(limit: limits.maximumBodySize)))
            // The rest is read again when the response has been written, and only for a moment.
            isBodyPaused = true
            return
        }
        guard current.hasBody else { return }
        isBodyPaused = false
        actions.append(.bodyPart(buffer))
        // Input does not extend the write timeout.
        if !current.hasWaitingWriters { rearm(now) }
    }

    mutating func start(_ head: HTTPRequestHead, _ now: MonotonicTime) {
        if head.uri.utf8.count > limits.maximumTargetSize {
            let limit = limits.maximumTargetSize
            actions.append(.countRefusal(.targetSize))
            return refuse(HTTPError(.uriTooLong, "the target of the request exceeds \(limit) bytes"), head, now)
        }
        let fields = FramingFields(head.headers)
        let request: HTTPRequest
        let bodyLength: Int?
        do {
            request = try HTTPRequest(checking: head, fields, secure: isSecure)
            bodyLength = try HTTPRequest.bodyLength(fields, limit: limits.maximumBodySize)
        } catch {
            return refuse(error, head, now)
        }
        nextNumber += 1
        let current = RequestInProgress(
            number: nextNumber,
            head: head,
            fields: fields,
            method: request.method,
            bodyLength: bodyLength,
            isDraining: isDraining
        )
        phase = .serving(current)
        discarded = 0
        rearm(now)
        actions.append(.start(request, current))
    }

    /// The request's handler asks for the body, or has room again.
    mutating func bodyIsWanted(_ number: UInt64) {
        guard let current, current.number == number else { return }
        if current.expectsContinue {
            update { $0.expectsContinue = false }
            if current.receivedBytes == 0, !current.hasReceivedAll, current.framing == nil {
                actions.append(.proceed)
            }
        }
        guard current.receivedBytes <= limits.maximumBodySize else { return }
        isBodyPaused = false
        resumeReading()
    }

    /// The request's handler does not keep up.
    mutating func bodyIsFull() {
        isBodyPaused = true
    }

    /// The handler lets the client be silent for another time; nil for the connector's limit.
    mutating func bodyMayPause(for limit: Duration?, _ number: UInt64, now: MonotonicTime) {
        guard let current, current.number == number else { return }
        update { $0.pauseLimit = limit }
        guard !current.hasReceivedAll, !current.hasSentAll, !current.hasWaitingWriters else { return }
        rearm(now)
    }

    /// The client has closed its side of an HTTP/1 connection.
    mutating func inputClosed(now: MonotonicTime) {
        hasInputClosed = true
        switch phase {
        case .left, .closed, .handingOff, .ending: break
        case .lingering: actions.append(.close)
        case .waiting: takeWaiting(now: now)
        case .serving:
            // A half-closed client may still read: it gets its response. The task is cancelled, since the client may be
            // gone; Go's server does the same.
            if waiting.isEmpty { update { $0.keepsAlive = false } }
            actions.append(.bodyFailure(CancellationError()))
            actions.append(.cancel)
        }
    }

    // MARK: - Bad input

    /// The input is not valid HTTP.
    ///
    /// - Parameters:
    ///   - error: The response.
    ///   - isImmediate: Whether the request in progress is not answered, either.
    ///   - now: The time.
    mutating func badInput(_ error: HTTPError, isImmediate: Bool, now: MonotonicTime) {
        // Input discarded after the last response need not be HTTP.
        if isOver { return }
        // A complete request before it is still answered.
        guard !isImmediate, let current, current.hasReceivedAll || !waiting.isEmpty else {
            return refuse(error, nil, now)
        }
        badInput = error
        if waiting.isEmpty { update { $0.keepsAlive = false } }
    }

    /// The connection has failed.
    mutating func connectionFailed(isSocketError: Bool) {
        // Input discarded after the last response need not be HTTP.
        if isOver, !isSocketError { return }
        abandon()
        actions.append(.close)
    }

    /// Answers an invalid request and closes the connection, since its further input cannot be trusted.
    mutating func refuse(_ error: HTTPError, _ head: HTTPRequestHead?, _ now: MonotonicTime) {
        var isUploading = true
        if let current {
            abandon()
            // Another response has already begun.
            if current.framing != nil { return actions.append(.close) }
            isUploading = !current.hasReceivedAll
        }
        let response = error.response
        guard case .bytes(let bytes) = response.body.storage else { return actions.append(.close) }
        let framing = ResponseFraming(
            version: isSocket ? (head?.version == .http1_0 ? .http1_0 : .http1_1) : .http2,
            body: head?.method == .HEAD ? .none : .length(bytes.count),
            keepsAlive: false
        )
        actions.append(.head(response, framing))
        if framing.body != .none { actions.append(.bytes(bytes, framing)) }
        endLast(framing, isUploading: isUploading, now)
    }
}

#endif
