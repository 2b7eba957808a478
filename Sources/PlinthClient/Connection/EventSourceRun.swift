// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// One iteration of an event source: the buffer between its driver and its reader.
///
/// The driver appends to a batch; the reader takes the whole batch once it has delivered the previous one. The driver
/// waits while the batch weighs at least ``bound``, so a slow reader slows the socket, and memory is bounded by two
/// batches and one read. Neither side locks per event.
final class EventSourceRun: Sendable {
    /// Why the driver's current operation was interrupted.
    enum Interruption: Sendable {
        case restart
        case idleTimeout
        case responseTimeout
        /// The body with the server's reason did not arrive in time.
        case reasonTimeout
    }

    /// The batch weight at which the driver waits.
    static let bound = 64 * 1024

    private struct State {
        var pending = EventBatch()
        var lastEventID: String
        var taken: [EventSource.Event] = []
        var takenEnd: String?
        var reader: CheckedContinuation<Void, Never>?
        var writer: CheckedContinuation<Void, Never>?
        var isFinished = false
        var error: EventSourceError?
        var interruption: Interruption?
        /// The number of attempts started.
        var attempts = 0
        /// The number of the current attempt; nil between attempts.
        var attempt: Int?
        /// Cancels the driver's current operation.
        var operation: (@Sendable () -> Void)?
        /// Cancels the reader's closure.
        var closure: (@Sendable () -> Void)?
        /// The mark after which the driver continues.
        var mark: String?
    }

    private let state: Mutex<State>
    /// The number of events delivered from the taken batch.
    private let consumed = Atomic<Int>(0)
    /// Set once nothing more is delivered.
    private let isClosedFlag = Atomic<Bool>(false)

    /// What the reader receives.
    let reading: Reading

    init(lastEventID: String, _ reading: Reading) {
        var initial = State(lastEventID: lastEventID)
        if case .following = reading { initial.pending.asksForState = true }
        state = Mutex(initial)
        self.reading = reading
    }

    // MARK: - The reader's side

    /// Whether delivery has ended; read for each event.
    var isClosed: Bool { isClosedFlag.load(ordering: .relaxed) }

    /// Records how many events of the batch have been delivered.
    func didHandOut(_ count: Int) {
        consumed.store(count, ordering: .relaxed)
    }

    /// Waits for the next batch and takes it.
    ///
    /// - Returns: Nil at the end.
    /// - Throws: The error with which the source failed permanently.
    func take() async throws(EventSourceError) -> EventBatch? {
        while true {
            let (taken, writer) = state.withLock { state -> (Result<EventBatch?, EventSourceError>?, Waiter?) in
                if isClosed { return (.success(nil), nil) }
                if !state.pending.isEmpty {
                    let batch = state.pending
                    state.pending = EventBatch()
                    state.lastEventID = Self.lastEventID(state, consumed: state.taken.count)
                    state.taken = batch.events
                    state.takenEnd = batch.lastEventID
                    consumed.store(0, ordering: .relaxed)
                    let writer = state.writer
                    state.writer = nil
                    return (.success(batch), writer)
                }
                if state.isFinished {
                    let error = state.error
                    state.error = nil
                    return (error.map { .failure($0) } ?? .success(nil), nil)
                }
                return (nil, nil)
            }
            writer?.resume()
            if let taken { return try taken.get() }
            await waitForBatch()
        }
    }

    private typealias Waiter = CheckedContinuation<Void, Never>

