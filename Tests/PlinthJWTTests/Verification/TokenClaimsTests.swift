// SPDX-License-Identifier: Apache-2.0

#if JWT
import Foundation
import PlinthHub
import Testing

@testable import PlinthJWT

@Suite("The claims of tokens")
struct TokenClaimsTests {
    private let key = TestKey.secret(.hs256)

    private func check(
        _ claims: String,
        at seconds: Double = 0,
        _ change: (inout JWTOptions) -> Void = { _ in }
    ) throws -> HubGrant {
        try grant(try signed(claims, key), key.keys, at: now.addingTimeInterval(seconds), change)
    }

    @Test("The grant has the token's subject, issuer, times and key")
    func good() throws {
        let grant = try check(claims("\"iss\":\"https://id.example\"", "\"iat\":999990", "\"nbf\":999991.5"))
        #expect(grant.subject == HubSubject(source: "jwt", issuer: "https://id.example", name: "user-7"))
        #expect(grant.issued == Date(timeIntervalSince1970: 999_990))
        #expect(grant.expires == Date(timeIntervalSince1970: 1_000_120))
        #expect(grant.attachment as? JWTKeyReference == key.verifying().reference)
        #expect(grant.publish.isEmpty && grant.subscribe.isEmpty && !grant.operates)
    }

    // MARK: - Times

    @Test("A token is valid until `exp` and the leeway; after it the error has the grant that it was")
    func expiry() throws {
        let text = claims("\"plinth\":{\"subscribe\":[\"a\"]}")
        _ = try check(text, at: 119.9)
        for late in [120, 121, 1e6] {
            let error = refusal(.expired) { try check(text, at: late) }
            #expect(error?.expired?.subject?.name == "user-7")
            #expect(error?.expired?.subscribe.count == 1)
            #expect(error?.expired?.expires == Date(timeIntervalSince1970: 1_000_120))
        }
        _ = try check(text, at: 59.9) { $0.leeway = .zero }
        refusal(.expired) { try check(text, at: 60) { $0.leeway = .zero } }
    }

    @Test("An expired token that is not otherwise good has no grant")
    func expiredAndBad() throws {
        #expect(refusal(.claim) { try check(claims("\"plinth\":1"), at: 1e4) }?.expired == nil)
        #expect(refusal(.audience) { try check(claims(), at: 1e4) { $0.audiences = ["hub"] } }?.expired == nil)
        #expect(refusal(.issuer) { try check(claims(), at: 1e4) { $0.issuers = ["id"] } }?.expired == nil)
        let forged = try signed(claims(), key)
        let other = try JWTKeys.secret(Array(repeating: 1, count: 32))
        #expect(refusal(.signature) { try grant(forged, other, at: .distantFuture) }?.expired == nil)
    }

    @Test("A token without `exp` is refused")
    func endless() throws {
        let error = refusal(.expired) { try check("{\"sub\":\"user-7\"}") }
        #expect(error?.expired == nil)
    }

    @Test("`nbf` and `iat` may be ahead by the leeway")
    func early() throws {
        for name in ["nbf", "iat"] {
            _ = try check(claims("\"\(name)\":1000060", "\"exp\":1000100"))
            refusal(.early) { try check(claims("\"\(name)\":1000061", "\"exp\":1000100")) }
            refusal(.early) { try check(claims("\"\(name)\":1000000.5", "\"exp\":1000100")) { $0.leeway = .zero } }
        }
    }

    @Test(
        "A time that is none is refused",
        arguments: [
            "\"1000060\"", "null", "true", "-1", "1e300", "253402300800", "[]", "{}", "1e400", "0x10", "1000060.",
            "NaN",
        ]
    )
    func badTimes(value: String) throws {
        for name in ["exp", "nbf", "iat"] {
            refusal(.malformed, "\(name)") { try check(claims("\"\(name)\":\(value)")) }
        }
    }

