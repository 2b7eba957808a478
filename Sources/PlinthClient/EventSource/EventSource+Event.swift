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
        /// The event's own ID if it has one, otherwise an earlier event's. As received: if the event has a ``topic``, a
        /// tab and the topic follow its ``id``, which the hub ignores.
        public let lastEventID: String

        /// Whether the event has an ID of its own.
        let hasID: Bool

        /// Whether a tab and a topic follow the event's own ID.
        let hasTopic: Bool

        /// Creates an event, for tests of code that consumes events.
        ///
        /// - Parameters:
        ///   - type: The type. Default: `message`.
        ///   - data: The data.
        ///   - lastEventID: The event's own ID; empty for none. Default: empty.
        ///   - topic: The topic that follows the ID in a hub's stream of several topics; without an ID it is ignored.
        ///     Default: nil, for none.
        public init(type: String = "message", data: String, lastEventID: String = "", topic: String? = nil) {
            let hasID = !lastEventID.isEmpty
            var id = lastEventID
            if hasID, let topic { id += "\t\(topic)" }
            self.init(type: type, data: data, lastEventID: id, hasID: hasID, splitsTopic: topic != nil)
        }

        /// Creates a received event.
        ///
        /// - Parameters:
        ///   - type: The type.
        ///   - data: The data.
        ///   - lastEventID: The last event ID as of the event.
        ///   - hasID: Whether it is the event's own.
        ///   - splitsTopic: Whether a tab in it begins a topic.
        init(type: String, data: String, lastEventID: String, hasID: Bool, splitsTopic: Bool = false) {
            self.type = type
            self.data = data
            self.lastEventID = lastEventID
            self.hasID = hasID
            hasTopic = splitsTopic && hasID && lastEventID.utf8.contains(UInt8(ascii: "\t"))
        }

        /// The event's own ID, without a topic; nil if it has none, empty if it resets the last event ID.
        public var id: String? {
            guard let tab else { return hasID ? lastEventID : nil }
            return String(lastEventID[..<tab])
        }

        /// The topic that a hub's stream of several topics sends with the event: the first of the event's topics that
        /// was asked for.
        ///
        /// Nil in a stream of one topic, and unless the event is one of ``EventSource/hubUpdates`` or
        /// ``EventSource/following(_:)``.
        public var topic: String? { tab.map { String(lastEventID.utf8[$0...].dropFirst()) ?? "" } }

        /// The tab between ID and topic.
        private var tab: String.Index? {
            hasTopic ? lastEventID.utf8.firstIndex(of: UInt8(ascii: "\t")) : nil
        }
    }
}

extension EventSource.Event: Hashable {
    /// Whether the strings of two events have the same bytes, and both or neither have an ID of their own.
    public static func == (lhs: Self, rhs: Self) -> Bool {
        lhs.hasID == rhs.hasID && lhs.hasTopic == rhs.hasTopic && lhs.type.utf8.elementsEqual(rhs.type.utf8)
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
    /// Keeps the event's own ID, but neither one inherited from an earlier event nor a topic.
    ///
    /// - Parameter event: The received event.
    /// - Throws: ``/PlinthEvents/ServerSentEventError`` if the event was not received from a stream and cannot be sent.
    public init(_ event: EventSource.Event) throws(ServerSentEventError) {
        let type: String? = event.type == "message" ? nil : event.type
        try self.init(type: type, data: event.data, id: event.id)
    }
}
