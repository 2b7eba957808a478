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
    ///   - type: The type of the events to decode; others are skipped. Default: all events.
    ///   - decoder: The decoder. Default: one without options.
    /// - Returns: The values. The iteration throws an ``EventDecodingError`` at an event that cannot be decoded.
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
    ///   - type: The type of the events to decode; others are skipped. Default: all events.
    ///   - decode: Decodes an event. An error ends the iteration, wrapped in an ``EventDecodingError``.
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
    /// The type of the elements.
    public typealias Element = Value

    private let base: Base
    private let type: String?
    private let decode: @Sendable (EventSource.Event) throws -> Value

    init(_ base: Base, ofType type: String?, _ decode: @escaping @Sendable (EventSource.Event) throws -> Value) {
        self.base = base
        self.type = type
        self.decode = decode
    }

    /// Creates an iterator.
    ///
    /// - Returns: The iterator.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(base: base.makeAsyncIterator(), type: type, decode: decode)
    }

    /// Iterates over decoded values.
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

        /// Waits for the next event and decodes it.
        ///
        /// - Parameter actor: The caller's isolation.
        /// - Returns: The value; nil at the end.
        /// - Throws: ``EventDecodingError``, or the error of the sequence of events.
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

        /// Waits for the next event and decodes it.
        ///
        /// - Returns: The value; nil at the end.
        /// - Throws: ``EventDecodingError``, or the error of the sequence of events.
        public mutating func next() async throws -> Value? {
            try await next(isolation: #isolation)
        }
    }
}

extension DecodedEvents: Sendable where Base: Sendable {}

@available(*, unavailable)
extension DecodedEvents.AsyncIterator: Sendable {}

/// The error thrown at an event that cannot be decoded.
public struct EventDecodingError: Error, CustomStringConvertible {
    /// The event.
    public let event: EventSource.Event

    /// The event's number in the sequence, starting at 1.
    public let number: Int

    /// The decoder's error.
    public let cause: any Error

    init(_ event: EventSource.Event, number: Int, cause: any Error) {
        self.event = event
        self.number = number
        self.cause = cause
    }

    /// The event, the beginning of its data, and the decoder's error.
    public var description: String {
        let start = event.data.prefix(80)
        let rest = start.endIndex == event.data.endIndex ? "" : "…"
        let id = event.lastEventID.isEmpty ? "no ID" : "ID \(event.lastEventID.debugDescription)"
        return
            "Event \(number) (type \(event.type.debugDescription), \(id)) cannot be decoded; its data begins with "
            + "\(String(start).debugDescription)\(rest): \(cause)"
    }
}
