// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A history in memory, which is lost when the process exits.
///
/// Its IDs contain an epoch, a random value chosen on creation, so that an ID from before a restart is recognised as
/// unknown and never mistaken for a current one.
public final class MemoryHistory: History {
    private let state: Mutex<MemoryHistoryState>
    private let now: @Sendable () -> MonotonicTime

    /// Creates a history without events.
    ///
    /// - Parameters:
    ///   - topic: The limits of each topic. Default: 10,000 events, 16 MiB.
    ///   - total: The limits of all topics together. Default: 1,000,000 events, 256 MiB.
    ///   - acceptsIDs: Whether publishers may choose IDs. An ID that is used again is located at its first use.
    ///     Default: false.
    public convenience init(
        topic: HistoryLimits = .defaultOfTopic,
        total: HistoryLimits = .defaultInTotal,
        acceptsIDs: Bool = false
    ) {
        self.init(
            topic: topic,
            total: total,
            acceptsIDs: acceptsIDs,
            epoch: UInt64.random(in: 0..<(1 << 40)),
            now: { MonotonicTime.now() }
        )
    }

    package init(
        topic: HistoryLimits = .defaultOfTopic,
        total: HistoryLimits = .defaultInTotal,
        acceptsIDs: Bool = false,
        epoch: UInt64,
        now: @escaping @Sendable () -> MonotonicTime
    ) {
        state = Mutex(MemoryHistoryState(topic: topic, total: total, acceptsIDs: acceptsIDs, epoch: epoch))
        self.now = now
    }

    /// Starts the delivery of appended events.
    public func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        state.withLock { state in
            state.deliver = deliver
            return state.head
        }
    }

    /// Appends events, all or none; throws ``HistoryError`` if a chosen ID is not accepted or is reserved.
    public func append(_ events: [NewEvent]) async throws -> [EventID] {
        try appendNow(events) ?? []
    }

    /// Appends events without waiting; throws ``HistoryError`` if a chosen ID is not accepted or is reserved.
    public func appendNow(_ events: [NewEvent]) throws -> [EventID]? {
        let now = self.now()
        // Delivered under the lock, to keep the order.
        return try state.withLock { state in
            let (entries, ids) = try state.append(events, now: now)
            state.deliver?(entries)
            return ids
        }
    }

    /// Finds the position of an ID.
    public func locate(_ id: EventID) async throws -> Position? {
        state.withLock { $0.locate(id) }
    }

    /// Finds the position of an ID without waiting.
    public func locateNow(_ id: EventID) -> Located? {
        state.withLock { $0.locate(id) }.map { .found($0) } ?? .unknown
    }

    /// Reads events after a position.
    public func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        select(after: position, selection, limit)
    }

    /// Reads events after a position without waiting.
    public func readNow(after position: Position?, selection: Selection, limit: ReadLimit) -> HistoryBatch? {
        select(after: position, selection, limit)
    }

    private func select(after position: Position?, _ selection: Selection, _ limit: ReadLimit) -> HistoryBatch {
        let now = self.now()
        var reading = HistoryReading(selection, limit, after: position)
        if let only = selection.only {
            state.withLock { $0.read(after: position, only: only, &reading, now: now) }
            return reading.batch
        }
        // Patterns are tested outside the lock, which publishers wait for; it is held only to copy a part of the log.
        var next = position
        while true {
            let part = state.withLock { $0.part(after: next, selection, known: reading.removals, now: now) }
            guard reading.take(part), part.hasMore else { return reading.batch }
            next = Position(part.through)
        }
    }

    /// The ID that stands for a position.
    public func id(at position: Position) -> EventID {
        state.withLock { $0.id(at: position) }
    }

    /// Removes the events of a topic.
    public func purge(_ topic: Topic) async throws -> Int {
        state.withLock { $0.purge(topic) }
    }

    /// What the history holds.
    public func statistics() async throws -> HistoryStatistics {
        state.withLock { $0.statistics }
    }

    /// Removes events that are too old.
    public func expire() async {
        let now = self.now()
        state.withLock { $0.expire(now: now) }
    }
}

/// The reason why a history refused an event.
public struct HistoryError: Error, Hashable, CustomStringConvertible {
    /// The reason.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code as text.
        public let description: String

        /// The publisher chose an ID, and this history assigns IDs itself.
        public static let idNotAccepted = Code(description: "id-not-accepted")
        /// The chosen ID is reserved.
        public static let idReserved = Code(description: "id-reserved")
    }

    /// The reason.
    public let code: Code
    /// The reason in words.
    public let description: String
}
