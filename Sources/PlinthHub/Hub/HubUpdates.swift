// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

/// What a subscriber within the process receives.
public enum HubUpdate: Sendable {
    /// An event.
    case event(HubEvent)
    /// Events that the subscriber needs are no longer held; the oldest event held follows.
    case gap(HubGap)
}

/// An event of a hub.
public struct HubEvent: Sendable {
    /// The ID by which clients identify it, and after which they resume.
    public var id: EventID { entry.id }
    /// Its topics, one or more.
    public var topics: [Topic] { entry.topics }
    /// Type, data and ID.
    ///
    /// Line ends in the data are LF.
    public var event: ServerSentEvent { entry.event }
    /// Its entry in history.
    public let entry: HistoryEntry
}

/// The updates of one subscription within the process, in order and without end.
///
/// To be iterated by one task. Nothing is queued: history is read again when the events of the previous read are used
/// up. A slow subscriber thus costs no memory, and receives a gap if history moves past it.
public struct HubUpdates: AsyncSequence, Sendable {
    /// An update.
    public typealias Element = HubUpdate

    let history: any History
    let selection: Selection
    let start: LocatedStart
    let local: LocalGroup.Subscription
    let gapPolicy: StreamOptions.GapPolicy

    /// An iterator over the updates.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

    /// Reads updates.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let updates: HubUpdates
        private var position: Position?
        private var unknown: EventID?
        /// Whether it began with the oldest event and has not caught up yet.
        private var startsWithOldest: Bool
        private var entries: [HistoryEntry] = []
        private var next = 0

        init(_ updates: HubUpdates) {
            self.updates = updates
            position = updates.start.position
            unknown = updates.start.unknown
            startsWithOldest = updates.start.startsWithOldest
        }

        /// Waits for the next update.
        ///
        /// - Returns: The update; never nil.
        /// - Throws: `CancellationError` if the task is cancelled; the history's error; ``HubError`` with the code
        ///   `lagged` at a gap, if the hub's gap policy is ``StreamOptions/GapPolicy/close``.
        public mutating func next() async throws -> HubUpdate? {
            while true {
                if next < entries.count {
                    defer { next += 1 }
                    return .event(HubEvent(entry: entries[next]))
                }
                try Task.checkCancellation()
                let head = updates.local.group.willRead(updates.local)
                let batch = try await read()
                let gap = HubGap(before: batch, after: position, unknown: unknown, in: updates.history)
                if gap != nil, updates.gapPolicy.ends(startsWithOldest: startsWithOldest) { throw HubError.lagged }
                entries = batch.entries
                next = 0
                position = batch.through
                unknown = nil
                if let gap { return .gap(gap) }
                if entries.isEmpty, batch.through >= head {
                    startsWithOldest = false
                    try await updates.local.group.waitForMore(updates.local)
                }
            }
        }

        private func read() async throws -> HistoryBatch {
            let limit = ReadLimit()
            let (history, selection) = (updates.history, updates.selection)
            if let batch = history.readNow(after: position, selection: selection, limit: limit) { return batch }
            return try await history.read(after: position, selection: selection, limit: limit)
        }
    }
}

extension HubEvent {
    /// The event as a stream sends it.
    ///
    /// - Parameter namesTopic: Whether a tab and the topic follow the ID.
    /// - Returns: The event.
    package func sent(namesTopic: Bool) -> ServerSentEvent {
        entry.event(namesTopic: namesTopic)
    }
}
