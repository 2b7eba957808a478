// SPDX-License-Identifier: Apache-2.0

import PlinthHub

extension HistoryContract {
    /// IDs that appending returned are located in order, with the same result each time.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func locatesItsIDs() async throws {
        let subject = try await open()
        var ids: [EventID] = []
        for number in 0..<30 { ids += try await append([event("\(number)", "a/\(number % 4)")], to: subject) }
        let positions = try await positions(of: ids, in: subject)
        let again = try await self.positions(of: ids.reversed(), in: subject)
        try expect(positions == again.reversed(), "located at \(positions), and later at \(again.reversed())")
        // The next event follows each position, whatever its topic.
        for (index, position) in positions.enumerated().dropLast() {
            let batch = try await subject.history.read(
                after: position,
                selection: Selection([.all]),
                limit: ReadLimit(events: 1)
            )
            try expect(
                batch.entries.map(\.id) == [ids[index + 1]],
                "reading after \(ids[index]) returned \(batch.entries.map(\.id)), not \(ids[index + 1])"
            )
        }
    }

    /// The ID that stands for a position is located there, for events and for the start of the history.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func locatesIDsOfPositions() async throws {
        let subject = try await open()
        var ids: [EventID] = []
        for number in 0..<10 { ids += try await append([event("\(number)", "a")], to: subject) }
        for expected in [subject.start] + (try await positions(of: ids, in: subject)) {
            let id = subject.history.id(at: expected)
            let position = try await position(of: id, in: subject)
            try expect(position == expected, "\(id) stands for \(expected), but is located at \(position)")
        }
    }

    /// IDs of other histories, malformed IDs and IDs of future events are not located.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func locatesNoOtherIDs() async throws {
        let subject = try await open()
        let other = try await open()
        let ids = try await append([event("1", "a"), event("2", "b")], to: subject)
        let foreign = try await append([event("1", "a"), event("2", "b"), event("3", "a")], to: other)
        for id in foreign {
            let position = try await subject.history.locate(id).position
            try expect(position == nil, "\(id) of another history is located at \(position ?? .zero)")
        }
        let last = try await position(of: ids[1], in: subject)
        for distance in [1, 2, 1_000_000] as [UInt64] {
            let future = subject.history.id(at: Position(last.number + distance))
            let position = try await subject.history.locate(future).position
            try expect(position == nil, "\(future), of a future event, is located at \(position ?? .zero)")
        }
        var malformed = ["x", "é", "-", "earliest", "*", "18446744073709551616", "99999999999999999999999"]
        for text in ids.map(\.description) {
            malformed += [" " + text, text + " ", text + "x", "x" + text, text + "-", text + "\u{2028}", text + text]
            malformed.append(String(text.dropLast()) + "\u{666}")
        }
        for text in malformed {
            let id = try unwrap(EventID(utf8: Array(text.utf8)), "not a valid ID: \(text)")
            let position = try await subject.history.locate(id).position
            try expect(position == nil, "\(text.debugDescription) is located at \(position ?? .zero)")
        }
        if !abilities.acceptsIDs {
            // Without chosen IDs, only assigned IDs are located.
            let upper = EventID(trusted: Array(ids[0].description.uppercased().utf8))
            let position = try await subject.history.locate(upper).position
            try expect(upper == ids[0] || position == nil, "\(upper) is mistaken for \(ids[0])")
        }
    }

    /// An ID is still located when its event is no longer held, so that its reader receives a gap and nothing else.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func locatesIDsOfTrimmedEvents() async throws {
        guard let makeTrimming = abilities.makeTrimming else { return }
        let subject = try await open(try await makeTrimming(5))
        var ids: [EventID] = []
        for number in 0..<40 { ids += try await append([event("\(number)", "a/\(number % 3)")], to: subject) }
        await subject.history.expire()
        let held = try await subject.history.read(after: nil, selection: Selection([.all]), limit: .none)
        try expect(held.entries.count < ids.count, "nothing was trimmed from \(ids.count) events; 5 should be held")
        let positions = try await positions(of: ids, in: subject)
        try expect(
            zip(positions, positions.dropFirst()).allSatisfy { $0 < $1 },
            "positions do not increase: \(positions)"
        )
    }
}
