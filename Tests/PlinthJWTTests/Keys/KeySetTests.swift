// SPDX-License-Identifier: Apache-2.0

#if JWT
import CryptoExtras
import Foundation
import Logging
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthJWT

@Suite("Key sets")
struct KeySetTests {
    @Test("Each kind of key verifies tokens of its `kid`", arguments: JWTKeys.Algorithm.allCases)
    func kinds(algorithm: JWTKeys.Algorithm) throws {
        guard algorithm.family != .secret else { return }
        let key = try TestKey.make(algorithm)
        let set = keySet(
            key.webKey("\"kid\":\"k\"", "\"alg\":\"\(algorithm)\"", "\"use\":\"sig\"", "\"key_ops\":[\"verify\"]")
        )
        let token = try signed(claims(), head: "{\"alg\":\"\(algorithm)\",\"kid\":\"k\"}", key)
        #expect(try grant(token, try JWTKeys.set(set)).subject?.name == "user-7")
    }

    @Test("An RSA key without `alg` has the algorithm of the options, RS256 by default")
    func withoutAlgorithm() throws {
        let key = try TestKey.rsa(.ps384)
        let set = keySet(key.webKey("\"kid\":\"k\""))
        let token = try signed(claims(), head: "{\"alg\":\"PS384\",\"kid\":\"k\"}", key)
        _ = try grant(token, try JWTKeys.set(set, algorithm: .ps384))
        refusal(.algorithm) { try grant(token, try JWTKeys.set(set)) }
        let other = try signed(claims(), head: "{\"alg\":\"RS256\",\"kid\":\"k\"}", try TestKey.rsa(.rs256))
        _ = try grant(other, try JWTKeys.set(set))
        for algorithm in [JWTKeys.Algorithm.hs256, .es256, .edDSA] {
            configurationError(.badOptions) { _ = try JWTKeys.set(set, algorithm: algorithm) }
        }
    }

    @Test("`kid` is required unless one key fits the algorithm; an unknown one is refused")
    func choice() throws {
        let (a, b, c) = (TestKey.p256(), TestKey.p256(), TestKey.ed25519())
        let keys = try JWTKeys.set(
            keySet(a.webKey("\"kid\":\"a\""), b.webKey("\"kid\":\"b\""), c.webKey("\"kid\":\"c\""))
        )
        func token(_ key: TestKey, _ id: String?) throws -> String {
            let member = id.map { ",\"kid\":\"\($0)\"" } ?? ""
            return try signed(claims(), head: "{\"alg\":\"\(key.algorithm)\"\(member)}", key)
        }
        _ = try grant(try token(a, "a"), keys)
        _ = try grant(try token(b, "b"), keys)
        _ = try grant(try token(c, nil), keys)
        refusal(.signature) { try grant(try token(a, "b"), keys) }
        refusal(.algorithm) { try grant(try token(a, "c"), keys) }
        for id in ["", "A", "a ", "d"] { refusal(.key) { try grant(try token(a, id), keys) } }
        #expect(refusal(.key) { try grant(try token(a, nil), keys) }?.message.contains("several") == true)
        refusal(.key) { try grant(try signed(claims(), head: "{\"alg\":\"ES384\"}", .p384()), keys) }
        // A key without `kid` fits only tokens without one.
        let bare = try JWTKeys.set(keySet(a.webKey()))
        _ = try grant(try token(a, nil), bare)
        refusal(.key) { try grant(try token(a, "a"), bare) }
    }

    @Test("A `kid` is compared by bytes")
    func bytes() throws {
        let (a, b) = (TestKey.p256(), TestKey.p256())
        let keys = try JWTKeys.set(keySet(a.webKey("\"kid\":\"caf\u{e9}\""), b.webKey("\"kid\":\"cafe\u{301}\"")))
        _ = try grant(try signed(claims(), head: "{\"alg\":\"ES256\",\"kid\":\"caf\u{e9}\"}", a), keys)
        refusal(.signature) {
            try grant(try signed(claims(), head: "{\"alg\":\"ES256\",\"kid\":\"cafe\u{301}\"}", a), keys)
        }
    }

