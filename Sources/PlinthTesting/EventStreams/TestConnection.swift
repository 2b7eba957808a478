// SPDX-License-Identifier: Apache-2.0

import Plinth
import Synchronization

/// What the client of an in-memory connection has received.
struct Received: Sendable {
    var head: Response?
    var route: RouteIdentity?
    var bytes: [UInt8] = []
    var parts: [EventStreamPart] = []
    /// The number of parts that the test has consumed.
    var taken = 0
    var parser = ServerSentEventParser()
    var hasEnded = false
    /// Whether `onDisconnect` has returned.
    var isTold = false
    /// Whether the request's task has ended.
    var hasReturned = false

    mutating func append(_ bytes: [UInt8]) {
        // A disconnected client reads nothing.
        guard !hasEnded else { return }
        self.bytes += bytes
        var parts: [EventStreamPart] = []
        do {
            try parser.parseBorrowed(
                bytes,
                event: { parts.append(.event(ServerSentEvent($0))) },
                comment: { parts.append(.comment(Self.text($0))) },
                fields: { view in
                    let event = ServerSentEvent(view)
                    parts.append(.fields(id: event.id, retry: event.retry))
                }
            )
        } catch {
            parts.append(.comment("the parser failed: \(error)"))
        }
        self.parts += parts
    }

    mutating func end(_ reason: StreamEnd) {
        hasEnded = true
        parts.append(.end(reason))
    }

    private static func text(_ bytes: Span<UInt8>) -> String {
        var array: [UInt8] = []
        for index in bytes.indices { array.append(bytes[index]) }
        return String(decoding: array, as: UTF8.self)
    }
}

/// An in-memory connection: does for one request what a connector does, with a client whose speed the test controls.
final class TestConnection: Exchange, EventStreamTransport, MemoryConnection, ManualTicker {
    private struct State {
        var stream: EventStream?
        /// The stream of a hub, in place of an application's.
        var memoryStream: (any MemoryStream)?
        /// Whether the response is a stream that was attached to this connection.
        var isStreaming = false
        /// Whether the stream's channel is another connection's, or has ended.
        var isForeign = false
        var sentEarly: Response?
        var task: Task<Void, Never>?
        var hasLeft = false
        var isDone = false
        var isStalled: Bool
        /// Since when bytes have been waiting for a stalled client.
        var stalledSince: MonotonicTime?
        /// Whether a thread is pulling.
        ///
        /// A wake during that time sets ``wantsPump``, for another pull.
        var isPumping = false
        var wantsPump = false
        var deadline = MonotonicTime.distantFuture
    }

    let received = Watched(Received())
    let clock: ManualClock
    private let metrics: EventStreamMetricsRegistry?
    private let state: Mutex<State>

    init(clock: ManualClock, metrics: EventStreamMetricsRegistry? = nil, isStalled: Bool = false) {
        self.clock = clock
        self.metrics = metrics
        state = Mutex(State(isStalled: isStalled))
    }

    var now: MonotonicTime {
        MonotonicTime(nanoseconds: 0) + clock.now.offset
    }

    // MARK: - The request

    /// Runs a request in a new task, which is cancelled when the client disconnects, as by a connector.
    func open(_ request: Request, _ chain: Chain) {
        run { connection in
            let outcome = await chain.execute(request, on: connection)
            await connection.send(outcome, of: request)
        }
    }

    /// Completes a request whose chain was run by the caller.
    ///
    /// - Returns: The stream, if the response is an event stream.
    func finish(_ outcome: Chain.Outcome, of request: Request) -> TestEventStream? {
        let body = outcome.response.body
        guard body.eventStream != nil || body.handedOff != nil else { return nil }
        if !outcome.isHeadSent { try? begin(outcome.response, for: outcome.request, of: request.method) }
        run { connection in
            await connection.start(outcome.response.body.eventStream, of: request)
        }
        guard isStreaming else { return nil }
        return TestEventStream(self, outcome.response, outcome.request.route)
    }

    private func run(_ body: @escaping @Sendable (TestConnection) async -> Void) {
        let task = Task {
            await body(self)
            received.update { $0.hasReturned = true }
        }
        let hasLeft = state.withLock { state in
            state.task = task
            return state.hasLeft
        }
        if hasLeft { task.cancel() }
    }

