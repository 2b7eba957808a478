// SPDX-License-Identifier: Apache-2.0

#if JWT
import Foundation
import PlinthHub
import Testing

@testable import PlinthJWT

@Suite("Issuing tokens")
struct JWTIssuerTests {
    private func issuer(_ algorithm: JWTKeys.Algorithm) throws -> JWTIssuer {
        let key = try TestKey.make(algorithm)
        return algorithm.family == .secret
            ? try JWTIssuer(secret: key.privateFile, algorithm: algorithm)
            : try JWTIssuer(privateKeyPEM: key.privateFile, algorithm: algorithm)
    }

    @Test("A token of each algorithm is taken with the public key", arguments: JWTKeys.Algorithm.allCases)
    func algorithms(algorithm: JWTKeys.Algorithm) throws {
        let key = try TestKey.make(algorithm)
        var issuer =
            algorithm.family == .secret
            ? try JWTIssuer(secret: key.privateFile, algorithm: algorithm)
            : try JWTIssuer(privateKeyPEM: key.privateFile, algorithm: algorithm)
        #expect(issuer.algorithm == algorithm)
        issuer.issuer = "https://id.example"
        issuer.audiences = ["hub"]
        issuer.keyID = "k\"1"
        issuer.lifetime = .seconds(60)
        let rights = JWTRights(
            publish: [.topic(try Topic("a \"quoted\" topic"))],
            subscribe: [.topic(try Topic("users/*")), .pattern(try TopicPattern("orders/*"))],
            operates: true
        )
        let token = try issuer.token(for: "user-7", rights, at: now.addingTimeInterval(0.9))
        let grant = try grant(token, key.keys) {
            $0.issuers = ["https://id.example"]
            $0.audiences = ["hub"]
            $0.maximumLifetime = .seconds(60)
        }
        #expect(grant.subject == HubSubject(source: "jwt", issuer: "https://id.example", name: "user-7"))
        #expect(grant.issued == now)
        #expect(grant.expires == now.addingTimeInterval(120))
        #expect(grant.publishes(to: try Topic("a \"quoted\" topic")))
        #expect(grant.sees(try Topic("orders/7")))
        #expect(grant.sees(try Topic("users/*")))
        #expect(!grant.sees(try Topic("users/7")))
        #expect(grant.operates)
    }

    @Test("The claim is nested as its path says, and left out without rights")
    func path() throws {
        var issuer = try issuer(.hs256)
        let keys = TestKey.secret(.hs256).keys
        for path in ["a/b/c", "https:~1~1example.org~1plinth", "a~0~1\"b"] {
            issuer.claim = path
            let token = try issuer.token(for: "a", JWTRights(operates: true), at: now)
            #expect(try grant(token, keys) { $0.claim = path }.operates)
            #expect(try !grant(token, keys).operates)
        }
        #expect(try JWTInspection(try issuer.token(for: "a", at: now)).rights == nil)
        #expect(
            try JWTInspection(try issuer.token(for: "a", JWTRights(), at: now), claim: "a~0~1\"b").rights == JWTRights()
        )
    }

    @Test("Several audiences are a list")
    func audiences() throws {
        var issuer = try issuer(.hs256)
        issuer.audiences = ["a", "b"]
        #expect(try JWTInspection(try issuer.token(for: "x", at: now)).audiences == ["a", "b"])
    }

    @Test("Claims that a verifier would refuse are not signed")
    func refused() throws {
        let good = try issuer(.hs256)
        func check(_ code: JWTConfigurationError.Code, _ subject: String = "a", _ change: (inout JWTIssuer) -> Void) {
            var issuer = good
            change(&issuer)
            configurationError(code) { _ = try issuer.token(for: subject, JWTRights(), at: now) }
        }
        check(.badClaims, "") { _ in }
        check(.badClaims, String(repeating: "a", count: 256)) { _ in }
        check(.badClaims) { $0.lifetime = .milliseconds(999) }
        check(.badClaims) { $0.lifetime = .seconds(Int64.max) }
        check(.badClaims) { $0.issuer = "" }
        check(.badClaims) { $0.audiences = ["a", ""] }
        check(.badOptions) { $0.claim = "a//b" }
        for name in ["sub", "exp", "aud/x"] { check(.badOptions) { $0.claim = name } }
        check(.badClaims) { $0.keyID = String(repeating: "k", count: 8192) }
        configurationError(.badClaims) { _ = try good.token(for: "a", at: .distantFuture + 1e12) }
        configurationError(.badClaims) { _ = try good.token(for: "a", at: Date(timeIntervalSince1970: -1)) }
    }

    @Test("A public key and an algorithm of another kind do not sign")
    func keys() throws {
        let key = TestKey.p256()
        configurationError(.wrongKind) { _ = try JWTIssuer(privateKeyPEM: key.file) }
        configurationError(.badOptions) { _ = try JWTIssuer(privateKeyPEM: key.privateFile, algorithm: .es384) }
        configurationError(.badOptions) { _ = try JWTIssuer(privateKeyPEM: key.privateFile, algorithm: .hs256) }
        configurationError(.badOptions) { _ = try JWTIssuer(secret: TestKey.secret, algorithm: .rs256) }
        configurationError(.badKey) { _ = try JWTIssuer(privateKeyPEM: TestKey.secret) }
        #expect(try JWTIssuer(privateKeyPEM: TestKey.rsa().privateFile).algorithm == .rs256)
    }
}
#endif