    /// Keys that no set may have, made of a good one.
    private static func unusable() throws -> [String] {
        let (rsa, ec, ed) = (try TestKey.rsa(), TestKey.p256(), TestKey.ed25519())
        guard case .rsa(let numbers) = rsa.material else { return [] }
        let modulus = Array(try numbers.getKeyPrimitives().modulus)
        func rsaKey(_ n: [UInt8], _ e: [UInt8]) -> String {
            "{\"kty\":\"RSA\",\"n\":\"\(Base64URL.encode(n))\",\"e\":\"\(Base64URL.encode(e))\"}"
        }
        func edited(_ key: TestKey, _ text: String, _ other: String) -> String {
            key.webKey().replacing(text, with: other)
        }
        let weak = try _RSA.Signing.PrivateKey(unsafeKeySize: .init(bitCount: 1024)).publicKey.getKeyPrimitives()
        return [
            "1", "null", "[]", "{}", "{\"kty\":1}", "{\"kty\":\"\"}", "{\"kty\":\"rsa\"}", "{\"kty\":\"RSA\"}",
            "{\"kty\":\"oct\",\"k\":\"\(Base64URL.encode(TestKey.secret))\"}",
            "{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"\(Base64URL.encode(TestKey.secret))\"}",
            ec.webKey("\"use\":\"enc\""), ec.webKey("\"use\":null"), ec.webKey("\"use\":[\"sig\"]"),
            ec.webKey("\"key_ops\":[\"sign\"]"), ec.webKey("\"key_ops\":[]"), ec.webKey("\"key_ops\":\"verify\""),
            ec.webKey("\"kid\":1"), ec.webKey("\"kid\":\"\""), ec.webKey("\"alg\":\"ES384\""),
            ec.webKey("\"alg\":\"none\""), ec.webKey("\"alg\":\"HS256\""), ec.webKey("\"alg\":\"RS256\""),
            ec.webKey("\"alg\":1"), ec.webKey("\"alg\":\"ECDH-ES\""), rsa.webKey("\"alg\":\"RSA-OAEP\""),
            rsa.webKey("\"alg\":\"ES256\""), rsa.webKey("\"alg\":\"HS256\""), ed.webKey("\"alg\":\"ES256\""),
            ec.webKey("\"d\":\"AAAA\""), rsa.webKey("\"d\":\"AAAA\""), ed.webKey("\"d\":\"AAAA\""),
            rsa.webKey("\"p\":\"AAAA\""), ec.webKey("\"k\":\"AAAA\""),
            edited(ec, "P-256", "P-384"), edited(ec, "P-256", "secp256k1"), edited(ec, "P-256", "p-256"),
            edited(ec, "\"y\":\"", "\"y\":\"A"), edited(ec, "\"x\":\"", "\"x\":\"AAAA"), edited(ec, "\"y\"", "\"z\""),
            edited(ec, "\"y\":\"", "\"y\":\"="), edited(ed, "Ed25519", "X25519"), edited(ed, "Ed25519", "Ed448"),
            edited(ed, "\"x\":\"", "\"x\":\"AAAA"), edited(ed, "\"x\"", "\"y\""),
            rsaKey(Array(weak.modulus), [1, 0, 1]), rsaKey(modulus, [1]), rsaKey(modulus, []), rsaKey(modulus, [0]),
            rsaKey(modulus, [2]), rsaKey(modulus, [1, 0, 0]), rsaKey(modulus, [UInt8](repeating: 0xFF, count: 8)),
            rsaKey(modulus, [UInt8](repeating: 0xFF, count: 9)), rsaKey(modulus.dropLast() + [0], [1, 0, 1]),
            rsaKey([], [1, 0, 1]), rsaKey([1] + [UInt8](repeating: 0xFF, count: 1024), [1, 0, 1]),
            rsaKey([UInt8](repeating: 0xFF, count: 4096), [1, 0, 1]),
        ]
    }