    private func waitForBatch() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if isClosed || !state.pending.isEmpty || state.isFinished { return true }
                    state.reader = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        } onCancel: {
            close()
        }
    }

    /// Calls a closure of the reader in a task, which ``close()`` cancels.
    func call<Result: Sendable>(_ closure: @escaping @Sendable () async throws -> Result) async throws -> Result {
        // Unstructured, since any task may close the run; awaited here.
        let task = Task { try await closure() }
        let isTooLate = state.withLock { state in
            if isClosed { return true }
            state.closure = { task.cancel() }
            return false
        }
        if isTooLate { task.cancel() }
        defer { state.withLock { $0.closure = nil } }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            close()
        }
    }

    /// Lets the driver continue after a mark, which becomes the last event ID.
    func resume(after mark: String) {
        let writer = state.withLock { state in
            state.lastEventID = mark
            (state.taken, state.takenEnd) = ([], nil)
            state.mark = mark
            consumed.store(0, ordering: .relaxed)
            defer { state.writer = nil }
            return state.writer
        }
        writer?.resume()
    }

    /// The last event ID as of the last delivered event.
    var lastEventID: String {
        state.withLock { state in
            let consumed = consumed.load(ordering: .relaxed)
            let id = Self.lastEventID(state, consumed: consumed)
            // Blocks without data change it without waking the reader.
            if consumed >= state.taken.count, state.pending.events.isEmpty { return state.pending.lastEventID ?? id }
            return id
        }
    }

    private static func lastEventID(_ state: State, consumed: Int) -> String {
        if consumed >= state.taken.count { return state.takenEnd ?? state.lastEventID }
        return consumed > 0 ? state.taken[consumed - 1].lastEventID : state.lastEventID
    }

    // MARK: - From anywhere

    /// Ends the run at once: drops what has not been delivered and stops the driver.
    func close() {
        let (reader, writer, operation, closure) = state.withLock { state in
            isClosedFlag.store(true, ordering: .relaxed)
            defer { (state.reader, state.writer, state.operation, state.closure) = (nil, nil, nil, nil) }
            return (state.reader, state.writer, state.operation, state.closure)
        }
        reader?.resume()
        writer?.resume()
        operation?()
        closure?()
    }

    /// Interrupts the driver's current operation, for a new connection.
    func restart() {
        interrupt(.restart) { _ in true }
    }

    /// Interrupts an attempt that timed out.
    ///
    /// - Parameters:
    ///   - interruption: The timeout that fired.
    ///   - attempt: The number of the attempt. A timer that fires after its attempt has ended has no effect on the
    ///     attempt's outcome, the wait that follows, or the next attempt.
    func interrupt(_ interruption: Interruption, of attempt: Int) {
        interrupt(interruption) { $0.attempt == attempt }
    }

    private func interrupt(_ interruption: Interruption, if isCurrent: (State) -> Bool) {
        let (writer, operation) = state.withLock { state -> (Waiter?, (@Sendable () -> Void)?) in
            guard isCurrent(state) else { return (nil, nil) }
            if state.interruption != .restart { state.interruption = interruption }
            defer { (state.writer, state.operation) = (nil, nil) }
            return (state.writer, state.operation)
        }
        writer?.resume()
        operation?()
    }

    // MARK: - The driver's side

    /// Appends to the batch that the reader takes next.
    func push(_ batch: EventBatch) {
        let reader = state.withLock { state -> Waiter? in
            if isClosed { return nil }
            state.pending.append(batch)
            guard !state.pending.isEmpty else {
                // The parser bounds the bytes of an unfinished event.
                state.pending.weight = 0
                return nil
            }
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    /// Marks the run as finished; the reader still receives what is pending.
    func finish(_ error: EventSourceError?) {
        let reader = state.withLock { state -> Waiter? in
            state.isFinished = true
            state.error = error
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    /// If the batch is at its bound, waits until the reader takes it or the run is closed or interrupted.
    func waitForRoom() async {
        let isFull = state.withLock { $0.pending.weight >= Self.bound }
        guard isFull else { return }
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if isClosed || state.interruption != nil || state.pending.weight < Self.bound { return true }
                state.writer = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
    }

    /// Waits for the mark after which to continue.
    ///
    /// - Returns: Nil if the run is closed.
    func mark() async -> String? {
        while !isClosed {
            if let mark = state.withLock({ $0.mark.take() }) { return mark }
            await withCheckedContinuation { continuation in
                let isReady = state.withLock { state in
                    if isClosed || state.mark != nil { return true }
                    state.writer = continuation
                    return false
                }
                if isReady { continuation.resume() }
            }
        }
        return nil
    }

    /// Awaits a task of the driver; an interruption cancels it.
    func interruptible<Result: Sendable>(_ task: Task<Result, Never>) async -> Result {
        let isInterrupted = state.withLock { state in
            if isClosed || state.interruption != nil { return true }
            state.operation = { task.cancel() }
            return false
        }
        if isInterrupted { task.cancel() }
        let result = await task.value
        state.withLock { $0.operation = nil }
        return result
    }

    /// Whether the run is interrupted or closed.
    var isInterrupted: Bool { state.withLock { isClosed || $0.interruption != nil } }

    /// Starts an attempt and returns its number, to which its timers are bound.
    func beginAttempt() -> Int {
        state.withLock { state in
            state.attempts += 1
            state.attempt = state.attempts
            return state.attempts
        }
    }

    /// Ends the attempt; its timers no longer have an effect.
    ///
    /// - Returns: Why it was interrupted; nil if it was not.
    func endAttempt() -> Interruption? {
        state.withLock { state in
            defer { (state.attempt, state.interruption) = (nil, nil) }
            return state.interruption
        }
    }

    /// Returns whether a restart was requested during a wait, and clears the request.
    func takeRestart() -> Bool {
        state.withLock { state in
            defer { state.interruption = nil }
            return state.interruption == .restart
        }
    }
}
