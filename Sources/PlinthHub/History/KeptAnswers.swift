// SPDX-License-Identifier: Apache-2.0

import DequeModule

/// The answers that a ``MemoryHistoryState`` keeps under idempotency keys.
struct KeptAnswers {
    struct Key: Hashable {
        let subject: HubSubject?
        let key: IdempotencyKey
    }

    struct Answer {
        /// The request's ``AppendRequest/digest``.
        let digest: UInt128
        let count: Int32
        let repeated: Int32
        /// The last ID, if it is not that of the position: a publisher may have chosen it.
        let chosenID: EventID?
        let position: UInt64
        let time: MonotonicTime

        init(_ result: AppendResult, chosenID: EventID?, at position: Position, digest: UInt128, time: MonotonicTime) {
            self.digest = digest
            count = Int32(clamping: result.count)
            repeated = Int32(clamping: result.repeated)
            self.chosenID = chosenID
            self.position = position.number
            self.time = time
        }

        func result(id: (Position) -> EventID) -> AppendResult {
            AppendResult(
                ids: [],
                count: Int(count),
                repeated: Int(repeated),
                lastID: chosenID ?? id(Position(position)),
                isReplayed: true
            )
        }
    }

    private let maximum: Int
    private let maximumPerSubject: Int
    private let age: Int64
    private var answers: [Key: Answer] = [:]
    /// A key, by the time of its answer.
    private struct Place {
        let key: Key
        let time: MonotonicTime
    }

    /// All keys, the oldest first; a key whose answer was replaced is there twice.
    private var order: Deque<Place> = []
    private var bytesOf: [HubSubject: Int] = [:]
    /// The bytes of all keys with their answers.
    private(set) var bytes = 0

    init(_ quotas: HistoryQuotas) {
        maximum = max(0, quotas.keyBytes)
        maximumPerSubject = max(0, quotas.keyBytesPerSubject)
        age = max(0, quotas.keyAge.clampedNanoseconds)
    }

    var count: Int { answers.count }

    subscript(key: Key) -> Answer? { answers[key] }

    /// The memory of an answer: a place in both tables, averaged over their growth, and the key's bytes.
    static func size(_ key: Key) -> Int {
        let places = MemoryLayout<(Key, Answer)>.stride * 2 + MemoryLayout<Place>.stride * 3 / 2
        return places + Allocation.size(Allocation.arrayHead + key.key.bytes.count)
    }

    func hasRoom(for key: Key) -> Bool {
        let size = Self.size(key)
        guard bytes + size <= maximum else { return false }
        return key.subject.map { bytesOf[$0, default: 0] + size <= maximumPerSubject } ?? true
    }

    /// Keeps an answer if there is room; it replaces one under the same key, which a history that is filled from its
    /// store may have.
    mutating func keep(_ answer: Answer, for key: Key) {
        expire(now: answer.time)
        if answers[key] != nil { add(-Self.size(key), key) }
        answers[key] = nil
        guard hasRoom(for: key) else { return }
        answers[key] = answer
        order.append(Place(key: key, time: answer.time))
        add(Self.size(key), key)
    }

    /// Drops the answers that are too old.
    mutating func expire(now: MonotonicTime) {
        while let place = order.first, now.nanoseconds - place.time.nanoseconds >= age {
            order.removeFirst()
            // Its answer may have been replaced by a later one.
            guard answers[place.key]?.time == place.time else { continue }
            answers[place.key] = nil
            add(-Self.size(place.key), place.key)
        }
        // Neither shrinks by itself.
        if answers.isEmpty, answers.capacity > 1024 {
            answers = [:]
            order = []
        }
    }

    private mutating func add(_ size: Int, _ key: Key) {
        bytes += size
        guard let subject = key.subject else { return }
        let left = bytesOf[subject, default: 0] + size
        bytesOf[subject] = left == 0 ? nil : left
    }
}
