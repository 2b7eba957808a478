// SPDX-License-Identifier: Apache-2.0

/// What a subscriber gets: what it wants, within what it is allowed.
///
/// An event is for a subscriber if one of its topics is wanted and, where the event is restricted, one of its topics is
/// allowed. This one decision holds for live events, replay, gaps and counts alike.
///
/// Names and patterns are kept in one table: about 50 bytes for each segment and name beside its own bytes.
public final class Selection: Sendable {
    /// What it may get of restricted events.
    public let allowed: [TopicSelector]
    /// The topic, if exactly one is wanted: the way of nearly all subscribers.
    let only: Topic?
    /// All names and patterns that are wanted; empty if that is ``only``.
    let table: SelectorTable
    /// What has to be asked one by one.
    let matchers: [any TopicMatcher]
    private let isAll: Bool
    private let isAllowedAll: Bool

    /// A selection.
    ///
    /// - Parameters:
    ///   - wanted: What the subscriber asks for; with none it gets nothing.
    ///   - allowed: What it may get of restricted events; all unless given.
    public init(_ wanted: [TopicSelector], allowed: [TopicSelector] = [.all]) {
        self.allowed = allowed
        isAllowedAll = allowed.contains { if case .all = $0.kind { true } else { false } }
        if let first = wanted.first, case .exact(let topic) = first.kind,
            wanted.allSatisfy({ if case .exact(let other) = $0.kind { other == topic } else { false } })
        {
            only = topic
            table = SelectorTable()
            matchers = []
            isAll = false
            return
        }
        only = nil
        var table = SelectorTable()
        var matchers: [any TopicMatcher] = []
        var isAll = false
        for selector in wanted {
            switch selector.kind {
            case .exact(let topic): _ = table.add(name: topic.utf8)
            case .all:
                isAll = true
                _ = table.add(.everything)
            case .matching(let matcher):
                if let pattern = matcher as? TopicPattern {
                    _ = table.add(pattern)
                } else {
                    matchers.append(matcher)
                }
            }
        }
        table.shrink()
        self.table = table
        self.matchers = matchers
        self.isAll = isAll
    }

    /// What the subscriber asked for, each once and in no order that means anything.
    public var wanted: [TopicSelector] {
        if let only { return [.exact(only)] }
        var wanted: [TopicSelector] = isAll ? [.all] : []
        table.forEachName { wanted.append(.exact($0)) }
        table.forEachPattern { if !isAll || $0 != .everything { wanted.append(.pattern($0)) } }
        return wanted + matchers.map { .matching($0) }
    }

    /// Whether all that is wanted are topics by their names.
    var isExact: Bool { only != nil || (table.patterns == 0 && matchers.isEmpty) }

    /// Whether one of what is wanted means this topic.
    public func wants(_ topic: Topic) -> Bool {
        var work = 0
        return wants(topic, work: &work)
    }

    /// Whether one of what is wanted means this topic.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - work: Rises by what that costs: the branches that were followed, and the matchers that were asked.
    /// - Returns: Whether it does.
    func wants(_ topic: Topic, work: inout Int) -> Bool {
        if let only {
            work += 1
            return only == topic
        }
        var isWanted = false
        work += table.match(topic) { _ in
            isWanted = true
            return false
        }
        if isWanted { return true }
        work += matchers.count
        return isAskedFor(topic)
    }

    /// Whether a matcher, one that has to be asked, means this topic.
    func isAskedFor(_ topic: Topic) -> Bool { matchers.contains { $0.matches(topic) } }

    /// Whether an event of these topics is for this subscriber.
    public func includes(_ topics: [Topic], isRestricted: Bool) -> Bool {
        topics.contains(where: wants) && (!isRestricted || allows(topics))
    }

    /// Whether a restricted event of these topics may be seen.
    func allows(_ topics: [Topic]) -> Bool {
        isAllowedAll || topics.contains { topic in allowed.contains { $0.matches(topic) } }
    }
}
