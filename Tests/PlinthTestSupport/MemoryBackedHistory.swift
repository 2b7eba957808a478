// SPDX-License-Identifier: Apache-2.0

package import PlinthHub

/// A history that forwards to one in memory, and answers nothing without waiting; tests replace what they need.
package protocol MemoryBackedHistory: History {
    var memory: MemoryHistory { get }
}

extension MemoryBackedHistory {
    package func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        try await memory.open(deliver: deliver)
    }

    package func append(_ request: AppendRequest) async throws -> AppendResult { try await memory.append(request) }

    package func locate(_ id: EventID) async throws -> Located { try await memory.locate(id) }

    package func ends(of selection: Selection) async throws -> [TopicEnd] { try await memory.ends(of: selection) }

    package func producer(_ id: ProducerID, of subject: HubSubject?, in topic: Topic) async throws -> ProducerState? {
        try await memory.producer(id, of: subject, in: topic)
    }

    package func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        try await memory.read(after: position, selection: selection, limit: limit)
    }

    package func id(at position: Position) -> EventID { memory.id(at: position) }

    package func purge(_ topic: Topic) async throws -> Int { try await memory.purge(topic) }

    package func setLimits(_ limits: TopicLimits, of topic: Topic) async throws -> Bool {
        try await memory.setLimits(limits, of: topic)
    }

    package func statistics() async throws -> HistoryStatistics { try await memory.statistics() }

    package func expire() async { await memory.expire() }
}

extension History {
    /// Appends events alone, without waiting.
    package func appendNow(_ events: [NewEvent]) throws -> [EventID]? { try appendNow(AppendRequest(events))?.ids }

    /// Appends events alone.
    package func append(_ events: [NewEvent]) async throws -> [EventID] { try await append(AppendRequest(events)).ids }
}
