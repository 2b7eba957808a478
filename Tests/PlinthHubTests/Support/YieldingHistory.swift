// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthTestSupport
import Synchronization

@testable import PlinthHub

/// A history that never answers without waiting, and yields before each answer.
///
/// It counts reads, and can be made to fail.
final class YieldingHistory: MemoryBackedHistory {
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
    func append(_ request: AppendRequest) async throws -> AppendResult {
        await Task.yield()
        let isToFail = failures.withLock { failures in
            defer { failures = max(0, failures - 1) }
            return failures > 0
        }
        if isToFail { throw Failure() }
        let result = try await memory.append(request)
        await Task.yield()
        return result
    }
    func locate(_ id: EventID) async throws -> Located {
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
    func purge(_ topic: Topic) async throws -> Int {
        await Task.yield()
        return try await memory.purge(topic)
    }
}
