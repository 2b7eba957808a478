// SPDX-License-Identifier: Apache-2.0

#if Server

import Synchronization

/// Counts connections, requests and callbacks in progress, so that a shutdown can wait for them.
final class ActivityGroup: Sendable {
    private struct Waiter {
        let continuation: CheckedContinuation<Bool, Never>
        let timer: Task<Void, any Error>?
    }

    private struct State {
        var count = 0
        var waiters: [Int: Waiter] = [:]
        var lastWaiter = 0
    }

    private let state = Mutex(State())

    /// The number of activities.
    var count: Int { state.withLock { $0.count } }

    func enter() {
        state.withLock { $0.count += 1 }
    }

    func leave() {
        let waiters = state.withLock { state in
            state.count -= 1
            guard state.count == 0 else { return [Int: Waiter]() }
            defer { state.waiters = [:] }
            return state.waiters
        }
        for waiter in waiters.values {
            waiter.timer?.cancel()
            waiter.continuation.resume(returning: true)
        }
    }

    /// Waits until ``count`` is 0, including activities that begin meanwhile.
    ///
    /// - Parameter limit: The longest wait, even if the caller's task is cancelled; nil for no limit.
    /// - Returns: False at the limit.
    @discardableResult
    func wait(atMost limit: Duration? = nil) async -> Bool {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if state.count == 0 { return true }
                state.lastWaiter += 1
                let number = state.lastWaiter
                // Unstructured: the limit has to hold when the caller's task is cancelled.
                let timer = limit.map { limit in
                    Task {
                        try await Task.sleep(for: limit)
                        giveUp(number)
                    }
                }
                state.waiters[number] = Waiter(continuation: continuation, timer: timer)
                return false
            }
            if isIdle { continuation.resume(returning: true) }
        }
    }

    private func giveUp(_ waiter: Int) {
        state.withLock { $0.waiters.removeValue(forKey: waiter) }?.continuation.resume(returning: false)
    }
}

#endif
