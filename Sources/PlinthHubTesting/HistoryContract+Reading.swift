// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthHub

extension HistoryContract {
    /// Reading one topic returns its events and no others, from any position and within any limits.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func readsOneTopic() async throws {
        let corpus = try await corpus()
        for name in ["a", "b", "orders/7", "orders/", "nobody's"] {
            try await walk(corpus, Selection([.exact(try topic(name))]))
        }
    }

    /// Reading several topics returns the events of all of them in one order.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func readsSeveralTopics() async throws {
        let corpus = try await corpus()
        for names in [["a", "b"], ["orders/7", "nobody's", "b"], ["a", "a"], []] {
            try await walk(corpus, Selection(try names.map { .exact(try topic($0)) }))
        }
    }

    /// Reading patterns, alone or with topics, returns the events of all topics that match.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func readsPatterns() async throws {
        let corpus = try await corpus()
        for patterns in [["orders/*"], ["orders/**"], ["*"], ["**"], ["*/7/*", "a"], ["none/*"]] {
            let selectors = try patterns.map { TopicSelector.pattern(try TopicPattern($0)) }
            try await walk(corpus, Selection(selectors))
            try await walk(corpus, Selection(selectors + [.exact(try topic("b"))]))
        }
    }

    /// Reading all topics returns every event.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func readsAll() async throws {
        let corpus = try await corpus()
        try await walk(corpus, Selection([.all]))
        try await walk(corpus, Selection([.exact(try topic("a")), .all]))
    }

    /// A read obeys its limits of events, bytes and work, returns at least one event if one is included up to its end,
    /// and reports that end correctly.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func readsWithinLimits() async throws {
        let corpus = try await corpus()
        let selections = [
            Selection([.exact(try topic("b"))]), Selection([.all]),
            Selection([.exact(try topic("a")), .exact(try topic("orders/7"))]),
            Selection([.pattern(try TopicPattern("orders/*"))]),
        ]
        let limits = [
            ReadLimit(events: 1), ReadLimit(events: 7), ReadLimit(events: 0),
            ReadLimit(bytes: 0), ReadLimit(bytes: 1), ReadLimit(bytes: 600), ReadLimit(bytes: 5000),
            ReadLimit(work: 1), ReadLimit(work: 3), ReadLimit(work: 0), ReadLimit(events: 2, bytes: 700, work: 5),
        ]
        for selection in selections {
            for limit in limits { try await walk(corpus, selection, limits: [limit]) }
        }
    }

    /// An event of several topics is read once, whichever of them are wanted.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func readsEventsOfSeveralTopicsOnce() async throws {
        let subject = try await open()
        let ids = try await append(
            [event("1", "a", "b", "c/1"), event("2", "b"), event("3", "c/1", "a"), event("4", "d", "d")],
            to: subject
        )
        let wanted: [([TopicSelector], [EventID])] = [
            ([.exact(try topic("a"))], [ids[0], ids[2]]),
            ([.exact(try topic("c/1"))], [ids[0], ids[2]]),
            ([.exact(try topic("a")), .exact(try topic("b"))], [ids[0], ids[1], ids[2]]),
            ([.exact(try topic("a")), .pattern(try TopicPattern("c/*"))], [ids[0], ids[2]]),
            ([.exact(try topic("d")), .pattern(try TopicPattern("*"))], ids),
            ([.all, .exact(try topic("b"))], ids),
        ]
        for (selectors, expected) in wanted {
            let selection = Selection(selectors)
            let batch = try await subject.history.read(after: nil, selection: selection, limit: ReadLimit())
            try expect(
                batch.entries.map(\.id) == expected,
                "\(batch.entries.map(\.id)) for \(selectors), not \(expected)"
            )
        }
        let delivered = try await delivered(4, by: subject)
        try expect(
            delivered.map { $0.topics.count } == [3, 1, 2, 1],
            "topics \(delivered.map(\.topics)), in which each topic of an event should occur once"
        )
    }

    /// A restricted event is read only by subscribers authorized for one of its topics.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func readsRestrictedEventsWhereAllowed() async throws {
        let corpus = try await corpus()
        let allowed: [[TopicSelector]] = [
            [], [.exact(try topic("b"))], [.pattern(try TopicPattern("orders/**"))], [.all],
        ]
        for allowed in allowed {
            try await walk(corpus, Selection([.exact(try topic("a"))], allowed: allowed))
            try await walk(corpus, Selection([.all], allowed: allowed))
            try await walk(corpus, Selection([.exact(try topic("a")), .exact(try topic("b"))], allowed: allowed))
        }
    }

    /// Topics are equal only if their bytes are: canonically equivalent names differ, and so do names in different
    /// case.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func comparesTopicsByBytes() async throws {
        let subject = try await open()
        let names = [
            "caf\u{e9}", "cafe\u{301}", "CAF\u{e9}", "caf\u{e9} ", "caf\u{e9}/", "cafe", "\u{212B}", "\u{c5}", "%", "_",
        ]
        var ids: [EventID] = []
        for name in names { ids += try await append([event(name, name)], to: subject) }
        for (index, name) in names.enumerated() {
            let selection = Selection([.exact(try topic(name))])
            let batch = try await subject.history.read(after: nil, selection: selection, limit: ReadLimit())
            try expect(
                batch.entries.map(\.id) == [ids[index]],
                "\(batch.entries.map(\.id)) for \(name.debugDescription), not \(ids[index])"
            )
            try expect(
                batch.entries.first.map { Array($0.topics[0].utf8) } == Array(name.utf8),
                "a topic with different bytes for \(name.debugDescription)"
            )
        }
        let purged = try await subject.history.purge(try topic(names[0]))
        try expect(purged == 1, "purging one of two equivalent topics removed \(purged) events")
    }

    /// A reader that continues during appends misses no event and receives none twice.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func readsWhileEventsCome() async throws {
        let subject = try await open()
        let rounds = 100
        let appenders = 4
        try await withThrowingTaskGroup(of: Void.self) { group in
            for appender in 0..<appenders {
                group.addTask {
                    for round in 0..<rounds {
                        _ = try await append([event("\(appender) \(round)", "a/\(appender)")], to: subject)
                    }
                }
            }
            let total = rounds * appenders
            var seen: [HistoryEntry] = []
            var position: Position? = nil
            while seen.count < total {
                let known = subject.delivered.entries.count
                let batch = try await subject.history.read(
                    after: position,
                    selection: Selection([.pattern(try TopicPattern("a/*"))]),
                    limit: ReadLimit(events: 5)
                )
                try expect(batch.missingThrough == nil, "a gap where nothing was removed")
                seen += batch.entries
                position = batch.through
                if batch.entries.isEmpty {
                    try expect(
                        seen.count >= known,
                        "nothing more to read after \(seen.count) events, although \(known) had been delivered"
                    )
                    let more = await subject.delivered.wait(for: seen.count + 1, patience: abilities.patience)
                    try expect(more.count > seen.count, "only \(seen.count) of \(total) events were delivered")
                }
            }
            try await group.waitForAll()
            let delivered = try await delivered(total, by: subject)
            try expect(
                seen.map(\.id) == delivered.map(\.id),
                "\(seen.map(\.id)) read during appends, \(delivered.map(\.id)) delivered"
            )
        }
    }

    /// Reading from the head or beyond returns nothing, reports nothing missing and does not move back.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func readsNothingBeyondItsHead() async throws {
        let subject = try await open()
        let empty = try await subject.history.read(after: nil, selection: Selection([.all]), limit: ReadLimit())
        try expect(empty.entries.isEmpty, "\(empty.entries.map(\.id)) read from an empty history")
        let ids = try await append([event("1", "a"), event("2", "b")], to: subject)
        let head = try await position(of: ids[1], in: subject)
        for position in [head, Position(head.number + 5)] {
            for selection in [Selection([.all]), Selection([.exact(try topic("a"))])] {
                let batch = try await subject.history.read(after: position, selection: selection, limit: ReadLimit())
                try expect(batch.entries.isEmpty, "\(batch.entries.map(\.id)) read after \(position)")
                try expect(batch.through >= position, "a read after \(position) ended at \(batch.through)")
                try expect(batch.missingThrough == nil, "a gap after \(position), where nothing was removed")
            }
        }
    }

    /// Results without waiting are the same as those after waiting.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func answersTheSameWithoutWaiting() async throws {
        let corpus = try await corpus()
        let history = corpus.subject.history
        var ids = corpus.published.map(\.id)
        for text in ["x", "earliest"] { if let id = EventID(utf8: Array(text.utf8)) { ids.append(id) } }
        for id in ids {
            guard let now = history.locateNow(id) else { continue }
            let later = try await history.locate(id)
            try expect(now == later, "\(id) is \(now) without waiting, \(later) after waiting")
        }
        for selection in [Selection([.all]), Selection([.exact(try topic("ended"))])] {
            guard let now = history.endsNow(of: selection) else { continue }
            let later = try await history.ends(of: selection)
            try expect(now == later, "\(now) ended without waiting, \(later) after waiting")
        }
        for position in [nil, corpus.subject.start, corpus.published[10].position] {
            for limit in [ReadLimit(), ReadLimit(events: 3), ReadLimit(work: 4)] {
                for selection in [Selection([.all]), Selection([.exact(try topic("a"))])] {
                    guard let now = history.readNow(after: position, selection: selection, limit: limit) else {
                        continue
                    }
                    let later = try await history.read(after: position, selection: selection, limit: limit)
                    try expect(
                        now.entries.map(\.id) == later.entries.map(\.id) && now.through == later.through
                            && now.missingThrough == later.missingThrough,
                        "\(now.entries.map(\.id)) without waiting, \(later.entries.map(\.id)) after waiting"
                    )
                }
            }
        }
    }

    // MARK: - For the rules

    /// A history with events of many topics, and a record of them.
    struct Corpus {
        struct Published {
            let id: EventID
            let position: Position
            let topics: [Topic]
            let isRestricted: Bool
        }

        let subject: Subject
        let published: [Published]
    }

    func corpus(rule: String = #function) async throws -> Corpus {
        let subject = try await open()
        let topics = [
            ["a"], ["b"], ["orders/7"], ["orders/7/lines"], ["a", "b"], ["orders/"], ["a"], ["x/7/y", "orders/7"],
            ["orders"], ["b", "orders/8"], ["/"],
        ]
        var published: [Corpus.Published] = []
        for number in 0..<66 {
            let names = try topics[number % topics.count].map(topic)
            let data = "event \(number) " + String(repeating: "x", count: number * 13 % 400)
            let new = NewEvent(.init(data: data), topics: names, isRestricted: number % 5 == 0)
            let ids = try await append([new], to: subject)
            let id = try unwrap(ids.first, "no ID", rule: rule)
            published.append(
                Corpus.Published(
                    id: id,
                    position: try await position(of: id, in: subject, rule: rule),
                    topics: names,
                    isRestricted: number % 5 == 0
                )
            )
        }
        return Corpus(subject: subject, published: published)
    }

    /// Reads a selection within limits, from several positions, and compares the results.
    func walk(
        _ corpus: Corpus,
        _ selection: Selection,
        limits: [ReadLimit] = [ReadLimit(), ReadLimit(events: 3), ReadLimit(bytes: 500), ReadLimit(work: 2)],
        rule: String = #function
    ) async throws {
        guard let head = corpus.published.last?.position else { return }
        let starts =
            [nil, corpus.subject.start]
            + corpus.published.enumerated().filter { $0.offset % 9 == 4 }.map { $0.element.position }
        for limit in limits {
            for start in starts {
                let expected = corpus.published.filter {
                    $0.position > start ?? .zero && selection.includes($0.topics, isRestricted: $0.isRestricted)
                }
                let seen = try await read(corpus.subject, selection, from: start, to: head, limit, rule)
                try expect(
                    seen.map(\.id) == expected.map(\.id),
                    "\(seen.map(\.id)) for \(selection.wanted) after \(start ?? .zero) with \(limit), not \(expected.map(\.id))",
                    rule: rule
                )
            }
        }
    }

    private func read(
        _ subject: Subject,
        _ selection: Selection,
        from start: Position?,
        to head: Position,
        _ limit: ReadLimit,
        _ rule: String
    ) async throws -> [HistoryEntry] {
        var seen: [HistoryEntry] = []
        var position = start
        while true {
            let batch = try await subject.history.read(after: position, selection: selection, limit: limit)
            let after = position ?? .zero
            let what = "a read after \(after) with \(limit)"
            let positions = [after] + batch.entries.map(\.position)
            try expect(
                batch.entries.count <= max(1, limit.events),
                "\(what): \(batch.entries.count) events",
                rule: rule
            )
            try expect(batch.entries.count <= max(1, limit.work), "\(what): \(batch.entries.count) events", rule: rule)
            let bytes = batch.entries.reduce(0) { $0 + $1.event.data.utf8.count }
            try expect(batch.entries.count <= 1 || bytes <= limit.bytes, "\(what): \(bytes) bytes", rule: rule)
            try expect(
                zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 },
                "\(what): positions \(positions)",
                rule: rule
            )
            let last = batch.entries.last?.position ?? after
            try expect(
                batch.through >= last,
                "\(what): an event at \(last), beyond the end at \(batch.through)",
                rule: rule
            )
            try expect(batch.missingThrough == nil, "\(what): a gap where nothing was removed", rule: rule)
            seen += batch.entries
            guard batch.through < head else { return seen }
            try expect(batch.through > after, "\(what): the read did not advance", rule: rule)
            position = batch.through
        }
    }
}
