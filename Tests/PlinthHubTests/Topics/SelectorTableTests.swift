// SPDX-License-Identifier: Apache-2.0

import PlinthTestSupport
import Testing

@testable import PlinthHub

@Suite("Selector table")
struct SelectorTableTests {
    private enum Entry: Hashable {
        case name([UInt8])
        case pattern(TopicPattern)

        func matches(_ topic: Topic) -> Bool {
            switch self {
            case .name(let name): name == topic.utf8
            case .pattern(let pattern): pattern.matches(topic)
            }
        }
    }

    private static func text(_ random: inout SeededGenerator, _ segments: [String]) -> String {
        (0..<Int.random(in: 1...4, using: &random)).map { _ in segments.randomElement(using: &random) ?? "" }
            .joined(separator: "/")
    }

    @Test("The table finds what matches, after any additions and removals", arguments: [1, 2, 3, 4] as [UInt64])
    func model(seed: UInt64) throws {
        var random = SeededGenerator(seed: seed)
        var table = SelectorTable()
        var nodes: [Entry: (node: Int32, uses: Int)] = [:]
        var highest = 0
        for step in 0..<4000 {
            // It grows, shrinks to nothing, and grows again.
            let isGrowing = (step / 500).isMultiple(of: 2)
            if Int.random(in: 0..<10, using: &random) < (isGrowing ? 7 : 2) {
                let text = Self.text(&random, ["a", "b", "", "long segment", "*"])
                let isPattern = Bool.random(using: &random)
                let rest = isPattern && Bool.random(using: &random) ? text + "/**" : text
                if isPattern {
                    let pattern = try TopicPattern(utf8: Array((rest.isEmpty ? "**" : rest).utf8))
                    let node = table.add(pattern)
                    if let known = nodes[.pattern(pattern)] { #expect(known.node == node) }
                    nodes[.pattern(pattern)] = (node, (nodes[.pattern(pattern)]?.uses ?? 0) + 1)
                } else {
                    let name = Array(rest.utf8)
                    let node = table.add(name: name)
                    if let known = nodes[.name(name)] { #expect(known.node == node) }
                    nodes[.name(name)] = (node, (nodes[.name(name)]?.uses ?? 0) + 1)
                }
            } else if let entry = nodes.keys.randomElement(using: &random), let known = nodes[entry] {
                _ = table.remove(known.node)
                nodes[entry] = known.uses > 1 ? (known.node, known.uses - 1) : nil
            }
            highest = max(highest, table.upperBound)
            guard step.isMultiple(of: 5), let topic = try? Topic(Self.text(&random, ["a", "b", "", "long segment"]))
            else { continue }
            var found: [Int32] = []
            table.match(topic) {
                found.append($0)
                return true
            }
            let expected = nodes.filter { $0.key.matches(topic) }.map(\.value.node)
            #expect(found.sorted() == expected.sorted(), "\(topic), seed \(seed), step \(step)")
            #expect(table.names + table.patterns == nodes.count)
        }
        for (_, known) in nodes { for _ in 0..<known.uses { _ = table.remove(known.node) } }
        #expect(table.isEmpty)
        var isFound = false
        table.match(try topic("a")) { _ in
            isFound = true
            return true
        }
        #expect(!isFound)
        // Numbers are reused.
        #expect(table.upperBound == highest)
        #expect(highest < 2000)
    }

    @Test("Segments are compared by bytes, and an empty one is a segment")
    func segments() throws {
        var table = SelectorTable()
        _ = table.add(try TopicPattern("caf\u{e9}/*"))
        _ = table.add(try TopicPattern("/x"))
        func isFound(_ name: String) throws -> Bool {
            var isFound = false
            table.match(try topic(name)) { _ in
                isFound = true
                return false
            }
            return isFound
        }
        #expect(try isFound("caf\u{e9}/"))
        #expect(try !isFound("cafe\u{301}/1"))
        #expect(try isFound("/x"))
        #expect(try !isFound("x"))
        #expect(try !isFound("//x"))
    }

    @Test("The text of removed entries is released")
    func text() throws {
        var table = SelectorTable()
        let kept = table.add(name: Array("kept".utf8))
        for number in 0..<20_000 {
            let node = table.add(name: Array("a long name that comes and goes \(number)".utf8))
            let isGone = table.remove(node)
            #expect(isGone)
        }
        #expect(table.node(of: Array("kept".utf8)) == kept)
        #expect(table.upperBound == 3)
        #expect(table.textBytes < 10_000, "\(table.textBytes) bytes for one name")
    }
}
