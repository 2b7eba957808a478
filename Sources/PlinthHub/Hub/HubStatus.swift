// SPDX-License-Identifier: Apache-2.0

/// A snapshot of a hub.
public struct HubStatus: Sendable, Hashable {
    /// A topic among those with the latest events.
    public struct TopicStatus: Sendable, Hashable {
        /// The topic.
        public let topic: Topic
        /// The number of its subscribers, including those of matching patterns.
        public let subscribers: Int
        /// The number of its events since the hub started; may restart after events of 1,000 other topics.
        public let published: Int
    }

    /// The number of topics with events in history.
    public let topics: Int
    /// The number of open streams.
    public let subscribers: Int
    /// The number of events in history.
    public let events: Int
    /// The approximate number of bytes in history.
    public let bytes: Int
    /// The number of events and ends since the hub started.
    public let published: Int
    /// The ID of the last event delivered: ``Hub/mark()``.
    public let mark: EventID
    /// The number of ended topics.
    public let endedTopics: Int
    /// The number of producers, each with its topic.
    public let producers: Int
    /// The number of idempotency keys remembered.
    public let keys: Int
    /// The time since the hub started.
    public let uptime: Duration
    /// Where the events are kept besides memory; nil if they are lost with the process.
    public let storage: HistoryStorage?
    /// The topics with the latest events, as many as requested.
    public let top: [TopicStatus]
}
