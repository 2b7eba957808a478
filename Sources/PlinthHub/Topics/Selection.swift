// SPDX-License-Identifier: Apache-2.0

/// The topics that a subscriber wants, and those whose restricted events it may receive.
///
/// An event is included if any of its topics is wanted and, for a restricted event, any of its topics is allowed. The
/// same test applies to live events, replay, gaps and counts.
///
/// Names and patterns are kept in one table: about 50 bytes per segment and name, plus its text.
public final class Selection: Sendable {
    /// The topics whose restricted events the subscriber may receive.
    public let allowed: [TopicSelector]
    /// The topic, if exactly one is wanted, as by nearly all subscribers.
    let only: Topic?
    /// All wanted names and patterns; empty if ``only`` is set.
    let table: SelectorTable
    /// The application's matchers, which are called one by one.
    let matchers: [any TopicMatcher]
    private let isAll: Bool
    private let isAllowedAll: Bool

    /// Creates a selection.
    ///
    /// - Parameters:
    ///   - wanted: The topics to receive; with none, nothing is received.
    ///   - allowed: The topics whose restricted events may be received. Default: all.
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

    /// The wanted selectors, without duplicates and in no particular order.
    public var wanted: [TopicSelector] {
        if let only { return [.exact(only)] }
        var wanted: [TopicSelector] = isAll ? [.all] : []
        table.forEachName { wanted.append(.exact($0)) }
        table.forEachPattern { if !isAll || $0 != .everything { wanted.append(.pattern($0)) } }
        return wanted + matchers.map { .matching($0) }
    }

    /// Whether all wanted selectors are exact.
    var isExact: Bool { only != nil || (table.patterns == 0 && matchers.isEmpty) }

    /// Whether any wanted selector matches a topic.
    public func wants(_ topic: Topic) -> Bool {
        var work = 0
        return wants(topic, work: &work)
    }

    /// Whether any wanted selector matches a topic.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - work: Incremented by the cost: branches followed plus matchers called.
    /// - Returns: Whether one matches.
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

    /// Whether any of the ``matchers`` matches a topic.
    func isAskedFor(_ topic: Topic) -> Bool { matchers.contains { $0.matches(topic) } }

    /// Whether the subscriber receives an event of these topics.
    public func includes(_ topics: [Topic], isRestricted: Bool) -> Bool {
        topics.contains(where: wants) && (!isRestricted || allows(topics))
    }

    /// Whether the subscriber may receive a restricted event of these topics.
    func allows(_ topics: [Topic]) -> Bool {
        isAllowedAll || topics.contains { topic in allowed.contains { $0.matches(topic) } }
    }
}
