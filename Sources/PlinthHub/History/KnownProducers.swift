// SPDX-License-Identifier: Apache-2.0

/// The producers that a ``MemoryHistoryState`` knows, by topic, subject and ID.
struct KnownProducers {
    struct Key: Hashable {
        let topic: Topic
        let subject: HubSubject?
        let id: ProducerID
    }

    struct State {
        var epoch: UInt64
        var sequence: UInt64
        var last: UInt64
        /// When it last published, or sent something again.
        var active: MonotonicTime
    }

    /// For how long a producer that is idle is never dropped: one hour.
    static let idleTime: Int64 = 3_600_000_000_000
    /// How often the idle ones are looked for at most, since all are examined: every second.
    private static let pause: Int64 = 1_000_000_000

    private let maximum: Int
    private let maximumPerSubject: Int
    private var states: [Key: State] = [:]
    private var counts: [HubSubject: Int] = [:]
    private var nextSweep = MonotonicTime(nanoseconds: .min)
    /// Those dropped since a history that stores producers last asked; empty for others.
    private var dropped: [Key] = []
    /// Whether those dropped are recorded.
    var recordsDropped = false

    init(_ quotas: HistoryQuotas) {
        maximum = max(0, quotas.producers)
        maximumPerSubject = max(0, quotas.producersPerSubject)
    }

    var count: Int { states.count }

    subscript(key: Key) -> State? { states[key] }

    /// Whether there is room for another producer; at the bound, after dropping those that were idle for an hour.
    mutating func hasRoom(for subject: HubSubject?, now: MonotonicTime) -> Bool {
        if isBelowBounds(subject) { return true }
        guard now >= nextSweep else { return false }
        nextSweep = MonotonicTime(nanoseconds: now.nanoseconds + Self.pause)
        let idle = states.filter { now.nanoseconds - $0.value.active.nanoseconds > Self.idleTime }.keys
        for key in idle { remove(key) }
        if recordsDropped { dropped += idle }
        return isBelowBounds(subject)
    }

    private func isBelowBounds(_ subject: HubSubject?) -> Bool {
        states.count < maximum && (subject.map { counts[$0, default: 0] < maximumPerSubject } ?? true)
    }

    mutating func set(_ state: State, for key: Key) {
        if states.updateValue(state, forKey: key) == nil, let subject = key.subject { counts[subject, default: 0] += 1 }
    }

    /// Records that a producer is active.
    mutating func touch(_ key: Key, now: MonotonicTime) { states[key]?.active = now }

    mutating func takeDropped() -> [Key] {
        defer { dropped = [] }
        return dropped
    }

    private mutating func remove(_ key: Key) {
        guard states.removeValue(forKey: key) != nil, let subject = key.subject else { return }
        let left = counts[subject, default: 1] - 1
        counts[subject] = left == 0 ? nil : left
    }
}
