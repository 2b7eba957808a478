// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A gate at which tasks wait for a number of signals.
final class Gate: Sendable {
    private struct State {
        var count = 0
        var waiting: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    /// The number of signals.
    var count: Int { state.withLock { $0.count } }

    /// Signals once, and resumes the tasks that waited for this number.
    func signal() {
        let ready = state.withLock { state in
            state.count += 1
            let ready = state.waiting.filter { $0.count <= state.count }
            state.waiting.removeAll { $0.count <= state.count }
            return ready
        }
        for waiting in ready { waiting.continuation.resume() }
    }

    /// Waits until it has been signalled `count` times.
    func wait(for count: Int = 1) async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if state.count >= count { return true }
                state.waiting.append((count, continuation))
                return false
            }
            if isOpen { continuation.resume() }
        }
    }
}
