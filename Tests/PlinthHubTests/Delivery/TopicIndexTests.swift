// SPDX-License-Identifier: Apache-2.0

import PlinthTestSupport
import Testing

@testable import PlinthHub

@Suite("Topic index")
struct TopicIndexTests {
    /// The slots that receive the events of a topic, in order.
    private static func slots(_ index: inout TopicIndex, _ name: String) throws -> [Int32] {
        guard let number = index.node(of: try topic(name)), let node = index.nodes[number] else { return [] }
        var slots = Set(node.single)
        index.forEachOther(of: number) { slots.insert($0) }
        return slots.sorted()
    }

    @Test("Subscribers of one topic, several, patterns and all are found by topic")
    func finding() throws {
        var index = TopicIndex()
        _ = index.add(0, Selection([try exact("a")]))
        _ = index.add(1, Selection([try exact("a"), try exact("b")]))
        _ = index.add(2, Selection([try pattern("x/*"), try exact("b")]))
        _ = index.add(3, Selection([.all]))
        _ = index.add(4, Selection([]))
        #expect(try Self.slots(&index, "a") == [0, 1, 3])
        #expect(try Self.slots(&index, "b") == [1, 2, 3])
        #expect(try Self.slots(&index, "x/1") == [2, 3])
        #expect(try Self.slots(&index, "c") == [3])
        // A later subscriber is added to cached results.
        _ = index.add(5, Selection([try pattern("*")]))
        #expect(try Self.slots(&index, "a") == [0, 1, 3, 5])
        #expect(try Self.slots(&index, "x/1") == [2, 3])
    }

    @Test("A topic without subscribers has no node")
    func nobody() throws {
        var index = TopicIndex()
        #expect(index.node(of: try topic("a")) == nil)
        let selection = Selection([try exact("a")])
        let place = index.add(0, selection)
        #expect(index.node(of: try topic("b")) == nil)
        index.remove(0, selection, place: place) { _ in Issue.record("no subscriber moves") }
        #expect(index.node(of: try topic("a")) == nil)
        #expect(index.numbers.isEmpty)
    }

    @Test("Places stay correct when other subscribers leave", arguments: [1, 2, 3] as [UInt64])
    func places(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var index = TopicIndex()
        var places: [Int32: Int32] = [:]
        var selections: [Int32: Selection] = [:]
        let choices = [
            Selection([try exact("a")]), Selection([try exact("b")]),
            Selection([try exact("a"), try exact("c")]), Selection([try pattern("*")]), Selection([.all]),
            Selection([try exact("b"), try pattern("d/*"), try pattern("*/1")]),
            Selection([try pattern("d/**"), try pattern("a")]), Selection([.matching(Short())]),
            Selection([try exact("d/1"), .matching(Short()), try pattern("*")]),
        ]
        for step in 0..<3000 {
            if Bool.random(using: &random) || selections.isEmpty {
                let slot = (0...Int32.max).first { selections[$0] == nil } ?? 0
                let selection = choices.randomElement(using: &random) ?? choices[0]
                selections[slot] = selection
                places[slot] = index.add(Int(slot), selection)
            } else if let slot = selections.keys.sorted().randomElement(using: &random), let place = places[slot],
                let selection = selections.removeValue(forKey: slot)
            {
                places[slot] = nil
                index.remove(Int(slot), selection, place: place) { places[$0] = place }
            }
            for name in ["a", "b", "c", "d/1"] {
                let expected = try selections.filter { $0.value.wants(try topic(name)) }.keys.sorted()
                #expect(try Self.slots(&index, name) == expected, "seed \(seed), step \(step), \(name)")
            }
        }
    }

