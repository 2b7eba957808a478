// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

extension EventSource {
    /// An event as dispatched to a client, with its type and the last event ID filled in.
    ///
    /// The HTML standard's `MessageEvent`, section
    /// [9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage). Events are equal if
    /// their strings have the same bytes and both, or neither, have an ID of their own.
    public struct Event: Sendable {
        /// The type, never empty; `message` if the stream set none.
        public let type: String

        /// The data; lines are separated by LF.
        public let data: String

        /// The last event ID as of this event, with which a client resumes after it; empty if there is none.
        ///
        /// The event's own ID if it has one, otherwise an earlier event's.
        public let lastEventID: String

        /// Whether the event has an ID of its own.
        let hasID: Bool

        /// Creates an event, for tests of code that consumes events.
        ///
        /// - Parameters:
        ///   - type: The type. Default: `message`.
        ///   - data: The data.
        ///   - lastEventID: The event's own ID; empty for none. Default: empty.
        public init(type: String = "message", data: String, lastEventID: String = "") {
            self.init(type: type, data: data, lastEventID: lastEventID, hasID: !lastEventID.isEmpty)
        }

        init(type: String, data: String, lastEventID: String, hasID: Bool) {
            self.type = type
            self.data = data
            self.lastEventID = lastEventID
            self.hasID = hasID
        }

        /// The event's own ID; nil if it has none, empty if it resets the last event ID.
        public var id: String? { hasID ? lastEventID : nil }
    }
}

extension EventSource.Event: Hashable {
    /// Whether the strings of two events have the same bytes, and both or neither have an ID of their own.
    public static func == (lhs: Self, rhs: Self) -> Bool {
        lhs.hasID == rhs.hasID && lhs.type.utf8.elementsEqual(rhs.type.utf8)
            && lhs.data.utf8.elementsEqual(rhs.data.utf8) && lhs.lastEventID.utf8.elementsEqual(rhs.lastEventID.utf8)
    }

    /// Hashes the bytes of the strings.
    public func hash(into hasher: inout Hasher) {
        for part in [type, data, lastEventID] {
            hasher.combine(part.utf8.count)
            for byte in part.utf8 { hasher.combine(byte) }
        }
    }
}

extension EventSource.Event: CustomStringConvertible {
    /// The event as a Swift expression, for logs.
    public var description: String {
        "Event(type: \(type.debugDescription), data: \(data.debugDescription), "
            + "lastEventID: \(lastEventID.debugDescription))"
    }
}

extension ServerSentEvent {
    /// Creates an event to send from a received one, as a bridge does.
    ///
    /// Keeps the event's own ID, but not one inherited from an earlier event.
    ///
    /// - Parameter event: The received event.
    /// - Throws: ``/PlinthEvents/ServerSentEventError`` if the event was not received from a stream and cannot be sent.
    public init(_ event: EventSource.Event) throws(ServerSentEventError) {
        let type: String? = event.type == "message" ? nil : event.type
        try self.init(type: type, data: event.data, id: event.id)
    }
}
