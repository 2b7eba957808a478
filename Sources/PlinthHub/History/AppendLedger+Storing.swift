// SPDX-License-Identifier: Apache-2.0

package import PlinthStreams

/// A producer as a history stores it.
package struct ProducerRecord: Sendable {
    package let topic: Topic
    package let subject: HubSubject?
    package let id: ProducerID
    package let epoch: UInt64
    package let sequence: UInt64
    /// The position of its last event.
    package let last: UInt64

    package init(topic: Topic, subject: HubSubject?, id: ProducerID, epoch: UInt64, sequence: UInt64, last: UInt64) {
        self.topic = topic
        self.subject = subject
        self.id = id
        self.epoch = epoch
        self.sequence = sequence
        self.last = last
    }
}

/// The answer kept under a key, as a history stores it.
package struct AnswerRecord: Sendable {
    package let subject: HubSubject?
    package let key: IdempotencyKey
    package let digest: UInt128
    package let count: Int
    package let repeated: Int
    /// The position of the last entry.
    package let position: UInt64

    package init(
        subject: HubSubject?,
        key: IdempotencyKey,
        digest: UInt128,
        count: Int,
        repeated: Int,
        position: UInt64
    ) {
        self.subject = subject
        self.key = key
        self.digest = digest
        self.count = count
        self.repeated = repeated
        self.position = position
    }
}

/// For a history that stores what a ledger knows, and assigns all IDs itself.
extension AppendLedger {
    /// The state of a request's producer, to be stored.
    package func producerRecord(of request: AppendRequest) -> ProducerRecord? {
        guard let (stamp, key) = producer(of: request), let state = producers[key] else { return nil }
        return ProducerRecord(
            topic: key.topic,
            subject: key.subject,
            id: stamp.id,
            epoch: state.epoch,
            sequence: state.sequence,
            last: state.last
        )
    }

    /// The answer kept under a request's key, to be stored.
    package func answerRecord(of request: AppendRequest) -> AnswerRecord? {
        guard let key = key(of: request), let answer = answers[key] else { return nil }
        return AnswerRecord(
            subject: key.subject,
            key: key.key,
            digest: answer.digest,
            count: Int(answer.count),
            repeated: Int(answer.repeated),
            position: answer.position
        )
    }

    /// Adds a producer from the store.
    package mutating func restore(_ record: ProducerRecord, active: MonotonicTime) {
        producers.set(
            KnownProducers.State(epoch: record.epoch, sequence: record.sequence, last: record.last, active: active),
            for: KnownProducers.Key(topic: record.topic, subject: record.subject, id: record.id)
        )
    }

    /// Adds an answer from the store; the oldest first.
    package mutating func restore(_ record: AnswerRecord, time: MonotonicTime) {
        let result = AppendResult(
            ids: [],
            count: record.count,
            repeated: record.repeated,
            lastID: EventID(trusted: [])
        )
        answers.keep(
            KeptAnswers.Answer(
                result,
                chosenID: nil,
                at: Position(record.position),
                digest: record.digest,
                time: time
            ),
            for: KeptAnswers.Key(subject: record.subject, key: record.key)
        )
    }

    /// Adds an end from the store.
    package mutating func restore(_ end: HistoryEntry, by subject: HubSubject?) { ended.add(end, by: subject) }

    /// Whether producers that are dropped at the bound are recorded for ``takeDroppedProducers()``.
    package var recordsDroppedProducers: Bool {
        get { producers.recordsDropped }
        set { producers.recordsDropped = newValue }
    }

    /// The producers dropped since the last call, to be removed from the store.
    package mutating func takeDroppedProducers() -> [(topic: Topic, subject: HubSubject?, id: ProducerID)] {
        producers.takeDropped().map { ($0.topic, $0.subject, $0.id) }
    }

    /// Who ended a topic; nil if it has not ended, or was ended anonymously.
    package func subject(ofEnd topic: Topic) -> HubSubject? { ended.subject(of: topic) }
}
