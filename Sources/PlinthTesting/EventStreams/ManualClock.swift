// SPDX-License-Identifier: Apache-2.0

/// A clock that advances only when a test advances it.
///
/// Pass it to the code under test in place of `ContinuousClock`, and to
/// ``Plinth/Chain/eventStream(for:clock:stalled:timeout:)``, so that the stream's heartbeats and time limits use the
/// same time:
///
/// ```swift
/// let clock = ManualClock()
/// let chain = Chain([.eventStream("ticks") { events, _ in
///     while await events.send("tick") { try await clock.sleep(for: .seconds(1)) }
/// }])
/// let stream = try await chain.eventStream(for: .get("/ticks"), clock: clock)
/// try await stream.expectEvent(data: "tick")
/// try await clock.waitForSleepers()
/// clock.advance(by: .seconds(1))
/// try await stream.expectEvent(data: "tick")
/// ```
public final class ManualClock: Clock, Sendable {
    /// A point in time of a manual clock.
    public struct Instant: InstantProtocol {
        /// The time since the clock's start.
        public var offset: Duration

        /// Creates an instant.
        ///
        /// - Parameter offset: The time since the clock's start. Default: zero.
        public init(offset: Duration = .zero) {
            self.offset = offset
        }

        /// Returns the instant that is a duration later.
        ///
        /// - Parameter duration: The duration to add.
        /// - Returns: The later instant.
        public func advanced(by duration: Duration) -> Instant {
            Instant(offset: offset + duration)
        }

        /// Returns the duration to another instant.
        ///
        /// - Parameter other: The other instant.
        /// - Returns: The duration, negative if the other instant is earlier.
        public func duration(to other: Instant) -> Duration {
            other.offset - offset
        }

        /// Orders instants by offset.
        ///
        /// - Parameters:
        ///   - lhs: An instant.
        ///   - rhs: Another instant.
        /// - Returns: True if the first is earlier.
        public static func < (lhs: Instant, rhs: Instant) -> Bool {
            lhs.offset < rhs.offset
        }
    }

    private struct Sleeper {
        let id: Int
        let deadline: Instant
        let continuation: CheckedContinuation<Void, any Error>
    }

    private struct State: Sendable {
        var now: Instant
        var lastID = 0
        var sleepers: [Sleeper] = []
        /// IDs of sleepers that were cancelled before they slept.
        var cancelled: Set<Int> = []
        var tickers: [ObjectIdentifier: any ManualTicker] = [:]

        /// Asks the tickers under the clock's lock: they must not call the clock under a lock of theirs.
        var sleeperCount: Int { sleepers.count + tickers.values.reduce(0) { $0 + $1.sleeperCount } }
    }

    private let state: Watched<State>

    /// Creates a stopped clock.
    ///
    /// - Parameter now: The current time. Default: the clock's start.
    public init(now: Instant = Instant()) {
        state = Watched(State(now: now))
    }

    /// The current time.
    public var now: Instant { state.read(\.now) }

