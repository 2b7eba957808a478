// SPDX-License-Identifier: Apache-2.0

#if JWT
import Crypto
import CryptoExtras
import Foundation
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthJWT

@Suite("One key")
struct JWTKeysTests {
    @Test("A public key in PEM has the algorithm of its kind, RS256 for RSA", arguments: JWTKeys.Algorithm.allCases)
    func publicKeys(algorithm: JWTKeys.Algorithm) throws {
        guard algorithm.family != .secret else { return }
        let key = try TestKey.make(algorithm)
        let isDefault = algorithm.family != .rsa || algorithm == .rs256
        for file in [key.file, key.file + Array("\n\n".utf8), Array("a comment\r\n".utf8) + crlf(key.file)] {
            let keys = try JWTKeys.publicKey(pem: file, algorithm: isDefault ? nil : algorithm)
            _ = try grant(try signed(claims(), key), keys)
            // A `kid` is ignored.
            _ = try grant(try signed(claims(), head: "{\"alg\":\"\(algorithm)\",\"kid\":\"a\"}", key), keys)
        }
        _ = try JWTKeys.publicKey(pem: key.file, algorithm: algorithm)
        for other in JWTKeys.Algorithm.allCases where other.family != .rsa || algorithm.family != .rsa {
            guard other != algorithm else { continue }
            configurationError(.badOptions) { _ = try JWTKeys.publicKey(pem: key.file, algorithm: other) }
        }
    }

    private func crlf(_ file: [UInt8]) -> [UInt8] {
        file.flatMap { $0 == UInt8(ascii: "\n") ? [UInt8(ascii: "\r"), $0] : [$0] }
    }

    @Test("RSA's older form of a public key is read")
    func pkcs1() throws {
        let key = try TestKey.rsa()
        guard case .rsa(let rsa) = key.material else { return }
        let pem = rsa.pkcs1PEMRepresentation
        #expect(pem.hasPrefix("-----BEGIN RSA PUBLIC KEY-----"))
        _ = try grant(try signed(claims(), key), try JWTKeys.publicKey(pem: Array(pem.utf8)))
    }

    @Test("A private key is refused with the way to its public key", arguments: JWTKeys.Algorithm.allCases)
    func privateKeys(algorithm: JWTKeys.Algorithm) throws {
        guard algorithm.family != .secret else { return }
        let key = try TestKey.make(algorithm)
        let error = configurationError(.wrongKind) { _ = try JWTKeys.publicKey(pem: key.privateFile) }
        #expect(error?.description.contains("-pubout") == true)
    }

    private static func pem(_ label: String, _ body: String = "AAAA") -> String {
        "-----BEGIN \(label)-----\n\(body)\n-----END \(label)-----\n"
    }

    @Test(
        "What is no key in PEM is refused",
        arguments: [
            ("", .badKey), ("secret", .badKey), ("-----BEGIN PUBLIC KEY-----\n", .badKey),
            ("-----BEGIN PUBLIC KEY\nAAAA\n-----END PUBLIC KEY-----", .badKey),
            ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END RSA PUBLIC KEY-----", .badKey), (pem("PUBLIC KEY"), .badKey),
            (pem("PUBLIC KEY", "A*AA"), .badKey), (pem("PUBLIC KEY", ""), .badKey),
            (pem("PUBLIC KEY") + pem("PUBLIC KEY"), .badKey), (pem("CERTIFICATE"), .wrongKind),
            (pem("CERTIFICATE REQUEST"), .badKey), (pem("ENCRYPTED PRIVATE KEY"), .badKey),
            (pem("EC PRIVATE KEY", "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA"), .badKey),
            (pem("EC PARAMETERS"), .badKey), ("-----BEGIN -----", .badKey),
        ] as [(String, JWTConfigurationError.Code)]
    )
    func bad(text: String, code: JWTConfigurationError.Code) {
        configurationError(code) { _ = try JWTKeys.publicKey(pem: Array(text.utf8)) }
    }

