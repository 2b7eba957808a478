// SPDX-License-Identifier: Apache-2.0

import HeapModule

/// The limits of the topics of a history: the usual ones, and those that topics have of their own.
package struct TopicLimitTable {
    private struct Own {
        var limits: TopicLimits
        /// In nanoseconds.
        var age: Int64?
        /// When its oldest event is too old, as far as it is known; others in ``dues`` are outdated.
        var due: Int64?
    }

    private struct Due: Comparable {
        let time: Int64
        let topic: Topic

        static func < (left: Due, right: Due) -> Bool { left.time < right.time }
    }

    private let usual: HistoryLimits
    /// The age of topics without one of their own, in nanoseconds.
    package let usualAge: Int64?
    private let maximum: Int
    private var own: [Topic: Own] = [:]
    private var dues: Heap<Due> = []
    /// The last event that ``usualAge`` was applied to.
    package var expiredThrough: UInt64 = 0

    package init(usual: HistoryLimits, maximum: Int) {
        self.usual = usual
        usualAge = usual.age?.clampedNanoseconds
        self.maximum = max(0, maximum)
    }

    /// The most events and bytes of a topic.
    package func sizes(of topic: Topic) -> (events: Int, bytes: Int) {
        guard !own.isEmpty, let own = own[topic]?.limits else { return (usual.events, usual.bytes) }
        return (own.events ?? usual.events, own.bytes ?? usual.bytes)
    }

    /// The number of topics with limits of their own.
    package var count: Int { own.count }

    /// Whether any topic has limits of its own.
    package var hasOwn: Bool { !own.isEmpty }

    /// Whether a topic has an age of its own.
    package func hasAge(_ topic: Topic) -> Bool { !own.isEmpty && own[topic]?.age != nil }

    /// The age of a topic, in nanoseconds.
    package func age(of topic: Topic) -> Int64? { own.isEmpty ? usualAge : own[topic]?.age ?? usualAge }

    /// Sets the limits of a topic.
    ///
    /// - Returns: Whether it had none of its own before.
    package mutating func set(_ limits: TopicLimits, of topic: Topic) throws(HistoryError) -> Bool {
        guard own[topic] != nil || own.count < maximum else {
            throw HistoryError(.quota, "\(maximum) topics have limits of their own, the most allowed; purge some")
        }
        let age = limits.age.map { max(0, $0.clampedNanoseconds) }
        return own.updateValue(Own(limits: limits, age: age), forKey: topic) == nil
    }

    package mutating func remove(_ topic: Topic) { if !own.isEmpty { own[topic] = nil } }

    /// Records that a topic has an event of this time; the oldest first.
    package mutating func hasEvent(_ topic: Topic, at time: MonotonicTime) {
        guard !own.isEmpty, let known = own[topic], let age = known.age, known.due == nil else { return }
        let due = time.nanoseconds.addingReportingOverflow(age)
        let time = due.overflow ? .max : due.partialValue
        own[topic]?.due = time
        dues.insert(Due(time: time, topic: topic))
        // Those of topics whose limits were replaced are not needed.
        if dues.count > 2 * own.count + 1024 {
            dues = Heap(dues.unordered.filter { own[$0.topic]?.due == $0.time })
        }
    }

    /// A topic whose oldest event may be too old now; nil if there is none.
    package mutating func nextDue(now: MonotonicTime) -> Topic? {
        while let first = dues.min, first.time < now.nanoseconds {
            dues.removeMin()
            guard own[first.topic]?.due == first.time else { continue }
            own[first.topic]?.due = nil
            return first.topic
        }
        return nil
    }
}
