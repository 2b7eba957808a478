// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthHub
import Synchronization

/// A history that answers nothing without waiting, and refuses events after the first `count`.
final class FailingHistory: History {
    struct Full: Error {}

    private let memory = MemoryHistory()
    private let room: Mutex<Int>

    init(after count: Int) {
        room = Mutex(count)
    }

    func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        try await memory.open(deliver: deliver)
    }

    func append(_ events: [NewEvent]) async throws -> [PlinthHub.EventID] {
        let isTaken = room.withLock { room in
            guard room >= events.count else { return false }
            room -= events.count
            return true
        }
        guard isTaken else { throw Full() }
        return try await memory.append(events)
    }

    func locate(_ id: PlinthHub.EventID) async throws -> Position? { try await memory.locate(id) }
    func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        try await memory.read(after: position, selection: selection, limit: limit)
    }
    func id(at position: Position) -> PlinthHub.EventID { memory.id(at: position) }
    func purge(_ topic: Topic) async throws -> Int { try await memory.purge(topic) }
    func statistics() async throws -> HistoryStatistics { try await memory.statistics() }
}

#endif
