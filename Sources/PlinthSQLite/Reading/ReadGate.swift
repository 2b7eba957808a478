// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Dispatch
import Synchronization

/// Lets the writer wait for a moment without readers: only then does SQLite begin its log (WAL) anew.
final class ReadGate: Sendable {
    private struct State {
        var readers = 0
        var isClosed = false
        var waiting: [CheckedContinuation<Void, Never>] = []
        var isEmpty: DispatchSemaphore?
    }

    private let state = Mutex(State())

    /// Runs a read; waits while the gate is closed.
    func read<Result: Sendable>(_ body: () async throws -> sending Result) async rethrows -> Result {
        while !enter() {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    if state.isClosed { state.waiting.append(continuation) }
                    return !state.isClosed
                }
                if isOpen { continuation.resume() }
            }
        }
        defer { leave() }
        return try await body()
    }

    /// Whether the writer waits, or works; for tests.
    var isClosed: Bool { state.withLock { $0.isClosed } }

    private func enter() -> Bool {
        state.withLock { state in
            if !state.isClosed { state.readers += 1 }
            return !state.isClosed
        }
    }

    private func leave() {
        state.withLock { state in
            state.readers -= 1
            if state.readers == 0 { state.isEmpty?.signal() }
        }
    }

    /// Runs a closure while no reader reads, or after a time with those that still do.
    ///
    /// Blocks the thread: the writer's.
    func withoutReaders<Result>(within patience: DispatchTimeInterval, _ body: () throws -> Result) rethrows -> Result {
        let isEmpty = state.withLock { state -> DispatchSemaphore? in
            state.isClosed = true
            guard state.readers > 0 else { return nil }
            let semaphore = DispatchSemaphore(value: 0)
            state.isEmpty = semaphore
            return semaphore
        }
        defer {
            let waiting = state.withLock { state in
                state.isClosed = false
                state.isEmpty = nil
                defer { state.waiting = [] }
                return state.waiting
            }
            for continuation in waiting { continuation.resume() }
        }
        _ = isEmpty?.wait(timeout: .now() + patience)
        return try body()
    }
}
#endif
