// SPDX-License-Identifier: Apache-2.0

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
