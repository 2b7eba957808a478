// SPDX-License-Identifier: Apache-2.0

#if JWT
import Foundation
import PlinthHub
import Testing

@testable import PlinthJWT

@Suite("Inspecting tokens")
struct JWTInspectionTests {
    private func token(_ claims: String, head: String = "{\"alg\":\"HS256\",\"kid\":\"k\"}") -> String {
        Base64URL.encode(head.utf8) + "." + Base64URL.encode(claims.utf8) + ".AAAA"
    }

    @Test("A token is shown in words, with its rights and the time that it has left")
    func words() throws {
        let text = claims(
            "\"iss\":\"id\"",
            "\"aud\":[\"hub\",\"b\"]",
            "\"iat\":999940",
            "\"plinth\":{\"publish\":[\"a\"],\"subscribe\":[\"users/*\",{\"match\":\"orders/*\"}]}"
        )
        let inspection = try JWTInspection(token(text))
        #expect(inspection.problems.isEmpty)
        #expect(inspection.algorithm == "HS256")
        #expect(inspection.keyID == "k")
        #expect(
            inspection.lines(at: now) == [
                "head: {\"alg\":\"HS256\",\"kid\":\"k\"}", "claims: \(text)", "subject: user-7", "issuer: id",
                "audience: hub, b", "issued: 1970-01-12T13:45:40Z, 60 s ago", "expires: 1970-01-12T13:47:40Z, in 60 s",
                "may publish to: the topic \"a\"",
                "may subscribe to: the topic \"users/*\", the topics that match \"orders/*\"",
                "may operate the hub: no", "the signature was not verified",
            ]
        )
    }

    @Test("A token without the claim says so")
    func bare() throws {
        let lines = try JWTInspection(token(claims())).lines(at: now)
        #expect(lines.contains("rights: none, it does not have the claim"))
    }

    @Test(
        "What every hub refuses is named with its code",
        arguments: [
            ("{\"alg\":\"none\"}", claims(), .algorithm), ("{\"alg\":\"HS256\",\"crit\":[]}", claims(), .malformed),
            ("{}", claims(), .malformed), ("{\"alg\":\"HS256\"}", "{\"sub\":\"a\"}", .expired),
            ("{\"alg\":\"HS256\"}", "{\"exp\":1}", .claim), ("{\"alg\":\"HS256\"}", claims("\"aud\":[]"), .audience),
            ("{\"alg\":\"HS256\"}", claims("\"plinth\":1"), .claim),
            ("{\"alg\":\"HS256\"}", claims("\"plinth\":{\"operate\":1}"), .claim),
        ] as [(String, String, HubTokenError.Code)]
    )
    func problems(head: String, claims: String, code: HubTokenError.Code) throws {
        let inspection = try JWTInspection(token(claims, head: head))
        #expect(inspection.problems.map(\.code) == [code])
        #expect(inspection.lines(at: now).contains { $0.hasPrefix("refused: \(code)") })
        #expect(inspection.rights == nil || code != .claim)
    }

    @Test("Head and claims have a problem each")
    func both() throws {
        let inspection = try JWTInspection(token("{}", head: "{\"alg\":\"none\"}"))
        #expect(inspection.problems.map(\.code) == [.algorithm, .claim])
    }

    @Test("No character of a token controls the terminal")
    func control() throws {
        let text = claims("\"sub\":\"\\u001b[2J\\nfake: \\u202e\"")
        let lines = try JWTInspection(token(text, head: "{\"alg\":\"HS256\",\n\"kid\":\"\u{9B}\"}")).lines(at: now)
        #expect(!lines.contains { $0.unicodeScalars.contains { $0.value < 0x20 || (0x7F...0x9F).contains($0.value) } })
        #expect(lines.contains("subject: ␛[2J␊fake: \u{FFFD}"))
    }

    @Test(
        "What is no token, and a bad path, are errors",
        arguments: ["", "a", "e30.e30", "e30.AAAA.e30", "e30.W10.e30"]
    )
    func malformed(text: String) {
        let error = #expect(throws: HubTokenError.self) { try JWTInspection(text) }
        #expect(error?.code == .malformed)
        configurationError(.badOptions) { _ = try JWTInspection("e30.e30.", claim: "/") }
    }
}
#endif
