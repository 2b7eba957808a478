// SPDX-License-Identifier: Apache-2.0

import Metrics
import Synchronization

/// A client of an event stream that reconnects when the stream ends, and resumes: the HTML standard's
/// [EventSource](https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface) as a sequence.
///
/// ```swift
/// let source = EventSource("https://example.org/prices")
/// for try await event in source {
///     print(event.type, event.data)
/// }
/// ```
///
/// The source connects when an iteration requests its first event. The iteration ends when the task is cancelled, the
/// loop exits, ``close()`` is called, or the server responds with 204. It throws an ``EventSourceError`` if retrying is
/// futile, as on a status other than 200 or a response that is not an event stream; <doc:EventSources> has all cases.
/// After any other end (no connection, a lost connection, the end of the stream) the source reconnects with the last
/// event ID, after the reconnection time and a back-off.
///
/// ``hubUpdates`` delivers a Plinth hub's gaps and ends as values, and ``following(_:)`` an application's state with the
/// events that change it.
///
/// A slow reader slows the server: the source buffers at most one batch of 64 KiB besides the one being delivered.
///
/// Only one iteration may run at a time: a concurrent one throws. The next one resumes after the last delivered event.
public final class EventSource: Sendable {
    private struct State {
        var readyState = ReadyState.connecting
        var lastEventID: String
        var run: EventSourceRun?
        /// Whether the source is closed permanently.
        var isClosed = false
        var nextObserver = 0
        var observers: [Int: AsyncStream<ReadyState>.Continuation] = [:]
    }

    /// The URL as passed to the initializer, including any user name and password.
    public let url: String

    /// How the source connects and waits, and which responses it accepts.
    public let configuration: EventSourceConfiguration

    private let transport: any EventSourceTransport
    private let metrics: EventSourceMetrics
    private let state: Mutex<State>

    /// Creates an event source with a custom transport.
    ///
    /// - Parameters:
    ///   - url: An absolute HTTP or HTTPS URL; with any other, the iteration throws
    ///     ``EventSourceError/Code/invalidURL``. A user name and password are sent as `Authorization: Basic`, unless
    ///     that field is configured.
    ///   - configuration: How the source connects and waits, and which responses it accepts. Default: as browsers do.
    ///   - transport: Sends the source's requests.
    public init(
        _ url: String,
        configuration: EventSourceConfiguration = EventSourceConfiguration(),
        transport: any EventSourceTransport
    ) {
        self.url = url
        self.configuration = configuration
        self.transport = transport
        metrics = EventSourceMetrics(
            label: configuration.metricsLabel,
            factory: configuration.metricsFactory ?? MetricsSystem.factory
        )
        state = Mutex(State(lastEventID: configuration.lastEventID))
    }

    deinit {
        let observers = state.withLock { $0.observers.values.map { $0 } }
        for observer in observers { observer.finish() }
    }

    // MARK: - State

    /// The ready state: connecting, open, or closed with the reason.
    public var readyState: ReadyState { state.withLock { $0.readyState } }

    /// The last event ID as of the last delivered event; empty if there is none.
    ///
    /// Save it to resume in a later run of the program: ``EventSourceConfiguration/lastEventID``.
    public var lastEventID: String {
        let (run, id) = state.withLock { ($0.run, $0.lastEventID) }
        return run?.lastEventID ?? id
    }

    /// The current ready state, and each later one.
    ///
    /// The sequence ends when the source is closed permanently. It buffers the newest 16 states: a slow observer may
    /// miss older ones, but never the last.
    public var readyStates: some AsyncSequence<ReadyState, Never> & Sendable {
        let (stream, continuation) = AsyncStream.makeStream(of: ReadyState.self, bufferingPolicy: .bufferingNewest(16))
        let number = state.withLock { state -> Int? in
            continuation.yield(state.readyState)
            if state.isClosed { return nil }
            state.nextObserver += 1
            state.observers[state.nextObserver] = continuation
            return state.nextObserver
        }
        if let number {
            continuation.onTermination = { [weak self] _ in
                self?.state.withLock { _ = $0.observers.removeValue(forKey: number) }
            }
        } else {
            continuation.finish()
        }
        return stream
    }

