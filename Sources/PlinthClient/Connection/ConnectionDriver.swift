// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import Logging
import Synchronization

/// Does what the rules say: sends requests, reads bodies, waits.
///
/// Runs in one task for each iteration. Each attempt, with its connection, and each wait is a task within it, so that it
/// can be interrupted alone.
struct ConnectionDriver: Sendable {
    let run: EventSourceRun
    let configuration: EventSourceConfiguration
    let transport: any EventSourceTransport
    let metrics: EventSourceMetrics
    /// Told of each change of the ready state.
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

    /// Connects, again and again, until the run is closed or the rules say stop.
    func drive(_ start: ConnectionMachine) async {
        var machine = start
        while !run.isClosed {
            await run.waitForRoom()
            let before = machine
            let (after, ending) = await run.interruptible(
                Task {
                    var machine = before
                    let ending = await attempt(&machine)
                    return (machine, ending)
                }
            )
            machine = after
            if run.isClosed { return }
            var action = ending
            switch run.takeInterruption() {
            case .restart?:
                restart(&machine)
                continue
            case .idleTimeout?:
                let message = "No byte came for \(configuration.idleTimeout ?? .zero)."
                action = machine.failed(EventSourceError(.idleTimeout, message), at: time.now())
            case .responseTimeout?:
                let message = "No response came within \(configuration.responseTimeout ?? .zero)."
                action = machine.failed(EventSourceError(.responseTimeout, message), at: time.now())
            case nil: break
            }
            guard case .wait(let delay, let error) = action else {
                if case .stop(let error) = action { stop(error) }
                return
            }
            setState(.connecting)
            metrics.failed(error.code)
            configuration.logger.debug(
                "event source connects again",
                metadata: ["reason": "\(error.code)", "in": "\(delay)", "error": "\(error)"]
            )
            mark(.disconnected(error, retryIn: delay))
            await wait(delay)
            if run.takeInterruption() != nil { restart(&machine) }
        }
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

    private func stop(_ error: EventSourceError?) {
        if let error {
            metrics.failed(error.code)
            configuration.logger.info("event source failed", metadata: ["error": "\(error)"])
            setState(.closed(.failed(error.code)))
        } else {
            setState(.closed(.noContent))
        }
        run.finish(error)
    }

    private func mark(_ message: EventSource.Message) {
        guard run.wantsMessages else { return }
        var batch = EventBatch()
        batch.mark(message)
        run.push(batch)
    }

    // MARK: - One attempt

    /// Makes one attempt, and reads the stream that it leads to, to its end.
    @concurrent
    private func attempt(_ machine: inout ConnectionMachine) async -> ConnectionMachine.Action {
        let limit = watch(configuration.responseTimeout, .responseTimeout)
        defer { limit?.cancel() }
        var action: ConnectionMachine.Action
        do {
            let provided = try await configuration.headerProvider?() ?? [:]
            action = machine.connect(adding: provided)
        } catch {
            return machine.failed(headers: error, at: time.now())
        }
        while case .connect(let request) = action {
            if run.isInterrupted { return action }
            metrics.requested()
            let response: EventSourceResponse
            do {
                response = try await transport.send(request)
            } catch let error as EventSourceError {
                return .stop(error)
            } catch {
                let message = "\(request.url) did not answer."
                return machine.failed(EventSourceError(.connectionFailed, message, cause: error), at: time.now())
            }
            action = machine.received(response.head, at: time.now(), date: TimeSource.date)
            guard case .read(let head) = action else { continue }
            limit?.cancel()
            return await read(response.body, of: head, &machine)
        }
        return action
    }

    @concurrent
    private func read(
        _ body: any EventSourceResponseBody,
        of head: EventSourceResponseHead,
        _ machine: inout ConnectionMachine
    ) async -> ConnectionMachine.Action {
        if run.isInterrupted { return .read(head) }
        setState(.open)
        metrics.streamOpened()
        defer { metrics.streamEnded() }
        configuration.logger.debug("event source is open", metadata: ["url": "\(head.url)"])
        mark(.opened(head))

        guard let limit = configuration.idleTimeout else { return await read(body, of: head, &machine, nil) }
        let watch = IdleWatch(time: time)
        let task = Task { [run] in
            if await watch.expires(after: limit) { run.interrupt(.idleTimeout) }
        }
        defer { task.cancel() }
        return await read(body, of: head, &machine, watch)
    }

    @concurrent
    private func read(
        _ body: any EventSourceResponseBody,
        of head: EventSourceResponseHead,
        _ machine: inout ConnectionMachine,
        _ watch: IdleWatch?
    ) async -> ConnectionMachine.Action {
        var body = body
        while true {
            await run.waitForRoom()
            if run.isClosed { return .read(head) }
            var batch = EventBatch()
            var action: ConnectionMachine.Action?
            do {
                watch?.begin()
                let isMore = try await body.next { bytes in
                    action = machine.received(bytes, into: &batch)
                }
                watch?.end()
                guard isMore else {
                    let message = "The server ended the event stream of \(head.url)."
                    return machine.failed(EventSourceError(.streamEnded, message), at: time.now())
                }
            } catch {
                let message = "The event stream of \(head.url) broke off."
                return machine.failed(EventSourceError(.connectionLost, message, cause: error), at: time.now())
            }
            metrics.received(bytes: batch.weight, events: batch.events.count)
            run.push(batch)
            if let action { return action }
        }
    }

    private func watch(_ limit: Duration?, _ interruption: EventSourceRun.Interruption) -> Task<Void, Never>? {
        guard let limit else { return nil }
        return Task { [run, time] in
            guard (try? await time.sleep(limit)) != nil, !Task.isCancelled else { return }
            run.interrupt(interruption)
        }
    }
}

/// Since when a source waits for bytes.
final class IdleWatch: Sendable {
    private let time: TimeSource
    /// Nanoseconds; −1 while it does not wait.
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

    /// Waits until the source has waited so long; false if the task is cancelled.
    func expires(after limit: Duration) async -> Bool {
        var delay = limit
        while true {
            guard (try? await time.sleep(delay)) != nil, !Task.isCancelled else { return false }
            let since = since.load(ordering: .relaxed)
            // While it does not wait: at the earliest so long from now.
            delay = since < 0 ? limit : limit - .nanoseconds(nanoseconds - since)
            if delay <= .zero { return true }
        }
    }
}
