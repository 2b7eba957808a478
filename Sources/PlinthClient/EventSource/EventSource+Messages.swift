// SPDX-License-Identifier: Apache-2.0

extension EventSource {
    /// The events, the openings and ends of connections, and comments if configured.
    ///
    /// Iterate it instead of the source itself; the same rules apply.
    public var messages: Messages { Messages(source: self) }

    /// The messages of an event source.
    public struct Messages: AsyncSequence, Sendable {
        /// The type of the elements.
        public typealias Element = Message

        fileprivate let source: EventSource

        /// Creates an iterator, which connects when its first message is requested.
        ///
        /// - Returns: The iterator.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(source)
        }

        /// Iterates over the messages.
        ///
        /// Releasing it ends the iteration and closes the connection.
        public struct AsyncIterator: AsyncIteratorProtocol {
            private let owner: EventSourceReader
            private var batch = EventBatch()
            private var event = 0
            private var mark = 0

            fileprivate init(_ source: EventSource) {
                owner = EventSourceReader(source, .messages)
            }

            /// Waits for the next message.
            ///
            /// - Parameter actor: The caller's isolation; buffered messages are returned without leaving it.
            /// - Returns: The message; nil at the end.
            /// - Throws: ``EventSourceError``, once, if the source failed permanently.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws(EventSourceError) -> Message? {
                while true {
                    if mark < batch.marks.count, batch.marks[mark].position <= event, owner.mayHandOut(event) {
                        mark += 1
                        return batch.marks[mark - 1].message
                    }
                    if event < batch.events.count, owner.mayHandOut(event + 1) {
                        event += 1
                        return .event(batch.events[event - 1])
                    }
                    batch = EventBatch()
                    event = 0
                    mark = 0
                    guard let next = try await owner.next() else { return nil }
                    batch = next
                }
            }

            /// Waits for the next message.
            ///
            /// - Returns: The message; nil at the end.
            /// - Throws: ``EventSourceError``, once, if the source failed permanently.
            public mutating func next() async throws(EventSourceError) -> Message? {
                try await next(isolation: #isolation)
            }
        }
    }
}

@available(*, unavailable)
extension EventSource.Messages.AsyncIterator: Sendable {}
