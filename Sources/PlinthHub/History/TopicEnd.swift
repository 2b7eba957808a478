// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// The end of a topic: the last entry that it has until it is purged.
public struct TopicEnd: Sendable, Hashable {
    /// The topic.
    public let topic: Topic
    /// The end's position.
    public let position: Position
    /// The end's ID.
    public let id: EventID
    /// Whether the end is delivered only to subscribers authorized for the topic.
    public let isRestricted: Bool

    /// Creates the end of a topic.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - position: The end's position.
    ///   - id: The end's ID.
    ///   - isRestricted: Whether the end is delivered only to subscribers authorized for the topic. Default: false.
    public init(topic: Topic, position: Position, id: EventID, isRestricted: Bool = false) {
        self.topic = topic
        self.position = position
        self.id = id
        self.isRestricted = isRestricted
    }

    /// The type of the events that report ends, which no publisher can use: `end`.
    public static let eventType = "end"
}

extension NewEvent {
    /// The end of a topic, as an event for ``AppendRequest``: type `end`, data `{"topic":…}`.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - isRestricted: Whether the end is delivered only to subscribers authorized for the topic. Default: false.
    /// - Returns: The event.
    public static func end(of topic: Topic, isRestricted: Bool = false) -> NewEvent {
        let data = "{\"topic\":\(JSONString.quoted(topic.name))}"
        // `end` is a valid type.
        let event = (try? ServerSentEvent(type: TopicEnd.eventType, data: data)) ?? ServerSentEvent(data: data)
        return NewEvent(event, topics: [topic], isRestricted: isRestricted, isEnd: true)
    }
}

extension HistoryEntry {
    /// The end that the entry is; nil for an event.
    public var topicEnd: TopicEnd? {
        guard isEnd, let topic = topics.first else { return nil }
        return TopicEnd(topic: topic, position: position, id: id, isRestricted: isRestricted)
    }
}
