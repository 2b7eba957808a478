// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// The events of one response: parsed from a sequence of bytes, without connecting again.
///
/// It ends with the bytes, or at a terminator if there is one. An event without its blank line is never handed out.
public struct ResponseEvents<Base: AsyncSequence>: AsyncSequence {
    /// The type of the elements: events.
    public typealias Element = EventSource.Event

    /// Parses an element of the base.
    typealias Parse =
        @Sendable (Base.Element, inout EventCollector, inout EventBatch) throws(ServerSentEventParserError) -> Void

    private let base: Base
    private let terminator: EventTerminator?
    private let maximumEventSize: Int
    private let parse: Parse

    init(_ base: Base, until terminator: EventTerminator?, maximumEventSize: Int, parse: @escaping Parse) {
        self.base = base
        self.terminator = terminator
        self.maximumEventSize = maximumEventSize
        self.parse = parse
    }

    /// Begins an iteration.
    ///
    /// - Returns: Hands out the events.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(
            base: base.makeAsyncIterator(),
            terminator: terminator,
            maximumEventSize: maximumEventSize,
            parse: parse
        )
    }

    /// Hands out the events of a response.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private var base: Base.AsyncIterator
        private let terminator: EventTerminator?
        private let maximumEventSize: Int
        private let parse: Parse
        private var collector: EventCollector
        private var batch = EventBatch()
        private var index = 0
        /// The error that comes after the batch.
        private var failure: EventSourceError?
        private var hasEnded = false
        private var count = 0

        fileprivate init(
            base: Base.AsyncIterator,
            terminator: EventTerminator?,
            maximumEventSize: Int,
            parse: @escaping Parse
        ) {
            self.base = base
            self.terminator = terminator
            self.maximumEventSize = maximumEventSize
            self.parse = parse
            collector = EventCollector(
                lastEventID: "",
                maximumEventSize: maximumEventSize,
                includesComments: false
            )
        }

        /// Waits for the next event.
        ///
        /// - Parameter actor: The actor that the caller is isolated to.
        /// - Returns: The event; nil at the end.
        /// - Throws: What the base throws; ``EventSourceError`` with the code `missingTerminator` if the base ends before
        ///   the terminator, and `tooLarge` for an event that is too large.
        public mutating func next(
            isolation actor: isolated (any Actor)? = #isolation
        ) async throws -> EventSource.Event? {
            while true {
                if index < batch.events.count {
                    let event = batch.events[index]
                    index += 1
                    count += 1
                    guard let terminator, terminator.matches(event) else { return event }
                    end()
                    return terminator.isHandedOut ? event : nil
                }
                batch.events.removeAll(keepingCapacity: true)
                batch.weight = 0
                index = 0
                if let failure {
                    end()
                    throw failure
                }
                if hasEnded { return nil }
                guard let element = try await base.next(isolation: actor) else {
                    end()
                    guard let terminator else { return nil }
                    throw EventSourceError(
                        .missingTerminator,
                        "The response ended after \(count) events, before its terminator, \(terminator)."
                    )
                }
                do {
                    try parse(element, &collector, &batch)
                } catch {
                    failure = EventSourceError(
                        .tooLarge,
                        "The response goes beyond maximumEventSize, \(maximumEventSize) bytes. Raise it if the server "
                            + "can be trusted.",
                        cause: error
                    )
                }
            }
        }

        /// Waits for the next event.
        ///
        /// - Returns: The event; nil at the end.
        /// - Throws: As ``next(isolation:)`` does.
        public mutating func next() async throws -> EventSource.Event? {
            try await next(isolation: #isolation)
        }

        private mutating func end() {
            hasEnded = true
            failure = nil
            batch.events = []
            index = 0
        }
    }
}

extension ResponseEvents: Sendable where Base: Sendable {}

@available(*, unavailable)
extension ResponseEvents.AsyncIterator: Sendable {}
