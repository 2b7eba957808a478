// SPDX-License-Identifier: Apache-2.0

/// Which slots named a pattern, found by topic.
///
/// Those that named the same pattern stand in one list, so that a topic asks for each pattern once at most, and only for
/// those that its own segments lead to.
struct PatternIndex {
    private var table = SelectorTable()
    private(set) var lists = Memberships()
    /// Rises when a pattern, or a name, is added that was not there, or one has gone: what was found before may be wrong then.
    private(set) var version = 0

    var isEmpty: Bool { table.isEmpty }

    /// Adds a subscriber.
    ///
    /// - Parameters:
    ///   - slot: The subscriber.
    ///   - selection: Whose patterns.
    ///   - withNames: Whether also whose names.
    mutating func add(_ slot: Int32, _ selection: Selection, withNames: Bool) {
        if withNames { selection.table.forEachName { add(slot, table.add(name: $0.utf8)) } }
        selection.table.forEachPattern { add(slot, table.add($0)) }
    }

    private mutating func add(_ slot: Int32, _ node: Int32) {
        if lists.count(of: Int(node)) == 0 { version += 1 }
        lists.add(slot, to: Int(node))
    }

    /// Removes a subscriber.
    mutating func remove(_ slot: Int32) {
        for node in lists.remove(slot) {
            version += 1
            table.removeAll(node)
        }
    }

    /// Finds the lists of those that named a topic, or a pattern that matches it.
    ///
    /// - Returns: The number of branches that were followed.
    @discardableResult
    func match(_ topic: Topic, _ found: (Int32) -> Void) -> Int {
        table.match(topic) { list in
            found(list)
            return true
        }
    }
}
