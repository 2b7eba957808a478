// SPDX-License-Identifier: Apache-2.0

#if JWT
import Foundation
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthJWT

@Suite("The form of tokens")
struct TokenFormTests {
    private let key = TestKey.secret(.hs256)

    @Test("A token of each algorithm is taken with its key", arguments: JWTKeys.Algorithm.allCases)
    func algorithms(algorithm: JWTKeys.Algorithm) throws {
        let key = try TestKey.make(algorithm)
        let token = try signed(claims(), key)
        #expect(try grant(token, key.keys).subject == HubSubject(source: "jwt", name: "user-7"))
        // Another key of the same algorithm does not take it.
        let other =
            switch algorithm.family {
            case .secret:
                try JWTKeys.secret(Array(repeating: 7, count: 64), algorithm: algorithm)
            case .rsa: try TestKey.rsa(algorithm, 1).keys
            default: try TestKey.make(algorithm).keys
            }
        refusal(.signature) { try grant(token, other) }
    }

    @Test("No truncation and no extension of a valid token is taken", arguments: [JWTKeys.Algorithm.hs256, .es256])
    func truncations(algorithm: JWTKeys.Algorithm) throws {
        let key = try TestKey.make(algorithm)
        let token = try signed(claims(), key)
        for length in 0..<token.utf8.count {
            #expect(throws: HubTokenError.self) { try grant(String(token.prefix(length)), key.keys) }
            #expect(throws: HubTokenError.self) { try grant(String(token.suffix(length)), key.keys) }
        }
        for more in ["A", "AAAA", ".", ".AAAA", "=", " ", "\n", "\0"] {
            #expect(throws: HubTokenError.self) { try grant(token + more, key.keys) }
            #expect(throws: HubTokenError.self) { try grant(more + token, key.keys) }
        }
        #expect(try grant(token, key.keys).subject?.name == "user-7")
    }

    @Test("No token with a flipped bit is taken", arguments: JWTKeys.Algorithm.allCases)
    func flips(algorithm: JWTKeys.Algorithm) throws {
        let key = try TestKey.make(algorithm)
        let bytes = Array(try signed(claims(), key).utf8)
        // All bits where that is cheap, else a sample.
        let step = algorithm.family == .secret ? 1 : 13
        for bit in stride(from: 0, to: bytes.count * 8, by: step) {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << (bit % 8)
            let token = String(decoding: flipped, as: UTF8.self)
            #expect(throws: HubTokenError.self, "bit \(bit)") { try grant(token, key.keys) }
        }
    }

    @Test("Every other text of the same bytes is refused: bits at the end of a part count")
    func canonical() throws {
        let token = try signed(claims(), key)
        let parts = token.split(separator: ".")
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        var signature = parts[2]
        let last = signature.removeLast()
        for other in alphabet where other != last {
            #expect(throws: HubTokenError.self) { try grant("\(parts[0]).\(parts[1]).\(signature)\(other)", key.keys) }
        }
        refusal(.malformed) { try grant(token + "=", key.keys) }
    }

    @Test(
        "What has not three parts of base64url is malformed",
        arguments: [
            "", ".", "..", "...", "a.b", "a.b.c", "e30.e30.e30.", "e30.e30.e30.e30.e30", "e30..e30", ".e30.e30", "e30.",
            "é.e30.e30", "e30.e3\u{0}.e30", "e30=.e30.e30", " e30.e30.e30",
        ]
    )
    func malformed(token: String) {
        refusal(.malformed) { try grant(token, key.keys) }
    }

    @Test("A token of 8 KiB is read, one byte more is not")
    func length() throws {
        let bare = try signed(claims("\"a\":\"\""), key).utf8.count
        // Four characters for three bytes.
        let longest = try signed(claims("\"a\":\"\(String(repeating: "x", count: (8192 - bare) / 4 * 3))\""), key)
        #expect((8180...8192).contains(longest.utf8.count))
        #expect(try grant(longest, key.keys).subject?.name == "user-7")
        let long = longest + String(repeating: "A", count: 8193 - longest.utf8.count)
        #expect(refusal(.malformed) { try grant(long, key.keys) }?.message.contains("8192") == true)
    }

    @Test(
        "A head that is no object with these members once is malformed",
        arguments: [
            "", "[]", "{}", "\"HS256\"", "{\"alg\":256}", "{\"alg\":null}", "{\"alg\":[\"HS256\"]}",
            "{\"alg\":\"HS256\"",
            "{\"alg\":\"HS256\",}", "{\"alg\":\"HS256\"}x", "{\"alg\":\"HS256\",\"alg\":\"HS256\"}",
            "{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", "{\"alg\":\"HS256\",\"kid\":1}",
            "{\"alg\":\"HS256\",\"crit\":[]}", "{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}",
            "{\"alg\":\"HS256\",\"crit\":null}", "{\"alg\":\"HS256\",\"crit\":[\"b64\"],\"b64\":false}",
            "{\"alg\":\"HS256\",\"typ\":\"logout+jwt\"}", "{\"alg\":\"HS256\",\"typ\":1}",
            "{\"alg\":\"HS256\",\"typ\":\"\"}", "\u{FEFF}{\"alg\":\"HS256\"}", "{\"ALG\":\"HS256\"}",
        ]
    )
    func heads(head: String) throws {
        let token = try signed(claims(), head: head, key)
        refusal(.malformed) { try grant(token, key.keys) }
    }

    @Test(
        "A head of these types, and with members that name keys, is taken: those are never looked at",
        arguments: [
            "\"typ\":\"JWT\"", "\"typ\":\"jwt\"", "\"typ\":\"at+jwt\"", "\"typ\":\"application/at+JWT\"",
            "\"kid\":\"unknown\"", "\"jku\":\"https://evil.example/keys\"", "\"x5u\":\"file:///etc/passwd\"",
            "\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}", "\"x5c\":[\"AAAA\"]", "\"cty\":\"a\"",
        ]
    )
    func ignored(member: String) throws {
        let token = try signed(claims(), head: "{\(member),\"alg\":\"HS256\"}", key)
        #expect(try grant(token, key.keys).subject?.name == "user-7")
    }

    @Test("A key that the token brings along does not verify it")
    func ownKey() throws {
        let (own, evil) = (TestKey.p256(), TestKey.p256())
        for member in ["\"jwk\":\(evil.webKey())", "\"kid\":\"a\",\"jwk\":\(evil.webKey("\"kid\":\"a\""))"] {
            let token = try signed(claims(), head: "{\"alg\":\"ES256\",\(member)}", evil)
            refusal(.signature) { try grant(token, own.keys) }
        }
    }
}
#endif
