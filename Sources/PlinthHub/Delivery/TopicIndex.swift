// SPDX-License-Identifier: Apache-2.0

/// Which slots of a ``Distributor`` get the events of a topic.
///
/// A subscriber of one topic stands in that topic's list and nowhere else. One of several stands in the list of each; one of
/// patterns is asked once for each topic, and the answer is kept with it.
struct TopicIndex {
    struct Node {
        let topic: Topic
        /// Subscribers of this topic alone.
        var single: [Int32] = []
        /// All others that want it.
        var several: [Int32] = []
        /// How many of these named it; all others were asked.
        var named = 0
        /// The events of the round under way that have this topic.
        var pending: [Int32] = []

        /// Nobody named it: it is kept for the answers only, which can be asked for again.
        var isUnnamed: Bool { single.isEmpty && named == 0 }
    }

    private(set) var numbers: [Topic: Int32] = [:]
    var nodes: [Node?] = []
    private var free: [Int32] = []
    /// Subscribers whose selectors have to be asked.
    private(set) var asking: [Int32: Selection] = [:]
    /// Topics that were made for the answers only, since these were last forgotten.
    private var unnamed = 0

    /// The node of a topic that somebody wants, nil if nobody does.
    mutating func node(of topic: Topic) -> Int? {
        if let number = numbers[topic] { return Int(number) }
        guard !asking.isEmpty else { return nil }
        if unnamed > 4096 { dropUnnamed() }
        unnamed += 1
        return makeNode(topic)
    }

    private mutating func makeNode(_ topic: Topic) -> Int {
        var node = Node(topic: topic)
        for (slot, selection) in asking where selection.wants(topic) { node.several.append(slot) }
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

    // MARK: - Subscribers

    /// Adds a subscriber.
    ///
    /// - Returns: Its place in the list of its topic, for ``remove(_:_:place:moved:)``.
    mutating func add(_ slot: Int, _ selection: Selection) -> Int32 {
        let slot32 = Int32(slot)
        if let only = selection.only {
            let number = node(making: only)
            let place = nodes[number]?.single.count ?? 0
            nodes[number]?.single.append(slot32)
            return Int32(place)
        }
        if let exact = selection.exact {
            for topic in exact {
                let number = node(making: topic)
                nodes[number]?.several.append(slot32)
                nodes[number]?.named += 1
            }
        } else {
            for number in nodes.indices {
                guard let topic = nodes[number]?.topic, selection.wants(topic) else { continue }
                nodes[number]?.several.append(slot32)
            }
            asking[slot32] = selection
            // Topics named by this selection need no node before they have an event: it is made then.
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
        let slot32 = Int32(slot)
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
                guard let number = numbers[topic].map(Int.init), removeFromSeveral(slot32, number) else { continue }
                nodes[number]?.named -= 1
                drop(number)
            }
        } else {
            asking[slot32] = nil
            for number in nodes.indices where removeFromSeveral(slot32, number) {
                // What others were asked is kept.
                if nodes[number]?.several.isEmpty ?? false { drop(number) }
            }
        }
    }

    private mutating func removeFromSeveral(_ slot: Int32, _ number: Int) -> Bool {
        guard let index = nodes[number]?.several.firstIndex(of: slot) else { return false }
        nodes[number]?.several.remove(at: index)
        return true
    }
}
