// SPDX-License-Identifier: Apache-2.0

import PlinthHub

extension HistoryContract {
    /// Purging removes a topic's events from this topic, and readers of the topic that need one receive a gap.
    ///
    /// An event leaves history with its last topic.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func purgesTopics() async throws {
        let subject = try await open()
        let ids = try await append(
            [
                event("1", "a"), event("2", "b"), event("3", "a", "b"), event("4", "b"), event("5", "a"),
                event("6", "c"),
            ],
            to: subject
        )
        let positions = try await positions(of: ids, in: subject)
        let purged = try await subject.history.purge(try topic("a"))
        try expect(purged == 3, "purging removed \(purged) events, not 3")
        let again = try await subject.history.purge(try topic("a"))
        try expect(again == 0, "purging again removed \(again) events")
        let nobody = try await subject.history.purge(try topic("nobody's"))
        try expect(nobody == 0, "purging a topic without events removed \(nobody)")

        let all = try await subject.history.read(after: nil, selection: Selection([.all]), limit: ReadLimit())
        let left = [ids[1], ids[2], ids[3], ids[5]]
        try expect(all.entries.map(\.id) == left, "\(all.entries.map(\.id)) held, not \(left)")
        let both = all.entries.first { $0.id == ids[2] }
        try expect(both?.topics == [try topic("b")], "an event of a and b has \(both?.topics ?? []) after purging a")
        let others = try await subject.history.read(
            after: nil,
            selection: Selection([.exact(try topic("a"))]),
            limit: ReadLimit()
        )
        try expect(others.entries.isEmpty, "\(others.entries.map(\.id)) held of the topic that was purged")
        let wanted: [(String, [Int])] = [("a", [0, 2, 4]), ("b", []), ("c", [])]
        for (name, gone) in wanted {
            let selection = Selection([.exact(try topic(name))])
            for (index, position) in ([subject.start] + positions).enumerated() {
                let batch = try await subject.history.read(after: position, selection: selection, limit: ReadLimit())
                let last = gone.last { $0 >= index }
                if let last {
                    let through = try unwrap(
                        batch.missingThrough,
                        "events of \(name) after \(position) were purged, but none is reported missing"
                    )
                    try expect(through >= positions[last], "missing through \(through), not \(positions[last])")
                } else if index >= 5 {
                    try expect(batch.missingThrough == nil, "a gap after \(position), where nothing was removed")
                }
                if let missing = batch.missingThrough {
                    try expect(missing > position, "missing through \(missing), not after \(position)")
                }
            }
        }
        // The topic can still be used.
        let more = try await append([event("7", "a")], to: subject)
        let batch = try await subject.history.read(
            after: positions[5],
            selection: Selection([.exact(try topic("a"))]),
            limit: ReadLimit()
        )
        try expect(batch.entries.map(\.id) == more, "\(batch.entries.map(\.id)) after purging, not \(more)")
        let located = try await subject.history.locate(ids[0])
        try expect(located == .trimmed(positions[0]), "the ID of a purged event is \(located)")
        let held = try await subject.history.locate(ids[2])
        try expect(held == .found(positions[2]), "the ID of an event that one of its topics still has is \(held)")
    }

    /// After trimming, each read reports the position up to which its events are missing; no loss goes unreported.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func saysWhatIsMissingAfterTrimming() async throws {
        guard let makeTrimming = abilities.makeTrimming else { return }
        let subject = try await open(try await makeTrimming(8))
        // One topic has many events, one a few, and one only old ones, which are all trimmed.
        let names = ["old", "many", "many", "few", "many"]
        var published: [(EventID, Topic)] = []
        for number in 0..<60 {
            let name = number < 3 ? "old" : names[1 + number % 4]
            let id = try await append([event("\(number)", name)], to: subject)
            for id in id { published.append((id, try topic(name))) }
        }
        await subject.history.expire()
        let positions = try await positions(of: published.map(\.0), in: subject)
        let selections: [Selection] = [
            Selection([.all]), Selection([.exact(try topic("many"))]), Selection([.exact(try topic("few"))]),
            Selection([.exact(try topic("old"))]), Selection([.exact(try topic("old")), .exact(try topic("few"))]),
            Selection([.pattern(try TopicPattern("*"))]), Selection([.exact(try topic("never"))]),
        ]
        var isTrimmed = false
        for selection in selections {
            for (index, start) in ([subject.start] + positions).enumerated() {
                let batch = try await subject.history.read(after: start, selection: selection, limit: .none)
                let wanted = published.indices.filter {
                    $0 >= index && selection.includes([published[$0].1], isRestricted: false)
                }
                let held = Set(batch.entries.map(\.id))
                let gone = wanted.last { !held.contains(published[$0].0) && positions[$0] <= batch.through }
                if let gone {
                    isTrimmed = true
                    let missing = try unwrap(
                        batch.missingThrough,
                        "\(published[gone].0) of \(published[gone].1) is not held or reported missing after \(start)"
                    )
                    try expect(
                        missing >= positions[gone],
                        "\(positions[gone]) is not held, but events are reported missing through \(missing)"
                    )
                }
                if let missing = batch.missingThrough {
                    try expect(missing > start, "missing through \(missing), not after \(start)")
                }
            }
        }
        try expect(isTrimmed, "nothing was trimmed from \(published.count) events; 8 should be held")
    }

    /// Statistics count the events and topics held.
    ///
    /// - Throws: A ``HistoryContractViolation`` if the rule is broken.
    public func countsWhatItHolds() async throws {
        let subject = try await open()
        let none = try await subject.history.statistics()
        try expect(none.events == 0 && none.topics == 0, "\(none) for an empty history")
        _ = try await append([event("1", "a"), event("2", "b", "c"), event("3", "a")], to: subject)
        let some = try await subject.history.statistics()
        try expect(some.events == 3 && some.topics == 3, "\(some) for 3 events and 3 topics")
        try expect(some.bytes > 0, "no bytes for 3 events")
        _ = try await subject.history.purge(try topic("b"))
        let rest = try await subject.history.statistics()
        try expect(rest.events == 3 && rest.topics == 2, "\(rest) for 3 events and 2 topics")
        _ = try await append(AppendRequest([], ending: try topic("a")), to: subject)
        let ended = try await subject.history.statistics()
        try expect(ended.endedTopics == 1, "\(ended) for 1 ended topic")
    }
}
