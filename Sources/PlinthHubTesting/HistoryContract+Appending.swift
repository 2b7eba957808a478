// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthHub

/// A topic whose name is known to be valid.
func topic(_ name: String) throws -> Topic { try Topic(name) }

func event(_ data: String, _ topics: String..., isRestricted: Bool = false) throws -> NewEvent {
    NewEvent(ServerSentEvent(data: data), topics: try topics.map(topic), isRestricted: isRestricted)
}

extension HistoryContract {
    /// Appending returns one unique ID per event, in order, and positions increase.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func appendReturnsIDsInOrder() async throws {
        let subject = try await open()
        var ids: [EventID] = []
        for round in 0..<5 {
            var events: [NewEvent] = []
            for number in 0...round { events.append(try event("\(round).\(number)", number % 2 == 0 ? "a" : "b")) }
            ids += try await append(events, to: subject)
        }
        try expect(Set(ids).count == ids.count, "an ID was assigned twice: \(ids)")
        let positions = try await positions(of: ids, in: subject)
        try expect(
            zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 },
            "positions do not increase: \(positions)"
        )
        try expect(
            positions.allSatisfy { $0 > subject.start },
            "positions \(positions), not all after the start at \(subject.start)"
        )
        let read = try await subject.history.read(after: nil, selection: Selection([.all]), limit: .none)
        try expect(read.entries.map(\.id) == ids, "\(read.entries.map(\.id)) in history, \(ids) returned")
        try expect(
            read.entries.map(\.position) == positions,
            "\(read.entries.map(\.position)) in history, \(positions) located"
        )
    }

    /// An event can be read as soon as appending it returns.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func isInHistoryWhenAppendReturns() async throws {
        let subject = try await open()
        var position = subject.start
        for number in 0..<50 {
            let ids = try await append([event("\(number)", "a")], to: subject)
            let selection = Selection([.exact(try topic("a"))])
            let batch = try await subject.history.read(after: position, selection: selection, limit: ReadLimit())
            try expect(
                batch.entries.map(\.id) == ids,
                "append returned \(ids), but history had \(batch.entries.map(\.id)) after \(position)"
            )
            position = batch.through
        }
    }

    /// An event has been delivered when appending it returns, so that a mark taken later lies at or after it.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func isDeliveredWhenAppendReturns() async throws {
        let subject = try await open()
        for number in 0..<50 {
            let ids = try await append([event("\(number)", "a")], to: subject)
            let delivered = subject.delivered.entries.last?.id
            try expect(
                delivered == ids.last,
                "append returned \(ids), but \(delivered.map(\.description) ?? "nothing") was delivered last"
            )
        }
    }

    /// An event can be read as soon as it has been delivered.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func isInHistoryWhenDelivered() async throws {
        let subject = try await open()
        let patience = abilities.patience
        let count = 50
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for number in 0..<count { _ = try await append([event("\(number)", "a")], to: subject) }
            }
            for number in 1...count {
                let delivered = await subject.delivered.wait(for: number, patience: patience)
                try expect(delivered.count >= number, "event \(number) was not delivered within \(patience)")
                let entry = delivered[number - 1]
                let before = Position(entry.position.number - 1)
                let batch = try await subject.history.read(
                    after: before,
                    selection: Selection([.all]),
                    limit: ReadLimit()
                )
                try expect(
                    batch.entries.first?.id == entry.id,
                    "\(entry.id) was delivered, but reading returned \(batch.entries.map(\.id))"
                )
            }
            try await group.waitForAll()
        }
    }

    /// Each event is delivered once, in order and unchanged.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func deliversOnceInOrder() async throws {
        let subject = try await open()
        var ids: [EventID] = []
        var data: [String] = []
        for round in 0..<20 {
            var events: [NewEvent] = []
            for number in 0...(round % 4) {
                data.append("\(round).\(number)")
                events.append(try event("\(round).\(number)", "a/\(round % 3)", isRestricted: number == 1))
            }
            ids += try await append(events, to: subject)
        }
        let delivered = try await delivered(ids.count, by: subject)
        try expect(delivered.map(\.id) == ids, "\(delivered.map(\.id)) delivered, \(ids) appended")
        try expect(
            delivered.map(\.event.data) == data,
            "\(delivered.map(\.event.data)) delivered, \(data) appended"
        )
    }

    /// With 16 concurrent appenders, each event is delivered once, in one order for all.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func deliversOnceInOrderWhenAppendsAreConcurrent() async throws {
        let subject = try await open()
        let appenders = 16
        let rounds = 20
        let ids = try await withThrowingTaskGroup(of: [EventID].self) { group in
            for appender in 0..<appenders {
                group.addTask {
                    var ids: [EventID] = []
                    for round in 0..<rounds {
                        var events: [NewEvent] = []
                        for number in 0...(round % 3) {
                            events.append(try event("\(appender).\(round).\(number)", "a/\(appender % 5)"))
                        }
                        ids += try await append(events, to: subject)
                    }
                    return ids
                }
            }
            var all: [[EventID]] = []
            for try await ids in group { all.append(ids) }
            return all
        }
        let count = ids.reduce(0) { $0 + $1.count }
        let delivered = try await delivered(count, by: subject)
        let order = Dictionary(
            delivered.enumerated().map { ($0.element.id, $0.offset) },
            uniquingKeysWith: { first, _ in first }
        )
        for ids in ids {
            let places = try ids.map { id in try unwrap(order[id], "\(id) was appended, but not delivered") }
            try expect(
                zip(places, places.dropFirst()).allSatisfy { $0 < $1 },
                "the events of one appender are delivered out of order: \(places)"
            )
        }
        let read = try await subject.history.read(after: nil, selection: Selection([.all]), limit: .none)
        try expect(
            read.entries.map(\.id) == delivered.map(\.id),
            "the order of delivery differs from that in history"
        )
    }

    /// An append that throws leaves nothing in history and delivers nothing, not even the batch's valid events.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func failedAppendLeavesNothing() async throws {
        let subject = try await open()
        var expected = try await append([event("first", "a")], to: subject)
        var refused: [(String, String)] = [("earliest", "is reserved"), ("#1", "is reserved")]
        if !abilities.acceptsIDs { refused.append(("mine", "was chosen by its publisher")) }
        for (id, reason) in refused {
            let bad = NewEvent(
                ServerSentEvent(data: "refused"),
                topics: [try topic("a")],
                requestedID: EventID(utf8: Array(id.utf8))
            )
            let batch = [try event("refused", "a"), bad, try event("refused", "b")]
            var taken: [EventID]?
            do { taken = try await append(batch, to: subject) } catch let broken as HistoryContractViolation {
                throw broken
            } catch {}
            try expect(taken == nil, "an event was accepted although its ID, \(id), \(reason)")
            expected += try await append([event("after \(id)", "a")], to: subject)
        }
        if let failNextAppend = abilities.failNextAppend {
            try await failNextAppend(subject.history)
            var taken: [EventID]?
            let batch = [try event("refused", "a"), try event("refused", "b")]
            do { taken = try await append(batch, to: subject) } catch let broken as HistoryContractViolation {
                throw broken
            } catch {}
            try expect(taken == nil, "an append that should fail returned \(taken ?? [])")
            expected += try await append([event("after the failure", "a")], to: subject)
        }
        let delivered = try await delivered(expected.count, by: subject)
        try expect(
            delivered.map(\.id) == expected,
            "delivered \(delivered.map { "\($0.id) \($0.event.data)" }), but \(expected) were accepted"
        )
        let read = try await subject.history.read(after: nil, selection: Selection([.all]), limit: .none)
        try expect(
            read.entries.map(\.id) == expected,
            "history has \(read.entries.map { "\($0.id) \($0.event.data)" }), but \(expected) were accepted"
        )
    }

    /// Events from elsewhere are delivered once, in one order with all others.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func deliversEventsFromElsewhere() async throws {
        guard let inject = abilities.inject else { return }
        let subject = try await open()
        let rounds = 20
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                for round in 0..<rounds {
                    let events = [try event("there \(round).0", "a"), try event("there \(round).1", "b")]
                    try await inject(subject.history, events)
                }
            }
            for round in 0..<rounds { _ = try await append([event("here \(round)", "a")], to: subject) }
            try await group.waitForAll()
        }
        let delivered = try await delivered(3 * rounds, by: subject)
        for place in ["here", "there"] {
            let seen = delivered.map(\.event.data).filter { $0.hasPrefix(place) }
            let published = (0..<rounds).flatMap {
                place == "here" ? ["here \($0)"] : ["there \($0).0", "there \($0).1"]
            }
            try expect(seen == published, "of the events from \(place), \(seen) were delivered")
        }
        let read = try await subject.history.read(after: nil, selection: Selection([.all]), limit: .none)
        try expect(
            read.entries.map(\.id) == delivered.map(\.id),
            "the order of delivery differs from that in history"
        )
        for entry in delivered {
            let position = try await position(of: entry.id, in: subject)
            try expect(position == entry.position, "\(entry.id) is at \(entry.position), but located at \(position)")
        }
    }

    /// Type, data, reconnection time, topics and restriction are returned as published, with line ends as LF.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func keepsEventsAsPublished() async throws {
        let subject = try await open()
        let type = "Größe 📏"
        let published: [(ServerSentEvent, String)] = [
            (ServerSentEvent(data: ""), ""),
            (ServerSentEvent(data: " leading, and a colon: id: 5"), " leading, and a colon: id: 5"),
            (ServerSentEvent(data: "a\r\nb\rc\nd\n"), "a\nb\nc\nd\n"),
            (ServerSentEvent(data: "\n\n"), "\n\n"),
            (
                ServerSentEvent(data: "e\u{301} is not \u{e9}; 👩‍👩‍👧‍👦 \u{FEFF}\u{2028}\0"),
                "e\u{301} is not \u{e9}; 👩‍👩‍👧‍👦 \u{FEFF}\u{2028}\0"
            ),
            (try ServerSentEvent(type: type, data: "typed", id: "ignored", retry: .milliseconds(1500)), "typed"),
        ]
        let topics = [try topic("häuser/1"), try topic("b")]
        let events = published.map { NewEvent($0.0, topics: topics, isRestricted: true) }
        let ids = try await append(events, to: subject)
        let delivered = try await delivered(ids.count, by: subject)
        let read = try await subject.history.read(after: nil, selection: Selection([.all]), limit: .none)
        for entries in [delivered, read.entries] {
            try expect(entries.count == ids.count, "\(entries.count) of \(ids.count) events")
            for (index, entry) in entries.enumerated() {
                let original = published[index].0
                let event = entry.event
                let expected = try ServerSentEvent(
                    type: original.type,
                    data: published[index].1,
                    id: ids[index].description,
                    retry: original.retry
                )
                try expect(event == expected, "\(event), not \(expected)")
                try expect(entry.topics == topics, "topics \(entry.topics), not \(topics)")
                try expect(entry.isRestricted, "a restricted event is no longer restricted")
            }
        }
    }

    /// An event of 1 MiB is returned whole.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func keepsLargeEvents() async throws {
        let subject = try await open()
        let data = String(repeating: "0123456789abcde\n", count: 65_536) + "."
        let ids = try await append([event("before", "a"), event(data, "a"), event("behind", "a")], to: subject)
        let selection = Selection([.exact(try topic("a"))])
        var position: Position? = nil
        var seen: [HistoryEntry] = []
        while seen.count < 3 {
            let batch = try await subject.history.read(after: position, selection: selection, limit: ReadLimit())
            try expect(!batch.entries.isEmpty, "a read returned no event after \(seen.count) of 3")
            seen += batch.entries
            position = batch.through
        }
        try expect(seen.map(\.id) == ids, "\(seen.map(\.id)), not \(ids)")
        try expect(seen[1].event.data == data, "\(seen[1].event.data.utf8.count) bytes of \(data.utf8.count)")
    }

    /// If publishers may choose IDs, events keep them, and each ID is located at its first use.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func keepsChosenIDs() async throws {
        guard abilities.acceptsIDs else { return }
        let subject = try await open()
        let chosen = ["mine", "ünï/7", "mine", "0"].compactMap { EventID(utf8: Array($0.utf8)) }
        let topic = try topic("a")
        var ids: [EventID] = []
        for id in chosen {
            ids += try await append(
                [NewEvent(ServerSentEvent(data: "chosen"), topics: [topic], requestedID: id), event("given", "a")],
                to: subject
            )
        }
        try expect(
            ids.enumerated().filter { $0.offset % 2 == 0 }.map(\.element) == chosen,
            "\(ids), in which every other ID should be from \(chosen)"
        )
        let read = try await subject.history.read(after: nil, selection: Selection([.all]), limit: .none)
        try expect(read.entries.map(\.id) == ids, "\(read.entries.map(\.id)) in history, \(ids) returned")
        for (index, id) in ids.enumerated() {
            let first = try unwrap(ids.firstIndex(of: id), "\(id) was not returned")
            let position = try await position(of: id, in: subject)
            try expect(
                position == read.entries[first].position,
                "event \(index), \(id), is located at \(position), but first used at \(read.entries[first].position)"
            )
        }
    }

    /// Waits for `count` events, and checks what holds for all deliveries.
    func delivered(_ count: Int, by subject: Subject, rule: String = #function) async throws -> [HistoryEntry] {
        let entries = await subject.delivered.wait(for: count, patience: abilities.patience)
        try expect(entries.count == count, "\(entries.count) of \(count) events delivered", rule: rule)
        try expect(subject.delivered.overlaps == 0, "deliveries overlap", rule: rule)
        let positions = entries.map(\.position)
        try expect(
            zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 },
            "delivered positions do not increase: \(positions)",
            rule: rule
        )
        return entries
    }
}