    @Test("Bytes that are not text, and files above 64 KiB, are no key")
    func binary() throws {
        configurationError(.badKey) { _ = try JWTKeys.publicKey(pem: [0xFF, 0xFE]) }
        let long = [UInt8](repeating: UInt8(ascii: "\n"), count: 64 << 10) + TestKey.p256().file
        configurationError(.badKey) { _ = try JWTKeys.publicKey(pem: long) }
    }

    @Test("No truncation of a key's file is taken")
    func truncated() {
        let file = TestKey.p256().file
        // Without its last line end it is whole.
        for length in 0..<(file.count - 2) {
            #expect(throws: JWTConfigurationError.self) { try JWTKeys.publicKey(pem: Array(file.prefix(length))) }
        }
    }

    @Test("RSA keys of less than 2,048 bits are refused with their size, and 8,192 bits are taken")
    func sizes() throws {
        let weak = try _RSA.Signing.PrivateKey(unsafeKeySize: .init(bitCount: 1024))
        let error = configurationError(.keySize) {
            _ = try JWTKeys.publicKey(pem: Array(weak.publicKey.pemRepresentation.utf8))
        }
        #expect(error?.description.contains("1024") == true)
        // An odd number serves: no parser looks for its factors. Longer ones are tested in a set.
        let longest = try _RSA.Signing.PublicKey(n: [UInt8](repeating: 0xFF, count: 1024), e: [1, 0, 1])
        _ = try JWTKeys.publicKey(pem: Array(longest.pemRepresentation.utf8))
    }

    // MARK: - Secrets

    @Test("A secret is at least as long as the algorithm's hash")
    func secretSizes() throws {
        for (algorithm, length) in [(JWTKeys.Algorithm.hs256, 32), (.hs384, 48), (.hs512, 64)] {
            _ = try JWTKeys.secret(Array(repeating: 1, count: length), algorithm: algorithm)
            let error = configurationError(.keySize) {
                _ = try JWTKeys.secret(Array(repeating: 1, count: length - 1), algorithm: algorithm)
            }
            #expect(error?.description.contains("\(length)") == true)
        }
        configurationError(.keySize) { _ = try JWTKeys.secret([]) }
        // The line end does not count.
        configurationError(.keySize) { _ = try JWTKeys.secret(Array(repeating: 1, count: 31) + [0x0A]) }
    }

    @Test("A secret is the file's bytes without one line end", arguments: ["", "\n", "\r\n"])
    func lineEnd(end: String) throws {
        let key = TestKey.secret(.hs256)
        _ = try grant(try signed(claims(), key), try JWTKeys.secret(TestKey.secret + Array(end.utf8)))
    }

    @Test("Of two line ends, and of other white space, only the last line end is removed")
    func whiteSpace() throws {
        let token = try signed(claims(), .secret(.hs256))
        for end in ["\n\n", " \n", "\r", "\t", " "] {
            let keys = try JWTKeys.secret(TestKey.secret + Array(end.utf8))
            refusal(.signature) { try grant(token, keys) }
        }
    }

    @Test("A key in PEM is no secret")
    func pemSecret() throws {
        for key in try [TestKey.rsa(), .p256()] {
            configurationError(.wrongKind) { _ = try JWTKeys.secret(key.file) }
            configurationError(.wrongKind) { _ = try JWTKeys.secret(key.privateFile) }
            configurationError(.wrongKind) { _ = try JWTIssuer(secret: [0x20] + key.file) }
        }
    }

    @Test("A secret has only HMAC's algorithms")
    func secretAlgorithms() {
        for algorithm in JWTKeys.Algorithm.allCases where algorithm.family != .secret {
            configurationError(.badOptions) { _ = try JWTKeys.secret(TestKey.secret, algorithm: algorithm) }
        }
    }

    @Test("Algorithms are named as in tokens; `none` and other spellings are none")
    func names() {
        for algorithm in JWTKeys.Algorithm.allCases {
            #expect(JWTKeys.Algorithm(algorithm.description) == algorithm)
            #expect(JWTKeys.Algorithm(algorithm.description.lowercased()) == nil)
        }
        for name in ["none", "", "RS1", "RS256 ", "ES256K", "RSA-OAEP"] { #expect(JWTKeys.Algorithm(name) == nil) }
    }
}
#endif
