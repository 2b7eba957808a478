// SPDX-License-Identifier: Apache-2.0

/// The topics with the latest events, and how many they had; for operators.
///
/// Bounded: beyond twice ``maximum`` topics, those without events for longest are dropped.
struct TopicActivity {
    struct Topics: Sendable {
        var published: Int
        var last: UInt64
    }

    /// The minimum number of the latest topics that are kept: 1,000.
    static let maximum = 1000

    private(set) var topics: [Topic: Topics] = [:]

    mutating func record(_ entries: [HistoryEntry]) {
        for entry in entries {
            for topic in entry.publishedTopics {
                var known = topics[topic] ?? Topics(published: 0, last: 0)
                known.published += 1
                known.last = entry.position.number
                topics[topic] = known
            }
        }
        guard topics.count > 2 * Self.maximum else { return }
        let kept = topics.sorted { $0.value.last > $1.value.last }.prefix(Self.maximum)
        topics = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }

    /// The topics with the most recent events.
    func recent(_ count: Int) -> [(topic: Topic, published: Int)] {
        topics.sorted { $0.value.last > $1.value.last }.prefix(max(0, count)).map { ($0.key, $0.value.published) }
    }
}
