// SPDX-License-Identifier: Apache-2.0

#if JWT
import Crypto
import CryptoExtras
import Foundation
import JWTKit
import PlinthHub
import PlinthTestSupport
import Testing

@testable import PlinthJWT

@Suite("Tokens and keys of others", .timeLimit(.minutes(5)))
struct InteroperabilityTests {
    private struct Payload: JWTPayload {
        var sub: SubjectClaim
        var exp: ExpirationClaim
        func verify(using _: some JWTAlgorithm) async throws {}
    }

    private func collection(_ key: TestKey) async throws -> JWTKeyCollection {
        let keys = JWTKeyCollection()
        let pem = String(decoding: key.privateFile, as: UTF8.self)
        let digest: DigestAlgorithm =
            switch key.algorithm.hash {
            case .sha256: .sha256
            case .sha384: .sha384
            case .sha512: .sha512
            }
        switch key.algorithm {
        case .es256: await keys.add(ecdsa: try ES256PrivateKey(pem: pem))
        case .es384: await keys.add(ecdsa: try ES384PrivateKey(pem: pem))
        case .es512: await keys.add(ecdsa: try ES512PrivateKey(pem: pem))
        case .edDSA: await keys.add(eddsa: try EdDSA.PrivateKey(pem: pem))
        case let algorithm where algorithm.family == .secret:
            await keys.add(hmac: HMACKey(from: key.privateFile), digestAlgorithm: digest)
        case let algorithm where algorithm.isPSS:
            await keys.add(pss: try Insecure.RSA.PrivateKey(pem: pem), digestAlgorithm: digest)
        default: await keys.add(rsa: try Insecure.RSA.PrivateKey(pem: pem), digestAlgorithm: digest)
        }
        return keys
    }

    @Test("jwt-kit takes our tokens, and we take its", arguments: JWTKeys.Algorithm.allCases)
    func jwtKit(algorithm: JWTKeys.Algorithm) async throws {
        let key = try TestKey.make(algorithm)
        let collection = try await collection(key)
        let issuer =
            algorithm.family == .secret
            ? try JWTIssuer(secret: key.privateFile, algorithm: algorithm)
            : try JWTIssuer(privateKeyPEM: key.privateFile, algorithm: algorithm)
        let payload = try await collection.verify(try issuer.token(for: "user-7"), as: Payload.self)
        #expect(payload.sub.value == "user-7")
        let exp = ExpirationClaim(value: now.addingTimeInterval(60))
        let token = try await collection.sign(Payload(sub: "user-8", exp: exp))
        #expect(try grant(token, key.keys).subject?.name == "user-8")
    }

    // MARK: - Examples of the standards

    @Test("The example of RFC 7515, appendix A.1, has its secret's signature")
    func rfc7515HMAC() throws {
        let secret = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
        let token =
            "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
            + "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
        let keys = try JWTKeys.secret(try #require(Base64URL.decode(Array(secret.utf8)[...])))
        // Its signature is good: what it lacks is a subject.
        refusal(.claim) { try grant(token, keys) }
    }

    @Test("The example of RFC 7515, appendix A.3, has its key's signature")
    func rfc7515ECDSA() throws {
        let key =
            "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
            + "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
        let token =
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290"
            + "Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        refusal(.claim) { try grant(token, try JWTKeys.set(keySet(key))) }
    }

    @Test("The example of RFC 8037, appendix A.4, has its key's signature")
    func rfc8037() throws {
        let key = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}"
        let token =
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhij"
            + "cNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        // Its signature is good: its payload is no JSON.
        let keys = try JWTKeys.set(keySet(key))
        #expect(refusal(.malformed) { try grant(token, keys) }?.message.contains("claims") == true)
        refusal(.signature) { try grant(token.replacing(".RXh", with: ".RXi"), keys) }
    }

    // MARK: - openssl

    private func withFolder(_ body: (String) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-jwt-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(at: folder) }
        try await body(folder.path)
    }

    private func openssl(_ arguments: String...) async throws {
        let result = try await ChildProcess.run("openssl", arguments)
        #expect(result.status == 0, "\(result.errors)")
    }

    private func file(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(fileURLWithPath: path))) }

    @Test(
        "Keys that openssl makes sign and verify, in the newer and the older form",
        arguments: [
            (["RSA", "rsa_keygen_bits:2048"], .rs256), (["RSA", "rsa_keygen_bits:2048"], .ps512),
            (["RSA", "rsa_keygen_bits:3072"], .rs384), (["EC", "ec_paramgen_curve:P-256"], .es256),
            (["EC", "ec_paramgen_curve:P-384"], .es384), (["EC", "ec_paramgen_curve:P-521"], .es512),
            (["ED25519"], .edDSA),
        ] as [([String], JWTKeys.Algorithm)]
    )
    func opensslKeys(kind: [String], algorithm: JWTKeys.Algorithm) async throws {
        try await withFolder { folder in
            let (key, publicKey, old) = ("\(folder)/key.pem", "\(folder)/public.pem", "\(folder)/old.pem")
            let options = kind.dropFirst().flatMap { ["-pkeyopt", $0] }
            let made = try await ChildProcess.run("openssl", ["genpkey", "-algorithm", kind[0], "-out", key] + options)
            #expect(made.status == 0, "\(made.errors)")
            try await openssl("pkey", "-in", key, "-pubout", "-out", publicKey)
            var files = [key]
            if algorithm.family != .edwards {
                try await openssl("pkey", "-in", key, "-traditional", "-out", old)
                files.append(old)
            }
            let keys = try JWTKeys.publicKey(pem: try file(publicKey), algorithm: algorithm)
            for path in files {
                let issuer = try JWTIssuer(privateKeyPEM: try file(path), algorithm: algorithm)
                #expect(try grant(try issuer.token(for: "a", at: now), keys).subject?.name == "a")
                configurationError(.wrongKind) { _ = try JWTKeys.publicKey(pem: try file(path)) }
            }
        }
    }

    @Test(
        "Kinds of keys that are not for signing here, and encrypted keys, are refused",
        arguments: [
            ["X25519"], ["ED448"], ["EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"],
            ["EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass", "pass:secret"],
        ]
    )
    func opensslRefused(kind: [String]) async throws {
        try await withFolder { folder in
            let (key, publicKey) = ("\(folder)/key.pem", "\(folder)/public.pem")
            let made = try await ChildProcess.run("openssl", ["genpkey", "-out", key, "-algorithm"] + kind)
            #expect(made.status == 0, "\(made.errors)")
            configurationError(.badKey) { _ = try JWTIssuer(privateKeyPEM: try file(key)) }
            guard !kind.contains("-aes256") else { return }
            try await openssl("pkey", "-in", key, "-pubout", "-out", publicKey)
            configurationError(.badKey) { _ = try JWTKeys.publicKey(pem: try file(publicKey)) }
        }
    }
}
#endif
