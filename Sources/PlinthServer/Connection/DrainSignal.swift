// SPDX-License-Identifier: Apache-2.0

#if Server

import Synchronization

/// Tells requests that wait for something, such as long-polls, that their server's shutdown begins.
final class DrainSignal: Sendable {
    private struct State {
        var hasBegun = false
        var next = 0
        var waiting: [Int: @Sendable () -> Void] = [:]
    }

    private let state = Mutex(State())

    /// The signal of the server that runs the current task's request; nil elsewhere, as in tests without a socket.
    @TaskLocal static var current: DrainSignal?

    func begin() {
        let waiting = state.withLock { state in
            state.hasBegun = true
            defer { state.waiting = [:] }
            return state.waiting
        }
        for end in waiting.values { end() }
    }

    /// Calls a closure once when the shutdown begins, at once if it has.
    ///
    /// - Returns: A number for ``remove(_:)``.
    func add(_ end: @escaping @Sendable () -> Void) -> Int {
        let number = state.withLock { state -> Int? in
            if state.hasBegun { return nil }
            state.next += 1
            state.waiting[state.next] = end
            return state.next
        }
        if number == nil { end() }
        return number ?? 0
    }

    func remove(_ number: Int) {
        state.withLock { $0.waiting[number] = nil }
    }
}

#endif
