// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import Testing

@testable import PlinthHub

@Suite("Rights in claims")
struct HubClaimTests {
    private func claim(_ text: String) throws -> HubClaim {
        try HubClaim(try #require(try JSONValue(Array(text.utf8)).object))
    }

    private func texts(_ selectors: [TopicSelector]) -> [String] {
        selectors.map { selector in
            switch selector.kind {
            case .exact(let topic): "topic \(topic.name)"
            case .all: "all"
            case .matching(let matcher): "pattern \(matcher)"
            }
        }
    }

    @Test("A string is a topic, even if it looks like a pattern, and `match` a pattern")
    func selectors() throws {
        let claim = try claim(
            """
            {"publish":["users/*","**",{"match":"orders/*"}],"subscribe":[{"match":"**"},{"match":"orders"},"a"],
            "operate":true}
            """
        )
        #expect(texts(claim.publish) == ["topic users/*", "topic **", "pattern orders/*"])
        #expect(texts(claim.subscribe) == ["pattern **", "pattern orders", "topic a"])
        #expect(claim.operates)
    }

    @Test("What is missing or empty grants nothing, and unknown members are ignored")
    func missing() throws {
        for text in [
            "{}", "{\"publish\":[],\"subscribe\":[],\"operate\":false}", "{\"Publish\":[\"a\"],\"operates\":true}",
            "{\"later\":{\"publish\":[\"a\"]}}",
        ] {
            let claim = try claim(text)
            #expect(claim.publish.isEmpty && claim.subscribe.isEmpty && !claim.operates)
        }
    }

    @Test(
        "A member that cannot be read is refused, by name",
        arguments: [
            ("{\"publish\":\"a\"}", "publish"), ("{\"publish\":null}", "publish"), ("{\"subscribe\":{}}", "subscribe"),
            ("{\"subscribe\":[1]}", "subscribe"), ("{\"subscribe\":[null]}", "subscribe"),
            ("{\"subscribe\":[[\"a\"]]}", "subscribe"), ("{\"subscribe\":[{}]}", "subscribe"),
            ("{\"subscribe\":[{\"match\":1}]}", "subscribe"), ("{\"subscribe\":[{\"Match\":\"a\"}]}", "subscribe"),
            ("{\"subscribe\":[{\"match\":\"a\",\"except\":\"b\"}]}", "subscribe"),
            ("{\"publish\":[\"\"]}", "publish"), ("{\"publish\":[\"*\"]}", "publish"),
            ("{\"publish\":[\"a\\n\"]}", "publish"), ("{\"publish\":[{\"match\":\"a*\"}]}", "publish"),
            ("{\"publish\":[{\"match\":\"**/a\"}]}", "publish"), ("{\"publish\":[\"a\",{\"match\":\"\"}]}", "publish"),
            ("{\"operate\":\"true\"}", "operate"), ("{\"operate\":1}", "operate"), ("{\"operate\":null}", "operate"),
        ]
    )
    func refused(text: String, name: String) throws {
        let failure = #expect(throws: HubClaim.Failure.self) { try claim(text) }
        #expect(failure?.description.contains("`\(name)`") == true)
    }

    @Test("A claim has at most 1,000 topics and patterns, all lists together")
    func bounds() throws {
        func list(_ count: Int) -> String {
            "[" + (0..<count).map { "\"t\($0)\"" }.joined(separator: ",") + "]"
        }
        #expect(try claim("{\"publish\":\(list(1000))}").publish.count == 1000)
        #expect(try claim("{\"publish\":\(list(400)),\"subscribe\":\(list(600))}").subscribe.count == 600)
        for text in [
            "{\"publish\":\(list(1001))}", "{\"publish\":\(list(401)),\"subscribe\":\(list(600))}",
            "{\"subscribe\":\(list(1001))}",
        ] {
            #expect(throws: HubClaim.Failure.self) { try claim(text) }
        }
    }
}
