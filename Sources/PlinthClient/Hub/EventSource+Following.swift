// SPDX-License-Identifier: Apache-2.0

extension EventSource {
    /// An application's state, and the events of a hub that change it.
    ///
    /// ```swift
    /// let orders = source.following {
    ///     let answer = try await fetchOrders()
    ///     return (answer.orders, mark: answer.mark)
    /// }
    /// for try await update in orders {
    ///     switch update {
    ///     case .state(let all): show(all)
    ///     case .event(let event): apply(event)
    ///     case .end(let topic): print("\(topic) has ended.")
    ///     }
    /// }
    /// ```
    ///
    /// A mark is an ID of the hub. The application reads it *before* the state, so that every event that the state
    /// lacks comes after the mark: the `Last-Event-ID` of a response to `HEAD` for the same topics, for example. Each
    /// iteration calls the closure, delivers the state, and connects with the mark as the last event ID. So the events
    /// after the mark follow, each once; some may already be part of the state.
    ///
    /// After a lost connection the source resumes as usual. After a gap it drops the connection, calls the closure
    /// again, delivers the new state, and continues after the new mark; what that connection brought behind the gap is
    /// discarded. If the gap comes before any event since the last mark, the closure is called after the reconnection
    /// time and the back-off, and the gap counts as a failure (``EventSourceError/Code/gapAfterMark``).
    ///
    /// An error of the closure ends the sequence, which throws it as it is; a closure that wants to retry does so
    /// itself. The next iteration starts with the state again.
    ///
    /// Otherwise the rules of ``hubUpdates`` apply. ``EventSourceConfiguration/lastEventID`` is not used.
    ///
    /// - Parameter readState: Reads the mark, then the state, and returns both. Called once at the start of each
    ///   iteration and once after each gap, never concurrently, in a task of its own; it is cancelled when the iteration
    ///   ends, which waits for it to return. The mark is not empty, and valid as a header field of at most
    ///   ``EventSourceConfiguration/maximumLastEventIDSize`` bytes; with any other the sequence throws
    ///   ``EventSourceError/Code/invalidMark``.
    /// - Returns: The sequence, which begins with a state.
    public func following<State: Sendable>(
        _ readState: @escaping @Sendable () async throws -> (state: State, mark: String)
    ) -> Following<State> {
        Following(source: self, readState: readState)
    }

    /// What ``EventSource/following(_:)`` delivers: a state, or what changes it.
    public enum StateUpdate<State: Sendable>: Sendable {
        /// The state as of a mark, which replaces all that was delivered before.
        case state(State)

        /// An event after the mark.
        ///
        /// In a stream of several topics it has a ``EventSource/Event/topic``.
        case event(Event)

        /// A topic has ended: no event of it follows, unless an operator opens it again.
        case end(topic: String)
    }

    /// An application's state and the events that change it.
    public struct Following<State: Sendable>: AsyncSequence, Sendable {
        /// The type of the elements.
        public typealias Element = StateUpdate<State>

        fileprivate let source: EventSource
        fileprivate let readState: @Sendable () async throws -> (state: State, mark: String)

        /// Creates an iterator, which reads the state when its first element is requested.
        ///
        /// - Returns: The iterator.
        public func makeAsyncIterator() -> AsyncIterator {
            AsyncIterator(self)
        }

        /// Iterates over states and events.
        ///
        /// Releasing it ends the iteration and closes the connection.
        public struct AsyncIterator: AsyncIteratorProtocol {
            private let owner: EventSourceReader
            private let readState: @Sendable () async throws -> (state: State, mark: String)
            private var position = HubPosition()

            fileprivate init(_ following: Following) {
                owner = EventSourceReader(following.source, .following)
                readState = following.readState
            }

            /// Waits for the next state or event.
            ///
            /// - Parameter actor: The caller's isolation; buffered events are returned without leaving it.
            /// - Returns: The state or event; nil at the end.
            /// - Throws: Once: the closure's error; ``EventSourceError`` if the source failed permanently.
            public mutating func next(
                isolation actor: isolated (any Actor)? = #isolation
            ) async throws -> StateUpdate<State>? {
                while true {
                    switch position.next(for: owner) {
                    case .event(let event)?: return .event(event)
                    case .end(let topic)?: return .end(topic: topic)
                    // At a gap, the machine asks for the state instead.
                    case .gap?, nil: break
                    }
                    if position.asksForState {
                        position = HubPosition()
                        return try await owner.readState(readState).map { .state($0) }
                    }
                    guard let batch = try await owner.next() else { return nil }
                    position = HubPosition(batch)
                }
            }

            /// Waits for the next state or event.
            ///
            /// - Returns: The state or event; nil at the end.
            /// - Throws: Like ``next(isolation:)``.
            public mutating func next() async throws -> StateUpdate<State>? {
                try await next(isolation: #isolation)
            }
        }
    }
}

extension EventSource.StateUpdate: Equatable where State: Equatable {}
extension EventSource.StateUpdate: Hashable where State: Hashable {}

@available(*, unavailable)
extension EventSource.Following.AsyncIterator: Sendable {}
