// SPDX-License-Identifier: Apache-2.0

import DequeModule
import HeapModule

/// The topics of a ``MemoryHistoryState`` that have ended, with their ends.
///
/// An end stays for as long as its topic has ended: limits and age take events only. At the bound, the topic that
/// ended first and holds no events is dropped; from then on it is new.
struct EndedTopics {
    struct Ended {
        let entry: HistoryEntry
        let subject: HubSubject?
    }

    typealias Ends = Deque<HistoryEntry>.SubSequence

    /// A topic that holds no events, by its end's position.
    private struct Droppable: Comparable {
        let position: UInt64
        let topic: Topic

        static func < (left: Droppable, right: Droppable) -> Bool { left.position < right.position }
    }

    private let maximum: Int
    private let maximumPerSubject: Int
    private var topics: [Topic: Ended] = [:]
    /// All ends, in order.
    private(set) var ends: Deque<HistoryEntry> = []
    private var counts: [HubSubject: Int] = [:]
    /// Topics that held no events when they were added; they may have been opened again since.
    private var droppable: Heap<Droppable> = []
    private var droppableOfSubject: [HubSubject: Heap<Droppable>] = [:]
    /// The bytes of all ends.
    private(set) var bytes = 0

    init(_ quotas: HistoryQuotas) {
        maximum = max(0, quotas.endedTopics)
        maximumPerSubject = max(0, quotas.endedTopicsPerSubject)
    }

    var isEmpty: Bool { topics.isEmpty }
    var count: Int { topics.count }

    /// The end of a topic; nil if it has not ended.
    subscript(topic: Topic) -> HistoryEntry? { topics.isEmpty ? nil : topics[topic]?.entry }

    /// Who ended a topic; nil if it has not ended, or was ended anonymously.
    func subject(of topic: Topic) -> HubSubject? { topics[topic]?.subject }

    /// The topic to be dropped before a subject can end another one.
    enum Room {
        case free
        case dropping(Topic)
        case none
    }

    mutating func room(for subject: HubSubject?) -> Room {
        if let subject, counts[subject, default: 0] >= maximumPerSubject {
            guard droppableOfSubject[subject] != nil else { return .none }
            return oldest(in: &droppableOfSubject[subject, default: []]).map { .dropping($0) } ?? .none
        }
        guard topics.count >= maximum else { return .free }
        return oldest(in: &droppable).map { .dropping($0) } ?? .none
    }

    private func oldest(in heap: inout Heap<Droppable>) -> Topic? {
        while let first = heap.min {
            if topics[first.topic]?.entry.position.number == first.position { return first.topic }
            heap.removeMin()
        }
        return nil
    }

    mutating func add(_ entry: HistoryEntry, by subject: HubSubject?) {
        topics[entry.topics[0]] = Ended(entry: entry, subject: subject)
        ends.append(entry)
        bytes += entry.size + MemoryLayout<Ended>.stride * 2
        if let subject { counts[subject, default: 0] += 1 }
    }

    /// Records that an ended topic holds no events.
    mutating func isWithoutEvents(_ topic: Topic) {
        guard let ended = topics[topic] else { return }
        let entry = Droppable(position: ended.entry.position.number, topic: topic)
        droppable.insert(entry)
        // Those of topics that were opened again are not needed.
        if droppable.count > 2 * topics.count + 1024 { droppable = Heap(droppable.unordered.filter(isCurrent)) }
        guard let subject = ended.subject else { return }
        droppableOfSubject[subject, default: []].insert(entry)
        let most = 2 * counts[subject, default: 0] + 64
        if let heap = droppableOfSubject[subject], heap.count > most {
            droppableOfSubject[subject] = Heap(heap.unordered.filter(isCurrent))
        }
    }

    private func isCurrent(_ droppable: Droppable) -> Bool {
        topics[droppable.topic]?.entry.position.number == droppable.position
    }

    mutating func remove(_ topic: Topic) -> HistoryEntry? {
        guard let ended = topics.removeValue(forKey: topic) else { return nil }
        let index = ends.index(after: ended.entry.position.number - 1) { $0.position.number }
        ends.remove(at: index)
        bytes -= ended.entry.size + MemoryLayout<Ended>.stride * 2
        if let subject = ended.subject {
            let left = counts[subject, default: 1] - 1
            counts[subject] = left == 0 ? nil : left
            if left == 0 { droppableOfSubject[subject] = nil }
        }
        return ended.entry
    }

    /// The ends after a position, up to another.
    func ends(after position: UInt64, through last: UInt64) -> Ends {
        let start = ends.index(after: position) { $0.position.number }
        let end = max(start, ends.index(after: last) { $0.position.number })
        return ends[start..<end]
    }
}
