// SPDX-License-Identifier: Apache-2.0

/// Finds the slots whose patterns match a topic.
///
/// Slots that named the same pattern share a list, so a topic tests each pattern at most once, and only those that its
/// own segments lead to.
struct PatternIndex {
    private var table = SelectorTable()
    private(set) var lists = Memberships()
    /// Incremented when a pattern or name is first added or last removed, which invalidates earlier results.
    private(set) var version = 0

    var isEmpty: Bool { table.isEmpty }

    /// Adds a subscriber.
    ///
    /// - Parameters:
    ///   - slot: The subscriber.
    ///   - selection: Its selection.
    ///   - withNames: Whether to add the selection's names as well as its patterns.
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

    /// Finds the lists of a topic's name and of the patterns that match it.
    ///
    /// - Returns: The number of branches followed.
    @discardableResult
    func match(_ topic: Topic, _ found: (Int32) -> Void) -> Int {
        table.match(topic) { list in
            found(list)
            return true
        }
    }
}
