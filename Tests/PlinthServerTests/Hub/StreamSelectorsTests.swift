// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthServer

@Suite("Stream selectors")
struct StreamSelectorsTests {
    @Test("Topics and patterns are bounded separately, and the error names the bound and its option")
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

    @Test("A stream of 100 patterns begins; one of 101 is 400 before it takes a permit")
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
