// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Logging
import Synchronization

/// Executes the actions of a `ConnectionMachine`: sends requests, reads bodies, waits.
///
/// Runs in one task per iteration. Each attempt, with its connection, and each wait is a task of its own, so that it
/// can be cancelled separately.
struct ConnectionDriver: Sendable {
    let run: EventSourceRun
    let configuration: EventSourceConfiguration
    let transport: any EventSourceTransport
    let metrics: EventSourceMetrics
    /// Called on each change of the ready state.
    let setState: @Sendable (EventSource.ReadyState) -> Void
    let time: TimeSource

    init(
        run: EventSourceRun,
        configuration: EventSourceConfiguration,
        transport: any EventSourceTransport,
        metrics: EventSourceMetrics,
        setState: @escaping @Sendable (EventSource.ReadyState) -> Void
    ) {
        self.run = run
        self.configuration = configuration
        self.transport = transport
        self.metrics = metrics
        self.setState = setState
        time = TimeSource(configuration.clock)
    }

    /// Connects and reconnects until the run is closed or the machine returns `stop`.
    func drive(_ start: ConnectionMachine) async {
        var machine = start
        // A new run that follows asks for the state first.
        if case .following = run.reading, await !continuesAfterMark(&machine) { return }
        while !run.isClosed {
            await run.waitForRoom()
            let number = run.beginAttempt()
            let before = machine
            let (after, ended) = await run.interruptible(
                Task {
                    var machine = before
                    let ended = await attempt(&machine, number)
                    return (machine, ended)
                }
            )
            machine = after
            let interruption = run.endAttempt()
            if run.isClosed { return }
            // The server's decision wins over a restart or a timeout at the same time.
            if interruption == .restart, ended?.isDecided != true {
                restart(&machine)
                continue
            }
            let action = ended ?? machine.failed(timedOut(interruption), at: time.now())
            guard await perform(action, &machine) else { return }
        }
    }

    /// Performs what follows an attempt.
    ///
    /// - Returns: Whether another attempt follows.
    private func perform(_ action: ConnectionMachine.Action, _ machine: inout ConnectionMachine) async -> Bool {
        switch action {
        case .wait(let delay, let error):
            reconnects(error, delay)
            mark(.disconnected(error, retryIn: delay))
            await wait(delay)
            if run.takeRestart() { restart(&machine) }
            return true
        case .askForState(let delay, let error):
            if let error { reconnects(error, delay) } else { setState(.connecting) }
            await wait(delay)
            var batch = EventBatch()
            batch.asksForState = true
            run.push(batch)
            return await continuesAfterMark(&machine)
        case .stop(let error):
            if let error { fail(error) } else { end(.noContent) }
            return false
        case .end:
            end(.ended)
            return false
        case .connect, .read, .gap:
            preconditionFailure("An attempt does not end with \(action).")
        }
    }

    /// Waits until the reader has read the application's state; false if the run is closed.
    private func continuesAfterMark(_ machine: inout ConnectionMachine) async -> Bool {
        guard let mark = await run.mark() else { return false }
        // What follows is a new connection anyway.
        _ = run.takeRestart()
        machine.restart(after: mark)
        return true
    }

    private func reconnects(_ error: EventSourceError, _ delay: Duration) {
        setState(.connecting)
        metrics.failed(error.code)
        configuration.logger.debug(
            "event source reconnects",
            metadata: ["reason": "\(error.code)", "in": "\(delay)", "error": "\(error)"]
        )
    }

    private func timedOut(_ interruption: EventSourceRun.Interruption?) -> EventSourceError {
        guard interruption == .responseTimeout else {
            return EventSourceError(.idleTimeout, "No bytes received for \(configuration.idleTimeout ?? .zero).")
        }
        let limit = configuration.responseTimeout ?? .zero
        return EventSourceError(.responseTimeout, "No response received within \(limit).")
    }

    private func restart(_ machine: inout ConnectionMachine) {
        machine.restart()
        setState(.connecting)
        configuration.logger.debug("event source restarts")
    }

    private func wait(_ delay: Duration) async {
        guard delay > .zero else { return }
        let sleep = time.sleep
        _ = await run.interruptible(Task { try? await sleep(delay) })
    }

    private func fail(_ error: EventSourceError) {
        metrics.failed(error.code)
        configuration.logger.info("event source failed", metadata: ["error": "\(error)"])
        setState(.closed(.failed(error.code)))
        run.finish(error)
    }

    private func end(_ reason: EventSource.ClosedReason) {
        setState(.closed(reason))
        run.finish(nil)
    }

    private func mark(_ message: EventSource.Message) {
        guard case .messages = run.reading else { return }
        var batch = EventBatch()
        batch.mark(message)
        run.push(batch)
    }

    // MARK: - One attempt

