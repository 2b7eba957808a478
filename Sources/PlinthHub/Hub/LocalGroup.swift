// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// The subscribers within the process: each reads history itself, and is woken when there is more for it.
final class LocalGroup: DeliveryGroup {
    /// A subscription, used by one task.
    struct Subscription: Sendable {
        let group: LocalGroup
        let slot: Int
        let selection: Selection
    }

    private struct Slot {
        var selection: Selection?
        var place: Int32 = -1
        /// Whether an event for it was enqueued since it last began to read.
        var hasMore = false
        var waiting: CheckedContinuation<Void, Never>?
        /// Whether the waiting task was cancelled.
        var isCancelled = false
    }

    private struct State {
        var index = TopicIndex()
        var slots: [Slot] = []
        var free: [Int] = []
        /// The last event that was enqueued.
        var head: Position
    }

    private let state: Mutex<State>

    init(head: Position) {
        state = Mutex(State(head: head))
    }

    /// Begins with what history holds.
    func begin(at head: Position) { state.withLock { $0.head = max($0.head, head) } }

    func add(_ selection: Selection) -> Subscription {
        state.withLock { state in
            let slot = state.free.popLast() ?? state.slots.count
            if slot == state.slots.count { state.slots.append(Slot()) }
            state.slots[slot] = Slot(selection: selection, place: state.index.add(slot, selection))
            return Subscription(group: self, slot: slot, selection: selection)
        }
    }

    func remove(_ subscription: Subscription) {
        state.withLock { state in
            let place = state.slots[subscription.slot].place
            var moved: Int32?
            state.index.remove(subscription.slot, subscription.selection, place: place) { moved = $0 }
            if let moved { state.slots[Int(moved)].place = place }
            state.slots[subscription.slot] = Slot()
            state.free.append(subscription.slot)
        }
    }

    func enqueue(_ entries: [HistoryEntry]) {
        let woken = state.withLock { state in
            var woken: [CheckedContinuation<Void, Never>] = []
            func tell(_ slot: Int32) {
                state.slots[Int(slot)].hasMore = true
                if let waiting = state.slots[Int(slot)].waiting.take() { woken.append(waiting) }
            }
            if let last = entries.last { state.head = last.position }
            for entry in entries {
                for topic in entry.publishedTopics {
                    guard let number = state.index.node(of: topic) else { continue }
                    for slot in state.index.nodes[number]?.single ?? [] { tell(slot) }
                    state.index.forEachOther(of: number, tell)
                }
            }
            return woken
        }
        for continuation in woken { continuation.resume() }
    }

    /// Records that a subscription is about to read: events enqueued from now on are more.
    ///
    /// - Returns: The last event enqueued before.
    func willRead(_ subscription: Subscription) -> Position {
        state.withLock { state in
            state.slots[subscription.slot].hasMore = false
            return state.head
        }
    }

    /// Waits until there may be more for a subscription than when it last began to read.
    ///
    /// - Throws: `CancellationError` if the task is cancelled.
    func waitForMore(_ subscription: Subscription) async throws {
        // A task that waited earlier may have been cancelled; this may be another task.
        state.withLock { $0.slots[subscription.slot].isCancelled = false }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let hasMore = state.withLock { state in
                    let slot = state.slots[subscription.slot]
                    if slot.hasMore || slot.isCancelled { return true }
                    state.slots[subscription.slot].waiting = continuation
                    return false
                }
                if hasMore { continuation.resume() }
            }
        } onCancel: {
            let waiting = state.withLock { state in
                state.slots[subscription.slot].isCancelled = true
                return state.slots[subscription.slot].waiting.take()
            }
            waiting?.resume()
        }
        try Task.checkCancellation()
    }
}
