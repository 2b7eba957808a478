// SPDX-License-Identifier: Apache-2.0

/// The topics that a subscriber wants, those that it may see, and those whose restricted events it may receive.
///
/// An event is included if any of its topics is wanted and visible and, for a restricted event, any of its topics is
/// allowed. The same test applies to live events, replay, gaps, ends and counts.
///
/// Names and patterns are kept in one table: about 50 bytes per segment and name, plus its text.
public final class Selection: Sendable {
    /// The topics that the subscriber may see.
    public let visible: [TopicSelector]
    /// The topics whose restricted events the subscriber may receive.
    public let allowed: [TopicSelector]
    /// The topic, if exactly one is wanted, as by nearly all subscribers.
    package let only: Topic?
    /// All wanted names and patterns; empty if ``only`` is set.
    let table: SelectorTable
    /// The application's matchers, which are called one by one.
    let matchers: [any TopicMatcher]
    /// Whether all selectors that were asked for are exact, so that the ends of their topics end a stream.
    ///
    /// A pattern may have become names, where nothing else is visible.
    package let isExact: Bool
    private let isAll: Bool
    /// Nil if restricted events of all topics may be received.
    private let allowedTopics: Selection?

    /// Creates a selection.
    ///
    /// - Parameters:
    ///   - wanted: The topics to receive; with none, nothing is received.
    ///   - visible: The topics that the subscriber may see; it receives nothing of others.
    ///     Default: all.
    ///   - allowed: The topics whose restricted events may be received. Default: all.
    public convenience init(
        _ wanted: [TopicSelector],
        visible: [TopicSelector] = [.all],
        allowed: [TopicSelector] = [.all]
    ) {
        let visibleTopics = visible.contains(where: \.isAll) ? nil : Selection(only: visible)
        let allowedTopics = allowed.contains(where: \.isAll) ? nil : Selection(only: allowed)
        self.init(wanted, (visible, visibleTopics), (allowed, allowedTopics))
    }

    /// A selection that hides nothing: a set of topics.
    private convenience init(only wanted: [TopicSelector]) {
        self.init(wanted, ([.all], nil), ([.all], nil))
    }

    /// Both sets are given as selectors and as a selection, which is nil for all topics.
    init(
        _ wanted: [TopicSelector],
        _ visible: (selectors: [TopicSelector], topics: Selection?),
        _ allowed: (selectors: [TopicSelector], topics: Selection?)
    ) {
        self.visible = visible.selectors
        self.allowed = allowed.selectors
        allowedTopics = allowed.topics
        isExact = wanted.allSatisfy { if case .exact = $0.kind { true } else { false } }
        let wanted = Self.visibleOnly(wanted, visible)
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

    /// The most pairs of a wanted pattern and a visible selector that become selectors of their own.
    private static let maximumPairs = 10_000

    /// The selectors of the topics that are both wanted and visible, so that nothing else has to ask what is visible.
    private static func visibleOnly(
        _ wanted: [TopicSelector],
        _ visible: (selectors: [TopicSelector], topics: Selection?)
    ) -> [TopicSelector] {
        guard let topics = visible.topics else { return wanted }
        if wanted.contains(where: \.isEverything) { return visible.selectors }
        var pairs = 0
        return wanted.flatMap { selector -> [TopicSelector] in
            switch selector.kind {
            case .exact(let topic): return topics.wants(topic) ? [selector] : []
            case .all: return visible.selectors
            case .matching(let matcher):
                guard let pattern = matcher as? TopicPattern else {
                    return [.matching(VisibleMatcher(matcher: matcher, visible: topics))]
                }
                // A pattern of many segments counts as several, since each segment of each result takes memory.
                pairs += visible.selectors.count * (1 + pattern.segmentCount / 4)
                guard pairs <= maximumPairs else {
                    return [.matching(VisibleMatcher(matcher: matcher, visible: topics))]
                }
                return visible.selectors.compactMap { $0.narrowed(to: pattern) }
            }
        }
    }

    /// The wanted selectors, without duplicates and in no particular order; what is not visible is left out.
    public var wanted: [TopicSelector] {
        if let only { return [.exact(only)] }
        var wanted: [TopicSelector] = isAll ? [.all] : []
        table.forEachName { wanted.append(.exact($0)) }
        table.forEachPattern { if !isAll || $0 != .everything { wanted.append(.pattern($0)) } }
        return wanted + matchers.map { .matching($0) }
    }

    /// The number of exact topics.
    package var names: Int { only != nil ? 1 : table.names }

    /// Calls a closure with each exact topic.
    package func forEachName(_ body: (Topic) -> Void) {
        if let only { body(only) } else { table.forEachName(body) }
    }

    /// Whether every topic is wanted and visible.
    package var wantsEverything: Bool { isAll }

    /// Whether it consists of names, so that each can be looked up.
    package var isOfNames: Bool { only != nil || (table.patterns == 0 && matchers.isEmpty) }

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
    package func wants(_ topic: Topic, work: inout Int) -> Bool {
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

    /// Whether the subscriber receives an entry of history.
    public func includes(_ entry: HistoryEntry) -> Bool {
        entry.topics.contains(where: wants) && (!entry.isRestricted || allows(entry.publishedTopics))
    }

    /// Whether the subscriber may receive a restricted event of these topics.
    func allows(_ topics: [Topic]) -> Bool {
        allowedTopics.map { topics.contains(where: $0.wants) } ?? true
    }
}

/// Matches the topics of another matcher that are visible.
private struct VisibleMatcher: TopicMatcher {
    let matcher: any TopicMatcher
    let visible: Selection

    var description: String { matcher.description }

    func matches(_ topic: Topic) -> Bool { matcher.matches(topic) && visible.wants(topic) }
}
