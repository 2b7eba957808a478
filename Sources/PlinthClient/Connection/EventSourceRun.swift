// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// One iteration of an event source: what its driver has parsed and its reader has not taken.
///
/// The driver appends to a batch; the reader takes the whole batch when it has handed out the one before. The driver
/// waits while a batch weighs ``bound``, so that a slow reader slows the socket, and memory is bounded by two batches
/// and one read. Neither takes a lock for an event.
final class EventSourceRun: Sendable {
    /// What the driver's current operation was interrupted for.
    enum Interruption: Sendable {
        case restart
        case idleTimeout
        case responseTimeout
        /// The server was too slow to say why it refuses.
        case reasonTimeout
    }

    /// What a batch may weigh before the driver waits.
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
        /// How many attempts have begun.
        var attempts = 0
        /// The number of the attempt that is under way.
        var attempt: Int?
        /// Cancels what the driver is doing.
        var operation: (@Sendable () -> Void)?
    }

    private let state: Mutex<State>
    /// How many events of the taken batch have been handed out.
    private let consumed = Atomic<Int>(0)
    /// Nothing is handed out any more.
    private let isClosedFlag = Atomic<Bool>(false)

    /// Whether the reader takes marks besides events.
    let wantsMessages: Bool

    init(lastEventID: String, wantsMessages: Bool) {
        state = Mutex(State(lastEventID: lastEventID))
        self.wantsMessages = wantsMessages
    }

    // MARK: - The reader's side

    /// Whether nothing is handed out any more; asked for each event.
    var isClosed: Bool { isClosedFlag.load(ordering: .relaxed) }

    /// So many events of the batch have been handed out.
    func didHandOut(_ count: Int) {
        consumed.store(count, ordering: .relaxed)
    }

    /// Takes the next batch when there is one.
    ///
    /// - Returns: Nil at the end.
    /// - Throws: The error with which the source failed for good.
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

    /// The last event ID as of the last event that was handed out.
    var lastEventID: String {
        state.withLock { state in
            let consumed = consumed.load(ordering: .relaxed)
            let id = Self.lastEventID(state, consumed: consumed)
            // Blocks without data move it, and wake nobody.
            if consumed >= state.taken.count, state.pending.events.isEmpty { return state.pending.lastEventID ?? id }
            return id
        }
    }

    private static func lastEventID(_ state: State, consumed: Int) -> String {
        if consumed >= state.taken.count { return state.takenEnd ?? state.lastEventID }
        return consumed > 0 ? state.taken[consumed - 1].lastEventID : state.lastEventID
    }

    // MARK: - From anywhere

    /// Ends it at once: what has not been handed out is dropped, and the driver stops.
    func close() {
        let (reader, writer, operation) = state.withLock { state in
            isClosedFlag.store(true, ordering: .relaxed)
            defer { (state.reader, state.writer, state.operation) = (nil, nil, nil) }
            return (state.reader, state.writer, state.operation)
        }
        reader?.resume()
        writer?.resume()
        operation?()
    }

    /// Interrupts what the driver is doing, for a new connection.
    func restart() {
        interrupt(.restart) { _ in true }
    }

    /// Interrupts an attempt whose time is over.
    ///
    /// - Parameters:
    ///   - interruption: What ran out.
    ///   - attempt: The number of the attempt. A timer that fires when its attempt has ended does nothing: neither to the
    ///     attempt's outcome nor to the wait or the attempt that follows.
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

    /// Appends to what the reader takes next.
    func push(_ batch: EventBatch) {
        let reader = state.withLock { state -> Waiter? in
            if isClosed { return nil }
            state.pending.append(batch)
            guard !state.pending.isEmpty else {
                // Bytes of an event that goes on are the parser's to bound.
                state.pending.weight = 0
                return nil
            }
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    /// The source is done; the reader still gets what it has not taken.
    func finish(_ error: EventSourceError?) {
        let reader = state.withLock { state -> Waiter? in
            state.isFinished = true
            state.error = error
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume()
    }

    /// Waits until the reader has taken the batch, if that is at its bound, or until it is closed or interrupted.
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

    /// Runs a task of the driver's that can be interrupted, which cancels it.
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

    /// Whether it is interrupted, or closed.
    var isInterrupted: Bool { state.withLock { isClosed || $0.interruption != nil } }

    /// Begins an attempt, with a number that its timers are bound to.
    func beginAttempt() -> Int {
        state.withLock { state in
            state.attempts += 1
            state.attempt = state.attempts
            return state.attempts
        }
    }

    /// Ends the attempt: what its timers do from now on is too late.
    ///
    /// - Returns: What it was interrupted for; nil if it was not.
    func endAttempt() -> Interruption? {
        state.withLock { state in
            defer { (state.attempt, state.interruption) = (nil, nil) }
            return state.interruption
        }
    }

    /// Whether a restart was asked for during a wait, which is then dealt with.
    func takeRestart() -> Bool {
        state.withLock { state in
            defer { state.interruption = nil }
            return state.interruption == .restart
        }
    }
}
