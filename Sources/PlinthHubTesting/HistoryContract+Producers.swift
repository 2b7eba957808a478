// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthHub

extension HistoryContract {
    private func request(
        _ data: [String],
        _ sequence: UInt64,
        epoch: UInt64 = 0,
        producer: String = "p",
        topic name: String = "a",
        ends: Bool = false,
        subject: HubSubject? = nil
    ) throws -> AppendRequest {
        AppendRequest(
            try data.map { try event($0, name) },
            ending: ends ? try topic(name) : nil,
            producer: ProducerStamp(id: try self.producer(producer), epoch: epoch, sequence: sequence),
            subject: subject
        )
    }

    private func producer(_ name: String) throws -> ProducerID {
        try unwrap(ProducerID(Array(name.utf8)), "\(name) is no producer's ID")
    }

    /// A number that was taken is not taken again; it is answered with the producer's last ID.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func takesNumbersOnce() async throws {
        let subject = try await open()
        var ids: [EventID] = []
        for sequence in 0..<5 as Range<UInt64> {
            let request = try request(["\(sequence)"], sequence)
            let result = try await append(request, to: subject)
            try expect(result.count == 1 && result.repeated == 0, "number \(sequence) is answered with \(result)")
            ids.append(result.lastID)
            let again = try await append(request, to: subject)
            try expect(
                again.ids.isEmpty && again.count == 0 && again.repeated == 1 && again.lastID == ids.last,
                "number \(sequence), sent again, is answered with \(again)"
            )
        }
        let old = try await append(try request(["0"], 0), to: subject)
        try expect(old.repeated == 1 && old.lastID == ids.last, "number 0, sent again, is answered with \(old)")
        let delivered = try await delivered(5, by: subject)
        try expect(delivered.map(\.id) == ids, "\(delivered.map(\.id)) delivered, not \(ids)")
    }

    /// Of a batch whose beginning is known, the rest is taken.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func takesTheRestOfAKnownBatch() async throws {
        let subject = try await open()
        _ = try await append(try request(["0", "1"], 0), to: subject)
        let result = try await append(try request(["0", "1", "2", "3"], 0), to: subject)
        try expect(result.count == 2 && result.repeated == 2, "a batch of 2 known and 2 new is answered with \(result)")
        try expect(result.ids.count == 2 && result.ids.last == result.lastID, "its IDs are \(result.ids)")
        let known = try await append(try request(["1", "2"], 1), to: subject)
        try expect(known.count == 0 && known.repeated == 2, "a known batch is answered with \(known)")
        try expect(known.lastID == result.lastID, "a known batch is answered with \(known.lastID)")
        let delivered = try await delivered(4, by: subject)
        try expect(delivered.map(\.event.data) == ["0", "1", "2", "3"], "\(delivered.map(\.event.data)) delivered")
    }

    /// A number beyond the next one, and any but 0 of an unknown producer, is refused with the one expected.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func refusesHoles() async throws {
        let subject = try await open()
        let unknown = try await expectRefusal(
            .producerUnknown,
            of: try request(["1"], 1),
            by: subject,
            "number 1 of an unknown producer"
        )
        try expect(unknown.expectedSequence == 0, "expected is \(String(describing: unknown.expectedSequence)), not 0")
        _ = try await append(try request(["0", "1"], 0), to: subject)
        let hole = try await expectRefusal(.sequenceHole, of: try request(["3"], 3), by: subject, "number 3 after 1")
        try expect(hole.expectedSequence == 2, "expected is \(String(describing: hole.expectedSequence)), not 2")
        _ = try await append(try request(["2"], 2), to: subject)
        let delivered = try await delivered(3, by: subject)
        try expect(delivered.map(\.event.data) == ["0", "1", "2"], "\(delivered.map(\.event.data)) delivered")
    }

    /// A later epoch begins at 0 and fences all earlier ones.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func fencesOlderEpochs() async throws {
        let subject = try await open()
        _ = try await append(try request(["0"], 0, epoch: 3), to: subject)
        let first = try await expectRefusal(
            .sequenceHole,
            of: try request(["1"], 1, epoch: 4),
            by: subject,
            "a new epoch that begins at 1"
        )
        try expect(first.expectedSequence == 0, "expected is \(String(describing: first.expectedSequence)), not 0")
        // It changed nothing.
        _ = try await append(try request(["1"], 1, epoch: 3), to: subject)
        _ = try await append(try request(["2"], 0, epoch: 5), to: subject)
        for (epoch, sequence) in [(3, 1), (3, 2), (4, 0), (0, 0)] as [(UInt64, UInt64)] {
            let request = try request(["late"], sequence, epoch: epoch)
            let error = try await expectRefusal(.producerFenced, of: request, by: subject, "epoch \(epoch) after 5")
            try expect(error.currentEpoch == 5, "fenced by \(String(describing: error.currentEpoch)), not 5")
        }
        let delivered = try await delivered(3, by: subject)
        try expect(delivered.map(\.event.data) == ["0", "1", "2"], "\(delivered.map(\.event.data)) delivered")
    }

    /// Numbers are counted for each producer, topic and subject.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func keepsProducersApart() async throws {
        let subject = try await open()
        let me = HubSubject(source: "contract", name: "me")
        let you = HubSubject(source: "contract", issuer: "other", name: "me")
        let requests = [
            try request(["1"], 0), try request(["2"], 0, producer: "q"), try request(["3"], 0, topic: "b"),
            try request(["4"], 0, subject: me), try request(["5"], 0, subject: you),
        ]
        for request in requests {
            let result = try await append(request, to: subject)
            try expect(result.count == 1, "the first number of another producer is answered with \(result)")
        }
        for request in requests {
            let again = try await append(request, to: subject)
            try expect(again.repeated == 1, "a number sent again is answered with \(again)")
        }
        _ = try await delivered(5, by: subject)
    }

    /// Purging a topic keeps its producers: what they sent before is not taken again.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func keepsProducersOfPurgedTopics() async throws {
        let subject = try await open()
        let first = try await append(try request(["0", "1"], 0), to: subject)
        _ = try await subject.history.purge(try topic("a"))
        let again = try await append(try request(["0", "1"], 0), to: subject)
        try expect(again.repeated == 2 && again.lastID == first.lastID, "a known batch is answered with \(again)")
        let next = try await append(try request(["2"], 2), to: subject)
        try expect(next.count == 1, "the next number is answered with \(next)")
        let held = try await all(subject)
        try expect(held.map(\.event.data) == ["2"], "\(held.map(\.event.data)) held")
    }

    /// An end takes a number; a batch with its end is repeated like any other.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func numbersEnds() async throws {
        let subject = try await open()
        let request = try request(["0", "1"], 0, ends: true)
        let result = try await append(request, to: subject)
        try expect(result.count == 3, "two events and an end are answered with \(result)")
        let state = try await subject.history.producer(try producer("p"), of: nil, in: try topic("a"))
        try expect(state?.sequence == 2, "the end's number is 2, the last is \(String(describing: state?.sequence))")
        let again = try await append(request, to: subject)
        try expect(again.repeated == 3 && again.lastID == result.lastID, "sent again, it is answered with \(again)")
        _ = try await delivered(3, by: subject)
    }

    /// A producer's state is its epoch and the last number taken; a producer that sent nothing has none.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func returnsProducers() async throws {
        let subject = try await open()
        let (p, a) = (try producer("p"), try topic("a"))
        let none = try await subject.history.producer(p, of: nil, in: a)
        try expect(none == nil, "a producer that sent nothing has \(String(describing: none))")
        let result = try await append(try request(["0", "1"], 0, epoch: 2), to: subject)
        let state = try await subject.history.producer(p, of: nil, in: a)
        let expected = ProducerState(epoch: 2, sequence: 1, lastID: result.lastID)
        try expect(state == expected, "\(String(describing: state)) returned, not \(expected)")
        let others = [
            try await subject.history.producer(p, of: nil, in: try topic("b")),
            try await subject.history.producer(p, of: HubSubject(source: "contract", name: "me"), in: a),
            try await subject.history.producer(try producer("q"), of: nil, in: a),
        ]
        try expect(others.allSatisfy { $0 == nil }, "\(others) returned for producers that sent nothing")
    }

    /// The producer's epoch is checked first, then what was taken before, then ended topics, then missing events.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func checksInOrder() async throws {
        let subject = try await open()
        let end = try await append(try request(["0"], 0, epoch: 1, ends: true), to: subject)
        try await expectRefusal(
            .producerFenced,
            of: try request(["0"], 0),
            by: subject,
            "an old epoch, to an ended topic,"
        )
        let again = try await append(try request(["0"], 0, epoch: 1), to: subject)
        try expect(again.repeated == 1, "a known number, to an ended topic, is answered with \(again)")
        try await expectRefusal(
            .topicEnded,
            of: try request(["9"], 9, epoch: 1),
            by: subject,
            "a hole in an ended topic"
        )
        let only = try await append(try request([], 9, epoch: 1, ends: true), to: subject)
        try expect(only.repeated == 1 && only.lastID == end.lastID, "another end is answered with \(only)")
    }

    /// Of concurrent requests with the same number, one is taken; the others are answered as repetitions.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func takesNumbersOnceWhenRequestsRace() async throws {
        let subject = try await open()
        for round in 0..<10 as Range<UInt64> {
            let request = try request(["\(round)"], round)
            let results = try await race(request, to: subject)
            try expect(
                results.count { $0.count == 1 } == 1,
                "of 8 requests with number \(round), \(results.count { $0.count == 1 }) were taken"
            )
            try expect(Set(results.map(\.lastID)).count == 1, "number \(round) has the IDs \(results.map(\.lastID))")
        }
        _ = try await delivered(10, by: subject)
    }

    /// The answers to eight concurrent copies of a request.
    func race(_ request: AppendRequest, to subject: Subject) async throws -> [AppendResult] {
        try await withThrowingTaskGroup(of: AppendResult.self) { group in
            for _ in 0..<8 { group.addTask { try await append(request, to: subject) } }
            var results: [AppendResult] = []
            for try await result in group { results.append(result) }
            return results
        }
    }

    /// The numbers of an append that failed are not taken.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func forgetsNumbersOfFailures() async throws {
        guard let failNextAppend = abilities.failNextAppend else { return }
        let subject = try await open()
        _ = try await append(try request(["0"], 0), to: subject)
        try await failNextAppend(subject.history)
        var taken: AppendResult?
        do { taken = try await append(try request(["1"], 1), to: subject) } catch {}
        try expect(taken == nil, "an append that should fail returned \(String(describing: taken))")
        let again = try await append(try request(["1"], 1), to: subject)
        try expect(again.count == 1, "sent again after a failure, it is answered with \(again)")
        _ = try await delivered(2, by: subject)
    }

    /// At the bound, new producers are refused, and known ones go on; each subject has a quota of its own.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func boundsProducers() async throws {
        guard let makeBounded = abilities.makeBounded else { return }
        var quotas = HistoryQuotas()
        quotas.producers = 4
        quotas.producersPerSubject = 2
        let subject = try await open(try await makeBounded(quotas))
        let me = HubSubject(source: "contract", name: "me")
        for name in ["1", "2"] { _ = try await append(try request(["x"], 0, producer: name, subject: me), to: subject) }
        try await expectRefusal(
            .quota,
            of: try request(["x"], 0, producer: "3", subject: me),
            by: subject,
            "a subject's third producer of 2"
        )
        for name in ["3", "4"] { _ = try await append(try request(["x"], 0, producer: name), to: subject) }
        try await expectRefusal(.quota, of: try request(["x"], 0, producer: "5"), by: subject, "a fifth producer of 4")
        let next = try await append(try request(["y"], 1, producer: "1", subject: me), to: subject)
        try expect(next.count == 1, "a known producer at the bound is answered with \(next)")
        guard let advance = abilities.advance else { return }
        // One that was active within the hour is never dropped.
        try await advance(subject.history, .seconds(3590))
        _ = try await append(try request(["z"], 2, producer: "1", subject: me), to: subject)
        try await expectRefusal(.quota, of: try request(["x"], 0, producer: "5"), by: subject, "a fifth producer of 4")
        try await advance(subject.history, .seconds(20))
        let fifth = try await append(try request(["x"], 0, producer: "5"), to: subject)
        try expect(fifth.count == 1, "after an hour, a new producer is answered with \(fifth)")
        let first = try await append(try request(["z"], 2, producer: "1", subject: me), to: subject)
        try expect(first.repeated == 1, "a producer active within the hour was forgotten: \(first)")
    }
}
