// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A locked value whose changes can be awaited, with a timeout in real time, so that a test fails instead of hanging.
final class Watched<Value: Sendable>: Sendable {
    private struct State {
        var value: Value
        var version = 0
        var lastWaiter = 0
        var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    }

    private let state: Mutex<State>

    init(_ value: Value) {
        state = Mutex(State(value: value))
    }

    /// Changes the value, and makes waiters check it again.
    @discardableResult
    func update<Result: Sendable>(_ body: (inout Value) -> Result) -> Result {
        let (result, waiters) = state.withLock { state in
            let result = body(&state.value)
            state.version += 1
            let waiters = state.waiters
            state.waiters = [:]
            return (result, waiters)
        }
        for continuation in waiters.values { continuation.resume() }
        return result
    }

    /// Reads the value.
    func read<Result: Sendable>(_ body: (Value) -> Result) -> Result {
        state.withLock { body($0.value) }
    }

    /// Waits until `body` returns a result for the value.
    ///
    /// - Parameters:
    ///   - bound: The timeout, in real time.
    ///   - body: Returns the result, or nil to keep waiting; may change the value. Called again after each change.
    /// - Returns: The result, or nil on timeout.
    /// - Throws: `CancellationError` if the task is cancelled.
    func wait<Result: Sendable>(
        within bound: Duration,
        _ body: @escaping @Sendable (inout Value) -> Result?
    ) async throws -> Result? {
        if let result = state.withLock({ body(&$0.value) }) { return result }
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask {
                while true {
                    let (result, version) = self.state.withLock { (body(&$0.value), $0.version) }
                    if let result { return result }
                    try Task.checkCancellation()
                    await self.change(after: version)
                }
            }
            group.addTask {
                try await Task.sleep(for: bound)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }

    /// Waits for a change after the given version, or for cancellation.
    private func change(after version: Int) async {
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    guard state.version == version, !Task.isCancelled else { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            state.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
    }
}
