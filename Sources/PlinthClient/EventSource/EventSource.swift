// SPDX-License-Identifier: Apache-2.0

import Metrics
import Synchronization

/// A client of an event stream that connects again when the stream ends, and resumes: the HTML standard's
/// [EventSource](https://html.spec.whatwg.org/multipage/server-sent-events.html#the-eventsource-interface) as a sequence.
///
/// ```swift
/// let source = EventSource("https://example.org/prices")
/// for try await event in source {
///     print(event.type, event.data)
/// }
/// ```
///
/// Nothing happens before the iteration begins. It ends when the task is cancelled, the loop is left, ``close()`` is
/// called or the server answers with 204, and it throws an ``EventSourceError`` when trying again is futile: at another
/// status than 200, or a response that is no event stream. Everything else (no connection, one that breaks, the end of
/// the stream) is followed by another attempt after the reconnection time, with the last event ID.
///
/// A reader that is slow slows the server: no more is read from the socket than a batch of 64 KiB beside the one that is
/// being handed out.
///
/// One iteration at a time: a second one, at the same time, throws. One that begins after another was left resumes after
/// the last event that was handed out.
public final class EventSource: Sendable {
    private struct State {
        var readyState = ReadyState.connecting
        var lastEventID: String
        var run: EventSourceRun?
        /// What the end for good was.
        var isClosed = false
        var nextObserver = 0
        var observers: [Int: AsyncStream<ReadyState>.Continuation] = [:]
    }

    /// The URL that it was made with, also with the user name and password that it may have.
    public let url: String

    /// How it connects, waits, and what it accepts.
    public let configuration: EventSourceConfiguration

    private let transport: any EventSourceTransport
    private let metrics: EventSourceMetrics
    private let state: Mutex<State>

    /// An event source that connects by a transport of one's own.
    ///
    /// - Parameters:
    ///   - url: The URL, absolute, of HTTP or HTTPS. If it is none, the iteration throws an error that says so. A user
    ///     name and a password are sent as `Authorization: Basic`, unless that field is configured.
    ///   - configuration: How it connects, waits, and what it accepts; as browsers do unless given.
    ///   - transport: What brings its requests to the server.
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

    /// The last event ID as of the last event that was handed out; empty if there is none.
    ///
    /// Save it to continue in another run: ``EventSourceConfiguration/lastEventID``.
    public var lastEventID: String {
        let (run, id) = state.withLock { ($0.run, $0.lastEventID) }
        return run?.lastEventID ?? id
    }

    /// The ready states from now on, beginning with the present one.
    ///
    /// It ends when the source is closed for good. An observer that is slow misses states in between, and never the
    /// last one; 16 are kept for it.
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

    /// Closes the source for good: the connection is dropped, and the iteration ends, also if it has not handed out what
    /// was received.
    ///
    /// May be called from anywhere, also by the reader and while it is busy.
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

    /// Drops the connection and connects again at once, with the last event ID; nothing is reported as an error.
    ///
    /// A wait for the next attempt ends, too. What was received is still handed out. Without an iteration nothing
    /// happens.
    public func restart() {
        state.withLock { $0.run }?.restart()
    }

    // MARK: - Iterations

    /// Begins an iteration; nil if the source is closed for good.
    func begin(wantsMessages: Bool) throws(EventSourceError) -> EventSourceRun? {
        let address: HTTPAddress
        do {
            address = try HTTPAddress(url)
        } catch {
            throw EventSourceError(
                .invalidURL,
                "The URL of an event source has to be absolute, of HTTP or HTTPS: "
                    + "\(HTTPAddress.redacted(url).debugDescription)."
            )
        }
        let begun = state.withLock { state -> (Result<EventSourceRun?, EventSourceError>) in
            if state.isClosed { return .success(nil) }
            if state.run != nil {
                return .failure(
                    EventSourceError(
                        .alreadyIterated,
                        "This event source is being iterated already: make one for each reader, or share its events."
                    )
                )
            }
            let run = EventSourceRun(lastEventID: state.lastEventID, wantsMessages: wantsMessages)
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
        let machine = ConnectionMachine(address: address, configuration: configuration, lastEventID: run.lastEventID)
        // Ends when the run is closed, which the iterator does that it belongs to, at the latest when it goes.
        Task { await driver.drive(machine) }
        return run
    }

    /// An iteration has ended, or was left.
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
