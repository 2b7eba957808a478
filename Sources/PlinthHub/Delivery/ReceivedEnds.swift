// SPDX-License-Identifier: Apache-2.0

/// The ended topics whose ends a subscriber has received, or received before it began.
///
/// A connection's subscriber and one within the process both finish by it.
struct ReceivedEnds {
    private(set) var topics: Set<Topic>

    init(_ ends: [TopicEnd] = []) {
        topics = Set(ends.map(\.topic))
    }

    var isEmpty: Bool { topics.isEmpty }

    /// Records an entry that the subscriber has received: an end, or an event of topics that were opened again.
    mutating func record(_ entry: HistoryEntry) {
        if entry.isEnd {
            topics.formUnion(entry.topics)
        } else if !topics.isEmpty {
            topics.subtract(entry.topics)
        }
    }

    /// Whether nothing is left to receive: all of a selection's topics are exact and have ended.
    ///
    /// A topic may have been opened again since its end was received, so the history is asked if it answers at once.
    mutating func areComplete(for selection: Selection, in history: any History) -> Bool {
        guard !topics.isEmpty, selection.isExact, topics.count >= selection.names else { return false }
        guard selection.names > 1, let ends = history.endsNow(of: selection), ends.count < topics.count else {
            return true
        }
        topics.formIntersection(ends.map(\.topic))
        return false
    }
}