    /// One nanosecond.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// Suspends until the clock is advanced to the deadline.
    ///
    /// - Parameters:
    ///   - deadline: The deadline. If it has passed, the call returns immediately.
    ///   - tolerance: Ignored.
    /// - Throws: `CancellationError` if the task is cancelled.
    public func sleep(until deadline: Instant, tolerance: Duration? = nil) async throws {
        let id = state.update { state in
            state.lastID += 1
            return state.lastID
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isCancelled: Bool? = state.update { state in
                    if state.cancelled.remove(id) != nil { return true }
                    if deadline <= state.now { return false }
                    state.sleepers.append(Sleeper(id: id, deadline: deadline, continuation: continuation))
                    return nil
                }
                switch isCancelled {
                case true?: continuation.resume(throwing: CancellationError())
                case false?: continuation.resume()
                case nil: break
                }
            }
        } onCancel: {
            let sleeper = state.update { state -> Sleeper? in
                guard let index = state.sleepers.firstIndex(where: { $0.id == id }) else {
                    state.cancelled.insert(id)
                    return nil
                }
                return state.sleepers.remove(at: index)
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
        // Removes the mark of a cancellation that came after the sleeper woke.
        state.update { _ = $0.cancelled.remove(id) }
    }

    // MARK: - For tests

    /// The number of sleeping tasks, those in ``/Plinth/EventChannel/sleep(for:)`` included.
    public var sleeperCount: Int { state.read(\.sleeperCount) }

    /// Waits until tasks are sleeping, so that the clock can be advanced past their deadlines.
    ///
    /// - Parameters:
    ///   - count: The minimum number of sleeping tasks. Default: 1.
    ///   - timeout: The timeout, in real time. Default: 30 s.
    /// - Throws: ``TestTimeout`` if fewer tasks sleep within `timeout`; `CancellationError` if the task is cancelled.
    public func waitForSleepers(_ count: Int = 1, timeout: Duration = .seconds(30)) async throws {
        let found: Void? = try await state.wait(within: timeout) { $0.sleeperCount >= count ? () : nil }
        guard found == nil else { return }
        throw TestTimeout("expected \(count) tasks to sleep on the manual clock; \(sleeperCount) do after \(timeout)")
    }

    /// Advances the clock, waking sleepers in the order of their deadlines.
    ///
    /// A woken task resumes asynchronously; if it sleeps again, it does so from the new time. To observe each iteration
    /// of a loop, advance by one step, then wait for its effect or call ``waitForSleepers(_:timeout:)`` before the
    /// next.
    ///
    /// - Parameter duration: The time to advance by. A negative duration has no effect.
    public func advance(by duration: Duration) {
        advance(to: now.advanced(by: duration))
    }

    /// Advances the clock to an instant, as ``advance(by:)`` does.
    ///
    /// - Parameter target: The instant. One in the past has no effect.
    public func advance(to target: Instant) {
        while step(to: target) {}
    }

    /// Advances to the next deadline, or to the target if there is none before it.
    private func step(to target: Instant) -> Bool {
        let tickers = state.read { Array($0.tickers.values) }
        let nextTick = tickers.map { Instant(offset: $0.deadline) }.min()
        let (now, woken) = state.update { state -> (Instant?, [Sleeper]) in
            guard let next = (state.sleepers.map(\.deadline) + (nextTick.map { [$0] } ?? [])).min(), next <= target
            else {
                state.now = max(state.now, target)
                return (nil, [])
            }
            let now = max(state.now, next)
            state.now = now
            let woken = state.sleepers.filter { $0.deadline <= now }
            state.sleepers.removeAll { $0.deadline <= now }
            return (now, woken.sorted { $0.deadline < $1.deadline })
        }
        guard let now else { return false }
        for sleeper in woken { sleeper.continuation.resume() }
        for ticker in tickers where ticker.deadline <= now.offset { ticker.tick(at: now.offset) }
        return true
    }

    // MARK: - For event streams

    /// Schedules a ticker at its deadlines, until it is removed.
    func add(_ ticker: any ManualTicker) {
        state.update { $0.tickers[ObjectIdentifier(ticker)] = ticker }
    }

    func remove(_ ticker: any ManualTicker) {
        state.update { $0.tickers[ObjectIdentifier(ticker)] = nil }
    }

    /// Makes ``waitForSleepers(_:timeout:)`` count again.
    func sleepersChanged() {
        state.update { _ in }
    }
}

/// An object that a manual clock drives.
protocol ManualTicker: AnyObject, Sendable {
    /// The number of tasks that sleep on the ticker's stream.
    var sleeperCount: Int { get }

    /// The next deadline, as the time since the clock's start.
    var deadline: Duration { get }

    /// Called at the deadline; must set a later one.
    func tick(at now: Duration)
}

/// A wait in a test timed out.
public struct TestTimeout: Error, CustomStringConvertible {
    /// What was expected, and what was found instead.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
