// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthHub

extension HistoryContract {
    /// An end is an entry: it has the next position and an ID, is delivered once and in order, and can be read and
    /// resumed after.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func endsTopics() async throws {
        let subject = try await open()
        let a = try topic("a")
        let before = try await append([event("1", "a"), event("2", "b")], to: subject)
        let result = try await append(AppendRequest([event("3", "a")], ending: a), to: subject)
        try expect(result.count == 2 && result.repeated == 0, "an event and an end are answered with \(result)")
        try expect(result.ids.last == result.lastID, "the last ID \(result.lastID) is not the end's")
        let after = try await append([event("4", "b")], to: subject)
        let ids = before + result.ids + after
        let delivered = try await delivered(ids.count, by: subject)
        try expect(delivered.map(\.id) == ids, "\(delivered.map(\.id)) delivered, not \(ids)")
        let held = try await all(subject)
        try expect(held.map(\.id) == ids, "\(held.map(\.id)) in history, not \(ids)")
        for entries in [delivered, held] {
            try expect(entries.map(\.isEnd) == [false, false, false, true, false], "entry 3 alone is not the end")
            let end = entries[3]
            try expect(end.topics == [a], "the end of a has the topics \(end.topics)")
            let event = end.event
            try expect(event.type == "end" && event.data == #"{"topic":"a"}"#, "the end of a is sent as \(event)")
        }
        let ofA = try await all(subject, .exact(a))
        try expect(ofA.map(\.id) == [ids[0], ids[2], ids[3]], "\(ofA.map(\.id)) read of the ended topic")
        let position = try await position(of: ids[3], in: subject)
        let rest = try await subject.history.read(after: position, selection: Selection([.all]), limit: .none)
        try expect(rest.entries.map(\.id) == [ids[4]], "\(rest.entries.map(\.id)) read after the end")
    }

