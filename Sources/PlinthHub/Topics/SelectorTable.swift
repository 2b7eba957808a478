// SPDX-License-Identifier: Apache-2.0

/// A table of names and patterns that finds those matching a topic without testing each entry.
///
/// Patterns form a trie over segments. Each segment of a topic follows at most one literal edge, found by hash, and the
/// wildcard edge, so the cost depends on the topic's segments and not on the size of the table. A name is a single edge
/// without a parent node, with the whole name as its segment.
///
/// Three flat arrays hold everything: about 40 bytes per segment plus its text, and few allocations for a stream of
/// thousands of names.
struct SelectorTable: Sendable {
    private struct Node {
        /// The segment of the edge that leads here, within ``text``; for a name, the whole name.
        var start: UInt32 = 0
        var length: UInt16 = 0
        var kind = Kind.free
        /// The node that the edge leads from; for a free node, the next free node.
        var parent: Int32 = -1
        var hash: UInt32 = 0
        /// The number of literal edges from here.
        var literals: Int32 = 0
        /// The nodes that `*` and `**` lead to, or -1.
        var one: Int32 = -1
        var rest: Int32 = -1
        /// The number of selectors that end here.
        var uses: Int32 = 0
    }

    private enum Kind: UInt8 {
        case free
        case root
        case name
        case literal
        case one
        case rest
    }

    private static let root: Int32 = 0
    /// The parent of names.
    private static let noNode: Int32 = -2

    private var nodes: ContiguousArray<Node> = []
    private var free: Int32 = -1
    /// A hash table with linear probing of the nodes of literals and names; -1 marks a free place.
    private var table: ContiguousArray<Int32> = []
    private var used = 0
    private var text: ContiguousArray<UInt8> = []
    /// The bytes of ``text`` that no node uses any more.
    private var garbage = 0
    /// The number of names.
    private(set) var names = 0
    /// The number of patterns.
    private(set) var patterns = 0

    var isEmpty: Bool { names == 0 && patterns == 0 }

    /// One more than the highest node number.
    var upperBound: Int { nodes.count }

    /// The bytes held for segments, including some of removed nodes.
    var textBytes: Int { text.count }

    // MARK: - Adding and removing

    /// Adds a name.
    ///
    /// - Returns: The number of its node, the same each time the name is added.
    mutating func add(name: [UInt8]) -> Int32 {
        use(name.withUnsafeBytes { bytes in node(making: .name, from: Self.noNode, bytes) })
    }

    /// Adds a pattern.
    ///
    /// - Returns: The number of its last node, the same each time the pattern is added.
    mutating func add(_ pattern: TopicPattern) -> Int32 {
        var node = Self.root
        if nodes.isEmpty { nodes.append(Node(kind: .root)) }
        pattern.forEachSegment { segment in
            switch segment {
            case .literal(let bytes): node = self.node(making: .literal, from: node, bytes)
            case .one: node = wildcard(.one, from: node)
            case .rest: node = wildcard(.rest, from: node)
            }
        }
        return use(node)
    }

    /// Removes one use of a name or pattern.
    ///
    /// - Parameter node: The number that adding it returned.
    /// - Returns: Whether the node was freed; its number may then be reused.
    mutating func remove(_ node: Int32) -> Bool {
        nodes[Int(node)].uses -= 1
        guard nodes[Int(node)].uses == 0 else { return false }
        if nodes[Int(node)].kind == .name { names -= 1 } else { patterns -= 1 }
        var last = node
        while last > Self.root || nodes[Int(last)].kind == .name {
            let removed = nodes[Int(last)]
            guard removed.uses == 0, removed.literals == 0, removed.one < 0, removed.rest < 0 else { break }
            unlink(last)
            guard removed.parent >= 0 else { break }
            last = removed.parent
        }
        return nodes[Int(node)].kind == .free
    }

    /// Removes all uses of a name or pattern.
    mutating func removeAll(_ node: Int32) {
        nodes[Int(node)].uses = 1
        _ = remove(node)
    }

    private mutating func use(_ node: Int32) -> Int32 {
        nodes[Int(node)].uses += 1
        if nodes[Int(node)].uses == 1 {
            if nodes[Int(node)].kind == .name { names += 1 } else { patterns += 1 }
        }
        return node
    }

