// SPDX-License-Identifier: Apache-2.0

extension EventSource {
    /// What a hub's stream delivers: an event, a gap, or the end of a topic.
    public enum HubUpdate: Sendable, Hashable {
        /// A published event.
        ///
        /// In a stream of several topics it has a ``EventSource/Event/topic``.
        case event(Event)

        /// Events may be missing here, since the hub no longer holds them; the oldest one held follows.
        ///
        /// What the application derived from earlier events may be out of date.
        case gap(HubGap)

        /// A topic has ended: no event of it follows, unless an operator opens it again.
        case end(topic: String)
    }

    /// A gap in a hub's stream: the hub no longer holds all events after the one that the client had.
    ///
    /// IDs are opaque: they can be compared for equality, but not ordered.
    public struct HubGap: Sendable, Hashable {
        /// The ID after which the client would have needed events, as the hub understood it.
        public let requested: String?

        /// The ID of the event that follows the gap; nil if none is held.
        public let oldest: String?

        /// The ID up to which events may be missing; nil if it is not known.
        public let through: String?

        /// Creates a gap, for tests of code that handles gaps.
        ///
        /// - Parameters:
        ///   - requested: The ID after which the client would have needed events. Default: nil.
        ///   - oldest: The ID of the event that follows the gap. Default: nil.
        ///   - through: The ID up to which events may be missing. Default: nil.
        public init(requested: String? = nil, oldest: String? = nil, through: String? = nil) {
            self.requested = requested
            self.oldest = oldest
            self.through = through
        }
    }
}
