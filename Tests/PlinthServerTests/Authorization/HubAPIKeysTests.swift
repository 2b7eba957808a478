// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import PlinthHub
import Testing

@testable import PlinthServer

@Suite("API keys")
struct HubAPIKeysTests {
    private let key = String(repeating: "k", count: 32)

    @Test("A line is a key or its digest, and the rights of a subject")
    func lines() throws {
        let keys = try HubAPIKeys(
            """
            # the shop's backend

            \(key) {"subject":"shop","publish":[{"match":"orders/*"},"news"],"expires":"2027-01-31T00:00:00Z"}
            sha256:2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824 {"subject":"short"}
            """
        )
        #expect(keys.count == 2)
        let grant = try #require(keys.grant(key))
        #expect(grant.subject == HubSubject(source: "api-key", name: "shop"))
        #expect(grant.publishes(to: try Topic("orders/7")))
        #expect(grant.publishes(to: try Topic("news")))
        #expect(!grant.publishes(to: try Topic("orders/7/x")))
        #expect(!grant.sees(try Topic("news")))
        #expect(!grant.operates)
        #expect(grant.expires == Date(timeIntervalSince1970: 1_801_353_600))
        // The digest is that of `hello`, which is too short for a key.
        #expect(keys.grant("hello") == nil)
        #expect(keys.grant(String(repeating: "K", count: 32)) == nil)
    }

    @Test(
        "A bad line refuses all, and names its number",
        arguments: [
            "k {\"subject\":\"a\"}", "KEY", "KEY {}", "KEY {\"subject\":\"\"}", "KEY {\"subject\":7}", "KEY []",
            "KEY {\"subject\":\"a\",\"publish\":\"x\"}", "KEY {\"subject\":\"a\",\"publish\":[\"\"]}",
            "KEY {\"subject\":\"a\",\"publish\":[{\"match\":\"a*\"}]}", "KEY {\"subject\":\"a\",\"operate\":1}",
            "KEY {\"subject\":\"a\",\"subject\":\"b\"}", "KEY {\"subject\":\"a\",\"expires\":\"soon\"}",
            "KEY {\"subject\":\"a\",\"expire\":1}", "KEY {\"subject\":\"a\",\"expires\":1798761600000}",
            "sha256:12 {\"subject\":\"a\"}", "KEY {\"subject\":\"a\"",
            "OTHER {\"subject\":\"b\"}",
        ]
    )
    func badLines(line: String) throws {
        let other = String(repeating: "o", count: 32)
        let text =
            "\(other) {\"subject\":\"b\"}\r\n"
            + line.replacing("KEY", with: key).replacing("OTHER", with: other) + "\n"
        let error = #expect(throws: HubAPIKeys.InvalidLine.self) { try HubAPIKeys(text) }
        #expect(error?.line == 2)
        #expect(!(error?.description.contains(key) ?? true))
    }

    @Test("A key that leaves the file, or whose rights change, is not current any more")
    func replacement() throws {
        let keys = try HubAPIKeys("\(key) {\"subject\":\"a\"}")
        let grant = try #require(keys.grant(key))
        #expect(keys.isCurrent(grant))
        #expect(throws: HubAPIKeys.InvalidLine.self) { try keys.replace("nonsense") }
        #expect(keys.isCurrent(grant))
        try keys.replace("\(key) {\"subject\":\"a\",\"operate\":true}")
        #expect(!keys.isCurrent(grant))
        try keys.replace("")
        #expect(keys.grant(key) == nil)
        #expect(keys.isCurrent(HubGrant(subject: "a")))
    }
}

#endif