    private mutating func wildcard(_ kind: Kind, from parent: Int32) -> Int32 {
        let known = kind == .one ? nodes[Int(parent)].one : nodes[Int(parent)].rest
        guard known < 0 else { return known }
        let made = insert(Node(kind: kind, parent: parent))
        if kind == .one { nodes[Int(parent)].one = made } else { nodes[Int(parent)].rest = made }
        return made
    }

    private mutating func node(making kind: Kind, from parent: Int32, _ segment: UnsafeRawBufferPointer) -> Int32 {
        // Node 0 is the root, even in a table of names alone.
        if nodes.isEmpty { nodes.append(Node(kind: .root)) }
        let hash = Self.hash(parent, segment)
        if let known = find(hash, parent, segment) { return known }
        if (used + 1) * 3 > table.count * 2 { grow() }
        let start = UInt32(truncatingIfNeeded: text.count)
        text.append(contentsOf: segment)
        let length = UInt16(truncatingIfNeeded: segment.count)
        let made = insert(Node(start: start, length: length, kind: kind, parent: parent, hash: hash))
        if parent >= 0 { nodes[Int(parent)].literals += 1 }
        put(made, hash)
        used += 1
        return made
    }

    private mutating func insert(_ node: Node) -> Int32 {
        guard free >= 0 else {
            nodes.append(node)
            return Int32(truncatingIfNeeded: nodes.count - 1)
        }
        let made = free
        free = nodes[Int(made)].parent
        nodes[Int(made)] = node
        return made
    }

    /// Frees a node without edges.
    private mutating func unlink(_ number: Int32) {
        let node = nodes[Int(number)]
        switch node.kind {
        case .one: nodes[Int(node.parent)].one = -1
        case .rest: nodes[Int(node.parent)].rest = -1
        case .literal, .name:
            if node.parent >= 0 { nodes[Int(node.parent)].literals -= 1 }
            takeOut(number, node.hash)
            garbage += Int(node.length)
        case .root, .free: return
        }
        nodes[Int(number)] = Node(parent: free)
        free = number
        if garbage > 4096, garbage > text.count / 2 { compact() }
    }

    /// Reclaims the text of removed segments.
    private mutating func compact() {
        var kept: ContiguousArray<UInt8> = []
        kept.reserveCapacity(text.count - garbage)
        for index in nodes.indices where nodes[index].kind == .literal || nodes[index].kind == .name {
            let start = Int(nodes[index].start)
            nodes[index].start = UInt32(truncatingIfNeeded: kept.count)
            kept.append(contentsOf: text[start..<(start + Int(nodes[index].length))])
        }
        text = kept
        garbage = 0
    }

    /// Releases spare capacity; for a table that no longer changes.
    mutating func shrink() {
        nodes = ContiguousArray(nodes)
        text = ContiguousArray(text)
    }

    // MARK: - Hashing

