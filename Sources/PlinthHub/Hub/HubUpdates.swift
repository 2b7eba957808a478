// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

/// What a subscriber within the process receives.
public enum HubUpdate: Sendable {
    /// An event.
    case event(HubEvent)
    /// Events that the subscriber needs are no longer held; the oldest event held follows.
    case gap(HubGap)
    /// A topic has ended.
    ///
    /// The end of a topic that had ended before a live subscription began has the ID at which it began.
    case end(TopicEnd)
}

extension HubUpdate {
    /// The update of an entry of history: an end, or an event.
    init(_ entry: HistoryEntry) {
        self = entry.topicEnd.map { .end($0) } ?? .event(HubEvent(entry: entry))
    }
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

/// The updates of one subscription within the process, in order.
///
/// They end when all topics of the subscription are exact and have ended, and never otherwise.
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
    let options: StreamOptions

    /// An iterator over the updates.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(self) }

    /// Reads updates.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let updates: HubUpdates
        private var reader: HistoryReader
        private var entries: [HistoryEntry] = []
        private var next = 0

        init(_ updates: HubUpdates) {
            self.updates = updates
            reader = HistoryReader(updates.history, updates.selection, updates.start, updates.options)
        }

        /// Waits for the next update.
        ///
        /// - Returns: The update; nil if all topics have ended.
        /// - Throws: `CancellationError` if the task is cancelled; the history's error, if it has failed for
        ///   ``StreamOptions/historyTimeout``; ``HubError`` with the code `lagged` at a gap, if the hub's gap policy is
        ///   ``StreamOptions/GapPolicy/close``.
        public mutating func next() async throws -> HubUpdate? {
            while true {
                if next < entries.count {
                    defer { next += 1 }
                    return HubUpdate(entries[next])
                }
                try Task.checkCancellation()
                if reader.hasEnded { return nil }
                let head = updates.local.group.willRead(updates.local)
                let (gap, entries) = try await reader.read()
                self.entries = entries
                next = 0
                if let gap { return .gap(gap) }
                if entries.isEmpty, !reader.hasEnded, reader.isAt(head) {
                    try await updates.local.group.waitForMore(updates.local)
                }
            }
        }
    }
}

extension HubEvent {
    /// The event as a stream sends it.
    ///
    /// - Parameter topic: The topic that follows the ID, after a tab; nil for the ID alone.
    /// - Returns: The event.
    package func sent(naming topic: Topic?) -> ServerSentEvent {
        entry.event(naming: topic)
    }
}
