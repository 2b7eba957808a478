// SPDX-License-Identifier: Apache-2.0

/// A bounded queue of events for a group's thread.
///
/// If publishing outruns the thread, the queue is dropped and only the position of its last event is kept: subscribers
/// then read these events from history, like any that are behind. Memory is thus bounded by the history's limits and
/// this queue's.
package struct PendingEntries {
    /// The approximate limit in bytes: 16 MiB.
    static let maximumSize = 16 << 20

    private var entries: [HistoryEntry] = []
    private var size = 0
    /// The last event that was dropped.
    private var skipped: Position?

    /// Creates an empty queue.
    package init() {}

    package var isEmpty: Bool { entries.isEmpty && skipped == nil }

    /// Adds events that follow all earlier ones.
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

    /// Takes the position of the last dropped event, if any, and the events after it.
    package mutating func take() -> (skipped: Position?, entries: [HistoryEntry]) {
        defer { self = PendingEntries() }
        return (skipped, entries)
    }
}