    /// An append to an ended topic is refused with the end's ID, and leaves nothing; other topics are not affected.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func refusesEventsOfEndedTopics() async throws {
        let subject = try await open()
        let a = try topic("a")
        let end = try await append(AppendRequest([event("1", "a")], ending: a), to: subject).lastID
        for events in [
            [try event("late", "a")], [try event("other", "b"), try event("late", "a")], [try event("both", "b", "a")],
        ] {
            let error = try await expectRefusal(.topicEnded, of: AppendRequest(events), by: subject, "a late event")
            try expect(error.lastID == end, "a late event was refused with \(String(describing: error.lastID))")
        }
        try await expectRefusal(
            .topicEnded,
            of: AppendRequest([event("late", "a")], ending: a),
            by: subject,
            "a late event with an end"
        )
        _ = try await append([event("2", "b")], to: subject)
        let delivered = try await delivered(3, by: subject)
        try expect(delivered.map(\.event.data).last == "2", "\(delivered.map(\.event.data)) delivered")
    }

    /// Ending an ended topic adds nothing, and is answered with the end's ID.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func endsTopicsOnce() async throws {
        let subject = try await open()
        let a = try topic("a")
        let first = try await append(AppendRequest([], ending: a), to: subject)
        try expect(first.count == 1, "ending a topic without events is answered with \(first)")
        for _ in 0..<3 {
            let again = try await append(AppendRequest([], ending: a), to: subject)
            let isSame = again.ids.isEmpty && again.count == 0 && again.repeated == 1 && again.lastID == first.lastID
            try expect(isSame, "ending \(first.lastID) again is answered with \(again)")
        }
        _ = try await append([event("1", "b")], to: subject)
        let delivered = try await delivered(2, by: subject)
        try expect(delivered.map(\.isEnd) == [true, false], "\(delivered.map(\.event.data)) delivered for one end")
    }

    /// Events and the end after them are appended together or not at all.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func endsWithEventsOrNotAtAll() async throws {
        let subject = try await open()
        let a = try topic("a")
        let bad = NewEvent(try event("refused", "a").event, topics: [a], requestedID: EventID(trusted: [0x23]))
        var taken: AppendResult?
        do { taken = try await append(AppendRequest([bad], ending: a), to: subject) } catch is HistoryError {}
        try expect(taken == nil, "an event was accepted although its ID is reserved")
        let ids = try await append([event("1", "a")], to: subject)
        let delivered = try await delivered(1, by: subject)
        try expect(delivered.map(\.id) == ids, "\(delivered.map(\.event.data)) delivered")
        let ends = try await subject.history.ends(of: Selection([.exact(a)]))
        try expect(ends.isEmpty, "a topic has ended with an append that was refused")
    }

    /// `ends(of:)` returns the ends of exactly named topics, and a restricted one only if the subscriber may receive it.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func namesEnds() async throws {
        let subject = try await open()
        let (a, b, secret) = (try topic("a"), try topic("b"), try topic("secret"))
        _ = try await append([event("1", "a"), event("2", "b"), event("3", "secret")], to: subject)
        let end = try await append(AppendRequest([], ending: a), to: subject)
        let other = try await append(AppendRequest([], ending: secret, isEndRestricted: true), to: subject)
        let cases: [(Selection, [EventID])] = [
            (Selection([.exact(a)]), [end.lastID]), (Selection([.exact(b)]), []),
            (Selection([.exact(a), .exact(b)]), [end.lastID]), (Selection([.all]), []),
            (Selection([.exact(secret)]), [other.lastID]), (Selection([.exact(secret)], allowed: [.exact(a)]), []),
            (Selection([.exact(a), .exact(secret)], allowed: [.exact(a)]), [end.lastID]),
            (Selection([.exact(a)], visible: [.exact(b)]), []),
        ]
        for (selection, expected) in cases {
            let ends = try await subject.history.ends(of: selection)
            try expect(
                ends.map(\.id) == expected,
                "\(ends.map(\.id)) returned for \(selection.wanted), not \(expected)"
            )
            for end in ends {
                let position = try await position(of: end.id, in: subject)
                try expect(position == end.position, "\(end.id) is said to be at \(end.position), not \(position)")
            }
        }
        let read = try await subject.history.read(
            after: nil,
            selection: Selection([.exact(secret)], allowed: [.exact(a)]),
            limit: .none
        )
        try expect(read.entries.map(\.event.data) == ["3"], "\(read.entries.map(\.event.data)) read without the right")
    }

    /// Trimming takes events only: an ended topic stays ended, and its end can be read.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func keepsEndsWhenTrimming() async throws {
        guard let makeTrimming = abilities.makeTrimming else { return }
        let subject = try await open(try await makeTrimming(8))
        let a = try topic("a")
        let first = try await append([event("1", "a")], to: subject)
        let end = try await append(AppendRequest([event("2", "a")], ending: a), to: subject).lastID
        for number in 0..<60 { _ = try await append([event("\(number)", "b")], to: subject) }
        await subject.history.expire()
        try await expectRefusal(.topicEnded, of: AppendRequest([event("late", "a")]), by: subject, "a late event")
        let selections = [
            Selection([.exact(a)]), Selection([.exact(a), .exact(try topic("b"))]), Selection([.all]),
        ]
        for selection in selections {
            let start = try await position(of: first[0], in: subject)
            let batch = try await subject.history.read(after: start, selection: selection, limit: .none)
            let positions = batch.entries.map(\.position)
            try expect(
                batch.entries.contains { $0.id == end && $0.isEnd },
                "the end is not held: \(batch.entries.map(\.id)) after \(start)"
            )
            try expect(
                zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 },
                "positions do not increase: \(positions)"
            )
        }
    }

    /// Purging removes the end with the events: the topic can be used again, and readers of the end receive a gap.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func opensPurgedTopicsAgain() async throws {
        let subject = try await open()
        let a = try topic("a")
        let ids = try await append(AppendRequest([event("1", "a"), event("2", "a")], ending: a), to: subject).ids
        let removed = try await subject.history.purge(a)
        try expect(removed == 3, "purging two events and an end removed \(removed)")
        let ends = try await subject.history.ends(of: Selection([.exact(a)]))
        try expect(ends.isEmpty, "a purged topic still has the end \(ends.map(\.id))")
        let before = try await position(of: ids[1], in: subject)
        let end = try await position(of: ids[2], in: subject)
        let batch = try await subject.history.read(after: before, selection: Selection([.exact(a)]), limit: .none)
        try expect(batch.entries.isEmpty, "\(batch.entries.map(\.id)) held of a purged topic")
        let missing = try unwrap(batch.missingThrough, "the end was purged, and nothing is reported missing")
        try expect(missing >= end, "missing through \(missing), not \(end)")
        let again = try await append(AppendRequest([event("3", "a")], ending: a), to: subject)
        try expect(again.count == 2, "a topic that was opened again answers \(again)")
        let held = try await all(subject, .exact(a))
        try expect(held.map(\.id) == again.ids, "\(held.map(\.id)) held, not \(again.ids)")
    }

    /// At the bound of ended topics, the one that ended first and holds no events is dropped, and is new.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func boundsEnds() async throws {
        guard let makeBounded = abilities.makeBounded else { return }
        var quotas = HistoryQuotas()
        quotas.endedTopics = 4
        quotas.endedTopicsPerSubject = 2
        let subject = try await open(try await makeBounded(quotas))
        // The first holds an event.
        _ = try await append(AppendRequest([event("1", "full")], ending: try topic("full")), to: subject)
        for name in ["a", "b", "c"] { _ = try await append(AppendRequest([], ending: try topic(name)), to: subject) }
        _ = try await append(AppendRequest([], ending: try topic("d")), to: subject)
        let expected = ["full": true, "a": false, "b": true, "c": true, "d": true]
        for (name, isEnded) in expected {
            let ends = try await subject.history.ends(of: Selection([.exact(try topic(name))]))
            try expect(ends.isEmpty != isEnded, "\(name) has \(ends.isEmpty ? "not " : "")ended; 4 ends may be kept")
        }
        let statistics = try await subject.history.statistics()
        try expect(
            statistics.endedTopics == 4 && statistics.droppedEnds == 1,
            "\(statistics) after 5 ends, of which 4 may be kept"
        )
        _ = try await append([event("again", "a")], to: subject)
        // Each subject has a quota of its own.
        let me = HubSubject(source: "contract", name: "me")
        for name in ["m/1", "m/2", "m/3"] {
            _ = try await append(AppendRequest([], ending: try topic(name), subject: me), to: subject)
        }
        let mine = Selection(try ["m/1", "m/2", "m/3"].map { .exact(try topic($0)) })
        let ends = try await subject.history.ends(of: mine)
        try expect(ends.count == 2, "\(ends.map(\.topic)) ended by a subject that may end 2")
        let full = try await open(try await makeBounded(quotas))
        for number in 0..<4 {
            let name = "full/\(number)"
            _ = try await append(AppendRequest([event("1", name)], ending: try topic(name)), to: full)
        }
        let last = AppendRequest([], ending: try topic("last"))
        try await expectRefusal(.quota, of: last, by: full, "an end, while all ended topics hold events,")
    }
}
