// SPDX-License-Identifier: Apache-2.0

/// Who subscribes to what, counted.
struct Presence {
    private var exact: [Topic: Int] = [:]
    /// Selections that have to be asked.
    private var asking: [UInt64: Selection] = [:]
    private(set) var count = 0

    mutating func add(_ selection: Selection, id: UInt64) {
        count += 1
        guard let topics = selection.exact else { return asking[id] = selection }
        for topic in topics { exact[topic, default: 0] += 1 }
    }

    mutating func remove(_ selection: Selection, id: UInt64) {
        count -= 1
        guard let topics = selection.exact else { return asking[id] = nil }
        for topic in topics {
            guard let count = exact[topic] else { continue }
            exact[topic] = count > 1 ? count - 1 : nil
        }
    }

    /// The subscribers of a topic.
    func count(of topic: Topic) -> Int {
        asking.values.reduce(exact[topic] ?? 0) { $0 + ($1.wants(topic) ? 1 : 0) }
    }

    /// The topics that somebody named.
    var topics: Dictionary<Topic, Int>.Keys { exact.keys }
}
