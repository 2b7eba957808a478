// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

/// What a subscriber within the process is told.
public enum HubUpdate: Sendable {
    /// An event.
    case event(HubEvent)
    /// Events that it needs are no longer held. What follows begins with the oldest that is.
    case gap(HubGap)
}

/// An event of a hub.
public struct HubEvent: Sendable {
    /// The ID that clients know it by, and with which one resumes after it.
    public var id: EventID { entry.id }
    /// Its topics, one or more.
    public var topics: [Topic] { entry.topics }
    /// Type, data and ID.
    ///
    /// Line ends in the data are LF.
    public var event: ServerSentEvent { entry.event }
    /// Its place in history.
    public let entry: HistoryEntry
}

/// A gap in what a subscriber gets.
public struct HubGap: Sendable, Hashable {
    /// The last event that the subscriber had.
    public let requested: EventID
    /// The event that comes next; nil if none is held.
    public let oldest: EventID?
    /// Up to where events may be missing; nil if that is not known.
    ///
    /// With several topics it may lie beyond the next event.
    public let through: EventID?
}

/// The updates of one subscription within the process, in order and without end.
///
/// Read by one task. Nothing is queued: each read of history is made when the one before has been used up, so that a
/// subscriber that does not keep up costs no memory, and is told of a gap if history moves past it.
public struct HubUpdates: AsyncSequence, Sendable {
    /// An update.
    public typealias Element = HubUpdate

    let history: any History
    let selection: Selection
    let start: LocatedStart
    let local: LocalGroup.Subscription

    /// An iterator over the updates.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(
            history: history,
            selection: selection,
            local: local,
            position: start.position,
            unknown: start.unknown
        )
    }

    /// Reads updates.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let history: any History
        let selection: Selection
        let local: LocalGroup.Subscription
        var position: Position?
        var unknown: EventID?
        private var entries: [HistoryEntry] = []
        private var next = 0

        init(
            history: any History,
            selection: Selection,
            local: LocalGroup.Subscription,
            position: Position?,
            unknown: EventID?
        ) {
            self.history = history
            self.selection = selection
            self.local = local
            self.position = position
            self.unknown = unknown
        }

        /// The next update, after waiting for it.
        ///
        /// - Returns: The update; never nil.
        /// - Throws: `CancellationError` if the task is cancelled; what the history throws.
        public mutating func next() async throws -> HubUpdate? {
            while true {
                if next < entries.count {
                    defer { next += 1 }
                    return .event(HubEvent(entry: entries[next]))
                }
                try Task.checkCancellation()
                let head = local.group.willRead(local)
                let batch = try await read()
                entries = batch.entries
                next = 0
                let requested = unknown ?? (batch.missingThrough == nil ? nil : position.map(history.id(at:)))
                position = batch.through
                unknown = nil
                if let requested {
                    let through = batch.missingThrough.map(history.id(at:))
                    return .gap(HubGap(requested: requested, oldest: entries.first?.id, through: through))
                }
                if entries.isEmpty, batch.through >= head { try await local.group.waitForMore(local) }
            }
        }

        private func read() async throws -> HistoryBatch {
            let limit = ReadLimit()
            if let batch = history.readNow(after: position, selection: selection, limit: limit) { return batch }
            return try await history.read(after: position, selection: selection, limit: limit)
        }
    }
}

extension HubEvent {
    /// The event as a stream has it.
    ///
    /// - Parameter namesTopic: Whether a tab and the topic follow the ID.
    /// - Returns: The event.
    package func sent(namesTopic: Bool) -> ServerSentEvent {
        entry.event(namesTopic: namesTopic)
    }
}

extension HubGap {
    /// The event that tells of the gap, where updates are sent on as events.
    ///
    /// - Parameter type: Its type.
    /// - Returns: The event.
    package func event(type: String) -> ServerSentEvent {
        let data = GapEvent(requested: requested, oldest: oldest, through: through).data
        return (try? ServerSentEvent(type: type, data: data)) ?? ServerSentEvent(data: data)
    }
}
