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

    /// What to do next.
    enum Action {
        /// Runs a request, which is in progress now.
        case start(HTTPRequest, RequestInProgress)
        /// Cancels the request's task.
        case cancel
        /// Gives bytes of the body to the request; answered with ``RequestMachine/bodyIsFull()`` if it takes no more.
        case bodyPart(ByteBuffer)
        case bodyEnd
        case bodyFailure(any Error)
        /// A shutdown has begun.
        case bodyDrain
        /// Forgets the request, after its body has failed with an error, or is discarded.
        case release(bodyFailure: (any Error)?)
        /// Resumes the writers that wait for room; answered with nothing.
        case resumeWriters
        /// Decides whether the writers have to wait; answered with ``RequestMachine/settleWriters(now:)``.
        case settleWriters
        case head(Response, ResponseFraming)
        case bytes([UInt8], ResponseFraming)
        /// `100 Continue` (RFC 9110, section 15.2.1).
        case proceed
        case end(ResponseFraming)
        case flush
        /// Writes the end of a last response, if there is one, and flushes; answered with
        /// ``RequestMachine/lastIsWritten(now:)`` when everything is written, or never will be.
        case last(ResponseFraming?)
        /// Continues with what was received meanwhile; answered with ``RequestMachine/takeWaiting(now:)``.
        case takeWaiting
        case read
        /// Answered with ``RequestMachine/measured(_:)``: the bytes that wait for the socket.
        case measure
        case closeOutput
        /// Makes a client stop sending a request that has been answered (HTTP/2).
        case stopUpload
        case close
        /// A response's body ended before its announced length.
        case reportShortBody(announced: Int, written: Int)
    }

    private let limits: Limits
    /// Whether there is a socket: HTTP/1. An HTTP/2 stream serves one request, and a half-closed client is no sign.
    private let isSocket: Bool
    private let isSecure: Bool

    private(set) var phase: Phase
    /// When ``time(now:buffered:body:)`` is due.
    private(set) var deadline = MonotonicTime.distantFuture
    private(set) var isDraining = false
    /// Whether the client has closed its side.
    private(set) var hasInputClosed = false

    private var actions = CircularBuffer<Action>()
    /// Parts received while another request was in progress (pipelining).
    ///
    /// Nothing is read while there are any, so they never exceed one read.
    private var waiting = CircularBuffer<HTTPServerRequestPart>()
    private var nextNumber: UInt64 = 0
    private var isWritable = true
    private var isReadHeld = false
    /// Whether a body arrives faster than its handler reads it.
    private var isBodyPaused = false
    /// The response to invalid input, sent after those to the requests before it.
    private var badInput: HTTPError?
    private var hasReadBytes = false
    private var hasReadPart = false
    /// The bytes of an unread body that were discarded to reach the next request.
    private var discarded = 0
    /// The bytes that waited for the socket when progress was last seen.
    private var lastBuffered = 0

    /// Creates a machine; `hasInput` is whether the client's first bytes have been received.
    init(_ limits: Limits, isSocket: Bool, isSecure: Bool, hasInput: Bool) {
        self.limits = limits
        self.isSocket = isSocket
        self.isSecure = isSecure
        phase = .waiting(hasPartialHead: hasInput)
    }

    /// The next action, in order; nil if there is none.
    mutating func nextAction() -> Action? { actions.popFirst() }

    // MARK: - State

    /// Whether a request is the one in progress.
    func serves(_ number: UInt64) -> Bool { current?.number == number }

    private var current: RequestInProgress? {
        if case .serving(let current) = phase { current } else { nil }
    }

    /// Whether no further request is served.
    private var isOver: Bool {
        switch phase {
        case .waiting, .serving: false
        case .ending, .lingering, .handingOff, .left, .closed: true
        }
    }

    private mutating func update(_ change: (inout RequestInProgress) -> Void) {
        guard case .serving(var current) = phase else { return }
        change(&current)
        phase = .serving(current)
    }

    /// Whether the next part can be processed now.
    ///
    /// A request begins once the client has taken the previous response, so that a client that never reads costs at
    /// most one response.
    private var takesPart: Bool {
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
        // Whoever waits for the opening learns that it was not written.
        if case .handingOff = phase { return }
        abandon()
        phase = .closed
    }

    /// The client has left, or is to be: cancels the request in progress.
    private mutating func abandon() {
        guard case .serving = phase else { return }
        phase = .closed
        actions.append(.cancel)
        actions.append(.release(bodyFailure: CancellationError()))
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
    mutating func readIsPossible() {
        if shouldRead { actions.append(.read) } else { isReadHeld = true }
    }

    private mutating func resumeReading() {
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
    }

    /// Processes parts that waited, as far as possible now.
    mutating func takeWaiting(now: MonotonicTime) {
        while takesPart, let part = waiting.popFirst() { take(part, now) }
        if isOver { return }
        if let badInput, waiting.isEmpty, !(current?.hasReceivedAll ?? false) {
            self.badInput = nil
            return refuse(badInput, nil, now)
        }
        if case .waiting = phase, waiting.isEmpty, isDraining || hasInputClosed { return closeWhenWritten(now) }
        resumeReading()
    }

    private mutating func take(_ part: HTTPServerRequestPart, _ now: MonotonicTime) {
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
            if current.hasSentAll { finish(now) } else if !current.hasWaitingWriters { rearm(now) }
        }
    }

    private mutating func take(_ buffer: ByteBuffer, _ now: MonotonicTime) {
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

    private mutating func start(_ head: HTTPRequestHead, _ now: MonotonicTime) {
        let request: HTTPRequest
        let bodyLength: Int?
        do {
            request = try HTTPRequest(checking: head, secure: isSecure)
            bodyLength = try HTTPRequest.bodyLength(head, limit: limits.maximumBodySize)
        } catch {
            return refuse(error, head, now)
        }
        nextNumber += 1
        let current = RequestInProgress(
            number: nextNumber,
            head: head,
            method: request.method,
            bodyLength: bodyLength,
            isDraining: isDraining
        )
        phase = .serving(current)
        discarded = 0
        rearm(now)
        actions.append(.start(request, current))
        if hasInputClosed { actions.append(.cancel) }
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
    private mutating func refuse(_ error: HTTPError, _ head: HTTPRequestHead?, _ now: MonotonicTime) {
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

    // MARK: - Responses

    /// How a response is sent.
    enum Opening {
        /// With its body, by further commands.
        case whole
        /// As an event stream, whose head is not written yet.
        case stream(ResponseFraming)
    }

    /// Begins the response to a request, whose body follows piece by piece, or as a stream.
    ///
    /// - Throws: `CancellationError` if the request is not in progress any more, or has a response.
    mutating func respond(_ response: Response, length: Int?, to number: UInt64) throws -> Opening {
        guard let current, current.number == number, current.framing == nil else { throw CancellationError() }
        var framing = framing(response, current, length: length)
        if response.body.isStream, framing.body == .unknown {
            framing.keepsAlive = false
            if current.method != .head {
                update { $0.framing = framing }
                return .stream(framing)
            }
        }
        begin(response, &framing, current, length)
        actions.append(.flush)
        return .whole
    }

    /// Sends a whole response.
    mutating func respond(_ response: Response, _ bytes: [UInt8], to number: UInt64, now: MonotonicTime) {
        guard let current, current.number == number, current.framing == nil else { return }
        var framing = framing(response, current, length: bytes.count)
        begin(response, &framing, current, bytes.count)
        if !bytes.isEmpty, framing.body != .none {
            update { $0.sentBytes += bytes.count }
            actions.append(.bytes(bytes, framing))
        }
        end(number, now: now)
    }

    private mutating func begin(
        _ response: Response,
        _ framing: inout ResponseFraming,
        _ current: RequestInProgress,
        _ length: Int?
    ) {
        var response = response
        if current.method == .head {
            framing.body = .none
            // The length of the body, unless the application has set it.
            if let length, response.headers[.contentLength] == nil, !response.forbidsBody {
                response.headers[.contentLength] = "\(length)"
            }
        }
        let begun = framing
        update {
            $0.framing = begun
            $0.keepsAlive = begun.keepsAlive
        }
        actions.append(.head(response, framing))
    }

    /// How a response to a request is framed.
    private func framing(_ response: Response, _ current: RequestInProgress, length: Int?) -> ResponseFraming {
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
            length - current.receivedBytes > Limits.maximumDiscarded
        {
            framing.keepsAlive = false
        }
        return framing
    }

    /// Writes a piece of the body; the writer then waits until there is room.
    ///
    /// - Throws: `CancellationError` if the response is over; ``BodyLengthError`` if the piece is too long.
    mutating func write(_ bytes: [UInt8], to number: UInt64) throws {
        guard let current, current.number == number, let framing = current.framing, !current.hasSentAll else {
            throw CancellationError()
        }
        if !bytes.isEmpty, framing.body != .none {
            // The client would take the excess for the next response.
            if case .length(let length) = framing.body, bytes.count > length - current.sentBytes {
                throw BodyLengthError(announced: length)
            }
            update { $0.sentBytes += bytes.count }
            actions.append(.bytes(bytes, framing))
            actions.append(.flush)
        }
        actions.append(.settleWriters)
    }

    /// What was written has been flushed: its writers go on, or wait for room.
    mutating func settleWriters(now: MonotonicTime) {
        guard case .serving = phase else { return }
        if isWritable { return actions.append(.resumeWriters) }
        update { $0.hasWaitingWriters = true }
        rearm(now)
    }

    /// The output has room, or none.
    mutating func writabilityChanged(_ isWritable: Bool, now: MonotonicTime) {
        self.isWritable = isWritable
        guard isWritable else { return }
        switch phase {
        case .serving(let current):
            guard current.hasWaitingWriters else { return }
            update { $0.hasWaitingWriters = false }
            rearm(now)
            actions.append(.resumeWriters)
        case .waiting:
            rearm(now)
            takeWaiting(now: now)
        case .ending, .lingering, .handingOff, .left, .closed: break
        }
    }

    /// Ends a response that was begun.
    mutating func end(_ number: UInt64, now: MonotonicTime) {
        guard let current, current.number == number, let framing = current.framing, !current.hasSentAll else { return }
        if case .length(let length) = framing.body, current.sentBytes != length {
            actions.append(.reportShortBody(announced: length, written: current.sentBytes))
            return abort(number, now: now)
        }
        isBodyPaused = false
        if !current.keepsAlive || !isSocket {
            return endLast(framing, isUploading: !current.hasReceivedAll, now)
        }
        update { $0.hasSentAll = true }
        actions.append(.release(bodyFailure: nil))
        actions.append(.end(framing))
        actions.append(.flush)
        if current.hasReceivedAll {
            finish(now)
        } else {
            rearm(now)
            resumeReading()
        }
    }

    /// Gives a response up, so that the client does not take it for complete.
    mutating func abort(_ number: UInt64, now: MonotonicTime) {
        guard let current, current.number == number else { return }
        if current.framing == nil {
            refuse(HTTPError(.internalServerError), nil, now)
        } else {
            abandon()
            actions.append(.close)
        }
    }

    /// The request and its response are complete; continues with the next request.
    private mutating func finish(_ now: MonotonicTime) {
        phase = .waiting(hasPartialHead: false)
        rearm(now)
        // Not before the response is flushed: only then is it known whether the client takes it.
        actions.append(.takeWaiting)
    }

    // MARK: - Streams

    /// Something else serves the connection from now on: the response is a stream.
    mutating func leave() {
        releaseForStream()
        phase = .left
    }

    /// The connection is handed off once the stream's opening is written, within the write timeout of any response.
    mutating func handOff(now: MonotonicTime) {
        releaseForStream()
        phase = .handingOff(.clientClosed)
        rearm(now)
    }

    private mutating func releaseForStream() {
        waiting.removeAll()
        badInput = nil
        deadline = .distantFuture
        guard let current else { return }
        // A reader of the rest of the body would wait forever: a stream's connection reads no body.
        actions.append(.release(bodyFailure: current.hasReceivedAll ? nil : RequestBodyLost()))
    }

    /// The opening is written, or never will be.
    ///
    /// - Returns: Why a stream that cannot begin ends.
    mutating func openingIsWritten() -> StreamEnd {
        guard case .handingOff(let end) = phase else { return .clientClosed }
        phase = .left
        deadline = .distantFuture
        return end
    }

    /// Completes the body of a stream that did not begin.
    mutating func endStream(_ framing: ResponseFraming, now: MonotonicTime) {
        endLast(framing, isUploading: false, now)
    }

    // MARK: - Closing

    /// Writes the end of the last response, and closes once it is written.
    private mutating func endLast(_ framing: ResponseFraming, isUploading: Bool, _ now: MonotonicTime) {
        if case .serving = phase { actions.append(.release(bodyFailure: nil)) }
        phase = .ending(lingers: true, isUploading: isUploading)
        waiting.removeAll()
        badInput = nil
        actions.append(.last(framing))
        rearm(now)
        resumeReading()
    }

    /// Closes a connection between requests when the client has taken the last response.
    private mutating func closeWhenWritten(_ now: MonotonicTime) {
        phase = .ending(lingers: false, isUploading: false)
        waiting.removeAll()
        actions.append(.last(nil))
        rearm(now)
    }

    /// Closes a connection whose client sends too much of an unread body.
    private mutating func stopServing(_ now: MonotonicTime) {
        actions.append(.release(bodyFailure: nil))
        phase = .ending(lingers: true, isUploading: true)
        waiting.removeAll()
        lastIsWritten(now: now)
    }

    /// The last response is written, or never will be.
    mutating func lastIsWritten(now: MonotonicTime) {
        guard case .ending(let lingers, let isUploading) = phase else { return }
        // The client may still be sending: closing at once would reset the connection, and the client could lose the
        // response (RFC 9112, section 9.6). So the output is closed first, and the rest once the client has closed its
        // side. On HTTP/2 this concerns one stream, whose output has just been closed: some clients lose a response
        // when their upload is reset.
        guard lingers, isSocket ? !hasInputClosed : isUploading else { return actions.append(.close) }
        phase = .lingering(until: now + limits.lingerTimeout, isUploading: isUploading)
        if isSocket { actions.append(.closeOutput) }
        rearm(now)
        // Input held back while a handler did not keep up is discarded now.
        resumeReading()
    }

    /// Discards input after the last response.
    private mutating func discard(_ part: HTTPServerRequestPart) {
        guard !isSocket else { return }
        switch part {
        case .head: break
        case .body(let buffer):
            discarded += buffer.readableBytes
            if case .lingering = phase, discarded > Limits.maximumDiscarded { stopLingering() }
        case .end:
            switch phase {
            case .ending(let lingers, _): phase = .ending(lingers: lingers, isUploading: false)
            case .lingering(let until, _):
                phase = .lingering(until: until, isUploading: false)
                actions.append(.close)
            case .waiting, .serving, .handingOff, .left, .closed: break
            }
        }
    }

    private mutating func stopLingering() {
        if case .lingering(_, isUploading: true) = phase { actions.append(.stopUpload) }
        actions.append(.close)
    }

    // MARK: - Time

    /// Sets the deadline of the current state.
    private mutating func rearm(_ now: MonotonicTime) {
        switch phase {
        case .left, .closed: deadline = .distantFuture
        case .ending, .handingOff: awaitOutput(now)
        case .lingering(let end, _): deadline = min(now + Limits.lingerPause, end)
        case .waiting where !takesPart: awaitOutput(now)
        case .waiting(let hasPartialHead): deadline = now + (hasPartialHead ? limits.headTimeout : limits.idleTimeout)
        case .serving(let current) where current.hasWaitingWriters: awaitOutput(now)
        case .serving(let current) where !current.hasReceivedAll && (current.hasBody || current.hasSentAll):
            deadline = now + (current.pauseLimit ?? limits.bodyTimeout)
        case .serving: deadline = .distantFuture
        }
    }

    private mutating func awaitOutput(_ now: MonotonicTime) {
        deadline = now + limits.writeTimeout
        actions.append(.measure)
    }

    /// The bytes that wait for the socket now.
    mutating func measured(_ buffered: Int) {
        lastBuffered = buffered
    }

    /// The deadline may have passed.
    ///
    /// - Parameters:
    ///   - now: The time.
    ///   - buffered: The bytes that wait for the socket.
    ///   - body: How the request's handler waits for bytes of the body; nil if the request has none.
    mutating func time(now: MonotonicTime, buffered: Int, body: BodyWait?) {
        guard now >= deadline else { return }
        switch phase {
        case .left, .closed:
            deadline = .distantFuture
        case .serving(let current) where !current.hasWaitingWriters && !current.hasSentAll:
            awaitBody(current, now, body)
        case .serving, .ending, .handingOff, .waiting, .lingering:
            // A slow client that makes progress gets more time.
            if buffered > 0, buffered < lastBuffered {
                lastBuffered = buffered
                deadline = now + limits.writeTimeout
                return
            }
            deadline = .distantFuture
            giveUp(now)
        }
    }

    private mutating func giveUp(_ now: MonotonicTime) {
        switch phase {
        case .waiting(hasPartialHead: true) where takesPart:
            refuse(HTTPError(.requestTimeout, "the head of the request did not arrive in time"), nil, now)
        case .lingering:
            stopLingering()
        case .handingOff:
            phase = .handingOff(.timedOut)
            actions.append(.close)
        case .waiting, .serving, .ending, .left, .closed:
            abandon()
            actions.append(.close)
        }
    }

    private mutating func awaitBody(_ current: RequestInProgress, _ now: MonotonicTime, _ body: BodyWait?) {
        deadline = .distantFuture
        guard let body, !current.hasReceivedAll else { return }
        // Only the time during which a handler waits counts.
        let due = (body.since ?? now) + (body.limit ?? limits.bodyTimeout)
        guard now >= due else { return deadline = due }
        update { $0.keepsAlive = false }
        actions.append(.bodyFailure(HTTPError(.requestTimeout, "the body of the request did not arrive in time")))
    }
}

#endif
