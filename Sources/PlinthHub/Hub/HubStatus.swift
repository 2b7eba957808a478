// SPDX-License-Identifier: Apache-2.0

/// What a hub holds and does, at one moment.
public struct HubStatus: Sendable, Hashable {
    /// A topic among those that had events last.
    public struct TopicStatus: Sendable, Hashable {
        /// The topic.
        public let topic: Topic
        /// Its subscribers, those of patterns included.
        public let subscribers: Int
        /// Its events since the hub began.
        public let published: Int
    }

    /// Topics with events in history.
    public let topics: Int
    /// Streams that are open.
    public let subscribers: Int
    /// Events in history.
    public let events: Int
    /// Bytes in history, roughly.
    public let bytes: Int
    /// Events since the hub began.
    public let published: Int
    /// The time since then.
    public let uptime: Duration
    /// Topics by their latest event, as many as were asked for.
    public let top: [TopicStatus]
}
