// SPDX-License-Identifier: Apache-2.0

/// An application's own test of topics.
///
/// The hub caches the result per topic, so the result for a topic must not change.
public protocol TopicMatcher: Sendable, CustomStringConvertible {
    /// Whether the topic matches.
    func matches(_ topic: Topic) -> Bool
}

/// Selects topics: one, those of a pattern, all, or those that an application's matcher accepts.
///
/// Selectors are typed: a name is never interpreted as a pattern. Exact selectors are indexed by topic and cost events
/// of other topics nothing.
public struct TopicSelector: Sendable, CustomStringConvertible {
    enum Kind: Sendable {
        case exact(Topic)
        case all
        case matching(any TopicMatcher)
    }

    let kind: Kind

    /// Exactly this topic.
    public static func exact(_ topic: Topic) -> TopicSelector { TopicSelector(kind: .exact(topic)) }

    /// The topics that match a pattern.
    public static func pattern(_ pattern: TopicPattern) -> TopicSelector { TopicSelector(kind: .matching(pattern)) }

    /// The topics that a matcher accepts.
    public static func matching(_ matcher: any TopicMatcher) -> TopicSelector {
        TopicSelector(kind: .matching(matcher))
    }

    /// Every topic.
    public static let all = TopicSelector(kind: .all)

    /// The selector as text; ``all`` is `*`.
    public var description: String {
        switch kind {
        case .exact(let topic): topic.name
        case .all: "*"
        case .matching(let matcher): matcher.description
        }
    }

    /// The topic, if it selects exactly one.
    public var topic: Topic? { if case .exact(let topic) = kind { topic } else { nil } }

    /// The selector as a pattern; nil if it is a topic, or an application's matcher.
    public var pattern: TopicPattern? {
        switch kind {
        case .exact: nil
        case .all: .everything
        case .matching(let matcher): matcher as? TopicPattern
        }
    }

    /// Whether it is ``all``.
    var isAll: Bool { if case .all = kind { true } else { false } }

    /// Whether it selects every topic: ``all``, or the pattern `**`.
    var isEverything: Bool {
        switch kind {
        case .exact: false
        case .all: true
        case .matching(let matcher): (matcher as? TopicPattern) == .everything
        }
    }

    /// The topics that it has in common with a pattern; nil if there are none.
    func narrowed(to pattern: TopicPattern) -> TopicSelector? {
        switch kind {
        case .exact(let topic): pattern.matches(topic) ? self : nil
        case .all: .pattern(pattern)
        case .matching(let matcher):
            if let own = matcher as? TopicPattern {
                own.intersection(pattern).map { .pattern($0) }
            } else {
                .matching(PatternMatcher(pattern: pattern, matcher: matcher))
            }
        }
    }
}

/// Matches the topics of another matcher that a pattern matches too.
private struct PatternMatcher: TopicMatcher {
    let pattern: TopicPattern
    let matcher: any TopicMatcher

    var description: String { "\(pattern) \(matcher)" }

    func matches(_ topic: Topic) -> Bool { pattern.matches(topic) && matcher.matches(topic) }
}
