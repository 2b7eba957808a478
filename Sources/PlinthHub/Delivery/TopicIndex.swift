// SPDX-License-Identifier: Apache-2.0

/// Finds the slots of a ``Distributor`` that receive the events of a topic.
///
/// A subscriber of one topic is in that topic's list alone; a subscriber of several names is in a list for each.
/// Patterns are matched when a topic next has an event, and the result is cached with the topic until a pattern is
/// added or removed; only an application's matchers are called one by one. Adding or removing a subscriber thus costs
/// what it named, however many topics and subscribers there are.
struct TopicIndex {
    struct Node {
        let topic: Topic
        /// Subscribers of this topic alone.
        var single: [Int32] = []
        /// The matching patterns by the numbers of their lists, as of ``patternsVersion``.
        var patterns: [Int32] = []
        var patternsVersion = -1
        /// Subscribers with a matcher that accepts the topic, as of ``version``.
        var asked: [Int32] = []
        /// The number of changes that ``asked`` includes.
        var version = -1
        /// The events of the current round that have this topic.
        var pending: [Int32] = []
    }

    private(set) var numbers: [Topic: Int32] = [:]
    private(set) var nodes: [Node?] = []
    private var free: [Int32] = []
    /// Subscribers that named several topics; lists have the numbers of nodes.
    private(set) var several = Memberships()
    private(set) var patterns = PatternIndex()
    /// Subscribers with an application's matchers.
    private(set) var asking: [Int32: Selection] = [:]
    /// The latest of them that were added or removed, in order.
    private var changes: [Int32] = []
    /// The number of changes before the first of ``changes``.
    private var forgotten = 0
    /// Topics created only to cache results, since these were last dropped.
    private var unnamed = 0
    /// The patterns in all cached results, at least.
    private var answers = 0
    /// Pattern branches followed; for tests of a topic's cost.
    private(set) var steps = 0

    /// The maximum number of topics kept only to cache results.
    private static let maximumUnnamed = 4096
    /// The maximum number of patterns in all cached results: 4 MB.
    private static let maximumAnswers = 1 << 20
    /// The maximum number of changes kept; a topic further behind calls every matcher again.
    private static let maximumChanges = 1024

    /// The node of a topic that a subscriber may want; nil if none does.
    mutating func node(of topic: Topic) -> Int? {
        if let number = numbers[topic] {
            findAgain(Int(number))
            return Int(number)
        }
        guard !asking.isEmpty || !patterns.isEmpty else { return nil }
        if unnamed >= Self.maximumUnnamed { dropUnnamed() }
        unnamed += 1
        let number = makeNode(topic)
        findAgain(number)
        return number
    }

    private mutating func makeNode(_ topic: Topic) -> Int {
        let number: Int
        if let last = free.popLast() {
            number = Int(last)
            nodes[number] = Node(topic: topic)
        } else {
            number = nodes.count
            nodes.append(Node(topic: topic))
        }
        numbers[topic] = Int32(number)
        return number
    }

    private mutating func node(making topic: Topic) -> Int {
        if let number = numbers[topic] { return Int(number) }
        return makeNode(topic)
    }

    /// Drops the cached results of topics that no subscriber named: one subscriber of all topics would otherwise retain
    /// every topic that ever was.
    private mutating func dropUnnamed() {
        for number in nodes.indices { drop(number) }
        unnamed = 0
    }

    /// Drops a topic that no subscriber named, unless the current round uses it.
    private mutating func drop(_ number: Int) {
        guard let topic = nodes[number]?.topic, nodes[number]?.single.isEmpty ?? false, several.count(of: number) == 0,
            nodes[number]?.pending.isEmpty ?? false
        else { return }
        answers -= nodes[number]?.patterns.count ?? 0
        numbers[topic] = nil
        nodes[number] = nil
        free.append(Int32(number))
    }

    // MARK: - Patterns and matchers

    /// Updates the cached results of a topic.
    private mutating func findAgain(_ number: Int) {
        // The common case copies nothing of the node.
        if nodes[number]?.patternsVersion != patterns.version { findPatterns(number) }
        if nodes[number]?.version != forgotten + changes.count { askAgain(number) }
    }

    private mutating func findPatterns(_ number: Int) {
        guard var node = nodes[number] else { return }
        // Keeps its lists uniquely referenced, since they are changed below.
        nodes[number] = nil
        answers -= node.patterns.count
        node.patterns.removeAll(keepingCapacity: true)
        node.patternsVersion = patterns.version
        if !patterns.isEmpty { steps += patterns.match(node.topic) { node.patterns.append($0) } }
        answers += node.patterns.count
        nodes[number] = node
        if answers > Self.maximumAnswers { forgetAnswers(but: number) }
    }

