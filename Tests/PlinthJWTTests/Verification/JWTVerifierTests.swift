// SPDX-License-Identifier: Apache-2.0

#if JWT
import Foundation
import Logging
import PlinthHub
import PlinthTestSupport
import Synchronization
import Testing

@testable import PlinthJWT

@Suite("The verifier")
struct JWTVerifierTests {
    private final class Clock: Sendable {
        private let seconds = Mutex(0.0)
        func advance(_ by: Double) { seconds.withLock { $0 += by } }
        @Sendable func time() -> Date { now.addingTimeInterval(seconds.withLock { $0 }) }
    }

    private let clock = Clock()

    private func verifier(
        _ keys: JWTKeys,
        _ change: (inout JWTOptions) -> Void = { _ in }
    ) throws -> JWTVerifier {
        var options = JWTOptions()
        change(&options)
        return try JWTVerifier(keys: JWTKeySource(keys), options: options, now: clock.time)
    }

    @Test("A token is remembered, and its expiry looked at each time")
    func remembered() async throws {
        let key = TestKey.p256()
        let verifier = try verifier(key.keys)
        let token = try signed(claims("\"plinth\":{\"publish\":[\"a\"]}"), key)
        for _ in 0..<3 {
            let grant = try #require(try verifier.verifyNow(token))
            #expect(grant.publishes(to: try Topic("a")))
            #expect(verifier.cachedTokens == 1)
        }
        clock.advance(119)
        _ = try await verifier.verify(token)
        clock.advance(1)
        let error = refusal(.expired) { try verifier.verifyNow(token) }
        #expect(error?.expired?.subject?.name == "user-7")
        // The clock may be set back.
        clock.advance(-1)
        _ = try await verifier.verify(token)
    }

    @Test("Refusals are not remembered: a token that is early is taken later")
    func refusals() throws {
        let key = TestKey.secret(.hs256)
        let verifier = try verifier(key.keys)
        let early = try signed(claims("\"nbf\":1000200", "\"exp\":1000300"), key)
        refusal(.early) { try verifier.verifyNow(early) }
        let forged = try signed(claims(), .p256())
        refusal(.algorithm) { try verifier.verifyNow(forged) }
        let expired = try signed(claims("\"exp\":999000"), key)
        #expect(refusal(.expired) { try verifier.verifyNow(expired) }?.expired?.subject?.name == "user-7")
        #expect(verifier.cachedTokens == 0)
        clock.advance(140)
        #expect(try verifier.verifyNow(early) != nil)
        #expect(verifier.cachedTokens == 1)
    }

    @Test("A remembered token opens nothing for one that differs in a character")
    func similar() throws {
        let key = TestKey.secret(.hs256)
        let verifier = try verifier(key.keys)
        let token = try signed(claims(), key)
        _ = try verifier.verifyNow(token)
        #expect(throws: HubTokenError.self) { try verifier.verifyNow(token + "A") }
        #expect(throws: HubTokenError.self) { try verifier.verifyNow(String(token.dropLast())) }
        #expect(throws: HubTokenError.self) { try verifier.verifyNow(String(repeating: "a", count: 1 << 20)) }
    }

    @Test("At most the limit is remembered")
    func bounded() throws {
        let key = TestKey.secret(.hs256)
        let verifier = try verifier(key.keys) { $0.cachedTokens = 10 }
        for number in 0..<100 { _ = try verifier.verifyNow(try signed(claims("\"n\":\(number)"), key)) }
        #expect(verifier.cachedTokens <= 10)
        let off = try self.verifier(key.keys) { $0.cachedTokens = 0 }
        _ = try off.verifyNow(try signed(claims(), key))
        #expect(off.cachedTokens == 0)
    }

    @Test("A missing issuer or audience is logged with one's own key")
    func notice() throws {
        for (issuers, audiences, unchecked) in [
            ([], [], "issuer, audience"), (["id"], [], "audience"), ([], ["hub"], "issuer"), (["id"], ["hub"], nil),
        ] as [([String], [String], String?)] {
            let record = LogRecord()
            _ = try verifier(TestKey.secret(.hs256).keys) {
                $0.issuers = issuers
                $0.audiences = audiences
                $0.logger = record.logger
            }
            #expect(record.lines.map { $0.metadata["unchecked"]?.description } == (unchecked.map { [$0] } ?? []))
        }
    }

    @Test("Options out of range are refused")
    func options() throws {
        let keys = TestKey.secret(.hs256).keys
        let changes: [(inout JWTOptions) -> Void] = [
            { $0.leeway = .seconds(301) }, { $0.leeway = .seconds(-1) }, { $0.maximumLifetime = .zero },
            { $0.issuers = ["id", ""] }, { $0.audiences = [""] }, { $0.claim = "" },
        ]
        for change in changes { configurationError(.badOptions) { _ = try verifier(keys, change) } }
        _ = try verifier(keys) { $0.leeway = .seconds(300) }
        _ = try verifier(keys) { $0.leeway = .zero }
    }

    @Test("Many tasks verify at once")
    func concurrent() async throws {
        let key = TestKey.secret(.hs256)
        let verifier = try verifier(key.keys) { $0.cachedTokens = 8 }
        let tokens = try (0..<20).map { try signed(claims("\"sub\":\"\($0)\""), key) }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for round in 0..<200 {
                        let number = round % 20
                        let grant = try verifier.verifyNow(tokens[number])
                        #expect(grant?.subject?.name == "\(number)")
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(verifier.cachedTokens <= 8)
    }
}
#endif
