// SPDX-License-Identifier: Apache-2.0

/// The event that ends a response, as sent by model APIs.
public struct EventTerminator: Sendable, Hashable, CustomStringConvertible {
    private enum Kind: Hashable {
        case data(String)
        case type(String)
    }

    private let kind: Kind

    /// Whether the event itself is delivered.
    let isHandedOut: Bool

    /// An event with this data; it is not delivered.
    ///
    /// - Parameter data: The data, such as `[DONE]`.
    /// - Returns: The terminator.
    public static func data(_ data: String) -> EventTerminator {
        EventTerminator(kind: .data(data), isHandedOut: false)
    }

    /// An event of this type; it is delivered.
    ///
    /// - Parameter type: The type, such as `message_stop`.
    /// - Returns: The terminator.
    public static func type(_ type: String) -> EventTerminator {
        EventTerminator(kind: .type(type), isHandedOut: true)
    }

    /// Whether an event is the terminator.
    package func matches(_ event: EventSource.Event) -> Bool {
        switch kind {
        case .data(let data): event.data.utf8.elementsEqual(data.utf8)
        case .type(let type): event.type.utf8.elementsEqual(type.utf8)
        }
    }

    /// For example `data "[DONE]"`.
    public var description: String {
        switch kind {
        case .data(let data): "data \(data.debugDescription)"
        case .type(let type): "type \(type.debugDescription)"
        }
    }
}