    /// Seeded per process, since clients choose the names.
    private static func hash(_ parent: Int32, _ segment: UnsafeRawBufferPointer) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(parent)
        hasher.combine(bytes: segment)
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }

    private func find(_ hash: UInt32, _ parent: Int32, _ segment: UnsafeRawBufferPointer) -> Int32? {
        guard !table.isEmpty else { return nil }
        let mask = table.count - 1
        var place = Int(hash) & mask
        while table[place] >= 0 {
            let number = table[place]
            if nodes[Int(number)].hash == hash, nodes[Int(number)].parent == parent, has(number, segment) {
                return number
            }
            place = (place + 1) & mask
        }
        return nil
    }

    /// Whether a node has this segment.
    private func has(_ number: Int32, _ segment: UnsafeRawBufferPointer) -> Bool {
        guard Int(nodes[Int(number)].length) == segment.count else { return false }
        let start = Int(nodes[Int(number)].start)
        return text.withUnsafeBytes { text in
            for index in 0..<segment.count where text[start + index] != segment[index] { return false }
            return true
        }
    }

    private mutating func put(_ number: Int32, _ hash: UInt32) {
        let mask = table.count - 1
        var place = Int(hash) & mask
        while table[place] >= 0 { place = (place + 1) & mask }
        table[place] = number
    }

    private mutating func grow() {
        table = ContiguousArray(repeating: -1, count: max(8, table.count * 2))
        for index in nodes.indices where nodes[index].kind == .literal || nodes[index].kind == .name {
            put(Int32(truncatingIfNeeded: index), nodes[index].hash)
        }
    }

    /// Removes a node from the hash table and moves up later ones that would become unreachable.
    private mutating func takeOut(_ number: Int32, _ hash: UInt32) {
        let mask = table.count - 1
        var hole = Int(hash) & mask
        while table[hole] != number { hole = (hole + 1) & mask }
        used -= 1
        var place = hole
        while true {
            place = (place + 1) & mask
            let other = table[place]
            guard other >= 0 else { break }
            let home = Int(nodes[Int(other)].hash) & mask
            // A node must not move to a place before its home.
            guard (place - home) & mask >= (place - hole) & mask else { continue }
            table[hole] = other
            hole = place
        }
        table[hole] = -1
    }

    // MARK: - Finding

    /// Whether the table contains a name.
    func contains(name: [UInt8]) -> Bool { node(of: name) != nil }

    /// The node of a name.
    func node(of name: [UInt8]) -> Int32? {
        guard names > 0 else { return nil }
        return name.withUnsafeBytes { find(Self.hash(Self.noNode, $0), Self.noNode, $0) }
    }

    /// Finds the names and patterns that match a topic.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - found: Called once with the node of each match; returns whether to continue.
    /// - Returns: The number of branches followed, at least 1.
    @discardableResult
    func match(_ topic: Topic, _ found: (Int32) -> Bool) -> Int {
        if let name = node(of: topic.utf8), !found(name) { return 1 }
        guard patterns > 0 else { return 1 }
        return topic.utf8.withUnsafeBytes { follow($0, found) }
    }

    private func follow(_ topic: UnsafeRawBufferPointer, _ found: (Int32) -> Bool) -> Int {
        var steps = 0
        var number = Self.root
        var start = 0
        // `*` branches to follow after the literal branch beside them.
        var others: [(node: Int32, start: Int)] = []
        while true {
            steps += 1
            let node = nodes[Int(number)]
            if node.rest >= 0, !found(node.rest) { return steps }
            var next: Int32 = -1
            if node.literals > 0 || node.one >= 0 {
                var end = start
                while end < topic.count, topic[end] != 0x2F { end += 1 }
                let literal = node.literals > 0 ? literal(from: number, topic[start..<end]) : -1
                if end == topic.count {
                    if literal >= 0, nodes[Int(literal)].uses > 0, !found(literal) { return steps }
                    if node.one >= 0, nodes[Int(node.one)].uses > 0, !found(node.one) { return steps }
                } else {
                    start = end + 1
                    if literal >= 0, node.one >= 0 { others.append((node.one, start)) }
                    next = literal >= 0 ? literal : node.one
                }
            }
            if next >= 0 {
                number = next
            } else {
                guard let other = others.popLast() else { return steps }
                (number, start) = other
            }
        }
    }

    private func literal(from parent: Int32, _ segment: Slice<UnsafeRawBufferPointer>) -> Int32 {
        let segment = UnsafeRawBufferPointer(rebasing: segment)
        return find(Self.hash(parent, segment), parent, segment) ?? -1
    }

    // MARK: - Listing

    /// Calls a closure with each name, in no particular order.
    func forEachName(_ body: (Topic) -> Void) {
        for index in nodes.indices where nodes[index].uses > 0 && nodes[index].kind == .name {
            body(Topic(trusted: path(Int32(truncatingIfNeeded: index))))
        }
    }

    /// Calls a closure with each pattern, in no particular order.
    func forEachPattern(_ body: (TopicPattern) -> Void) {
        guard patterns > 0 else { return }
        for index in nodes.indices where nodes[index].uses > 0 && nodes[index].kind != .name {
            body(TopicPattern(trusted: path(Int32(truncatingIfNeeded: index))))
        }
    }

    private func path(_ number: Int32) -> [UInt8] {
        if nodes[Int(number)].kind == .name { return segment(nodes[Int(number)]) }
        var segments: [[UInt8]] = []
        var number = number
        while number >= 0, nodes[Int(number)].kind != .root {
            let node = nodes[Int(number)]
            switch node.kind {
            case .one: segments.append([0x2A])
            case .rest: segments.append([0x2A, 0x2A])
            default: segments.append(segment(node))
            }
            number = node.parent
        }
        return Array(segments.reversed().joined(separator: [0x2F]))
    }

    private func segment(_ node: Node) -> [UInt8] {
        Array(text[Int(node.start)..<(Int(node.start) + Int(node.length))])
    }
}
