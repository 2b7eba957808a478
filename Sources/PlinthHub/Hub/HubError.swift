// SPDX-License-Identifier: Apache-2.0

/// The reason why a hub refuses events or options, or ends a subscription.
public struct HubError: Error, Hashable, CustomStringConvertible {
    /// The kind of error: a bounded set, suitable as a metric label.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code as text, as the hub's endpoints send it.
        public let description: String

        /// An event has a type that is reserved for the hub's own events: ``Hub/reservedTypes``.
        public static let typeReserved = Code(description: "type-reserved")
        /// A subscriber within the process needs events that are no longer held, and the hub's gap policy is
        /// ``StreamOptions/GapPolicy/close``.
        public static let lagged = Code(description: "lagged")
        /// A request contradicts itself: events of several topics with a producer, say.
        public static let badRequest = Code(description: "bad-field")
        /// One of the hub's options is invalid.
        public static let badOptions = Code(description: "bad-options")
    }

    /// The kind of error.
    public let code: Code
    /// What is wrong and what to do about it.
    public let message: String
    /// The index of the refused event, from 0; nil if the error does not concern an event.
    public let index: Int?
    /// The name of the invalid property of ``StreamOptions``; nil if the error does not concern an option.
    public let option: String?

    /// The code, the option and the message.
    public var description: String { "\(code): \(option.map { "\($0): " } ?? "")\(message)" }
}

extension HubError {
    static func typeReserved(_ type: String, index: Int) -> HubError {
        HubError(
            code: .typeReserved,
            message: "the type \(type.debugDescription) is reserved for the hub's own events; use another type",
            index: index,
            option: nil
        )
    }

    static func badRequest(_ reason: String) -> HubError {
        HubError(code: .badRequest, message: reason, index: nil, option: nil)
    }

    static let lagged = HubError(
        code: .lagged,
        message:
            "events that this subscriber needs are no longer held; subscribe again, live or from the earliest",
        index: nil,
        option: nil
    )

    static func badOption(_ name: String, _ reason: String) -> HubError {
        HubError(code: .badOptions, message: reason, index: nil, option: name)
    }
}
