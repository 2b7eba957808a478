// SPDX-License-Identifier: Apache-2.0

#if Server

import Synchronization

/// Counts what is under way (connections, requests, callbacks), so that a shutdown can wait for all of it.
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

    /// Waits until nothing is under way.
    ///
    /// New activities may begin meanwhile and are waited for as well.
    ///
    /// - Parameter limit: The longest to wait, whether or not the caller's task is cancelled; nil for no limit.
    /// - Returns: Whether nothing is under way.
    @discardableResult
    func wait(atMost limit: Duration? = nil) async -> Bool {
        await withCheckedContinuation { continuation in
            let isIdle = state.withLock { state in
                if state.count == 0 { return true }
                state.lastWaiter += 1
                let number = state.lastWaiter
                // Not a child of the caller's task, which may have been cancelled: that is when the limit counts.
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
