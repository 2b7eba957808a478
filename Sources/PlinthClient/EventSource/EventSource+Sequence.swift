// SPDX-License-Identifier: Apache-2.0

extension EventSource: AsyncSequence {
    /// The type of the elements.
    public typealias Element = Event

    /// Iterates over the events.
    ///
    /// Releasing it ends the iteration and closes the connection.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let owner: EventSourceReader
        private var events: [Event] = []
        private var index = 0

        fileprivate init(_ source: EventSource) {
            owner = EventSourceReader(source, .events)
        }

        /// Waits for the next event.
        ///
        /// - Parameter actor: The caller's isolation; buffered events are returned without leaving it.
        /// - Returns: The event; nil at the end.
        /// - Throws: ``EventSourceError``, once, if the source failed permanently.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws(EventSourceError) -> Event? {
            while true {
                if index < events.count, owner.mayHandOut(index + 1) {
                    let event = events[index]
                    index += 1
                    return event
                }
                events = []
                index = 0
                guard let batch = try await owner.next() else { return nil }
                events = batch.events
            }
        }

        /// Waits for the next event.
        ///
        /// - Returns: The event; nil at the end.
        /// - Throws: ``EventSourceError``, once, if the source failed permanently.
        public mutating func next() async throws(EventSourceError) -> Event? {
            try await next(isolation: #isolation)
        }
    }

    /// Creates an iterator, which connects when its first event is requested.
    ///
    /// - Returns: The iterator.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(self)
    }
}

@available(*, unavailable)
extension EventSource.AsyncIterator: Sendable {}
