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
            owner = EventSourceReader(source, wantsMessages: false)
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

/// The reader's side of an iteration; releasing it ends the iteration.
final class EventSourceReader {
    private let source: EventSource
    private let wantsMessages: Bool
    private var run: EventSourceRun?
    private var hasEnded = false

    init(_ source: EventSource, wantsMessages: Bool) {
        self.source = source
        self.wantsMessages = wantsMessages
    }

    deinit {
        if let run { source.end(run) }
    }

    /// Records `count` events of the batch as delivered; false if nothing more may be delivered.
    @inline(__always)
    func mayHandOut(_ count: Int) -> Bool {
        guard let run, !run.isClosed else { return false }
        run.didHandOut(count)
        return true
    }

    /// Waits for the next batch; nil at the end.
    func next() async throws(EventSourceError) -> EventBatch? {
        if hasEnded { return nil }
        do throws(EventSourceError) {
            if Task.isCancelled {
                end()
                return nil
            }
            if run == nil { run = try source.begin(wantsMessages: wantsMessages) }
            if let batch = try await run?.take() { return batch }
            end()
            return nil
        } catch {
            end()
            throw error
        }
    }

    private func end() {
        hasEnded = true
        if let run { source.end(run) }
        run = nil
    }
}