    @Test(
        "Results are correct after any number of changes of patterns or matchers",
        arguments: [0, 1, 2, 5, 100, 3000],
        [true, false]
    )
    func changes(count: Int, ofPatterns: Bool) throws {
        var index = TopicIndex()
        let all = ofPatterns ? Selection([.all]) : Selection([.matching(Under(prefix: ""))])
        let some = ofPatterns ? Selection([try pattern("x/*")]) : Selection([.matching(Under(prefix: "x/"))])
        var present: [Int32: Selection] = [:]
        func add(_ slot: Int, _ selection: Selection) {
            _ = index.add(slot, selection)
            present[Int32(slot)] = selection
        }
        for slot in 0..<200 { add(slot, slot.isMultiple(of: 2) ? all : some) }
        #expect(try Self.slots(&index, "x/1").count == 200)
        #expect(try Self.slots(&index, "y").count == 100)
        // Other subscribers take the same slots.
        for change in 0..<count {
            let slot = change % 150
            let wasAll = present[Int32(slot)] === all
            index.remove(slot, wasAll ? all : some, place: -1) { _ in Issue.record("no subscriber moves") }
            add(slot, change % 3 != 2 && wasAll ? some : all)
        }
        #expect(try Self.slots(&index, "y") == present.filter { $0.value === all }.keys.sorted())
        #expect(try Self.slots(&index, "x/1") == (0..<200).map { Int32($0) })
    }

    private struct Short: TopicMatcher {
        var description: String { "short" }
        func matches(_ topic: Topic) -> Bool { topic.utf8.count == 1 }
    }

    private struct Under: TopicMatcher {
        let prefix: String
        var description: String { "under \(prefix)" }
        func matches(_ topic: Topic) -> Bool { topic.utf8.starts(with: prefix.utf8) }
    }

    @Test("A new topic follows only its own segments, however many patterns there are")
    func steps() throws {
        var index = TopicIndex()
        for slot in 0..<100 {
            _ = index.add(slot, Selection(try (0..<100).map { try pattern("shop/\(slot)/*/\($0)") }))
        }
        #expect(try Self.slots(&index, "shop/7/x/3") == [7])
        #expect(try Self.slots(&index, "shop/7/x/100") == [])
        #expect(try Self.slots(&index, "other/7/x/3") == [])
        // 10,000 patterns are in the index; a topic of four segments takes four branches.
        #expect(index.steps <= 12, "\(index.steps) branches for three topics")
        let known = index.steps
        #expect(try Self.slots(&index, "shop/7/x/3") == [7])
        #expect(index.steps == known, "a topic with a cached result was matched again")
    }

    @Test("Leaving costs a few steps per name, however many others named it, and leaves nothing behind")
    func leaving() throws {
        var index = TopicIndex()
        let names = try (0..<50).map { try exact("topics/\($0)") }
        let selections = (0..<400).map { _ in Selection(names) }
        for (slot, selection) in selections.enumerated() { _ = index.add(slot, selection) }
        var random = SeededGenerator(seed: 5)
        var present = Set(selections.indices)
        for slot in selections.indices.shuffled(using: &random) {
            index.remove(slot, selections[slot], place: -1) { _ in Issue.record("no other list moves") }
            present.remove(slot)
            let place = slot % 50
            #expect(try Self.slots(&index, "topics/\(place)") == present.sorted().map { Int32($0) })
        }
        // Each of 20,000 places is emptied once, and swept when its list has more empty places than members.
        #expect(index.several.steps <= 4 * 400 * 50, "\(index.several.steps) steps for 20,000 places")
        #expect(index.numbers.isEmpty)
    }

    @Test(
        "Topics tested only against patterns are dropped beyond a bound, wanted or not",
        arguments: ["none", "topics/*"]
    )
    func bounded(text: String) throws {
        var index = TopicIndex()
        let selection = Selection([try pattern(text)])
        let named = Selection([try exact("named")])
        let several = Selection([try exact("named"), try exact("other")])
        _ = index.add(0, selection)
        _ = index.add(1, named)
        _ = index.add(2, several)
        for number in 0..<20_000 {
            let expected: [Int32] = text == "none" ? [] : [0]
            #expect(try Self.slots(&index, "topics/\(number)") == expected)
        }
        #expect(index.numbers.count < 5000, "\(index.numbers.count) topics are kept for one pattern")
        #expect(index.nodes.count < 5000)
        // Named topics remain, and dropped results are determined again.
        #expect(try Self.slots(&index, "named") == [1, 2])
        #expect(try Self.slots(&index, "other") == [2])
        #expect(try Self.slots(&index, "topics/1") == (text == "none" ? [] : [0]))
    }
}
