// SPDX-License-Identifier: Apache-2.0

/// A clock whose time passes only when a test says so.
///
/// Give it to the code under test in place of `ContinuousClock`, and to ``Plinth/Chain/eventStream(for:clock:stalled:timeout:)``,
/// so that heartbeats and time limits of the stream go by the same time:
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
    /// A moment of a manual clock.
    public struct Instant: InstantProtocol {
        /// How long after the clock's start it is.
        public var offset: Duration

        /// A moment at some time after the clock's start.
        ///
        /// - Parameter offset: The time since the start; none unless given.
        public init(offset: Duration = .zero) {
            self.offset = offset
        }

        /// The moment a duration later.
        ///
        /// - Parameter duration: The duration.
        /// - Returns: The moment.
        public func advanced(by duration: Duration) -> Instant {
            Instant(offset: offset + duration)
        }

        /// The time from here to another moment.
        ///
        /// - Parameter other: The other moment.
        /// - Returns: The time, negative if the other moment is earlier.
        public func duration(to other: Instant) -> Duration {
            other.offset - offset
        }

        /// Whether a moment is before another.
        ///
        /// - Parameters:
        ///   - lhs: A moment.
        ///   - rhs: Another moment.
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
        /// Those cancelled before they were asleep.
        var cancelled: Set<Int> = []
        var tickers: [ObjectIdentifier: any ManualTicker] = [:]
    }

    private let state: Watched<State>

    /// A clock that stands still.
    ///
    /// - Parameter now: Its time; its start unless given.
    public init(now: Instant = Instant()) {
        state = Watched(State(now: now))
    }

    /// The time that it has been advanced to.
    public var now: Instant { state.read(\.now) }

    /// A nanosecond.
    public var minimumResolution: Duration { .nanoseconds(1) }

    /// Waits until the clock has been advanced to a moment.
    ///
    /// - Parameters:
    ///   - deadline: The moment. One that has come is not waited for.
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
        // A cancellation that came when it was awake already has left a mark.
        state.update { _ = $0.cancelled.remove(id) }
    }

    // MARK: - For tests

    /// How many tasks sleep.
    public var sleeperCount: Int { state.read { $0.sleepers.count } }

    /// Waits until tasks sleep, so that time can be advanced past their deadlines.
    ///
    /// - Parameters:
    ///   - count: How many tasks, at least; one unless given.
    ///   - timeout: The longest wait, in real time; 5 seconds unless given.
    /// - Throws: ``TestTimeout`` if they do not; `CancellationError` if the task is cancelled.
    public func waitForSleepers(_ count: Int = 1, timeout: Duration = .seconds(5)) async throws {
        let found: Void? = try await state.wait(within: timeout) { $0.sleepers.count >= count ? () : nil }
        guard found == nil else { return }
        throw TestTimeout("awaited \(count) sleeping on the manual clock; there are \(sleeperCount) after \(timeout)")
    }

    /// Lets time pass: wakes those whose deadline comes, in the order of their deadlines.
    ///
    /// Whoever wakes runs some time after; one that sleeps again does so from the new time. To see each step of a loop,
    /// advance by a step, and wait for what the loop does or with ``waitForSleepers(_:timeout:)`` before the next.
    ///
    /// - Parameter duration: How much time; nothing happens if it is negative.
    public func advance(by duration: Duration) {
        advance(to: now.advanced(by: duration))
    }

    /// Lets time pass up to a moment, as ``advance(by:)`` does.
    ///
    /// - Parameter target: The moment; nothing happens if it has passed.
    public func advance(to target: Instant) {
        while step(to: target) {}
    }

    /// Goes on to the next deadline, or to the target if there is none before.
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

    /// Has a ticker looked at when its deadline comes, until it is removed.
    func add(_ ticker: any ManualTicker) {
        state.update { $0.tickers[ObjectIdentifier(ticker)] = ticker }
    }

    func remove(_ ticker: any ManualTicker) {
        state.update { $0.tickers[ObjectIdentifier(ticker)] = nil }
    }
}

/// Something that happens by the time of a manual clock.
protocol ManualTicker: AnyObject, Sendable {
    /// When to look at it next, since the clock's start.
    var deadline: Duration { get }

    /// Its time has come. Afterwards its deadline is later.
    func tick(at now: Duration)
}

/// What a test waited for did not come in time.
public struct TestTimeout: Error, CustomStringConvertible {
    /// What was awaited, and what there was instead.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}
