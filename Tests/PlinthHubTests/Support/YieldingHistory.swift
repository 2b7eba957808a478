// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Synchronization

@testable import PlinthHub

/// A history that never answers without waiting, and yields before each answer.
///
/// It counts reads, and can be made to fail.
final class YieldingHistory: History {
    struct Failure: Error {}

    let memory: MemoryHistory
    private let failures = Mutex(0)
    let reads = Atomic(0)

    init(_ memory: MemoryHistory) { self.memory = memory }

    func failNextAppend() { failures.withLock { $0 += 1 } }

    func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        await Task.yield()
        return try await memory.open(deliver: deliver)
    }
    func append(_ events: [NewEvent]) async throws -> [EventID] {
        await Task.yield()
        let isToFail = failures.withLock { failures in
            defer { failures = max(0, failures - 1) }
            return failures > 0
        }
        if isToFail { throw Failure() }
        let ids = try await memory.append(events)
        await Task.yield()
        return ids
    }
    func locate(_ id: EventID) async throws -> Position? {
        await Task.yield()
        return try await memory.locate(id)
    }
    func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        reads.add(1, ordering: .relaxed)
        await Task.yield()
        let batch = try await memory.read(after: position, selection: selection, limit: limit)
        await Task.yield()
        return batch
    }
    func id(at position: Position) -> EventID { memory.id(at: position) }
    func purge(_ topic: Topic) async throws -> Int {
        await Task.yield()
        return try await memory.purge(topic)
    }
    func statistics() async throws -> HistoryStatistics { try await memory.statistics() }
    func expire() async { await memory.expire() }
}
