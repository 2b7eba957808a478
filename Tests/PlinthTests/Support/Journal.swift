// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// An ordered record of events that tests can wait for.
final class Journal<Entry: Sendable & Equatable>: Sendable {
    private struct State {
        var entries: [Entry] = []
        var waiters: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var entries: [Entry] { state.withLock { $0.entries } }

    func note(_ entry: Entry) {
        let due = state.withLock { state in
            state.entries.append(entry)
            let due = state.waiters.filter { $0.count <= state.entries.count }
            state.waiters.removeAll { $0.count <= state.entries.count }
            return due
        }
        for waiter in due { waiter.continuation.resume() }
    }

    /// Waits until there are at least `count` entries.
    func wait(for count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                guard state.entries.count < count else { return true }
                state.waiters.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

/// A one-shot gate.
///
/// Waiting ignores cancellation.
final class Gate: Sendable {
    private let journal = Journal<Bool>()

    func open() { journal.note(true) }
    func wait() async { await journal.wait(for: 1) }
}
