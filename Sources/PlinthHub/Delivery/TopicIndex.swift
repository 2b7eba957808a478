// SPDX-License-Identifier: Apache-2.0

/// Which slots of a ``Distributor`` get the events of a topic.
///
/// A subscriber of one topic stands in that topic's list and nowhere else. One of several stands in the list of each; one of
/// patterns is asked when a topic next has an event, and the answer is kept with it. So coming and going costs the same
/// however many topics and subscribers there are.
struct TopicIndex {
    struct Node {
        let topic: Topic
        /// Subscribers of this topic alone.
        var single: [Int32] = []
        /// Subscribers that named it among others.
        var several: [Int32] = []
        /// Subscribers that were asked and want it, as of ``version``.
        var asked: [Int32] = []
        /// How many changes ``asked`` knows of.
        var version = 0
        /// The events of the round under way that have this topic.
        var pending: [Int32] = []

        /// Nobody named it: it is kept for the answers only, which can be asked for again.
        var isUnnamed: Bool { single.isEmpty && several.isEmpty }
    }

    private(set) var numbers: [Topic: Int32] = [:]
    private(set) var nodes: [Node?] = []
    private var free: [Int32] = []
    /// Subscribers whose selectors have to be asked.
    private(set) var asking: [Int32: Selection] = [:]
    /// Which of them came or went, in order, as far as that is known.
    private var changes: [Int32] = []
    /// How many came or went before the first of ``changes``.
    private var forgotten = 0
    /// Topics that were made for the answers only, since these were last forgotten.
    private var unnamed = 0

    /// The topics that are kept for the answers only, at most.
    private static let maximumUnnamed = 4096
    /// The changes that are kept, at most; who is further behind asks everybody again.
    private static let maximumChanges = 1024

    /// The node of a topic that somebody wants, nil if nobody does.
    mutating func node(of topic: Topic) -> Int? {
        if let number = numbers[topic] {
            askAgain(Int(number))
            return Int(number)
        }
        guard !asking.isEmpty else { return nil }
        if unnamed >= Self.maximumUnnamed { dropUnnamed() }
        unnamed += 1
        let number = makeNode(topic)
        askAgain(number)
        return number
    }

    private mutating func makeNode(_ topic: Topic) -> Int {
        // Older than anything that is known: it asks everybody, when it first has an event.
        var node = Node(topic: topic)
        node.version = -1
        let number: Int
        if let last = free.popLast() {
            number = Int(last)
            nodes[number] = node
        } else {
            number = nodes.count
            nodes.append(node)
        }
        numbers[topic] = Int32(number)
        return number
    }

    private mutating func node(making topic: Topic) -> Int {
        if let number = numbers[topic] { return Int(number) }
        return makeNode(topic)
    }

    /// Forgets the answers for topics that nobody named: with one subscriber of all there would be one for each that ever was.
    private mutating func dropUnnamed() {
        for number in nodes.indices { drop(number) }
        unnamed = 0
    }

    /// Forgets a topic that nobody named, unless a round still has use for it.
    private mutating func drop(_ number: Int) {
        guard let node = nodes[number], node.isUnnamed, node.pending.isEmpty else { return }
        numbers[node.topic] = nil
        nodes[number] = nil
        free.append(Int32(number))
    }

    // MARK: - Asking

    /// Brings the answers for a topic up to date.
    private mutating func askAgain(_ number: Int) {
        let current = forgotten + changes.count
        // The way of nearly all events: nothing of the node is copied.
        guard nodes[number]?.version != current, var node = nodes[number] else { return }
        // One reference to its lists, which are changed below.
        nodes[number] = nil
        defer { nodes[number] = node }
        let isKnown = node.version >= forgotten
        let news = isKnown ? changes[(node.version - forgotten)...] : []
        node.version = current
        guard isKnown, news.count < asking.count else {
            node.asked.removeAll(keepingCapacity: true)
            for (slot, selection) in asking where selection.wants(node.topic) { node.asked.append(slot) }
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
        if asking[slot]?.wants(node.topic) ?? false { node.asked.append(slot) }
    }

    private mutating func didChange(_ slot: Int32) {
        if changes.count >= Self.maximumChanges {
            forgotten += changes.count
            changes.removeAll(keepingCapacity: true)
        }
        changes.append(slot)
    }

    // MARK: - A round

    /// Takes note of an event of a topic.
    ///
    /// - Returns: Whether it is the first of the round.
    mutating func add(_ event: Int32, pendingOf number: Int) -> Bool {
        guard let isFirst = nodes[number]?.pending.isEmpty else { return false }
        nodes[number]?.pending.append(event)
        return isFirst
    }

    /// The events of a topic in this round; none from now on.
    mutating func takePending(of number: Int) -> [Int32] {
        guard let pending = nodes[number]?.pending else { return [] }
        nodes[number]?.pending = []
        return pending
    }

    /// Keeps the room of what was taken for the next round.
    mutating func giveBack(_ pending: consuming [Int32], to number: Int) {
        guard pending.capacity <= 1024 else { return }
        pending.removeAll(keepingCapacity: true)
        nodes[number]?.pending = pending
    }

    // MARK: - Subscribers

    /// Adds a subscriber.
    ///
    /// - Returns: Its place in the list of its topic, for ``remove(_:_:place:moved:)``.
    mutating func add(_ slot: Int, _ selection: Selection) -> Int32 {
        let slot = Int32(slot)
        if let only = selection.only {
            let number = node(making: only)
            let place = nodes[number]?.single.count ?? 0
            nodes[number]?.single.append(slot)
            return Int32(place)
        }
        if let exact = selection.exact {
            for topic in exact {
                let number = node(making: topic)
                nodes[number]?.several.append(slot)
            }
        } else {
            asking[slot] = selection
            didChange(slot)
        }
        return -1
    }

    /// Removes a subscriber.
    ///
    /// - Parameters:
    ///   - slot: The subscriber.
    ///   - selection: What it was added with.
    ///   - place: What adding it returned, or what it was told of since.
    ///   - moved: Is told which subscriber is in that place now.
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
        } else if let exact = selection.exact {
            for topic in exact {
                guard let number = numbers[topic].map(Int.init),
                    let index = nodes[number]?.several.firstIndex(of: slot)
                else { continue }
                nodes[number]?.several.remove(at: index)
                drop(number)
            }
        } else {
            asking[slot] = nil
            didChange(slot)
        }
    }
}