    private func send(_ outcome: Chain.Outcome, of request: Request) async {
        let stream = outcome.response.body.eventStream
        if !outcome.isHeadSent {
            do {
                try begin(outcome.response, for: outcome.request, of: request.method)
            } catch {
                stream?.abandon(.clientClosed)
                return
            }
        }
        await start(stream, of: request)
    }

    /// Runs a stream's ready function, if the stream has its connection.
    private func start(_ stream: EventStream?, of request: Request) async {
        guard let stream else { return }
        guard isStreaming else {
            return stream.abandon(state.withLock { $0.hasLeft } ? .clientClosed : .applicationClosed)
        }
        guard !state.withLock({ $0.isForeign }) else { return }
        stream.start(logger: request.logger)
        await stream.returned()
    }

    /// The response whose head an interceptor sent early, if any.
    var sentEarly: Response? { state.withLock { $0.sentEarly } }

    /// Whether the response is an event stream attached to this connection.
    var isStreaming: Bool { state.withLock { $0.isStreaming } }

    func sendHead(_ response: Response, for request: Request) async throws {
        try begin(response, for: request, of: request.method)
        state.withLock { $0.sentEarly = response }
    }

    /// Delivers the head to the client, and attaches an event stream to the connection.
    ///
    /// - Throws: `CancellationError` if the client has disconnected.
    private func begin(_ response: Response, for request: Request, of method: HTTPRequest.Method) throws {
        let hasBody = method != .head && response.status != .noContent && response.status != .notModified
        let stream = hasBody ? response.body.eventStream : nil
        let hasLeft = state.withLock { state in
            if !state.hasLeft {
                state.stream = stream
                state.isStreaming = stream != nil
            }
            return state.hasLeft
        }
        if hasLeft { throw CancellationError() }
        if let stream {
            clock.add(self)
            let isServed = stream.channel.attach(
                self,
                preamble: stream.preamble,
                metrics: metrics?.metrics(for: request.route),
                now: now
            )
            if isServed {
                state.withLock { $0.deadline = min($0.deadline, stream.channel.firstTick) }
                if state.withLock({ $0.isDone }) { clock.remove(self) }
            } else {
                state.withLock { $0.isForeign = true }
                complete(stream)
            }
        }
        if hasBody, let body = response.body.handedOff {
            clock.add(self)
            let memoryStream = body.begin(on: self)
            let (isDone, hasLeft) = state.withLock { state in
                state.isStreaming = true
                if !state.isDone { state.memoryStream = memoryStream }
                return (state.isDone, state.hasLeft)
            }
            if hasLeft { memoryStream.leave(.clientClosed) }
            if isDone { clock.remove(self) }
        }
        received.update { received in
            received.head = response
            received.route = request.route
        }
    }

    // MARK: - The client

    /// Disconnects the client.
    func leave(_ reason: StreamEnd) {
        let (task, stream, memoryStream) = state.withLock { state in
            state.hasLeft = true
            return (state.task, state.isForeign ? nil : state.stream, state.memoryStream)
        }
        // The stream first, as in a connector: what the task does about its cancellation must not become the reason.
        stream?.channel.disconnect(reason)
        task?.cancel()
        memoryStream?.leave(reason)
        if let stream { complete(stream) }
    }

    /// Starts the server's shutdown.
    func drain() {
        let (stream, memoryStream) = state.withLock { ($0.stream, $0.memoryStream) }
        stream?.channel.end(.serverDraining)
        memoryStream?.drain()
    }

    /// Stops the client from reading.
    func stall() {
        state.withLock { $0.isStalled = true }
    }

    /// Lets the client read again.
    func resume() {
        let now = self.now
        state.withLock { state in
            state.isStalled = false
            state.stalledSince = nil
            state.deadline = now
        }
        state.withLock { $0.memoryStream }?.hasRoom()
        pullNow()
    }

    // MARK: - Pulling

    func wake(_ channel: EventChannel) {
        pullNow()
    }

