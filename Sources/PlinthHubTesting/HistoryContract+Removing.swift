// SPDX-License-Identifier: Apache-2.0

import PlinthHub

extension HistoryContract {
    /// Purging removes a topic's events, of other topics too if they have several, and readers that need one are told.
    ///
    /// - Throws: A ``HistoryContractViolation`` if that is not so.
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
        try expect(purged == 3, "\(purged) events purged of 3")
        let again = try await subject.history.purge(try topic("a"))
        try expect(again == 0, "\(again) events purged of none")
        let nobody = try await subject.history.purge(try topic("nobody's"))
        try expect(nobody == 0, "\(nobody) events purged of a topic that has none")

        let all = try await subject.history.read(after: nil, selection: Selection([.all]), limit: ReadLimit())
        try expect(
            all.entries.map(\.id) == [ids[1], ids[3], ids[5]],
            "\(all.entries.map(\.id)) held, of \([ids[1], ids[3], ids[5]])"
        )
        let wanted: [(String, [Int])] = [("a", [0, 2, 4]), ("b", [2]), ("c", [])]
        for (name, gone) in wanted {
            let selection = Selection([.exact(try topic(name))])
            for (index, position) in ([subject.start] + positions).enumerated() {
                let batch = try await subject.history.read(after: position, selection: selection, limit: ReadLimit())
                let last = gone.last { $0 >= index }
                if let last {
                    let through = try unwrap(
                        batch.missingThrough,
                        "events of \(name) after \(position) were purged, and nothing was said"
                    )
                    try expect(through >= positions[last], "missing through \(through), not \(positions[last])")
                } else if index >= 5 {
                    try expect(batch.missingThrough == nil, "a gap after \(position), where nothing was removed")
                }
                if let missing = batch.missingThrough {
                    try expect(missing > position, "missing through \(missing), after \(position)")
                }
            }
        }
        // The topic goes on.
        let more = try await append([event("7", "a")], to: subject)
        let batch = try await subject.history.read(
            after: positions[5],
            selection: Selection([.exact(try topic("a"))]),
            limit: ReadLimit()
        )
        try expect(batch.entries.map(\.id) == more, "\(batch.entries.map(\.id)) after purging, not \(more)")
        let located = try await subject.history.locate(ids[0])
        try expect(
            located == positions[0],
            "the ID of a purged event is located at \(located?.description ?? "no place")"
        )
    }

    /// After trimming, whoever reads from where events are gone is told through where; nobody misses one without.
    ///
    /// - Throws: A ``HistoryContractViolation`` if that is not so.
    public func saysWhatIsMissingAfterTrimming() async throws {
        guard let makeTrimming = abilities.makeTrimming else { return }
        let subject = try await open(try await makeTrimming(8))
        // One topic has many, one a few, one only old ones: its are forgotten altogether.
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
                        "\(published[gone].0) of \(published[gone].1) is not held, and nothing was said after \(start)"
                    )
                    try expect(
                        missing >= positions[gone],
                        "\(positions[gone]) is not held, and events were said to be missing through \(missing)"
                    )
                }
                if let missing = batch.missingThrough {
                    try expect(missing > start, "missing through \(missing), after \(start)")
                }
            }
        }
        try expect(isTrimmed, "nothing was trimmed of \(published.count) events, 8 were to be held")
    }

    /// Statistics tell how many events and topics are held.
    ///
    /// - Throws: A ``HistoryContractViolation`` if that is not so.
    public func countsWhatItHolds() async throws {
        let subject = try await open()
        let none = try await subject.history.statistics()
        try expect(none.events == 0 && none.topics == 0, "\(none) of an empty history")
        _ = try await append([event("1", "a"), event("2", "b", "c"), event("3", "a")], to: subject)
        let some = try await subject.history.statistics()
        try expect(some.events == 3 && some.topics == 3, "\(some) of 3 events and 3 topics")
        try expect(some.bytes > 0, "no bytes")
        _ = try await subject.history.purge(try topic("b"))
        let rest = try await subject.history.statistics()
        try expect(rest.events == 2 && rest.topics == 1, "\(rest) of 2 events and 1 topic")
    }
}
