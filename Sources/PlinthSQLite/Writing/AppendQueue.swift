// SPDX-License-Identifier: Apache-2.0

#if SQLite
import DequeModule
import Dispatch
import PlinthHub
import PlinthStreams
import Synchronization

/// An append that waits for its commit, or is part of one; answered once.
final class PendingAppend: Sendable {
    let request: AppendRequest
    let deadline: MonotonicTime
    /// The bytes of its events.
    let bytes: Int
    private let state: Mutex<(continuation: CheckedContinuation<AppendResult, any Error>?, isTaken: Bool)>

    init(
        _ request: AppendRequest,
        deadline: MonotonicTime,
        _ continuation: CheckedContinuation<AppendResult, any Error>
    ) {
        self.request = request
        self.deadline = deadline
        bytes = request.events.reduce(0) { $0 + $1.bytes.count }
        state = Mutex((continuation, false))
    }

    /// Begins the commit; false if the append has already failed, and must not be taken any more.
    func take() -> Bool {
        state.withLock { state in
            state.isTaken = true
            return state.continuation != nil
        }
    }

    func finish(_ result: Result<AppendResult, any Error>) {
        let continuation = state.withLock { state in
            defer { state.continuation = nil }
            return state.continuation
        }
        continuation?.resume(with: result)
    }

    /// Answers an append that has waited too long.
    func expire() {
        let (continuation, isTaken) = state.withLock { state in
            defer { state.continuation = nil }
            return (state.continuation, state.isTaken)
        }
        let error =
            isTaken
            ? HistoryError(
                .outcomeUnknown,
                "the history's disk has not answered in time; the events may be taken later"
            )
            : HistoryError(.notTaken, "the history is too busy to take the events in time; send them again")
        continuation?.resume(throwing: error)
    }
}

/// What the writer is to do, in order.
///
/// Appends that arrive while others are committed are committed together next.
final class AppendQueue: Sendable {
    enum Job: Sendable {
        case append(PendingAppend)
        case other(@Sendable () -> Void)
    }

    private struct State {
        var jobs: Deque<Job> = []
        /// The appends not yet answered, the oldest first.
        var waiting: Deque<PendingAppend> = []
        var isRunning = false
        var isWatching = false
    }

    /// The most events and bytes of one commit, unless one request has more: about ten milliseconds of work.
    static let maximumEvents = 4096
    static let maximumBytes = 2 << 20

    private let queue = DispatchQueue(label: "plinth.history.writer")
    private let state = Mutex(State())
    private let timeout: Duration
    private let clock: StoreClock
    private let commit: @Sendable ([PendingAppend]) -> Void

    /// Creates a queue.
    ///
    /// - Parameters:
    ///   - timeout: How long an append waits at most.
    ///   - clock: The time.
    ///   - commit: Commits appends and answers them; called on the queue's thread, as all jobs are.
    init(timeout: Duration, clock: StoreClock, commit: @escaping @Sendable ([PendingAppend]) -> Void) {
        self.timeout = timeout
        self.clock = clock
        self.commit = commit
    }

    func append(_ request: AppendRequest) async throws -> AppendResult {
        try await withCheckedThrowingContinuation { continuation in
            let pending = PendingAppend(request, deadline: clock.monotonic() + timeout, continuation)
            let starts = state.withLock { state in
                state.jobs.append(.append(pending))
                state.waiting.append(pending)
                let starts = (runs: !state.isRunning, watches: !state.isWatching)
                state.isRunning = true
                state.isWatching = true
                return starts
            }
            if starts.runs { queue.async { self.run() } }
            if starts.watches { watch() }
        }
    }

    /// Runs a closure on the writer's thread, after all that was asked before, and returns its result.
    func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            add { continuation.resume(with: Swift.Result { try body() }) }
        }
    }

    func add(_ body: @escaping @Sendable () -> Void) {
        let starts = state.withLock { state in
            state.jobs.append(.other(body))
            defer { state.isRunning = true }
            return !state.isRunning
        }
        if starts { queue.async { self.run() } }
    }

    /// The number of appends that are not answered; for tests.
    var waitingCount: Int { state.withLock { $0.waiting.count { !$0.isFinished } } }

    private func run() {
        while let next = next() {
            switch next {
            case .appends(let appends): commit(appends)
            case .other(let body): body()
            }
        }
    }

    private enum Next {
        case appends([PendingAppend])
        case other(@Sendable () -> Void)
    }

    private func next() -> Next? {
        state.withLock { state in
            var appends: [PendingAppend] = []
            var events = 0
            var bytes = 0
            loop: while let job = state.jobs.first {
                switch job {
                case .other(let body):
                    guard appends.isEmpty else { break loop }
                    state.jobs.removeFirst()
                    return .other(body)
                case .append(let pending):
                    let count = pending.request.events.count
                    guard
                        appends.isEmpty
                            || (events + count <= Self.maximumEvents && bytes + pending.bytes <= Self.maximumBytes)
                    else { break loop }
                    state.jobs.removeFirst()
                    guard !pending.isFinished else { continue }
                    appends.append(pending)
                    events += count
                    bytes += pending.bytes
                }
            }
            guard appends.isEmpty else { return .appends(appends) }
            state.isRunning = false
            return nil
        }
    }

    /// Looks for appends that wait too long, while there are any.
    ///
    /// By a timer, since the writer's thread may hang in the disk.
    private func watch() {
        let step = Int(min(timeout, .seconds(1)) / .milliseconds(1))
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(step + 1)) {
            if self.failLate() { self.watch() }
        }
    }

    /// Answers appends that have waited too long.
    ///
    /// - Returns: Whether others wait; if none does, they are looked for again from the next append on.
    @discardableResult
    func failLate() -> Bool {
        let now = clock.monotonic()
        var late: [PendingAppend] = []
        let goesOn = state.withLock { state in
            while let first = state.waiting.first, first.isFinished || first.deadline <= now {
                state.waiting.removeFirst()
                late.append(first)
            }
            // What they would have published is not kept for a writer that hangs.
            if late.last.map({ $0.deadline <= now }) ?? false {
                state.jobs.removeAll { if case .append(let pending) = $0 { pending.deadline <= now } else { false } }
            }
            state.isWatching = !state.waiting.isEmpty
            return state.isWatching
        }
        for pending in late { pending.expire() }
        return goesOn
    }
}

extension PendingAppend {
    fileprivate var isFinished: Bool { state.withLock { $0.continuation == nil } }
}
#endif
