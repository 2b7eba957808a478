// SPDX-License-Identifier: Apache-2.0

import Plinth
import Synchronization

/// What a client on a connection in memory has seen.
struct Received: Sendable {
    var head: Response?
    var route: RouteIdentity?
    var bytes: [UInt8] = []
    var parts: [EventStreamPart] = []
    /// How many parts the test has taken.
    var taken = 0
    var parser = ServerSentEventParser()
    var hasEnded = false
    /// The application has been told of the end.
    var isTold = false
    /// The request's task is over.
    var hasReturned = false

    mutating func append(_ bytes: [UInt8]) {
        // Whoever has left reads nothing.
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
            parts.append(.comment("the parser gave up: \(error)"))
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

/// A connection in memory: does for one request what a connector does, with a client that is as fast as a test wants.
final class TestConnection: Exchange, EventStreamTransport, ManualTicker {
    private struct State {
        var stream: EventStream?
        var sentEarly: Response?
        var task: Task<Void, Never>?
        var hasLeft = false
        var isDone = false
        var isStalled: Bool
        /// Since when there has been something to pull that was not.
        var stalledSince: MonotonicTime?
        /// Some thread is pulling.
        ///
        /// Another pull is wanted if a wake came meanwhile.
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

    private var now: MonotonicTime {
        MonotonicTime(nanoseconds: 0) + clock.now.offset
    }

    // MARK: - The request

    /// Runs a request in a task of its own, which is cancelled when the client leaves, as a connector does.
    func open(_ request: Request, _ chain: Chain) {
        run { connection in
            let outcome = await chain.execute(request, on: connection).sentByApplication
            await connection.send(outcome, of: request)
        }
    }

    /// Goes on behind a chain that has run elsewhere.
    ///
    /// - Returns: The stream, if the response is one.
    func finish(_ outcome: Chain.Outcome, of request: Request) -> TestEventStream? {
        let outcome = outcome.sentByApplication
        guard outcome.response.body.eventStream != nil else { return nil }
        if !outcome.isHeadSent { try? begin(outcome.response, for: outcome.request, of: request.method) }
        run { connection in
            if let stream = outcome.response.body.eventStream { await stream.start(logger: request.logger) }
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
        await stream?.start(logger: request.logger)
    }

    /// The response whose head an interceptor has sent.
    var sentEarly: Response? { state.withLock { $0.sentEarly } }

    /// Whether the response is an event stream that has its connection.
    var isStreaming: Bool { state.withLock { $0.stream != nil } }

    func sendHead(_ response: Response, for request: Request) async throws {
        let response = response.sentByApplication
        try begin(response, for: request, of: request.method)
        state.withLock { $0.sentEarly = response }
    }

    /// The head is on its way to the client; a stream gets its connection.
    ///
    /// - Throws: `CancellationError` if the client has left.
    private func begin(_ response: Response, for request: Request, of method: HTTPRequest.Method) throws {
        let hasBody = method != .head && response.status != .noContent && response.status != .notModified
        let stream = hasBody ? response.body.eventStream : nil
        let hasLeft = state.withLock { state in
            if !state.hasLeft { state.stream = stream }
            return state.hasLeft
        }
        if hasLeft { throw CancellationError() }
        if let stream {
            stream.channel.onCancellation { self.state.withLock { $0.task }?.cancel() }
            stream.channel.attach(
                self,
                preamble: stream.preamble,
                metrics: metrics?.metrics(for: request.route),
                now: now
            )
            state.withLock { $0.deadline = min($0.deadline, stream.channel.firstTick) }
            clock.add(self)
            if state.withLock({ $0.isDone }) { clock.remove(self) }
        }
        received.update { received in
            received.head = response
            received.route = request.route
        }
    }

    // MARK: - The client

    /// The client is gone.
    func leave(_ reason: StreamEnd) {
        let (task, stream) = state.withLock { state in
            state.hasLeft = true
            return (state.task, state.stream)
        }
        task?.cancel()
        guard let stream else { return }
        stream.channel.disconnect(reason)
        complete(stream)
    }

    /// The server shuts down.
    func drain() {
        state.withLock { $0.stream }?.channel.end(.serverDraining)
    }

    /// The client reads nothing from now on.
    func stall() {
        state.withLock { $0.isStalled = true }
    }

    /// The client reads what there is.
    func resume() {
        state.withLock { state in
            state.isStalled = false
            state.stalledSince = nil
            state.deadline = now
        }
        pullNow()
    }

    // MARK: - Pulling

    func wake(_ channel: EventChannel) {
        pullNow()
    }

    private func pullNow() {
        let now = self.now
        let stream = state.withLock { state -> EventStream? in
            guard !state.isDone, let stream = state.stream else { return nil }
            if state.isStalled {
                if state.stalledSince == nil {
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
    }

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

    /// The stream is over, for the client and for the application.
    private func complete(_ stream: EventStream) {
        let isFirst = state.withLock { state in
            defer { state.isDone = true }
            return !state.isDone
        }
        guard isFirst else { return }
        clock.remove(self)
        let reason = stream.channel.disconnectReason ?? .clientClosed
        received.update { $0.end(reason) }
        // As a connector does: whoever is told may take its time.
        Task {
            await stream.finished()
            received.update { $0.isTold = true }
        }
    }

    // MARK: - Time

    var deadline: Duration { .nanoseconds(state.withLock { $0.deadline }.nanoseconds) }

    func tick(at now: Duration) {
        let now = MonotonicTime(nanoseconds: 0) + now
        guard let (stream, stalledSince) = state.withLock({ state in state.stream.map { ($0, state.stalledSince) } })
        else {
            return
        }
        var deadline = MonotonicTime.distantFuture
        switch stream.channel.tick(now: now, stalledSince: stalledSince) {
        case .next(let next): deadline = next
        // Looked at again a moment later, as by the wheel of a connector.
        case .heartbeat: deadline = now + .nanoseconds(1)
        case .none: break
        case .end(.timedOut): leave(.timedOut)
        case .end(let reason):
            stream.channel.end(reason)
            deadline = now + .seconds(1)
        }
        state.withLock { $0.deadline = deadline }
    }
}
