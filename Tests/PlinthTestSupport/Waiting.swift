// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// How long tests wait for an expected outcome: long enough for a busy machine, and reached only by failing tests.
package let patience = Duration.seconds(180)

/// A test's wait timed out.
package struct TimedOut: Error, CustomStringConvertible {
    let what: String
    let limit: Duration

    package var description: String { "timed out after \(limit), waiting for \(what)" }
}

/// Runs an operation, and throws ``TimedOut`` if it does not finish within the limit.
///
/// The operation need not react to cancellation: if it does not return, it is abandoned.
package func wait<Result: Sendable>(
    for what: String,
    within limit: Duration = patience,
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    let race = Race<Result>()
    let work = Task {
        do {
            race.settle(.success(try await operation()))
        } catch {
            race.settle(.failure(error))
        }
    }
    let timer = Task {
        // Only the limit: the operation's result ends the wait earlier.
        try await Task.sleep(for: limit)
        race.settle(.failure(TimedOut(what: what, limit: limit)))
    }
    defer {
        work.cancel()
        timer.cancel()
    }
    return try await race.outcome()
}

/// Waits until a count stays the same for a moment, as when the kernel's buffers are full, which nothing reports.
///
/// On a busy machine the wait may end early. So a test may expect at most a bound of the result, never a minimum.
///
/// - Returns: The count.
package func settled(_ count: () -> Int) async throws -> Int {
    var last = -1
    while count() != last {
        last = count()
        try await Task.sleep(for: .milliseconds(200))
    }
    return last
}

private final class Race<Value: Sendable>: Sendable {
    private struct State {
        var outcome: Result<Value, any Error>?
        var waiter: CheckedContinuation<Value, any Error>?
    }

    private let state = Mutex(State())

    func settle(_ outcome: Result<Value, any Error>) {
        let waiter = state.withLock { state in
            guard state.outcome == nil else { return CheckedContinuation<Value, any Error>?.none }
            state.outcome = outcome
            return state.waiter
        }
        waiter?.resume(with: outcome)
    }

    func outcome() async throws -> Value {
        try await withCheckedThrowingContinuation { continuation in
            let outcome = state.withLock { state in
                if state.outcome == nil { state.waiter = continuation }
                return state.outcome
            }
            if let outcome { continuation.resume(with: outcome) }
        }
    }
}

/// Records values, and lets a test wait for a number of them.
package final class Recorder<Value: Sendable>: Sendable {
    private struct State {
        var values: [Value] = []
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    package init() {}

    package var values: [Value] { state.withLock { $0.values } }

    package func record(_ value: Value) {
        let due = state.withLock { state in
            state.values.append(value)
            let due = state.waiters.filter { $0.count <= state.values.count }
            state.waiters.removeAll { $0.count <= state.values.count }
            return due
        }
        for waiter in due { waiter.continuation.resume() }
    }

    /// Waits until `count` values have been recorded, and returns them.
    @discardableResult
    package func first(
        _ count: Int = 1,
        within limit: Duration = patience,
        _ what: String = "an event"
    ) async throws -> [Value] {
        try await waitHere(what, limit) {
            await withCheckedContinuation { continuation in
                let isThere = self.state.withLock { state in
                    if state.values.count >= count { return true }
                    state.waiters.append((count, continuation))
                    return false
                }
                if isThere { continuation.resume() }
            }
        }
        return Array(values.prefix(count))
    }
}

/// Calls `wait(for:within:_:)` where a method of that name would shadow it.
private func waitHere<Result: Sendable>(
    _ what: String,
    _ limit: Duration,
    _ operation: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await wait(for: what, within: limit, operation)
}

extension Recorder where Value == Void {
    package func record() { record(()) }
}
