// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import PlinthHub

@Suite("Topic patterns")
struct TopicPatternTests {
    struct Case: CustomTestStringConvertible {
        let pattern: String
        let matching: [String]
        let others: [String]
        var testDescription: String { pattern }
    }

    static let cases = [
        Case(
            pattern: "orders/*",
            matching: ["orders/7", "orders/", "orders/**", "orders/é"],
            others: [
                "orders", "orders/7/lines", "orders//", "order/7", "orders7", "/orders/7", "Orders/7", "xorders/7",
            ]
        ),
        Case(
            pattern: "orders/*/lines",
            matching: ["orders/7/lines", "orders//lines"],
            others: [
                "orders/7", "orders/7/lines/", "orders/lines", "orders/7/8/lines", "orders/7/line", "orders/7/liness",
            ]
        ),
        Case(
            pattern: "orders/**",
            matching: ["orders/7", "orders/7/lines", "orders/", "orders//", "orders/a/b/c/d"],
            others: ["orders", "order", "/orders/7", "ordersx/7"]
        ),
        Case(pattern: "**", matching: ["a", "/", "//", "a/b", "a/b/c", "é"], others: []),
        Case(pattern: "*", matching: ["a", "é", "**"], others: ["/", "a/", "/a", "a/b"]),
        Case(pattern: "*/*", matching: ["/", "a/", "/a", "a/b"], others: ["a", "//", "a/b/c"]),
        Case(pattern: "*/**", matching: ["/", "a/b", "//", "a/b/c"], others: ["a"]),
        Case(pattern: "/", matching: ["/"], others: ["//", "a/", "/a", "a"]),
        Case(pattern: "/*", matching: ["/", "/a"], others: ["a", "//", "/a/", "a/b"]),
        Case(pattern: "*/", matching: ["/", "a/"], others: ["a", "a/b", "a//"]),
        Case(pattern: "a//b", matching: ["a//b"], others: ["a/b", "a/x/b", "a///b"]),
        Case(pattern: "a/*//**", matching: ["a/b//c", "a///", "a/b//c/d"], others: ["a/b/c", "a/b/", "a/b"]),
        Case(pattern: "orders", matching: ["orders"], others: ["orders/", "order", "orders/7", "ordersx"]),
        Case(pattern: "caf\u{e9}/*", matching: ["caf\u{e9}/1"], others: ["cafe\u{301}/1"]),
        Case(pattern: ".", matching: ["."], others: ["a", "/"]),
        Case(pattern: "[a-z]?/*", matching: ["[a-z]?/1"], others: ["a/1", "ab/1"]),
    ]

    @Test("A pattern matches exactly the expected topics", arguments: cases)
    func matching(_ table: Case) throws {
        let pattern = try TopicPattern(table.pattern)
        for name in table.matching { #expect(pattern.matches(try Topic(name)), "\(table.pattern) and \(name)") }
        for name in table.others { #expect(!pattern.matches(try Topic(name)), "\(table.pattern) and \(name)") }
        #expect(pattern.description == table.pattern)
        #expect(try TopicPattern(utf8: Array(table.pattern.utf8)) == pattern)
    }

    @Test(
        "An invalid pattern is refused with its reason",
        arguments: [
            ("", .empty), ("a*", .badPattern), ("*a", .badPattern), ("a/b*", .badPattern), ("***", .badPattern),
            ("**/a", .badPattern), ("**/*", .badPattern), ("**/**", .badPattern), ("**/", .badPattern),
            ("a/**/b", .badPattern), ("a\n", .controlCharacter), ("a/\u{85}", .controlCharacter),
            (String(repeating: "a", count: 1025), .tooLong),
        ] as [(String, TopicError.Code)]
    )
    func bad(text: String, code: TopicError.Code) {
        #expect((#expect(throws: TopicError.self) { try TopicPattern(text) })?.code == code)
    }

    @Test("A pattern is percent-decoded once, before its wildcards are parsed")
    func encoded() throws {
        #expect(try TopicPattern(percentEncoded: "orders%2F*") == TopicPattern("orders/*"))
        #expect(try TopicPattern(percentEncoded: "orders/%2A") == TopicPattern("orders/*"))
        #expect(try TopicPattern(percentEncoded: "%252A") == TopicPattern("%2A"))
        #expect((#expect(throws: TopicError.self) { try TopicPattern(percentEncoded: "a%2") })?.code == .badEscape)
        #expect((#expect(throws: TopicError.self) { try TopicPattern(percentEncoded: "%FF") })?.code == .notUTF8)
        #expect((#expect(throws: TopicError.self) { try TopicPattern(utf8: [0xC3]) })?.code == .notUTF8)
    }

    @Test("Matching agrees with a plain definition on all short topics")
    func exhaustive() throws {
        /// Matches segment by segment, as documented.
        func expected(_ pattern: [String], _ topic: [String]) -> Bool {
            guard let first = pattern.first else { return topic.isEmpty }
            if first == "**" { return !topic.isEmpty }
            guard let segment = topic.first, first == "*" || first == segment else { return false }
            return expected(Array(pattern.dropFirst()), Array(topic.dropFirst()))
        }
        func segments(_ text: String) -> [String] {
            text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        }
        func words(_ letters: String, upTo length: Int) -> [String] {
            var all = [""]
            var last = [""]
            for _ in 0..<length {
                last = last.flatMap { word in letters.map { word + String($0) } }
                all += last
            }
            return all
        }
        let topics = words("ab/", upTo: 4).compactMap { try? Topic($0) }
        var count = 0
        for text in words("a/*", upTo: 5) {
            guard let pattern = try? TopicPattern(text) else { continue }
            let parts = segments(text)
            for topic in topics {
                count += 1
                if pattern.matches(topic) != expected(parts, segments(topic.name)) {
                    Issue.record("\(text) and \(topic)")
                }
            }
        }
        #expect(count > 5000)
    }
}