    /// Makes one attempt and reads the resulting stream to its end.
    ///
    /// - Returns: The action that follows; nil if the attempt was interrupted.
    @concurrent
    private func attempt(_ machine: inout ConnectionMachine, _ number: Int) async -> ConnectionMachine.Action? {
        let limit = timer(configuration.responseTimeout, .responseTimeout, of: number)
        defer { limit?.cancel() }
        let watch = IdleWatch(time: time)
        let idle = configuration.idleTimeout.map { limit in
            Task { [run] in
                if await watch.expires(after: limit) { run.interrupt(.idleTimeout, of: number) }
            }
        }
        defer { idle?.cancel() }
        var action: ConnectionMachine.Action
        do {
            let provided = try await configuration.headerProvider?() ?? [:]
            action = machine.connect(adding: provided)
        } catch {
            return run.isInterrupted ? nil : machine.failed(headers: error, at: time.now())
        }
        while case .connect(let request) = action {
            if run.isInterrupted { return nil }
            report(request, machine)
            // With a response timeout, which may be longer, the idle timeout covers only the body.
            if configuration.responseTimeout == nil { watch.begin() }
            var response: EventSourceResponse
            do {
                response = try await transport.send(request)
            } catch {
                return run.isInterrupted ? nil : failed(request, error, &machine)
            }
            watch.end()
            var reason: ServerReason?
            if ServerReason.isLookedFor(in: response.head) {
                limit?.cancel()
                reason = await self.reason(&response, number)
            }
            action = machine.received(response.head, reason: reason, at: time.now(), date: TimeSource.date)
            guard case .read(let head) = action else { continue }
            if run.isInterrupted { return nil }
            limit?.cancel()
            return await read(response.body, of: head, &machine, watch)
        }
        return action
    }

    private func report(_ request: EventSourceRequest, _ machine: ConnectionMachine) {
        metrics.requested()
        if !machine.lastEventID.isEmpty, request.headerFields[.lastEventID] == nil {
            configuration.logger.info(
                "event source omits its last event ID, which is too long",
                metadata: [
                    "bytes": "\(machine.lastEventID.utf8.count)",
                    "maximumLastEventIDSize": "\(configuration.maximumLastEventIDSize)",
                ]
            )
        }
    }

    private func failed(
        _ request: EventSourceRequest,
        _ error: any Error,
        _ machine: inout ConnectionMachine
    ) -> ConnectionMachine.Action {
        switch error {
        case let error as EventSourceError:
            return .stop(error)
        case let error as EventSourceTransportError:
            let message = "\(request.url): \(error.message)"
            return machine.failed(EventSourceError(error.code, message, cause: error.cause), at: time.now())
        default:
            let message = "\(request.url) did not answer."
            return machine.failed(EventSourceError(.connectionFailed, message, cause: error), at: time.now())
        }
    }

    /// Reads the server's reason for a refusal, within the limits of `ServerReason`.
    ///
    /// The timeout cancels the attempt, whose outcome is already decided.
    @concurrent
    private func reason(_ response: inout EventSourceResponse, _ number: Int) async -> ServerReason? {
        let limit = timer(ServerReason.timeout, .reasonTimeout, of: number)
        defer { limit?.cancel() }
        var bytes: [UInt8] = []
        while bytes.count < ServerReason.maximumSize {
            let isMore = try? await response.body.next { part in
                for index in 0..<min(part.count, ServerReason.maximumSize - bytes.count) { bytes.append(part[index]) }
            }
            guard isMore == true else { break }
        }
        return ServerReason(bytes, response.head.headerFields)
    }

    @concurrent
    private func read(
        _ body: any EventSourceResponseBody,
        of head: EventSourceResponseHead,
        _ machine: inout ConnectionMachine,
        _ watch: IdleWatch
    ) async -> ConnectionMachine.Action? {
        setState(.open)
        metrics.streamOpened()
        defer { metrics.streamEnded() }
        configuration.logger.debug("event source is open", metadata: ["url": "\(head.url)"])
        mark(.opened(head))
        var body = body
        while true {
            await run.waitForRoom()
            if run.isInterrupted { return nil }
            var batch = EventBatch()
            var action: ConnectionMachine.Action?
            do {
                watch.begin()
                let isMore = try await body.next { bytes in
                    action = machine.received(bytes, into: &batch)
                }
                watch.end()
                guard isMore else {
                    if run.isInterrupted { return nil }
                    let message = "The server ended the event stream of \(head.url)."
                    return machine.failed(EventSourceError(.streamEnded, message), at: time.now())
                }
            } catch {
                if run.isInterrupted { return nil }
                let message = "The event stream of \(head.url) was cut off."
                return machine.failed(EventSourceError(.connectionLost, message, cause: error), at: time.now())
            }
            metrics.received(bytes: batch.weight, events: batch.events.count)
            run.push(batch)
            if case .gap? = action { return machine.gap(at: time.now()) }
            if let action { return action }
        }
    }

    private func timer(
        _ limit: Duration?,
        _ interruption: EventSourceRun.Interruption,
        of number: Int
    ) -> Task<Void, Never>? {
        guard let limit else { return nil }
        return Task { [run, time] in
            guard (try? await time.sleep(limit)) != nil, !Task.isCancelled else { return }
            run.interrupt(interruption, of: number)
        }
    }
}

/// Tracks how long a source has been waiting for bytes.
final class IdleWatch: Sendable {
    private let time: TimeSource
    /// The start of the wait in nanoseconds; −1 while not waiting.
    private let since = Atomic<Int64>(-1)

    init(time: TimeSource) {
        self.time = time
    }

    func begin() {
        since.store(nanoseconds, ordering: .relaxed)
    }

    func end() {
        since.store(-1, ordering: .relaxed)
    }

    private var nanoseconds: Int64 {
        let (seconds, attoseconds) = time.now().components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }

    /// Returns true once the source has waited for `limit`; false if the task is cancelled.
    func expires(after limit: Duration) async -> Bool {
        var delay = limit
        while true {
            guard (try? await time.sleep(delay)) != nil, !Task.isCancelled else { return false }
            let since = since.load(ordering: .relaxed)
            // Not waiting: expires after another `limit` at the earliest.
            delay = since < 0 ? limit : limit - .nanoseconds(nanoseconds - since)
            if delay <= .zero { return true }
        }
    }
}
