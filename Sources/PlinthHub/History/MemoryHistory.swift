// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// A history in memory: as fast as a history can be, and gone with its process.
///
/// Its IDs carry an epoch, a random value of its own, so that an ID from before a restart is recognised as unknown and never
/// taken for one of its own.
public final class MemoryHistory: History {
    private let state: Mutex<MemoryHistoryState>
    private let now: @Sendable () -> MonotonicTime

    /// A history without events.
    ///
    /// - Parameters:
    ///   - topic: What each topic holds; 10,000 events and 16 MiB unless given.
    ///   - total: What all topics hold together; 1,000,000 events and 256 MiB unless given.
    ///   - acceptsIDs: Whether publishers may choose IDs; not unless told otherwise. An ID that is used again is found
    ///     where it was used first.
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

    /// Begins to hand on what is appended.
    public func open(deliver: @escaping @Sendable ([HistoryEntry]) -> Void) async throws -> Position {
        state.withLock { state in
            state.deliver = deliver
            return state.head
        }
    }

    /// Puts events into history, all or none.
    public func append(_ events: [NewEvent]) async throws -> [EventID] {
        try appendNow(events) ?? []
    }

    /// Appends if that takes no waiting.
    public func appendNow(_ events: [NewEvent]) throws -> [EventID]? {
        let now = self.now()
        // Told under the lock, which is what keeps the order.
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

    /// Finds where a stream begins if that takes no waiting.
    public func locateNow(_ id: EventID) -> Located? {
        state.withLock { $0.locate(id) }.map { .found($0) } ?? .unknown
    }

    /// Reads on from a position.
    public func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        select(after: position, selection, limit)
    }

    /// Reads on if that takes no waiting.
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
        // Patterns are asked outside of the lock, which publishers wait for: it is held for each part of the log only.
        var next = position
        while true {
            let part = state.withLock { $0.part(after: next, selection, known: reading.removals, now: now) }
            guard reading.take(part), part.hasMore else { return reading.batch }
            next = Position(part.through)
        }
    }

    /// The ID of a position.
    public func id(at position: Position) -> EventID {
        state.withLock { $0.id(at: position) }
    }

    /// Removes the events of a topic.
    public func purge(_ topic: Topic) async throws -> Int {
        state.withLock { $0.purge(topic) }
    }

    /// What it holds.
    public func statistics() async throws -> HistoryStatistics {
        state.withLock { $0.statistics }
    }

    /// Removes what is too old.
    public func expire() async {
        let now = self.now()
        state.withLock { $0.expire(now: now) }
    }
}

/// An event that cannot be put into history.
public struct HistoryError: Error, Hashable, CustomStringConvertible {
    /// Why not.
    public enum Code: Sendable, Hashable {
        /// It has an ID of its publisher's choice, and this history gives IDs itself.
        case idNotAccepted
        /// Its ID is reserved.
        case idReserved
    }

    /// Why not.
    public let code: Code
    /// Why not, in words.
    public let description: String
}
