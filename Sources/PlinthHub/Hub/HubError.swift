// SPDX-License-Identifier: Apache-2.0

/// Why a hub refuses what it was given, events to publish or its options, or ends a subscription.
public struct HubError: Error, Hashable, CustomStringConvertible {
    /// What is wrong, in short: a bounded set, fit for a metric's label.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        /// The code's text form, as the hub's endpoints send it.
        public let description: String

        /// An event has a type that only the hub's own events have: ``Hub/reservedTypes``.
        public static let typeReserved = Code(description: "type-reserved")
        /// A subscriber within the process needs events that are no longer held, and the hub's gap policy is
        /// ``StreamOptions/GapPolicy/close``.
        public static let lagged = Code(description: "lagged")
        /// The hub's options cannot be used.
        public static let badOptions = Code(description: "bad-options")
    }

    /// What is wrong, in short.
    public let code: Code
    /// What is wrong and what to do about it.
    public let message: String
    /// Which of the events that were to be published is refused, counted from 0; nil if it is not about one.
    public let index: Int?
    /// Which of the ``StreamOptions`` cannot be used, by its property's name; nil if it is not about one.
    public let option: String?

    /// The code, the option and the message.
    public var description: String { "\(code): \(option.map { "\($0): " } ?? "")\(message)" }
}

extension HubError {
    static func typeReserved(_ type: String, index: Int) -> HubError {
        HubError(
            code: .typeReserved,
            message: "only the hub's own events are of the type \(type.debugDescription); publish with another type",
            index: index,
            option: nil
        )
    }

    static let lagged = HubError(
        code: .lagged,
        message:
            "events that this subscriber needs are no longer held; subscribe anew, with what comes or from the oldest",
        index: nil,
        option: nil
    )

    static func badOption(_ name: String, _ reason: String) -> HubError {
        HubError(code: .badOptions, message: reason, index: nil, option: name)
    }
}
