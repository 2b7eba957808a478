// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthHub

extension HistoryContract {
    /// A topic's own limits apply to it alone, at once and before its first event; purging removes them.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func appliesLimitsOfTopics() async throws {
        let subject = try await open()
        let (a, b) = (try topic("a"), try topic("b"))
        func held(_ topic: Topic) async throws -> [String] {
            try await all(subject, .exact(topic)).map(\.event.data)
        }
        let isNew = try await subject.history.setLimits(TopicLimits(events: 2), of: a)
        try expect(isNew, "limits before the first event are not new")
        for number in 0..<5 {
            _ = try await append([event("a\(number)", "a"), event("b\(number)", "b")], to: subject)
        }
        let both = try await append([event("both", "b", "a")], to: subject)
        _ = try await append([event("a5", "a"), event("a6", "a")], to: subject)
        await subject.history.expire()
        var seen = try await held(a)
        try expect(seen == ["a5", "a6"], "\(seen) held of a topic with at most 2 events")
        // The event of both topics left one of them.
        seen = try await held(b)
        try expect(seen == ["b0", "b1", "b2", "b3", "b4", "both"], "\(seen) held of a topic without limits of its own")
        let batch = try await subject.history.read(
            after: subject.start,
            selection: Selection([.exact(a)]),
            limit: .none
        )
        let last = try await position(of: both[0], in: subject)
        let missing = try unwrap(batch.missingThrough, "limits removed events, and none is reported missing")
        try expect(missing >= last, "missing through \(missing), not \(last)")
        let isReplaced = try await !subject.history.setLimits(TopicLimits(events: 1), of: a)
        try expect(isReplaced, "limits that replace others are said to be new")
        await subject.history.expire()
        seen = try await held(a)
        try expect(seen == ["a6"], "\(seen) held after the limit was lowered to 1")
        _ = try await subject.history.purge(a)
        for number in 0..<4 { _ = try await append([event("\(number)", "a")], to: subject) }
        await subject.history.expire()
        seen = try await held(a)
        try expect(seen.count == 4, "\(seen) held of a topic whose limits were purged")
    }

    /// A topic's own age applies to it alone.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func appliesAgesOfTopics() async throws {
        guard let advance = abilities.advance else { return }
        let subject = try await open()
        _ = try await subject.history.setLimits(TopicLimits(age: .seconds(60)), of: try topic("a"))
        _ = try await append([event("1", "a"), event("2", "b"), event("3", "a", "b")], to: subject)
        try await advance(subject.history, .seconds(40))
        _ = try await append([event("4", "a")], to: subject)
        try await advance(subject.history, .seconds(30))
        await subject.history.expire()
        var seen = try await all(subject, .exact(try topic("a"))).map(\.event.data)
        try expect(seen == ["4"], "\(seen) held after 70 s of a topic with an age of 60 s")
        seen = try await all(subject, .exact(try topic("b"))).map(\.event.data)
        try expect(seen == ["2", "3"], "\(seen) held of a topic without an age of its own")
        try await advance(subject.history, .seconds(40))
        await subject.history.expire()
        seen = try await all(subject, .exact(try topic("a"))).map(\.event.data)
        try expect(seen.isEmpty, "\(seen) held after 110 s of a topic with an age of 60 s")
    }

    /// An event of a topic that a subscriber may not see does not reach it, whatever it asks for.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func readsVisibleEventsOnly() async throws {
        let subject = try await open()
        let ids = try await append(
            [
                event("1", "own/a"), event("2", "foreign"), event("3", "foreign", "own/b"),
                event("4", "own/a", isRestricted: true), event("5", "foreign", isRestricted: true),
            ],
            to: subject
        )
        let end = try await append(AppendRequest([], ending: try topic("foreign")), to: subject)
        _ = end
        let own = TopicSelector.pattern(try TopicPattern("own/*"))
        let everything = TopicSelector.pattern(try TopicPattern("**"))
        let cases: [(Selection, [Int])] = [
            (Selection([everything], visible: [own]), [0, 2, 3]), (Selection([.all], visible: [own]), [0, 2, 3]),
            (Selection([everything], visible: [own], allowed: []), [0, 2]),
            (Selection([.exact(try topic("foreign"))], visible: [own]), []),
            (Selection([.exact(try topic("foreign")), .exact(try topic("own/b"))], visible: [own]), [2]),
            (Selection([everything], visible: []), []),
        ]
        for (selection, expected) in cases {
            let batch = try await subject.history.read(after: nil, selection: selection, limit: .none)
            let seen = batch.entries.map(\.id)
            try expect(
                seen == expected.map { ids[$0] },
                "\(seen) read by \(selection.wanted), of which \(expected.map { ids[$0] }) are visible"
            )
        }
    }

    /// Each entry has the time at which it was published; times never go back.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func keepsTimes() async throws {
        let subject = try await open()
        for number in 0..<20 { _ = try await append([event("\(number)", "a/\(number % 3)")], to: subject) }
        let delivered = try await delivered(20, by: subject).map(\.published)
        let read = try await all(subject).map(\.published)
        try expect(delivered.count == read.count, "\(read.count) of \(delivered.count) events held")
        for times in [delivered, read] {
            try expect(zip(times, times.dropFirst()).allSatisfy { $0 <= $1 }, "times go back")
        }
        // Stored times are in milliseconds of another clock.
        let isSame = zip(delivered, read).allSatisfy { abs($0.duration(to: $1) / .seconds(1)) < 1 }
        try expect(isSame, "events were published at other times than they were delivered with")
    }

    /// Opened anew, a history holds what it held, locates its IDs, and assigns IDs that no event had.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func beginsAnEpochWhenOpenedAgain() async throws {
        guard let reopen = abilities.reopen else { return }
        var subject = try await open()
        var ids: [EventID] = []
        var positions: [Position] = []
        for round in 0..<3 {
            let start = subject.start
            let new = try await append([event("\(round).0", "a"), event("\(round).1", "b")], to: subject)
            try expect(Set(new).isDisjoint(with: ids), "\(new) after a restart, of which some were used before")
            ids += new
            positions += try await self.positions(of: new, in: subject)
            try expect(positions.suffix(2).allSatisfy { $0 > start }, "numbers went back to \(positions.suffix(2))")
            // An ID of an event that this epoch never had.
            let future = subject.history.id(at: Position(positions[positions.count - 1].number + 1))
            subject = try await open(try await reopen(subject.history))
            let last = positions[positions.count - 1]
            try expect(subject.start == last, "opened at \(subject.start), not \(last)")
            let located = try await self.positions(of: ids, in: subject)
            try expect(located == positions, "after a restart, IDs are located at \(located), not \(positions)")
            let held = try await all(subject)
            try expect(held.map(\.id) == ids, "after a restart, \(held.map(\.id)) held, not \(ids)")
            let lost = try await subject.history.locate(future)
            try expect(lost == .unknown, "\(future), which no event had, is \(lost) after a restart")
        }
    }
}
