// SPDX-License-Identifier: Apache-2.0

#if JWT
import Foundation
import PlinthHub
import Testing

@testable import PlinthJWT

@Suite("The rights of tokens")
struct TokenRightsTests {
    private let key = TestKey.secret(.hs256)

    private func check(_ member: String, claim: String = "plinth") throws -> HubGrant {
        try grant(try signed(claims(member), key), key.keys) { $0.claim = claim }
    }

    @Test("Publishing, subscribing and operating are granted as the claim says")
    func rights() throws {
        let grant = try check(
            "\"plinth\":{\"publish\":[\"a\"],\"subscribe\":[\"b\",{\"match\":\"c/*\"}],\"operate\":true,\"later\":1}"
        )
        #expect(grant.publishes(to: try Topic("a")))
        #expect(!grant.publishes(to: try Topic("b")))
        #expect(grant.sees(try Topic("b")))
        #expect(grant.sees(try Topic("c/1")))
        #expect(!grant.sees(try Topic("a")))
        #expect(grant.operates)
    }

    @Test("A user named `*` gets the topic of that name and no pattern")
    func star() throws {
        let grant = try check("\"plinth\":{\"subscribe\":[\"users/*\",\"users/**\"],\"publish\":[\"**\"]}")
        #expect(!grant.sees(try Topic("users/7")))
        #expect(grant.sees(try Topic("users/*")))
        #expect(!grant.publishes(to: try Topic("a")))
        refusal(.claim) { try check("\"plinth\":{\"subscribe\":[\"*\"]}") }
    }

    @Test(
        "Rights that cannot be read are refused",
        arguments: [
            "1", "null", "[]", "\"all\"", "{\"publish\":\"a\"}", "{\"publish\":[1]}", "{\"subscribe\":[\"\"]}",
            "{\"subscribe\":[{\"match\":\"a*\"}]}", "{\"subscribe\":[{}]}", "{\"operate\":1}", "{\"operate\":null}",
            "{\"publish\":{}}", "{\"publish\":[\"a\\u0000\"]}",
        ]
    )
    func bad(claim: String) throws {
        refusal(.claim) { try check("\"plinth\":\(claim)") }
    }

    @Test("A token without the claim has a subject and no rights")
    func none() throws {
        for member in ["\"a\":1", "\"Plinth\":{\"operate\":true}"] {
            let grant = try check(member)
            #expect(grant.subject?.name == "user-7")
            #expect(!grant.operates && grant.publish.isEmpty && grant.subscribe.isEmpty)
            #expect(throws: HubDenial.self) { try grant.permitPublishing(to: [try Topic("a")]) }
        }
    }

    @Test(
        "The claim is found by its path, escaped as in RFC 6901",
        arguments: [
            ("rights", "\"rights\":{\"operate\":true}"),
            ("a/b", "\"a\":{\"b\":{\"operate\":true}}"),
            ("a/b/c", "\"a\":{\"x\":1,\"b\":{\"c\":{\"operate\":true}}}"),
            ("a~1b", "\"a/b\":{\"operate\":true}"),
            ("a~0b", "\"a~b\":{\"operate\":true}"),
            ("~01", "\"~1\":{\"operate\":true}"),
            ("https:~1~1example.org~1plinth", "\"https://example.org/plinth\":{\"operate\":true}"),
            ("é", "\"\\u00e9\":{\"operate\":true}"),
        ]
    )
    func paths(path: String, member: String) throws {
        #expect(try check(member, claim: path).operates)
    }

    @Test("A path that ends early finds no rights, and one through what is no object is refused")
    func missingPath() throws {
        #expect(try !check("\"a\":{\"c\":{\"operate\":true}}", claim: "a/b").operates)
        #expect(try !check("\"a\":{}", claim: "a/b/c").operates)
        refusal(.claim) { try check("\"a\":1", claim: "a/b") }
        refusal(.claim) { try check("\"a\":{\"b\":\"c\"}", claim: "a/b/c") }
        refusal(.claim) { try check("\"a\":[{\"operate\":true}]", claim: "a/0") }
    }

    @Test(
        "A path with an empty name or a bad escape is refused",
        arguments: ["", "/a", "a/", "a//b", "a~", "a~2", "~"]
    )
    func badPath(path: String) {
        configurationError(.badOptions) { _ = try ClaimPath(path) }
    }
}
#endif
