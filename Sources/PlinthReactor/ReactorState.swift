// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthHub

/// What other threads hand to the reactor's, and what it lets them know; under the reactor's lock.
struct ReactorState {
    enum Phase {
        /// Its thread has not begun.
        case idle
        case running
        /// Its thread is told to end.
        case stopping
        /// There is no thread any more, and nothing is left.
        case stopped
    }

    /// What a thread begins with.
    struct Plan {
        let history: any History
        let options: StreamOptions
        let head: Position
    }

    /// A socket on its way in.
    struct HandOff {
        let socket: StreamSocket
        let request: StreamRequest
    }

    /// What the thread is asked to do.
    enum Command {
        case end(@Sendable (Selection) -> Bool, StreamEnd)
        case drain
        case countBehind(CheckedContinuation<Int, Never>)
    }

    /// What history has answered.
    struct Answer {
        let request: Distributor.ReadRequest
        /// Nil if it could not be read.
        let batch: HistoryBatch?
    }

    /// All that waits for the thread.
    struct Work {
        var handOffs: [HandOff] = []
        var entries = PendingEntries()
        var answers: [Answer] = []
        var commands: [Command] = []

        var isEmpty: Bool { handOffs.isEmpty && entries.isEmpty && answers.isEmpty && commands.isEmpty }
    }

    var phase = Phase.idle
    /// Kept until the thread begins, and not by the reactor then: the history holds whom it tells of events, and the two
    /// would keep each other for ever.
    private var plan: Plan?
    var isDraining = false
    /// Whether the thread looks at ``work`` before it waits again, so that nobody needs to wake it.
    private var isAwake = true
    private var work = Work()
    /// Sockets that were adopted and whose end has not been told yet.
    private(set) var open = 0
    var lingering = 0
    /// The most sockets that had more input than a turn reads, at the end of any turn.
    var mostUnread = 0
    var tally = DeliveryTally()
    /// Who waits until ``open`` is 0.
    private var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    private var nextWaiter: UInt64 = 0

    init(_ plan: Plan) {
        self.plan = plan
    }

    /// Whether anything more is taken.
    private var isOpen: Bool { phase == .idle || phase == .running }

    /// Whether the thread is to be woken for what was just put in.
    private mutating func wakes() -> Bool {
        guard !isAwake else { return false }
        isAwake = true
        return true
    }

    // MARK: - Beginning and end

    /// The thread is about to begin; nil if it is not to.
    mutating func begin() -> Plan? {
        guard phase == .idle, let plan else { return nil }
        phase = .running
        self.plan = nil
        return plan
    }

    /// There was no thread for it.
    ///
    /// - Returns: Whether it has been stopped since it was about to begin.
    mutating func didNotBegin(_ plan: Plan) -> Bool {
        guard phase == .running else { return true }
        phase = .idle
        self.plan = plan
        return false
    }

    /// Nothing is left, and nobody looks for more.
    mutating func end() {
        phase = .stopped
        plan = nil
    }

    // MARK: - From other threads; each returns whether to wake the reactor

    mutating func add(_ entries: [HistoryEntry]) -> Bool {
        guard isOpen, !entries.isEmpty else { return false }
        work.entries.add(entries)
        return wakes()
    }

    /// - Returns: Nil if the socket is refused.
    mutating func add(_ handOff: HandOff) -> Bool? {
        guard isOpen, !isDraining else { return nil }
        work.handOffs.append(handOff)
        open += 1
        return wakes()
    }

    mutating func add(_ answer: Answer) -> Bool {
        guard isOpen else { return false }
        work.answers.append(answer)
        return wakes()
    }

    /// - Returns: Nil if there is nobody to do it any more.
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

    /// Takes what there is; from now on the thread is awake.
    mutating func take() -> Work {
        isAwake = true
        guard !work.isEmpty else { return Work() }
        defer { work = Work() }
        return work
    }

    /// Whether the thread may wait until it is woken.
    mutating func mayWait() -> Bool {
        guard work.isEmpty, phase == .running else { return false }
        isAwake = false
        return true
    }

    /// So many sockets are closed, and their owners told.
    ///
    /// - Returns: Who waited for the last of them.
    mutating func didTell(_ count: Int) -> [CheckedContinuation<Void, Never>] {
        open = max(0, open - count)
        guard open == 0, !waiters.isEmpty else { return [] }
        defer { waiters = [:] }
        return Array(waiters.values)
    }

    // MARK: - Waiting

    /// A name for somebody who will wait.
    mutating func makeWaiter() -> UInt64 {
        nextWaiter &+= 1
        return nextWaiter
    }

    /// - Returns: Whether there is nothing to wait for.
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
