// SPDX-License-Identifier: Apache-2.0

import PlinthHub
import Synchronization

/// Records what a history delivers, and waits for a number of events.
final class DeliveryRecorder: Sendable {
    private struct Waiting {
        let count: Int
        let continuation: CheckedContinuation<Void, Never>
    }

    private struct State {
        var entries: [HistoryEntry] = []
        /// Calls that overlapped another call.
        var overlaps = 0
        var next = 0
        var waiting: [Int: Waiting] = [:]
        var cancelled: Set<Int> = []
    }

    private let state = Mutex(State())
    private let isDelivering = Atomic(false)

    var entries: [HistoryEntry] { state.withLock { $0.entries } }
    var overlaps: Int { state.withLock { $0.overlaps } }

    func deliver(_ new: [HistoryEntry]) {
        let isAlone = isDelivering.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing)
        let ready = state.withLock { state in
            state.entries += new
            if !isAlone.exchanged { state.overlaps += 1 }
            let ready = state.waiting.filter { $0.value.count <= state.entries.count }
            for id in ready.keys { state.waiting[id] = nil }
            return ready
        }
        for waiting in ready.values { waiting.continuation.resume() }
        if isAlone.exchanged { isDelivering.store(false, ordering: .releasing) }
    }

    /// Waits until `count` events have been delivered, at most for `patience`.
    ///
    /// - Returns: The events delivered by then.
    func wait(for count: Int, patience: Duration) async -> [HistoryEntry] {
        let entries = self.entries
        if entries.count >= count { return entries }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.reach(count) }
            // Bounds the wait for a history that never delivers; it does not delay one that does.
            group.addTask { try? await Task.sleep(for: patience) }
            await group.next()
            group.cancelAll()
        }
        return self.entries
    }

    private func reach(_ count: Int) async {
        let id = state.withLock { state in
            state.next += 1
            return state.next
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = state.withLock { state in
                    if state.entries.count >= count || state.cancelled.contains(id) { return true }
                    state.waiting[id] = Waiting(count: count, continuation: continuation)
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            let waiting = state.withLock { state in
                state.cancelled.insert(id)
                return state.waiting.removeValue(forKey: id)
            }
            waiting?.continuation.resume()
        }
    }
}
