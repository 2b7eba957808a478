// SPDX-License-Identifier: Apache-2.0

#if JWT
import Crypto
import CryptoExtras
import Foundation
import PlinthHub
import Testing

@testable import PlinthJWT

@Suite("The algorithms of tokens")
struct TokenAlgorithmTests {
    @Test(
        "A token without a signature is refused, however `none` is written",
        arguments: ["none", "None", "NONE", "nOnE", "", " none", "none ", "nono", "non\u{65}\u{301}", "null"]
    )
    func unsigned(name: String) throws {
        let head = Base64URL.encode("{\"alg\":\"\(name)\"}".utf8)
        let text = head + "." + Base64URL.encode(claims().utf8)
        for key in try [TestKey.secret(.hs256), .rsa(), .p256(), .ed25519()] {
            let set = try key.members.isEmpty ? key.keys : JWTKeys.set(keySet(key.webKey()))
            for keys in [key.keys, set] {
                refusal(.algorithm) { try grant(text + ".", keys) }
                refusal(.algorithm) { try grant(text + ".AAAA", keys) }
                refusal(.algorithm) { try grant(try signed(claims(), head: "{\"alg\":\"\(name)\"}", key), keys) }
            }
        }
    }

    @Test("An empty signature is refused for each algorithm", arguments: JWTKeys.Algorithm.allCases)
    func empty(algorithm: JWTKeys.Algorithm) throws {
        let key = try TestKey.make(algorithm)
        var token = try signed(claims(), key)
        token.removeSubrange(token.index(after: token.lastIndex(of: ".") ?? token.startIndex)...)
        refusal(.signature) { try grant(token, key.keys) }
        // ECDSA's zero and RSA's zero and one, which careless verifiers take.
        for length in [32, 64, 96, 132, 256] {
            for last: UInt8 in [0, 1] {
                let signature = Base64URL.encode([UInt8](repeating: 0, count: length - 1) + [last])
                refusal(.signature) { try grant(token + signature, key.keys) }
            }
        }
    }

    @Test("A public key is no secret: HMAC over its PEM, its DER or its modulus is refused", arguments: [true, false])
    func confusion(isSet: Bool) throws {
        let key = try TestKey.rsa()
        let keys = isSet ? try JWTKeys.set(keySet(key.webKey("\"kid\":\"k\""))) : key.keys
        guard case .rsa(let rsa) = key.material else { return }
        let secrets = [
            key.file, Array(key.file.dropLast()), Array(rsa.derRepresentation),
            Array(try rsa.getKeyPrimitives().modulus), Array(rsa.pkcs1PEMRepresentation.utf8),
        ]
        for secret in secrets {
            for algorithm in [JWTKeys.Algorithm.hs256, .hs384, .hs512] {
                let signing = SigningKey(algorithm: algorithm, material: .secret(.init(data: secret)))
                let text =
                    Base64URL.encode("{\"alg\":\"\(algorithm)\",\"kid\":\"k\"}".utf8) + "."
                    + Base64URL.encode(claims().utf8)
                let token = text + "." + Base64URL.encode(try signing.signature(of: Array(text.utf8)))
                refusal(.algorithm) { try grant(token, keys) }
            }
        }
    }

    @Test("A key takes only its own algorithm", arguments: JWTKeys.Algorithm.allCases)
    func others(algorithm: JWTKeys.Algorithm) throws {
        let key = try TestKey.make(algorithm)
        for other in JWTKeys.Algorithm.allCases where other != algorithm {
            // Signed by the key of the verifier if it can, else by another.
            let signing =
                other.family == algorithm.family && algorithm.family != .ellipticCurve
                ? TestKey(
                    signing: SigningKey(algorithm: other, material: key.signing.material),
                    material: key.material,
                    file: [],
                    privateFile: [],
                    members: ""
                ) : try TestKey.make(other)
            let token = try signed(claims(), signing)
            refusal(.algorithm, "\(other)") { try grant(token, key.keys) }
        }
    }
}
#endif
