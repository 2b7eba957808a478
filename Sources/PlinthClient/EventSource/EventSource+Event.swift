// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

extension EventSource {
    /// An event as a client sees it: with its type written out, and with the last event ID in force.
    ///
    /// The HTML standard's `MessageEvent`, section
    /// [9.2.6](https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage). Events are equal when
    /// their strings have the same bytes.
    public struct Event: Sendable {
        /// The type, never empty; `message` if the stream gave none.
        public let type: String

        /// The data; lines are separated by LF.
        public let data: String

        /// The last event ID as of this event, with which a client resumes after it; empty if there is none.
        ///
        /// This is the event's own ID if it has one, and otherwise that of an earlier one.
        public let lastEventID: String

        /// Whether the ID came with this event.
        let hasID: Bool

        /// Creates an event, for tests of code that takes events.
        ///
        /// - Parameters:
        ///   - type: The type; `message` unless given.
        ///   - data: The data.
        ///   - lastEventID: The last event ID; empty, for none, unless given.
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
    /// Whether two events have the same bytes.
    ///
    /// - Parameters:
    ///   - lhs: An event.
    ///   - rhs: Another event.
    /// - Returns: True if all parts are the same.
    public static func == (lhs: Self, rhs: Self) -> Bool {
        lhs.hasID == rhs.hasID && lhs.type.utf8.elementsEqual(rhs.type.utf8)
            && lhs.data.utf8.elementsEqual(rhs.data.utf8) && lhs.lastEventID.utf8.elementsEqual(rhs.lastEventID.utf8)
    }

    /// Hashes the bytes.
    ///
    /// - Parameter hasher: Takes the bytes.
    public func hash(into hasher: inout Hasher) {
        for part in [type, data, lastEventID] {
            hasher.combine(part.utf8.count)
            for byte in part.utf8 { hasher.combine(byte) }
        }
    }
}

extension EventSource.Event: CustomStringConvertible {
    /// The event as Swift would write it, for logs.
    public var description: String {
        "Event(type: \(type.debugDescription), data: \(data.debugDescription), "
            + "lastEventID: \(lastEventID.debugDescription))"
    }
}

extension ServerSentEvent {
    /// Makes an event to be sent of one that was received, as a bridge does.
    ///
    /// It has the event's own ID, and none if that was an earlier event's.
    ///
    /// - Parameter event: The received event.
    /// - Throws: ``/PlinthEvents/ServerSentEventError`` for an event that did not come from a stream and cannot be sent.
    public init(_ event: EventSource.Event) throws(ServerSentEventError) {
        let type: String? = event.type == "message" ? nil : event.type
        try self.init(type: type, data: event.data, id: event.id)
    }
}
