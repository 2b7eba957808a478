// SPDX-License-Identifier: Apache-2.0

/// Events on their way to a group's thread, up to a bound.
///
/// Where publishing outruns the thread they are dropped, and only the position of the last is kept: subscribers read them in
/// history then, like anyone who is behind. So memory is bounded by history's limits and this.
package struct PendingEntries {
    /// In bytes, roughly: 16 MiB.
    static let maximumSize = 16 << 20

    private var entries: [HistoryEntry] = []
    private var size = 0
    /// The last of those that were dropped.
    private var skipped: Position?

    /// None.
    package init() {}

    package var isEmpty: Bool { entries.isEmpty && skipped == nil }

    /// Puts in events that come after all before.
    package mutating func add(_ new: [HistoryEntry]) {
        guard let last = new.last else { return }
        for entry in new { size += entry.size }
        guard size <= Self.maximumSize || entries.isEmpty else {
            skipped = last.position
            entries = []
            size = 0
            return
        }
        if entries.isEmpty { entries = new } else { entries.append(contentsOf: new) }
    }

    /// What there is: up to where events were dropped, if any were, and those that came after.
    package mutating func take() -> (skipped: Position?, entries: [HistoryEntry]) {
        defer { self = PendingEntries() }
        return (skipped, entries)
    }
}
