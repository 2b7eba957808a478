// SPDX-License-Identifier: Apache-2.0

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

extension AsyncSequence where Element == EventSource.Event {
    /// The data of the events, decoded from JSON.
    ///
    /// ```swift
    /// for try await price in source.decode(Price.self, ofType: "price") { print(price.amount) }
    /// ```
    ///
    /// - Parameters:
    ///   - value: The type to decode.
    ///   - type: The type of the events that have it: others are passed over. All events unless given.
    ///   - decoder: The decoder; one without options unless given.
    /// - Returns: The values. An event that cannot be decoded ends the iteration with an ``EventDecodingError``.
    public func decode<Value: Decodable & Sendable>(
        _ value: Value.Type,
        ofType type: String? = nil,
        with decoder: JSONDecoder = JSONDecoder()
    ) -> DecodedEvents<Self, Value> {
        DecodedEvents(self, ofType: type) { try decoder.decode(Value.self, from: Data($0.data.utf8)) }
    }

    /// The events, decoded by a closure.
    ///
    /// - Parameters:
    ///   - type: The type of the events to decode: others are passed over. All events unless given.
    ///   - decode: Makes a value of an event. What it throws ends the iteration, in an ``EventDecodingError``.
    /// - Returns: The values.
    public func decode<Value: Sendable>(
        ofType type: String? = nil,
        _ decode: @escaping @Sendable (EventSource.Event) throws -> Value
    ) -> DecodedEvents<Self, Value> {
        DecodedEvents(self, ofType: type, decode)
    }
}

/// Values decoded from events.
public struct DecodedEvents<Base: AsyncSequence, Value: Sendable>: AsyncSequence
where Base.Element == EventSource.Event {
    /// The type of the elements: the values.
    public typealias Element = Value

    private let base: Base
    private let type: String?
    private let decode: @Sendable (EventSource.Event) throws -> Value

    init(_ base: Base, ofType type: String?, _ decode: @escaping @Sendable (EventSource.Event) throws -> Value) {
        self.base = base
        self.type = type
        self.decode = decode
    }

    /// Begins an iteration.
    ///
    /// - Returns: Hands out the values.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: base.makeAsyncIterator(), type: type, decode: decode)
    }

    /// Hands out decoded values.
    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate var base: Base.AsyncIterator
        fileprivate let type: String?
        fileprivate let decode: @Sendable (EventSource.Event) throws -> Value
        private var number = 0
        private var hasFailed = false

        fileprivate init(
            base: Base.AsyncIterator,
            type: String?,
            decode: @escaping @Sendable (EventSource.Event) throws -> Value
        ) {
            self.base = base
            self.type = type
            self.decode = decode
        }

        /// Waits for the next event, and decodes it.
        ///
        /// - Parameter actor: The actor that the caller is isolated to.
        /// - Returns: The value; nil at the end.
        /// - Throws: ``EventDecodingError``, or what the events' sequence throws.
        public mutating func next(isolation actor: isolated (any Actor)? = #isolation) async throws -> Value? {
            if hasFailed { return nil }
            while let event = try await base.next(isolation: actor) {
                number += 1
                if let type, !type.utf8.elementsEqual(event.type.utf8) { continue }
                do {
                    return try decode(event)
                } catch {
                    hasFailed = true
                    throw EventDecodingError(event, number: number, cause: error)
                }
            }
            return nil
        }

        /// Waits for the next event, and decodes it.
        ///
        /// - Returns: The value; nil at the end.
        /// - Throws: ``EventDecodingError``, or what the events' sequence throws.
        public mutating func next() async throws -> Value? {
            try await next(isolation: #isolation)
        }
    }
}

extension DecodedEvents: Sendable where Base: Sendable {}

@available(*, unavailable)
extension DecodedEvents.AsyncIterator: Sendable {}

/// An event could not be decoded.
public struct EventDecodingError: Error, CustomStringConvertible {
    /// The event.
    public let event: EventSource.Event

    /// Its number in the sequence; the first is 1.
    public let number: Int

    /// What the decoder threw.
    public let cause: any Error

    init(_ event: EventSource.Event, number: Int, cause: any Error) {
        self.event = event
        self.number = number
        self.cause = cause
    }

    /// Which event it was, how its data begins, and what the decoder said.
    public var description: String {
        let start = event.data.prefix(80)
        let rest = start.endIndex == event.data.endIndex ? "" : "…"
        let id = event.lastEventID.isEmpty ? "without an ID" : "with the ID \(event.lastEventID.debugDescription)"
        return
            "Event \(number), of the type \(event.type.debugDescription) \(id), cannot be decoded; its data begins with "
            + "\(String(start).debugDescription)\(rest): \(cause)"
    }
}
