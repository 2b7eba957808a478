// SPDX-License-Identifier: Apache-2.0

/// What a subscriber gets: what it wants, within what it is allowed.
///
/// An event is for a subscriber if one of its topics is wanted and, where the event is restricted, one of its topics is
/// allowed. This one decision holds for live events, replay, gaps and counts alike.
public final class Selection: Sendable {
    /// What the subscriber asked for.
    public let wanted: [TopicSelector]
    /// What it may get of restricted events.
    public let allowed: [TopicSelector]
    /// The topic, if exactly one is wanted: the way of nearly all subscribers.
    let only: Topic?
    /// The topics, if all that is wanted are topics.
    let exact: Set<Topic>?
    let isAllowedAll: Bool

    /// A selection.
    ///
    /// - Parameters:
    ///   - wanted: What the subscriber asks for; with none it gets nothing.
    ///   - allowed: What it may get of restricted events; all unless given.
    public init(_ wanted: [TopicSelector], allowed: [TopicSelector] = [.all]) {
        self.wanted = wanted
        self.allowed = allowed
        var exact: Set<Topic>? = []
        for selector in wanted {
            if case .exact(let topic) = selector.kind { exact?.insert(topic) } else { exact = nil }
        }
        self.exact = exact
        only = exact?.count == 1 ? exact?.first : nil
        isAllowedAll = allowed.contains { if case .all = $0.kind { true } else { false } }
    }

    /// Whether one of what is wanted means this topic.
    public func wants(_ topic: Topic) -> Bool {
        if let only { return only == topic }
        if let exact { return exact.contains(topic) }
        return wanted.contains { $0.matches(topic) }
    }

    /// Whether an event of these topics is for this subscriber.
    public func includes(_ topics: [Topic], isRestricted: Bool) -> Bool {
        topics.contains(where: wants) && (!isRestricted || allows(topics))
    }

    /// Whether a restricted event of these topics may be seen.
    func allows(_ topics: [Topic]) -> Bool {
        isAllowedAll || topics.contains { topic in allowed.contains { $0.matches(topic) } }
    }
}
