// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// The events of one response, parsed from a sequence of bytes, without reconnecting.
///
/// The sequence ends with the bytes, or at a terminator if given. An event without its blank line is never delivered.
public struct ResponseEvents<Base: AsyncSequence>: AsyncSequence {
    /// The type of the elements.
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

    /// Creates an iterator.
    ///
    /// - Returns: The iterator.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(
            base: base.makeAsyncIterator(),
            terminator: terminator,
            maximumEventSize: maximumEventSize,
            parse: parse
        )
    }

    /// Iterates over the events of a response.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private var base: Base.AsyncIterator
        private let terminator: EventTerminator?
        private let maximumEventSize: Int
        private let parse: Parse
        private var collector: EventCollector
        private var batch = EventBatch()
        private var index = 0
        /// The error to throw after the batch.
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
        /// - Parameter actor: The caller's isolation.
        /// - Returns: The event; nil at the end.
        /// - Throws: The base's error; ``EventSourceError`` with the code `missingTerminator` if the base ends before
        ///   the terminator, or `tooLarge` if an event exceeds its maximum size.
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
                        "An event exceeds maximumEventSize, \(maximumEventSize) bytes. Raise it if the server "
                            + "can be trusted.",
                        cause: error
                    )
                }
            }
        }

        /// Waits for the next event.
        ///
        /// - Returns: The event; nil at the end.
        /// - Throws: Like ``next(isolation:)``.
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