    @Test("Unusable keys are skipped with a log line each, and the others are used")
    func skipped() throws {
        let good = TestKey.p256()
        let token = try signed(claims(), head: "{\"alg\":\"ES256\",\"kid\":\"good\"}", good)
        for other in try Self.unusable() {
            let record = LogRecord()
            let keys = try JWTKeys.set(keySet(other, good.webKey("\"kid\":\"good\"")), logger: record.logger)
            #expect(keys.keys.count == 1, "\(other)")
            #expect(record.lines.map(\.message) == ["skipped a key of a key set"], "\(other)")
            #expect(record.lines.first?.metadata["reason"]?.description.isEmpty == false)
            _ = try grant(token, keys)
            configurationError(.badSet, "\(other)") { _ = try JWTKeys.set(keySet(other), logger: record.logger) }
        }
    }

    @Test("A log line names the skipped key's `kid`, without control characters and not its material")
    func logged() throws {
        let record = LogRecord()
        let good = TestKey.p256().webKey()
        let bad = "{\"kty\":\"oct\",\"kid\":\"a\\u001bb\",\"k\":\"c2VjcmV0\"}"
        _ = try JWTKeys.set(keySet(bad, good), logger: record.logger)
        let line = try #require(record.lines.first)
        #expect(line.metadata["kid"] == "a␛b")
        #expect(line.metadata["index"] == "0")
        #expect(!"\(line)".contains("c2VjcmV0"))
    }

    @Test("A set with a `kid` twice is refused whole; with an unusable key of that `kid` it is not")
    func duplicates() throws {
        let (a, b) = (TestKey.p256(), TestKey.ed25519())
        configurationError(.badSet) {
            _ = try JWTKeys.set(keySet(a.webKey("\"kid\":\"k\""), b.webKey("\"kid\":\"k\"")))
        }
        configurationError(.badSet) {
            _ = try JWTKeys.set(keySet(a.webKey("\"kid\":\"k\""), a.webKey("\"kid\":\"\\u006b\"")))
        }
        _ = try JWTKeys.set(keySet(a.webKey("\"kid\":\"k\""), b.webKey("\"kid\":\"k\"", "\"use\":\"enc\"")))
        #expect(try JWTKeys.set(keySet(a.webKey(), b.webKey())).keys.count == 2)
    }

    @Test(
        "What is no set is refused",
        arguments: [
            "", "[]", "{}", "null", "{\"keys\":{}}", "{\"keys\":null}", "{\"keys\":[]}", "{\"keys\":[],\"keys\":[]}",
            "{\"Keys\":[]}", "{\"keys\":[]", "{\"keys\":[]}}", "\u{FEFF}{\"keys\":[]}",
        ]
    )
    func malformed(text: String) {
        configurationError(.badSet) { _ = try JWTKeys.set(Array(text.utf8)) }
    }

    @Test("A key with a member twice makes the whole set invalid")
    func memberTwice() {
        let key = TestKey.p256()
        configurationError(.badSet) {
            _ = try JWTKeys.set(keySet(key.webKey("\"alg\":\"ES256\"", "\"alg\":\"ES256\"")))
        }
    }

    @Test("A set has at most 100 keys and 256 KiB")
    func bounds() throws {
        let key = TestKey.p256()
        func set(_ count: Int) -> [UInt8] {
            Array("{\"keys\":[\((0..<count).map { key.webKey("\"kid\":\"\($0)\"") }.joined(separator: ","))]}".utf8)
        }
        #expect(try JWTKeys.set(set(100)).keys.count == 100)
        configurationError(.badSet) { _ = try JWTKeys.set(set(101)) }
        let one = set(1)
        let space = [UInt8](repeating: 0x20, count: JWTKeys.maximumSetLength - one.count)
        _ = try JWTKeys.set(one + space)
        configurationError(.badSet) { _ = try JWTKeys.set(one + space + [0x20]) }
    }
}
#endif