    private func set(_ readyState: ReadyState, of run: EventSourceRun) {
        let (observers, isEnd) = state.withLock { state -> ([AsyncStream<ReadyState>.Continuation], Bool) in
            guard state.run === run, !state.isClosed else { return ([], false) }
            if case .closed(let reason) = readyState, reason != .iterationEnded { state.isClosed = true }
            return change(&state, to: readyState)
        }
        tell(observers, readyState, isEnd: isEnd)
    }

    private func change(
        _ state: inout State,
        to readyState: ReadyState
    ) -> ([AsyncStream<ReadyState>.Continuation], Bool) {
        guard state.readyState != readyState else { return ([], false) }
        state.readyState = readyState
        let observers = Array(state.observers.values)
        if state.isClosed { state.observers = [:] }
        return (observers, state.isClosed)
    }

    private func tell(_ observers: [AsyncStream<ReadyState>.Continuation], _ state: ReadyState, isEnd: Bool) {
        for observer in observers {
            observer.yield(state)
            if isEnd { observer.finish() }
        }
    }

    // MARK: - Control

    /// Closes the source permanently: drops the connection, discards undelivered events, and ends the iteration.
    ///
    /// May be called from any task, including the reader's, at any time.
    public func close() {
        let (run, observers, isEnd) = state.withLock { state in
            if let run = state.run { state.lastEventID = run.lastEventID }
            let run = state.run
            state.run = nil
            guard !state.isClosed else { return (run, [AsyncStream<ReadyState>.Continuation](), false) }
            state.isClosed = true
            let (observers, isEnd) = change(&state, to: .closed(.closed))
            return (run, observers, isEnd)
        }
        run?.close()
        tell(observers, .closed(.closed), isEnd: isEnd)
    }

    /// Drops the connection and reconnects at once with the last event ID, without reporting an error.
    ///
    /// Also ends a wait for the next attempt. Events already received are still delivered. Without an iteration it has
    /// no effect.
    public func restart() {
        state.withLock { $0.run }?.restart()
    }

    // MARK: - Iterations

    /// Starts an iteration; nil if the source is closed permanently.
    func begin(_ reading: Reading) throws(EventSourceError) -> EventSourceRun? {
        let address: HTTPAddress
        do {
            address = try HTTPAddress(url)
        } catch {
            throw EventSourceError(
                .invalidURL,
                "The URL of an event source must be an absolute HTTP or HTTPS URL: "
                    + "\(HTTPAddress.redacted(url).debugDescription)."
            )
        }
        let begun = state.withLock { state -> (Result<EventSourceRun?, EventSourceError>) in
            if state.isClosed { return .success(nil) }
            if state.run != nil {
                return .failure(
                    EventSourceError(
                        .alreadyIterated,
                        "This event source is already being iterated: create one for each reader, or share its events."
                    )
                )
            }
            let run = EventSourceRun(lastEventID: state.lastEventID, reading)
            state.run = run
            return .success(run)
        }
        guard let run = try begun.get() else { return nil }
        set(.connecting, of: run)
        let driver = ConnectionDriver(
            run: run,
            configuration: configuration,
            transport: transport,
            metrics: metrics,
            setState: { [weak self] in self?.set($0, of: run) }
        )
        let machine = ConnectionMachine(
            address: address,
            configuration: configuration,
            lastEventID: run.lastEventID,
            reading: reading
        )
        // Ends when the run is closed, which its iterator does at the latest when it is released.
        Task { await driver.drive(machine) }
        return run
    }

    /// Ends an iteration that finished or was abandoned.
    func end(_ run: EventSourceRun) {
        run.close()
        let (observers, isEnd) = state.withLock { state -> ([AsyncStream<ReadyState>.Continuation], Bool) in
            guard state.run === run else { return ([], false) }
            state.lastEventID = run.lastEventID
            state.run = nil
            return state.isClosed ? ([], false) : change(&state, to: .closed(.iterationEnded))
        }
        tell(observers, .closed(.iterationEnded), isEnd: isEnd)
    }
}