    private func pullNow() {
        let now = self.now
        let hasPending = state.withLock { $0.stream }?.channel.hasPending ?? false
        let stream = state.withLock { state -> EventStream? in
            guard !state.isDone, let stream = state.stream else { return nil }
            if state.isStalled {
                if state.stalledSince == nil, hasPending {
                    state.stalledSince = now
                    state.deadline = now
                }
                return nil
            }
            if state.isPumping {
                state.wantsPump = true
                return nil
            }
            state.isPumping = true
            return stream
        }
        if let stream { pump(stream) }
        guard let channel = state.withLock({ $0.isDone ? nil : $0.stream?.channel }) else { return }
        // A client that reads nothing would never read the end.
        if channel.disconnectReason == .lagged, state.withLock({ $0.isStalled }) { return leave(.lagged) }
        let sleepDeadline = channel.takeSleepDeadline()
        state.withLock { $0.deadline = min($0.deadline, sleepDeadline) }
        clock.sleepersChanged()
        // The test may have advanced the clock past the deadline before it was set.
        if sleepDeadline <= self.now { tick(at: clock.now.offset) }
    }

    var sleeperCount: Int { state.withLock { $0.isDone ? nil : $0.stream }?.channel.sleeperCount ?? 0 }

    func sleepersChanged() { clock.sleepersChanged() }

    private func pump(_ stream: EventStream) {
        while true {
            var bytes: [UInt8] = []
            let result = stream.channel.pull(into: &bytes, limit: 16 * 1024, now: now)
            if !bytes.isEmpty { received.update { $0.append(bytes) } }
            if case .end = result {
                state.withLock { $0.isPumping = false }
                return complete(stream)
            }
            let now = self.now
            let goesOn = state.withLock { state in
                let isIdle = result == .idle && !state.wantsPump
                state.wantsPump = false
                if !isIdle, state.isStalled, state.stalledSince == nil {
                    state.stalledSince = now
                    state.deadline = now
                }
                state.isPumping = !isIdle && !state.isStalled
                return state.isPumping
            }
            guard goesOn else { return }
        }
    }

    /// Ends the stream for the client and the application, once.
    private func complete(_ stream: EventStream) {
        let isFirst = state.withLock { state in
            defer { state.isDone = true }
            return !state.isDone
        }
        guard isFirst else { return }
        clock.remove(self)
        let reason = stream.channel.disconnectReason ?? .clientClosed
        received.update { $0.end(reason) }
        // In a separate task, as in a connector: onDisconnect may be slow.
        Task {
            await stream.finished()
            received.update { $0.isTold = true }
        }
    }

    // MARK: - A hub's stream

    func take(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard !state.withLock({ $0.isStalled }) else { return 0 }
        received.update { $0.append(Array(bytes)) }
        return bytes.count
    }

    func schedule(at time: MonotonicTime) {
        state.withLock { $0.deadline = time }
    }

    func finish(_ end: StreamEnd) {
        state.withLock { state in
            state.isDone = true
            state.deadline = .distantFuture
            state.memoryStream = nil
        }
        clock.remove(self)
        received.update { received in
            received.end(end)
            received.isTold = true
        }
    }

    // MARK: - Time

    var deadline: Duration { .nanoseconds(state.withLock { $0.deadline }.nanoseconds) }

    func tick(at now: Duration) {
        let memoryStream = state.withLock { state in
            // Until the stream schedules the next call.
            if state.memoryStream != nil { state.deadline = .distantFuture }
            return state.memoryStream
        }
        if let memoryStream { return memoryStream.tick() }
        let now = MonotonicTime(nanoseconds: 0) + now
        guard let (stream, stalledSince) = state.withLock({ state in state.stream.map { ($0, state.stalledSince) } })
        else {
            return
        }
        // A sleep that begins meanwhile sets an earlier one.
        state.withLock { $0.deadline = .distantFuture }
        var deadline = MonotonicTime.distantFuture
        switch stream.channel.tick(now: now, stalledSince: stalledSince) {
        case .next(let next): deadline = next
        // Ticks again shortly after, as with a connector's timer wheel.
        case .heartbeat: deadline = now + .nanoseconds(1)
        case .none: break
        case .end(.timedOut): leave(.timedOut)
        case .end(let reason):
            stream.channel.end(reason)
            deadline = now + .seconds(1)
        }
        state.withLock { $0.deadline = min($0.deadline, deadline) }
        clock.sleepersChanged()
    }
}
