// SPDX-License-Identifier: Apache-2.0

#if JWT
import Crypto
import CryptoExtras
import Foundation
import Testing

@testable import PlinthJWT

/// A pair of keys of one algorithm, made when it is first used.
struct TestKey: Sendable, CustomTestStringConvertible {
    let signing: SigningKey
    let material: JWTKey.Material
    /// The public key in PEM, or the secret.
    let file: [UInt8]
    /// The private key in PEM, or the secret.
    let privateFile: [UInt8]
    /// The public key as a member of a set; empty for a secret.
    let members: String

    var algorithm: JWTKeys.Algorithm { signing.algorithm }
    var testDescription: String { algorithm.description }

    func verifying(_ id: String? = nil) -> JWTKey { JWTKey(id: id, algorithm, material) }

    /// The keys of a verifier that has only this one.
    var keys: JWTKeys { JWTKeys(keys: [verifying()], isSet: false) }

    /// The public key as a member of a set, with further members.
    func webKey(_ more: String...) -> String { "{\((more + [members]).joined(separator: ","))}" }
}

/// Makes a set of keys.
func keySet(_ keys: String...) -> [UInt8] { Array("{\"keys\":[\(keys.joined(separator: ","))]}".utf8) }

extension TestKey {
    static let secret = Array("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef".utf8)

    static func secret(_ algorithm: JWTKeys.Algorithm) -> TestKey {
        let key = SymmetricKey(data: secret)
        return TestKey(
            signing: SigningKey(algorithm: algorithm, material: .secret(key)),
            material: .secret(key),
            file: secret,
            privateFile: secret,
            members: ""
        )
    }

    private static let rsaKeys = [
        try? _RSA.Signing.PrivateKey(keySize: .bits2048), try? _RSA.Signing.PrivateKey(keySize: .bits2048),
    ]

    static func rsa(_ algorithm: JWTKeys.Algorithm = .rs256, _ index: Int = 0) throws -> TestKey {
        guard let key = rsaKeys[index] else { throw CryptoKitError.incorrectKeySize }
        return try rsa(key, algorithm)
    }

    static func rsa(_ key: _RSA.Signing.PrivateKey, _ algorithm: JWTKeys.Algorithm) throws -> TestKey {
        let numbers = try key.publicKey.getKeyPrimitives()
        let (n, e) = (Base64URL.encode(numbers.modulus), Base64URL.encode(numbers.publicExponent))
        return TestKey(
            signing: SigningKey(algorithm: algorithm, material: .rsa(key)),
            material: .rsa(key.publicKey),
            file: Array(key.publicKey.pemRepresentation.utf8),
            privateFile: Array(key.pemRepresentation.utf8),
            members: "\"kty\":\"RSA\",\"n\":\"\(n)\",\"e\":\"\(e)\""
        )
    }

    private static func point(_ curve: String, _ raw: Data) -> String {
        let (x, y) = (raw.prefix(raw.count / 2), raw.suffix(raw.count / 2))
        return "\"kty\":\"EC\",\"crv\":\"\(curve)\",\"x\":\"\(Base64URL.encode(x))\",\"y\":\"\(Base64URL.encode(y))\""
    }

    static func p256() -> TestKey {
        let key = P256.Signing.PrivateKey()
        return TestKey(
            signing: SigningKey(algorithm: .es256, material: .p256(key)),
            material: .p256(key.publicKey),
            file: Array(key.publicKey.pemRepresentation.utf8),
            privateFile: Array(key.pemRepresentation.utf8),
            members: point("P-256", key.publicKey.rawRepresentation)
        )
    }

    static func p384() -> TestKey {
        let key = P384.Signing.PrivateKey()
        return TestKey(
            signing: SigningKey(algorithm: .es384, material: .p384(key)),
            material: .p384(key.publicKey),
            file: Array(key.publicKey.pemRepresentation.utf8),
            privateFile: Array(key.pemRepresentation.utf8),
            members: point("P-384", key.publicKey.rawRepresentation)
        )
    }

    static func p521() -> TestKey {
        let key = P521.Signing.PrivateKey()
        return TestKey(
            signing: SigningKey(algorithm: .es512, material: .p521(key)),
            material: .p521(key.publicKey),
            file: Array(key.publicKey.pemRepresentation.utf8),
            privateFile: Array(key.pemRepresentation.utf8),
            members: point("P-521", key.publicKey.rawRepresentation)
        )
    }

    static func ed25519() -> TestKey {
        let key = Curve25519.Signing.PrivateKey()
        let x = Base64URL.encode(key.publicKey.rawRepresentation)
        return TestKey(
            signing: SigningKey(algorithm: .edDSA, material: .ed25519(key)),
            material: .ed25519(key.publicKey),
            file: Array(key.publicKey.pemRepresentation.utf8),
            privateFile: Array(key.pemRepresentation.utf8),
            members: "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"\(x)\""
        )
    }

    /// A key of an algorithm.
    static func make(_ algorithm: JWTKeys.Algorithm) throws -> TestKey {
        switch algorithm {
        case .es256: p256()
        case .es384: p384()
        case .es512: p521()
        case .edDSA: ed25519()
        default: algorithm.family == .secret ? secret(algorithm) : try rsa(algorithm)
        }
    }
}
#endif
