// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthServer

@Suite("What a stream may name")
struct StreamSelectorsTests {
    @Test("topics and patterns are bounded apart, and what is refused says the bound and its option")
    func bounds() throws {
        var selectors = StreamSelectors(maximumTopics: 3, maximumPatterns: 2)
        for number in 0..<3 { try selectors.add(try Topic("t\(number)")) }
        for number in 0..<2 { try selectors.add(try TopicPattern("p\(number)/*")) }
        #expect(selectors.selectors.count == 5)
        let topics = #expect(throws: StreamSelectors.TooMany.self) { try selectors.add(try Topic("t3")) }
        #expect(topics?.message.contains("at most 3 topics") == true)
        #expect(topics?.message.contains("--maximum-topics") == true)
        let patterns = #expect(throws: StreamSelectors.TooMany.self) { try selectors.add(try TopicPattern("p/*")) }
        #expect(patterns?.message.contains("at most 2 patterns") == true)
        #expect(patterns?.message.contains("--maximum-patterns") == true)
        #expect(selectors.selectors.count == 5)
    }

    @Test("a stream of 100 patterns begins, and one more is 400 before a permit is taken")
    func endpoint() async throws {
        try await withHub { hub in
            func target(_ count: Int) -> String {
                "/topics?" + (0..<count).map { "match=q\($0)" }.joined(separator: "&")
            }
            let response = try await hub.request("GET", target(101))
            #expect(response.status == 400)
            let answer = try Answer(response)
            #expect(answer.error?.contains("at most 100 patterns") == true, "\(response.body)")
            #expect("\(response.body)".contains("bad-selector"))
            #expect(hub.streams.begun.values.isEmpty)
            let client = try await hub.subscribe(target(100))
            try await hub.post("/topics/q99", "1")
            #expect(try await client.events(1).map(\.data) == ["1"])
            client.raw.close()
        }
    }
}

#endif
