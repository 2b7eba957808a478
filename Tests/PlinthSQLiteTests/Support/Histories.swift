// SPDX-License-Identifier: Apache-2.0

#if SQLite
import Dispatch
import PlinthEvents
import PlinthHub
import PlinthTestSupport
import Synchronization

@testable import PlinthSQLite

extension NewEvent {
    /// An event of topics.
    static func test(_ data: String, _ topics: String...) throws -> NewEvent {
        NewEvent(ServerSentEvent(data: data), topics: try topics.map { try Topic($0) })
    }
}

extension Selection {
    /// Topics by their names.
    static func topics(_ names: String...) throws -> Selection {
        Selection(try names.map { .exact(try Topic($0)) })
    }
}

/// What a reader has got, one batch after the other, until there was no more.
struct ReadThrough {
    var entries: [HistoryEntry] = []
    /// The position up to which events may be missing.
    var missing: Position?

    var data: [String] { entries.map(\.event.data) }
    var numbers: [UInt64] { entries.map(\.position.number) }
}

extension SQLiteHistory {
    func readThrough(
        after position: Position? = nil,
        _ selection: Selection,
        limit: ReadLimit = ReadLimit()
    ) async throws -> ReadThrough {
        var result = ReadThrough()
        var at = position
        while true {
            let batch = try await read(after: at, selection: selection, limit: limit)
            result.entries += batch.entries
            if let missing = batch.missingThrough { result.missing = max(result.missing ?? .zero, missing) }
            guard batch.through > at ?? .zero else { return result }
            at = batch.through
        }
    }

    /// Appends requests in one transaction, in order.
    func appendTogether(_ requests: [AppendRequest]) async throws -> [AppendResult] {
        // The writer waits until all are there.
        let (waiting, proceed) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        queue.add {
            waiting.signal()
            proceed.wait()
        }
        await onThread { waiting.wait() }
        var appends: [Task<AppendResult, any Error>] = []
        for request in requests {
            appends.append(Task { try await self.append(request) })
            while queue.waitingCount < appends.count { await Task.yield() }
        }
        proceed.signal()
        var results: [AppendResult] = []
        for append in appends { results.append(try await append.value) }
        return results
    }
}

/// What a history has delivered.
final class Delivered: Sendable {
    private let all = Mutex<[HistoryEntry]>([])

    var entries: [HistoryEntry] { all.withLock { $0 } }
    var data: [String] { entries.map(\.event.data) }
    var numbers: [UInt64] { entries.map(\.position.number) }

    func add(_ entries: [HistoryEntry]) { all.withLock { $0 += entries } }
}

extension SeededGenerator {
    /// A number from 0 on that is less than another.
    mutating func number(below end: Int) -> Int { Int.random(in: 0..<end, using: &self) }

    mutating func one<Element>(of elements: [Element]) -> Element { elements[number(below: elements.count)] }
}
#endif
