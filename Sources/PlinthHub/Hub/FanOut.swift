// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Passes every event that enters history to all groups of subscribers, in order.
final class FanOut: Sendable {
    private struct State {
        var head = Position.zero
        var groups: [any DeliveryGroup] = []
        var published = 0
    }

    private let state = Mutex(State())

    var head: Position { state.withLock { $0.head } }

    /// The number of events since the start, wherever they were published.
    var published: Int { state.withLock { $0.published } }

    func start(at head: Position) {
        state.withLock { $0.head = max($0.head, head) }
    }

    /// Adds a group.
    ///
    /// - Parameter make: Creates the group, which receives all events after the position passed to it.
    /// - Returns: The group.
    func add<Group: DeliveryGroup>(_ make: (Position) throws -> Group) rethrows -> Group {
        try state.withLock { state in
            let group = try make(state.head)
            state.groups.append(group)
            return group
        }
    }

    func remove(_ group: any DeliveryGroup) {
        state.withLock { $0.groups.removeAll { $0 === group } }
    }

    func deliver(_ entries: [HistoryEntry]) {
        guard let last = entries.last else { return }
        // Under the lock, so that each group receives everything in order.
        state.withLock { state in
            state.head = last.position
            state.published += entries.count
            for group in state.groups { group.enqueue(entries) }
        }
    }
}
