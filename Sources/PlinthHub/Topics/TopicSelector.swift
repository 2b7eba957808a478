// SPDX-License-Identifier: Apache-2.0

/// Decides for each topic whether it is meant.
///
/// The hub asks once per topic and keeps the answer, so an answer must not change.
public protocol TopicMatcher: Sendable, CustomStringConvertible {
    /// Whether the topic is meant.
    func matches(_ topic: Topic) -> Bool
}

/// What a subscription names: one topic, those of a pattern, all, or whatever a matcher of one's own decides.
///
/// Selectors are typed: a name is never taken for a pattern because of its characters. Those of one topic are found by an
/// index, at no cost for all others.
public struct TopicSelector: Sendable, CustomStringConvertible {
    enum Kind: Sendable {
        case exact(Topic)
        case all
        case matching(any TopicMatcher)
    }

    let kind: Kind

    /// This topic and no other.
    public static func exact(_ topic: Topic) -> TopicSelector { TopicSelector(kind: .exact(topic)) }

    /// The topics of a pattern.
    public static func pattern(_ pattern: TopicPattern) -> TopicSelector { TopicSelector(kind: .matching(pattern)) }

    /// The topics that a matcher of one's own picks.
    public static func matching(_ matcher: any TopicMatcher) -> TopicSelector {
        TopicSelector(kind: .matching(matcher))
    }

    /// Every topic.
    public static let all = TopicSelector(kind: .all)

    /// The text form.
    public var description: String {
        switch kind {
        case .exact(let topic): topic.name
        case .all: "*"
        case .matching(let matcher): matcher.description
        }
    }

    func matches(_ topic: Topic) -> Bool {
        switch kind {
        case .exact(let exact): exact == topic
        case .all: true
        case .matching(let matcher): matcher.matches(topic)
        }
    }
}
