// SPDX-License-Identifier: Apache-2.0

import PlinthTestSupport
import Testing

@testable import PlinthHub

@Suite("Selections")
struct SelectionTests {
    private struct Even: TopicMatcher {
        var description: String { "even" }
        func matches(_ topic: Topic) -> Bool { topic.utf8.count.isMultiple(of: 2) }
    }

    @Test("A selection wants the topics that any of its selectors matches")
    func wants() throws {
        let cases: [([TopicSelector], [String], [String])] = [
            ([try exact("a")], ["a"], ["b", "a/", "A", "aa"]),
            ([try exact("a"), try exact("b")], ["a", "b"], ["c", "ab"]),
            ([try exact("**")], ["**"], ["a"]),
            ([try pattern("a/*"), try exact("b")], ["a/1", "b"], ["a", "a/1/2"]),
            ([.all], ["a", "/", "é"], []),
            ([try exact("a"), .all], ["a", "b"], []),
            ([.matching(Even())], ["ab", "é"], ["a", "abc"]),
            ([], [], ["a", "b"]),
        ]
        for (selectors, wanted, others) in cases {
            let selection = Selection(selectors)
            for name in wanted { #expect(selection.wants(try topic(name)), "\(selectors) and \(name)") }
            for name in others { #expect(!selection.wants(try topic(name)), "\(selectors) and \(name)") }
            for name in wanted { #expect(selection.includes([try topic(name)], isRestricted: false)) }
        }
    }

    @Test("One topic, however often named, takes the fast path; several exact ones take the next")
    func paths() throws {
        let a = try topic("a")
        let b = try topic("b")
        #expect(Selection([.exact(a)]).only == a)
        #expect(Selection([.exact(a), .exact(a)]).only == a)
        #expect(Selection([.exact(a), .exact(b)]).only == nil)
        #expect(Selection([.exact(a), .exact(b)]).isExact)
        #expect(Selection([.exact(a), .exact(b), .exact(a)]).table.names == 2)
        #expect(!Selection([.exact(a), .all]).isExact)
        #expect(!Selection([.all, .exact(a)]).isExact)
        #expect(Selection([.all, .exact(a)]).only == nil)
        #expect(Selection([]).only == nil)
        #expect(Selection([]).isExact)
    }

    @Test("Canonically equivalent names are different topics")
    func bytes() throws {
        for selectors in [
            [try exact("caf\u{e9}")], [try exact("caf\u{e9}"), try exact("b")], [try pattern("caf\u{e9}")],
        ] {
            #expect(Selection(selectors).wants(try topic("caf\u{e9}")))
            #expect(!Selection(selectors).wants(try topic("cafe\u{301}")))
        }
    }

    @Test("A restricted event needs one wanted and one allowed topic, which may differ")
    func restricted() throws {
        let selection = Selection(
            [try exact("a"), try pattern("x/*")],
            allowed: [try exact("b"), try pattern("x/**")]
        )
        func includes(_ names: String..., isRestricted: Bool = true) throws -> Bool {
            selection.includes(try names.map(topic), isRestricted: isRestricted)
        }
        #expect(try includes("a", isRestricted: false))
        #expect(try !includes("a"))
        #expect(try includes("a", "b"))
        #expect(try includes("b", "a"))
        #expect(try !includes("b"))
        #expect(try !includes("b", isRestricted: false))
        #expect(try includes("x/1"))
        #expect(try !includes("x/1/2"))
        #expect(try includes("a", "x/1/2"))
    }

    @Test("All topics are allowed by default, and none by an empty list")
    func allowed() throws {
        let a = try topic("a")
        #expect(Selection([.exact(a)]).includes([a], isRestricted: true))
        #expect(!Selection([.exact(a)], allowed: []).includes([a], isRestricted: true))
        #expect(Selection([.exact(a)], allowed: []).includes([a], isRestricted: false))
        #expect(Selection([.exact(a)], allowed: [try exact("b"), .all]).includes([a], isRestricted: true))
    }

    // MARK: - What is visible

    /// All topics of at most four segments, each of which is empty or one of two letters.
    private static let topics: [Topic] = {
        var names = ["", "a", "b"]
        var last = names
        for _ in 0..<3 {
            last = last.flatMap { name in ["", "a", "b"].map { "\(name)/\($0)" } }
            names += last
        }
        return names.compactMap { try? Topic($0) }
    }()

    private func randomPattern(_ random: inout SeededGenerator) throws -> TopicPattern {
        let segments = (0..<Int.random(in: 0...3, using: &random)).map { _ in
            ["", "a", "b", "*", "*"].randomElement(using: &random) ?? "*"
        }
        let last = ["", "a", "b", "*", "**"].randomElement(using: &random) ?? "**"
        let text = (segments + [last]).joined(separator: "/")
        return try TopicPattern(text.isEmpty ? "*" : text)
    }

    private func randomSelectors(_ random: inout SeededGenerator) throws -> [TopicSelector] {
        try (0..<Int.random(in: 0...3, using: &random)).map { _ in
            switch Int.random(in: 0..<12, using: &random) {
            case 0: .all
            case 1: .matching(Even())
            case 2..<6: .exact(try #require(Self.topics.randomElement(using: &random)))
            default: .pattern(try randomPattern(&random))
            }
        }
    }

    /// As selectors are documented.
    private func selects(_ selectors: [TopicSelector], _ topic: Topic) -> Bool {
        selectors.contains { selector in
            switch selector.kind {
            case .exact(let exact): exact == topic
            case .all: true
            case .matching(let matcher): matcher.matches(topic)
            }
        }
    }

    @Test("The intersection of two patterns matches the topics that both match, and there is none if there are none")
    func intersections() throws {
        var random = SeededGenerator(seed: 1)
        var found = 0
        for _ in 0..<400 {
            let (one, two) = (try randomPattern(&random), try randomPattern(&random))
            let (common, reversed) = (one.intersection(two), two.intersection(one))
            #expect(common == reversed, "\(one) and \(two)")
            var isEmpty = true
            for topic in Self.topics {
                let isCommon = one.matches(topic) && two.matches(topic)
                if isCommon { isEmpty = false }
                if (common?.matches(topic) ?? false) != isCommon {
                    Issue.record("\(one) and \(two) are \(common?.description ?? "none"): \(topic)")
                }
            }
            #expect((common == nil) == isEmpty, "\(one) and \(two)")
            if common != nil { found += 1 }
        }
        #expect((50..<350).contains(found))
    }

    @Test("Exactly those topics are included that are wanted and visible", arguments: 0..<100)
    func narrowing(_ seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        let (wanted, visible) = (try randomSelectors(&random), try randomSelectors(&random))
        let selection = Selection(wanted, visible: visible)
        for topic in Self.topics {
            let isBoth = selects(wanted, topic) && selects(visible, topic)
            if selection.wants(topic) != isBoth || selection.includes([topic], isRestricted: false) != isBoth {
                Issue.record("\(wanted) of \(visible): \(topic)")
            }
        }
        if selection.isOfNames {
            for topic in Self.topics {
                #expect(selection.wants(topic) == (selection.wanted.map(\.topic).contains(topic)))
            }
        }
    }

    @Test("So many patterns that their pairs would take too much are narrowed one topic at a time")
    func manyPairs() throws {
        let wanted = try (0..<200).map { try pattern("*/\($0)/**") }
        let visible = try (0..<200).map { try pattern("\($0)/*/x") }
        let selection = Selection(wanted, visible: visible)
        #expect(!selection.matchers.isEmpty && selection.table.patterns > 0)
        for name in ["0/0/x", "199/199/x", "0/199/x", "199/0/x"] {
            #expect(selection.wants(try topic(name)), "\(name)")
        }
        for name in ["0/0/y", "200/0/x", "0/200/x", "0/0/x/x"] { #expect(!selection.wants(try topic(name)), "\(name)") }
    }

    @Test("A pattern of which only names are visible is a selection of these names", arguments: ["**", "*/*"])
    func patternOfNames(_ text: String) throws {
        let visible = [try exact("a/1"), try exact("a/2")]
        let selection = Selection([try pattern(text)], visible: visible)
        #expect(selection.wanted.map(\.description).sorted() == ["a/1", "a/2"])
        #expect(selection.isOfNames && selection.names == 2 && !selection.isExact && !selection.wantsEverything)
        #expect(try !selection.includes([topic("b/1")], isRestricted: false))
        #expect(Selection([try pattern(text)], visible: [visible[0]]).only?.name == "a/1")
        #expect(Selection([.all], visible: visible).isOfNames)
        #expect(Selection(visible, visible: [.all]).isExact)
    }

    @Test("A pattern's stream goes on after the ends of all the names that it was narrowed to", arguments: [1, 2])
    func endsOfNames(_ count: Int) async throws {
        var delivery = try await Delivery()
        let names = try ["a", "b"].prefix(count).map { try exact($0) }
        func add(_ selection: Selection) -> Int {
            let start = LocatedStart(position: delivery.distributor.head)
            let slot = delivery.distributor.add(selection, start, Delivery.bare, now: delivery.now)
            delivery.proceed()
            return slot
        }
        let ofPattern = add(Selection([try pattern("**")], visible: names))
        let ofNames = add(Selection(names, visible: names))
        for name in ["a", "b"].prefix(count) {
            _ = try delivery.memory.appendNow(AppendRequest([], ending: try topic(name)))
            delivery.deliver()
        }
        #expect(delivery.takeEnded() == ["\(ofNames) topics-ended"])
        _ = try await delivery.memory.purge(try topic("a"))
        try delivery.publish(try event("again", "a"))
        #expect(delivery.sink.take(ofPattern).text.contains("data: again\n"))
    }

    @Test("Wanted selectors are listed without duplicates")
    func listing() throws {
        let cases: [([TopicSelector], [String])] = [
            ([], []),
            ([try exact("a"), try exact("a")], ["a"]),
            ([try exact("a"), try exact("b/c"), try exact("a")], ["a", "b/c"]),
            ([try pattern("x/*/y"), try pattern("x/**"), try pattern("x/*/y")], ["x/**", "x/*/y"]),
            ([.all, try pattern("**"), try exact("**")], ["*", "**"]),
            ([try pattern("**")], ["**"]),
            ([try pattern("/"), try pattern("a//b"), .matching(Even())], ["/", "a//b", "even"]),
        ]
        for (selectors, expected) in cases {
            #expect(Selection(selectors).wanted.map(\.description).sorted() == expected, "\(selectors)")
        }
    }

    @Test("Selectors have descriptions")
    func descriptions() throws {
        #expect(try exact("a/b").description == "a/b")
        #expect(try pattern("a/*").description == "a/*")
        #expect(TopicSelector.all.description == "*")
        #expect(TopicSelector.matching(Even()).description == "even")
    }
}
