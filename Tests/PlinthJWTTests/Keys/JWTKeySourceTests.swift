// SPDX-License-Identifier: Apache-2.0

#if JWT
import Foundation
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthJWT

@Suite("Fetched key sets", .timeLimit(.minutes(5)))
struct JWTKeySourceTests {
    private let a = TestKey.p256()
    private let b = TestKey.p256()

    private func set(_ keys: [(String, TestKey)]) -> [UInt8] {
        Array("{\"keys\":[\(keys.map { $1.webKey("\"kid\":\"\($0)\"") }.joined(separator: ","))]}".utf8)
    }

    private func token(_ id: String, _ key: TestKey) throws -> String {
        try signed(
            claims("\"iss\":\"id\"", "\"aud\":\"hub\""),
            head: "{\"alg\":\"\(key.algorithm)\",\"kid\":\"\(id)\"}",
            key
        )
    }

    private func verifier(_ source: JWTKeySource) throws -> JWTVerifier {
        var options = JWTOptions()
        options.issuers = ["id"]
        options.audiences = ["hub"]
        return try JWTVerifier(keys: source, options: options, now: { now })
    }

    private func code(_ body: () async throws -> HubGrant) async -> HubTokenError.Code? {
        await #expect(throws: HubTokenError.self) { _ = try await body() }?.code
    }

    @Test("The first token waits for the first set, and later ones do not")
    func first() async throws {
        let server = KeyServer(set([("a", a)]))
        server.hold()
        let source = try server.source()
        let verifier = try verifier(source)
        let token = try token("a", a)
        try await server.run(source) {
            try await server.fetches.first()
            #expect(try verifier.verifyNow(token) == nil)
            async let grant = verifier.verify(token)
            server.release()
            #expect(try await grant.subject?.name == "user-7")
            #expect(try verifier.verifyNow(token)?.subject?.name == "user-7")
            #expect(server.fetches.values.count == 1)
        }
    }

    @Test("Without `run()` no token waits for ever: the keys are unavailable")
    func notRunning() async throws {
        let server = KeyServer(set([("a", a)]))
        let verifier = try verifier(try server.source())
        let token = try token("a", a)
        refusal(.keysUnavailable) { try verifier.verifyNow(token) }
        #expect(await code { try await verifier.verify(token) } == .keysUnavailable)
        #expect(server.fetches.values.isEmpty)
    }

    @Test("A token of a new key causes one fetch in 60 s, and is taken after it")
    func newKey() async throws {
        let server = KeyServer(set([("a", a)]))
        let source = try server.source()
        let verifier = try verifier(source)
        let (old, new) = (try token("a", a), try token("b", b))
        try await server.run(source) {
            _ = try await verifier.verify(old)
            server.serve(set([("a", a), ("b", b)]))
            // Within 60 s of the fetch it counts as up to date.
            refusal(.key) { try verifier.verifyNow(new) }
            server.advance(60)
            #expect(try verifier.verifyNow(new) == nil)
            #expect(try await verifier.verify(new).subject?.name == "user-7")
            #expect(server.fetches.values.count == 2)
            #expect(try verifier.verifyNow(old) != nil)
        }
    }

    @Test("Tokens of invented keys are refused after one fetch, and cause no other for 60 s")
    func strangers() async throws {
        let server = KeyServer(set([("a", a)]))
        let source = try server.source()
        let verifier = try verifier(source)
        try await server.run(source) {
            _ = try await verifier.verify(try token("a", a))
            server.advance(60)
            for number in 0..<50 {
                let token = try token("stranger \(number)", b)
                #expect(await code { try await verifier.verify(token) } == .key)
            }
            #expect(server.fetches.values.count == 2)
        }
    }

    @Test("Many tokens of a new key wait for the same fetch, whenever it ends")
    func together() async throws {
        for round in 0..<40 {
            let server = KeyServer(set([("a", a)]))
            server.hold()
            let source = try server.source()
            let verifier = try verifier(source)
            let token = try token("a", a)
            try await server.run(source) {
                try await server.fetches.first()
                try await withThrowingTaskGroup(of: HubGrant.self) { group in
                    for number in 0..<8 {
                        if number == round % 8 { server.release() }
                        group.addTask { try await verifier.verify(token) }
                    }
                    for try await grant in group { #expect(grant.subject?.name == "user-7") }
                }
                #expect(server.fetches.values.count == 1)
            }
        }
    }

    @Test("A fetch that fails opens nothing: known keys remain, tokens of others have unavailable keys")
    func failure() async throws {
        let server = KeyServer(set([("a", a)]))
        let record = LogRecord()
        let source = try server.source(record)
        let verifier = try verifier(source)
        let (old, new) = (try token("a", a), try token("b", b))
        try await server.run(source) {
            _ = try await verifier.verify(old)
            server.serve(nil)
            server.advance(60)
            #expect(await code { try await verifier.verify(new) } == .keysUnavailable)
            #expect(try verifier.verifyNow(old) != nil)
            refusal(.keysUnavailable) { try verifier.verifyNow(new) }
        }
        #expect(record.lines.map(\.message) == ["cannot fetch the key set"])
    }

    @Test("What is no key set is a failure, with a log line", arguments: ["", "<html>", "{\"keys\":1}"])
    func malformed(text: String) async throws {
        let (server, record) = (KeyServer(Array(text.utf8)), LogRecord())
        let source = try server.source(record)
        let verifier = try verifier(source)
        try await server.run(source) {
            #expect(await code { try await verifier.verify(try token("a", a)) } == .keysUnavailable)
        }
        #expect(record.lines.map(\.message) == ["cannot fetch the key set"])
    }

    @Test("A key that is not in the set any more is gone: its tokens are forgotten, and the hook is called")
    func removed() async throws {
        let server = KeyServer(set([("a", a), ("b", b)]))
        let source = try server.source()
        let verifier = try verifier(source)
        let (one, two) = (try token("a", a), try token("b", b))
        let removed = Recorder<Bool>()
        try await server.run(source) {
            let (first, second) = (try await verifier.verify(one), try await verifier.verify(two))
            #expect(source.isCurrent(first) && source.isCurrent(second))
            source.onKeysRemoved {
                // By then no verifier takes the token.
                removed.record((try? verifier.verifyNow(one)) == nil)
            }
            server.serve(set([("b", b)]))
            server.advance(900)
            #expect(try await removed.first() == [true])
            #expect(!source.isCurrent(first) && source.isCurrent(second))
            refusal(.key) { try verifier.verifyNow(one) }
            #expect(try verifier.verifyNow(two) != nil)
        }
    }

    @Test("A key that is replaced under its `kid` is gone")
    func replaced() async throws {
        let server = KeyServer(set([("a", a)]))
        let source = try server.source()
        let verifier = try verifier(source)
        let token = try token("a", a)
        let removed = Recorder<Void>()
        try await server.run(source) {
            let grant = try await verifier.verify(token)
            source.onKeysRemoved { removed.record() }
            server.serve(set([("a", b)]))
            server.advance(900)
            try await removed.first()
            #expect(!source.isCurrent(grant))
            refusal(.signature) { try verifier.verifyNow(token) }
        }
    }

    @Test("An empty set withdraws all keys")
    func empty() async throws {
        let server = KeyServer(set([("a", a)]))
        let source = try server.source()
        let verifier = try verifier(source)
        let token = try token("a", a)
        let removed = Recorder<Void>()
        try await server.run(source) {
            _ = try await verifier.verify(token)
            source.onKeysRemoved { removed.record() }
            server.serve(set([]))
            server.advance(900)
            try await removed.first()
            refusal(.key) { try verifier.verifyNow(token) }
        }
    }

    @Test("A verification that is cancelled while it waits ends with `CancellationError`")
    func cancelled() async throws {
        let server = KeyServer(set([("a", a)]))
        server.hold()
        let source = try server.source()
        let verifier = try verifier(source)
        let token = try token("a", a)
        try await server.run(source) {
            try await server.fetches.first()
            let waiting = Task { try await verifier.verify(token) }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
            server.release()
            _ = try await verifier.verify(token)
        }
    }

    @Test("The end of `run()` releases the tokens that wait, and it may run again")
    func ended() async throws {
        let server = KeyServer(nil)
        let source = try server.source()
        let verifier = try verifier(source)
        let token = try token("a", a)
        try await server.run(source) { try await server.fetches.first() }
        #expect(await code { try await verifier.verify(token) } == .keysUnavailable)
        server.serve(set([("a", a)]))
        server.advance(60)
        try await server.run(source) {
            let grant = try await verifier.verify(token)
            #expect(grant.subject?.name == "user-7")
        }
    }

    @Test("Fixed keys never change, and a grant of another origin is always current")
    func fixed() async throws {
        let source = JWTKeySource(a.keys)
        await source.run()
        #expect(source.isCurrent(HubGrant(subject: "x")))
        #expect(source.isCurrent(HubGrant(attachment: a.verifying().reference)))
        #expect(!source.isCurrent(HubGrant(attachment: b.verifying().reference)))
        let verifier = try JWTVerifier(keys: source, options: JWTOptions(), now: { now })
        let token = try signed(claims(), b)
        #expect(await code { try await verifier.verify(token) } == .signature)
    }

    @Test("A set needs an issuer and an audience")
    func options() throws {
        let source = try KeyServer(nil).source()
        var options = JWTOptions()
        configurationError(.badOptions) { _ = try JWTVerifier(keys: source, options: options) }
        options.issuers = ["id"]
        configurationError(.badOptions) { _ = try JWTVerifier(keys: source, options: options) }
        options.audiences = ["hub"]
        _ = try JWTVerifier(keys: source, options: options)
        configurationError(.badOptions) { _ = try JWTVerifier(keys: try JWTKeys.set(set([("a", a)]))) }
        configurationError(.badOptions) { _ = try JWTKeySource(algorithm: .es256) { [] } }
    }
}
#endif
