// SPDX-License-Identifier: Apache-2.0

extension EventSource {
    /// The updates of a Plinth hub: its events, and its gaps and ends as typed values.
    ///
    /// ```swift
    /// for try await update in source.hubUpdates {
    ///     switch update {
    ///     case .event(let event): print(event.topic ?? "", event.data)
    ///     case .gap: print("Events are missing here.")
    ///     case .end(let topic): print("\(topic) has ended.")
    ///     }
    /// }
    /// ```
    ///
    /// Only for streams of a hub: other servers' events of the types `gap` and `end` mean something else. Such an event
    /// without a hub's data ends the sequence with ``EventSourceError/Code/invalidHubEvent``.
    /// ``EventSourceConfiguration/hub`` has the hub's types, if they differ from the defaults; heartbeats are not
    /// delivered.
    ///
    /// The sequence ends when all topics of the source have ended; <doc:ReadingAHub#Ends> has the details. Otherwise
    /// the rules for iterating the source apply: it reconnects, resumes, and may be iterated once at a time.
    public var hubUpdates: HubUpdates { HubUpdates(source: self) }

    /// The updates of a hub.
    public struct HubUpdates: AsyncSequence, Sendable {
        /// The type of the elements.
        public typealias Element = HubUpdate

        fileprivate let source: EventSource

        /// Creates an iterator, which connects when its first update is requested.
        ///
        /// - Returns: The iterator.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(source)
        }

        /// Iterates over the updates.
        ///
        /// Releasing it ends the iteration and closes the connection.
        public struct AsyncIterator: AsyncIteratorProtocol {
            private let owner: EventSourceReader
            private var position = HubPosition()

            fileprivate init(_ source: EventSource) {
                owner = EventSourceReader(source, .hubUpdates)
            }

            /// Waits for the next update.
            ///
            /// - Parameter actor: The caller's isolation; buffered updates are returned without leaving it.
            /// - Returns: The update; nil at the end.
            /// - Throws: ``EventSourceError``, once, if the source failed permanently.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(EventSourceError) -> HubUpdate? {
                while true {
                    if let update = position.next(for: owner) { return update }
                    guard let batch = try await owner.next() else { return nil }
                    position = HubPosition(batch)
                }
            }

            /// Waits for the next update.
            ///
            /// - Returns: The update; nil at the end.
            /// - Throws: ``EventSourceError``, once, if the source failed permanently.
            public mutating func next() async throws(EventSourceError) -> HubUpdate? {
                try await next(isolation: #isolation)
            }
        }
    }
}

@available(*, unavailable)
extension EventSource.HubUpdates.AsyncIterator: Sendable {}

/// A reader's position in a batch of a hub's stream.
struct HubPosition {
    private let batch: EventBatch
    private var event = 0
    private var notice = 0

    init(_ batch: EventBatch = EventBatch()) {
        self.batch = batch
    }

    /// Whether the state is to be read after the batch's events.
    var asksForState: Bool { batch.asksForState }

    /// The next update, recorded as delivered; nil at the end of the batch, or if nothing more may be delivered.
    mutating func next(for owner: EventSourceReader) -> EventSource.HubUpdate? {
        while event < batch.events.count, owner.mayHandOut(event + 1) {
            event += 1
            guard notice < batch.notices.count, batch.notices[notice].position == event - 1 else {
                return .event(batch.events[event - 1])
            }
            notice += 1
            switch batch.notices[notice - 1].notice {
            case .heartbeat: continue
            case .gap(let gap): return .gap(gap)
            case .end(let topic): return .end(topic: topic)
            }
        }
        return nil
    }
}