    @Test("With a maximum lifetime, `iat` is required and `exp` at most that later")
    func lifetime() throws {
        func check(_ more: String...) throws -> HubGrant {
            let claims = "{\"sub\":\"a\",\((more).joined(separator: ","))}"
            return try self.check(claims) { $0.maximumLifetime = .seconds(3600) }
        }
        _ = try check("\"iat\":1000000", "\"exp\":1003600")
        refusal(.lifetime) { try check("\"iat\":1000000", "\"exp\":1003601") }
        refusal(.lifetime) { try check("\"iat\":1000000", "\"exp\":1003600.5") }
        refusal(.lifetime) { try check("\"exp\":1000060") }
    }

    // MARK: - Issuer, audience, subject

    @Test("Only accepted issuers are taken, byte for byte")
    func issuers() throws {
        let accept = { @Sendable (options: inout JWTOptions) in options.issuers = ["https://id.example", "caf\u{e9}"] }
        _ = try check(claims("\"iss\":\"https://id.example\""), accept)
        _ = try check(claims("\"iss\":\"caf\\u00e9\""), accept)
        for other in [
            "\"https://id.example/\"", "\"HTTPS://id.example\"", "\"\"", "null", "1", "[\"https://id.example\"]",
            "\"cafe\u{301}\"", "\"https://id.exampl\"",
        ] {
            refusal(.issuer, "\(other)") { try check(claims("\"iss\":\(other)"), accept) }
        }
        refusal(.issuer) { try check(claims(), accept) }
        refusal(.issuer) { try check(claims("\"iss\":\"\"")) }
        #expect(try check(claims("\"iss\":\"any\"")).subject?.issuer == "any")
    }

    @Test("`aud` has to name this hub, as a text or in a list")
    func audiences() throws {
        let accept = { @Sendable (options: inout JWTOptions) in options.audiences = ["hub", "other-name"] }
        for good in ["\"hub\"", "[\"hub\"]", "[\"a\",\"other-name\"]"] {
            _ = try check(claims("\"aud\":\(good)"), accept)
        }
        for bad in ["\"Hub\"", "\"hub \"", "[\"a\"]", "\"hub,other-name\"", "[[\"hub\"]]"] {
            refusal(.audience, "\(bad)") { try check(claims("\"aud\":\(bad)"), accept) }
        }
        refusal(.audience) { try check(claims(), accept) }
        // Malformed whether or not it is compared.
        for bad in ["\"\"", "[]", "[\"\"]", "[\"hub\",\"\"]", "[\"hub\",1]", "null", "1", "{}", "{\"hub\":true}"] {
            refusal(.audience, "\(bad)") { try check(claims("\"aud\":\(bad)"), accept) }
            refusal(.audience, "\(bad)") { try check(claims("\"aud\":\(bad)")) }
        }
        _ = try check(claims("\"aud\":\"somebody else\""))
    }

    @Test("`sub` is required, and has 1 to 255 bytes")
    func subjects() throws {
        #expect(try check(claims("\"sub\":\"*\"")).subject?.name == "*")
        let longest = String(repeating: "é", count: 127) + "x"
        #expect(try check(claims("\"sub\":\"\(longest)\"")).subject?.name == longest)
        for bad in ["\"\"", "\"\(longest)x\"", "7", "null", "[\"a\"]", "{}"] {
            refusal(.claim, "\(bad)") { try check(claims("\"sub\":\(bad)")) }
        }
        refusal(.claim) { try check("{\"exp\":1000060}") }
    }

    @Test(
        "Claims that are no object with each member once are malformed",
        arguments: [
            "", "[]", "null", "{", "{\"sub\":\"a\",\"sub\":\"b\",\"exp\":1000060}",
            "{\"sub\":\"a\",\"exp\":1,\"exp\":1000060}", "{\"sub\":\"a\",\"exp\":1000060,\"\\u0073ub\":\"admin\"}",
            "{\"sub\":\"a\",\"exp\":1000060,\"x\":{\"a\":1,\"a\":2}}", "{\"sub\":\"\\ud800\",\"exp\":1000060}",
        ]
    )
    func malformed(text: String) throws {
        guard !text.isEmpty else {
            // An empty part is not signed here: it has no text.
            refusal(.malformed) { try grant("e30..AAAA", key.keys) }
            return
        }
        refusal(.malformed) { try check(text) }
    }
}
#endif