    /// Drops the matching patterns of all topics that the current round does not use.
    private mutating func forgetAnswers(but kept: Int) {
        for number in nodes.indices where number != kept && (nodes[number]?.pending.isEmpty ?? false) {
            answers -= nodes[number]?.patterns.count ?? 0
            nodes[number]?.patterns = []
            nodes[number]?.patternsVersion = -1
        }
    }

    /// Updates the cached results of matchers.
    private mutating func askAgain(_ number: Int) {
        let current = forgotten + changes.count
        guard var node = nodes[number] else { return }
        // Keeps its lists uniquely referenced, since they are changed below.
        nodes[number] = nil
        defer { nodes[number] = node }
        let isKnown = node.version >= forgotten
        let news = isKnown ? changes[(node.version - forgotten)...] : []
        node.version = current
        guard isKnown, news.count < asking.count else {
            node.asked.removeAll(keepingCapacity: true)
            for (slot, selection) in asking where selection.isAskedFor(node.topic) { node.asked.append(slot) }
            return
        }
        if news.count <= 4 {
            node.asked.removeAll { news.contains($0) }
            for (place, slot) in news.enumerated() where !news.prefix(place).contains(slot) { ask(slot, &node) }
        } else {
            let news = Set(news)
            node.asked.removeAll { news.contains($0) }
            for slot in news { ask(slot, &node) }
        }
    }

    private func ask(_ slot: Int32, _ node: inout Node) {
        if asking[slot]?.isAskedFor(node.topic) ?? false { node.asked.append(slot) }
    }

    private mutating func didChange(_ slot: Int32) {
        if changes.count >= Self.maximumChanges {
            forgotten += changes.count
            changes.removeAll(keepingCapacity: true)
        }
        changes.append(slot)
    }

    // MARK: - A round

    /// Adds an event of the round to its topic.
    ///
    /// - Returns: Whether it is the topic's first of the round.
    mutating func add(_ event: Int32, pendingOf number: Int) -> Bool {
        guard let isFirst = nodes[number]?.pending.isEmpty else { return false }
        nodes[number]?.pending.append(event)
        return isFirst
    }

    /// Takes the events of a topic in this round.
    mutating func takePending(of number: Int) -> [Int32] {
        guard let pending = nodes[number]?.pending else { return [] }
        nodes[number]?.pending = []
        return pending
    }

    /// Returns the capacity of a taken array for the next round.
    mutating func giveBack(_ pending: consuming [Int32], to number: Int) {
        guard pending.capacity <= 1024 else { return }
        pending.removeAll(keepingCapacity: true)
        nodes[number]?.pending = pending
    }

    /// Whether a topic has subscribers that may also receive other topics.
    func hasOthers(_ number: Int) -> Bool {
        several.count(of: number) > 0 || !(nodes[number]?.patterns.isEmpty ?? true)
            || !(nodes[number]?.asked.isEmpty ?? true)
    }

    /// Calls a closure with each of a topic's subscribers that may also receive others, perhaps more than once.
    func forEachOther(of number: Int, _ body: (Int32) -> Void) {
        several.forEach(in: number, body)
        guard let node = nodes[number] else { return }
        for list in node.patterns { patterns.lists.forEach(in: Int(list), body) }
        for slot in node.asked { body(slot) }
    }

    // MARK: - Subscribers

    /// Adds a subscriber.
    ///
    /// - Returns: Its place in its topic's list, for ``remove(_:_:place:moved:)``.
    mutating func add(_ slot: Int, _ selection: Selection) -> Int32 {
        let slot = Int32(slot)
        if let only = selection.only {
            let number = node(making: only)
            let place = nodes[number]?.single.count ?? 0
            nodes[number]?.single.append(slot)
            return Int32(place)
        }
        selection.table.forEachName { topic in several.add(slot, to: node(making: topic)) }
        patterns.add(slot, selection, withNames: false)
        if !selection.matchers.isEmpty {
            asking[slot] = selection
            didChange(slot)
        }
        return -1
    }

    /// Removes a subscriber.
    ///
    /// - Parameters:
    ///   - slot: The subscriber.
    ///   - selection: The selection that it was added with.
    ///   - place: The place that adding it returned, or that another's removal moved it to.
    ///   - moved: Called with the subscriber that was moved to this place, if any.
    mutating func remove(_ slot: Int, _ selection: Selection, place: Int32, moved: (Int32) -> Void) {
        let slot = Int32(slot)
        if let only = selection.only {
            guard let number = numbers[only].map(Int.init), let count = nodes[number]?.single.count, count > 0 else {
                return
            }
            nodes[number]?.single.swapAt(Int(place), count - 1)
            nodes[number]?.single.removeLast()
            if Int(place) < count - 1, let other = nodes[number]?.single[Int(place)] { moved(other) }
            drop(number)
            return
        }
        for emptied in several.remove(slot) { drop(Int(emptied)) }
        patterns.remove(slot)
        if asking.removeValue(forKey: slot) != nil { didChange(slot) }
    }
}
