// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthHub

/// The state that the reactor's thread shares with other threads, under the reactor's lock.
struct ReactorState {
    enum Phase {
        /// The thread has not started.
        case idle
        case running
        /// The thread has been asked to end.
        case stopping
        /// There is no thread, and no work is left.
        case stopped
    }

    /// The initial state of a thread.
    struct Plan {
        let history: any History
        let options: StreamOptions
        let head: Position
    }

    /// A socket that the thread has not taken yet.
    struct HandOff {
        let socket: StreamSocket
        let request: StreamRequest
    }

    /// A request to the thread.
    enum Command {
        case end(StreamPredicate, StreamEnd)
        case drain
        case countBehind(CheckedContinuation<Int, Never>)
    }

    /// The result of a history read.
    struct Answer {
        let request: Distributor.ReadRequest
        /// Nil if the read failed.
        let result: HistoryAnswer?
    }

    /// Work queued for the thread.
    struct Work {
        var handOffs: [HandOff] = []
        var entries = PendingEntries()
        var answers: [Answer] = []
        var commands: [Command] = []

        var isEmpty: Bool { handOffs.isEmpty && entries.isEmpty && answers.isEmpty && commands.isEmpty }
    }

    var phase = Phase.idle
    /// Released when the thread starts: the history retains its delivery closure, and with it the reactor; keeping the
    /// history here would be a retain cycle.
    private var plan: Plan?
    var isDraining = false
    /// Whether the thread checks ``work`` before it next waits, and so need not be woken.
    private var isAwake = true
    /// The turns at whose end the thread will be woken, if it still has to be; one for each event loop at most.
    private var promises: [Turn.ID] = []
    private var work = Work()
    /// Sockets handed off whose owners have not been notified of their end.
    private(set) var open = 0
    var lingering = 0
    /// The most sockets with unread input at the end of any turn.
    var mostUnread = 0
    var tally = DeliveryTally()
    /// Callers that wait until ``open`` is 0.
    private var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    private var nextWaiter: UInt64 = 0

    init(_ plan: Plan) {
        self.plan = plan
    }

    /// Whether new work is accepted.
    private var isOpen: Bool { phase == .idle || phase == .running }

    /// Whether the caller must wake the thread for the work just added.
    private mutating func wakes() -> Bool {
        guard !isAwake else { return false }
        isAwake = true
        return true
    }

    // MARK: - Start and end

    /// Called before the thread is created; returns nil if it must not be.
    mutating func begin() -> Plan? {
        guard phase == .idle, let plan else { return nil }
        phase = .running
        self.plan = nil
        return plan
    }

    /// The thread could not be created.
    ///
    /// - Returns: Whether the reactor has been stopped since ``begin()``.
    mutating func didNotBegin(_ plan: Plan) -> Bool {
        guard phase == .running else { return true }
        phase = .idle
        self.plan = plan
        return false
    }

    /// No work is left, and no more is accepted.
    mutating func end() {
        phase = .stopped
        plan = nil
    }

    // MARK: - From other threads; each returns whether to wake the thread

    /// - Parameters:
    ///   - entries: Events in order.
    ///   - turn: The caller's turn, at whose end it wakes the thread if ``keepPromise(_:)`` then still says so; nil if
    ///     it wakes it now.
    /// - Returns: Whether the caller wakes the thread, now or then.
    mutating func add(_ entries: [HistoryEntry], in turn: Turn.ID?) -> Bool {
        guard isOpen, !entries.isEmpty else { return false }
        work.entries.add(entries)
        return wakes(in: turn)
    }

    /// A turn does not rely on another one's promise: that one may last.
    private mutating func wakes(in turn: Turn.ID?) -> Bool {
        guard let turn else { return wakes() }
        guard !isAwake, !promises.contains(turn) else { return false }
        promises.append(turn)
        return true
    }

    /// Whether the thread still has to be woken for what was added: other work may have woken it.
    mutating func keepPromise(_ turn: Turn.ID) -> Bool {
        promises.removeAll { $0 == turn }
        return !work.isEmpty && wakes()
    }

    /// - Returns: Whether the caller wakes the thread, as for entries; nil if the socket is refused.
    mutating func add(_ handOff: HandOff, in turn: Turn.ID?) -> Bool? {
        guard isOpen, !isDraining else { return nil }
        work.handOffs.append(handOff)
        open += 1
        return wakes(in: turn)
    }

    mutating func add(_ answer: Answer) -> Bool {
        guard isOpen else { return false }
        work.answers.append(answer)
        return wakes()
    }

    /// - Returns: Nil if the reactor is stopping or stopped.
    mutating func add(_ command: Command) -> Bool? {
        guard isOpen else { return nil }
        work.commands.append(command)
        return wakes()
    }

    mutating func stop() -> Bool {
        guard phase == .running else { return false }
        phase = .stopping
        return wakes()
    }

    // MARK: - The reactor's thread

    /// Takes all queued work, and marks the thread as awake.
    mutating func take() -> Work {
        isAwake = true
        guard !work.isEmpty else { return Work() }
        defer { work = Work() }
        return work
    }

    /// Whether the thread may wait; if so, marks it as asleep.
    mutating func mayWait() -> Bool {
        guard work.isEmpty, phase == .running else { return false }
        isAwake = false
        return true
    }

    /// Counts off closed sockets whose owners have been notified.
    ///
    /// - Returns: The waiters, if no socket is left.
    mutating func didTell(_ count: Int) -> [CheckedContinuation<Void, Never>] {
        open = max(0, open - count)
        guard open == 0, !waiters.isEmpty else { return [] }
        defer { waiters = [:] }
        return Array(waiters.values)
    }

    // MARK: - Waiting

    /// A key for a new waiter.
    mutating func makeWaiter() -> UInt64 {
        nextWaiter &+= 1
        return nextWaiter
    }

    /// - Returns: Whether the waiter is to resume at once.
    mutating func add(_ waiter: UInt64, _ continuation: CheckedContinuation<Void, Never>, isCancelled: Bool) -> Bool {
        if open == 0 || isCancelled { return true }
        waiters[waiter] = continuation
        return false
    }

    mutating func removeWaiter(_ waiter: UInt64) -> CheckedContinuation<Void, Never>? {
        waiters.removeValue(forKey: waiter)
    }
}

#endif
