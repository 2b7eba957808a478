// SPDX-License-Identifier: Apache-2.0

#if JWT
import Crypto
import CryptoExtras

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A key that verifies signatures of exactly one algorithm, whatever a token says of itself.
struct JWTKey: Sendable {
    enum Material: Sendable {
        case secret(SymmetricKey)
        case rsa(_RSA.Signing.PublicKey)
        case p256(P256.Signing.PublicKey)
        case p384(P384.Signing.PublicKey)
        case p521(P521.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)
    }

    /// Its `kid`; nil if it has none.
    let id: String?
    let algorithm: JWTKeys.Algorithm
    let reference: JWTKeyReference
    private let material: Material

    /// Creates a key; the caller has checked that the algorithm is one of the material.
    init(id: String?, _ algorithm: JWTKeys.Algorithm, _ material: Material) {
        self.id = id
        self.algorithm = algorithm
        self.material = material
        reference = JWTKeyReference(id: id, algorithm: algorithm, fingerprint: material.fingerprint)
    }

    /// Whether a signature, which may be any bytes, is this key's, in the form of RFC 7518, section 3.
    func verifies(_ signature: [UInt8], of text: ArraySlice<UInt8>) -> Bool {
        switch material {
        case .secret(let key):
            switch algorithm.hash {
            // All compare in constant time.
            case .sha256: HMAC<SHA256>.isValidAuthenticationCode(signature, authenticating: text, using: key)
            case .sha384: HMAC<SHA384>.isValidAuthenticationCode(signature, authenticating: text, using: key)
            case .sha512: HMAC<SHA512>.isValidAuthenticationCode(signature, authenticating: text, using: key)
            }
        case .rsa(let key):
            switch algorithm.hash {
            case .sha256: verifies(signature, of: SHA256.hash(data: text), key)
            case .sha384: verifies(signature, of: SHA384.hash(data: text), key)
            case .sha512: verifies(signature, of: SHA512.hash(data: text), key)
            }
        case .p256(let key):
            (try? P256.Signing.ECDSASignature(rawRepresentation: signature))
                .map { key.isValidSignature($0, for: text) } ?? false
        case .p384(let key):
            (try? P384.Signing.ECDSASignature(rawRepresentation: signature))
                .map { key.isValidSignature($0, for: text) } ?? false
        case .p521(let key):
            (try? P521.Signing.ECDSASignature(rawRepresentation: signature))
                .map { key.isValidSignature($0, for: text) } ?? false
        case .ed25519(let key):
            key.isValidSignature(signature, for: text)
        }
    }

    private func verifies(_ signature: [UInt8], of digest: some Digest, _ key: _RSA.Signing.PublicKey) -> Bool {
        key.isValidSignature(
            _RSA.Signing.RSASignature(rawRepresentation: signature),
            for: digest,
            padding: algorithm.isPSS ? .PSS : .insecurePKCS1v1_5
        )
    }
}

extension JWTKey.Material {
    /// The one algorithm of an elliptic curve; nil for RSA and secrets, which have several.
    var algorithm: JWTKeys.Algorithm? {
        switch self {
        case .secret, .rsa: nil
        case .p256: .es256
        case .p384: .es384
        case .p521: .es512
        case .ed25519: .edDSA
        }
    }

    /// The SHA-256 of the key.
    fileprivate var fingerprint: [UInt8] {
        let bytes =
            switch self {
            case .secret(let key): key.withUnsafeBytes { Data($0) }
            case .rsa(let key): key.derRepresentation
            case .p256(let key): key.derRepresentation
            case .p384(let key): key.derRepresentation
            case .p521(let key): key.derRepresentation
            case .ed25519(let key): key.derRepresentation
            }
        return Array(SHA256.hash(data: bytes))
    }

    /// Checks the size of an RSA key: 2,048 to 8,192 bits.
    ///
    /// The exponent is checked where keys are parsed: odd, and 2 to 33 bits.
    static func checkedRSA(_ key: _RSA.Signing.PublicKey) throws(JWTConfigurationError) -> JWTKey.Material {
        guard (2048...8192).contains(key.keySizeInBits) else {
            throw JWTConfigurationError(
                .keySize,
                "the RSA key has \(key.keySizeInBits) bits; keys of 2,048 to 8,192 bits are taken"
            )
        }
        return .rsa(key)
    }
}

/// Which key verified a token: the `attachment` of a ``JWTVerifier``'s grants.
///
/// ``JWTKeySource/isCurrent(_:)`` tells from it whether the key is still there.
public struct JWTKeyReference: Sendable, Hashable {
    /// The key's `kid`; nil if it has none.
    public let id: String?
    /// The key's algorithm.
    public let algorithm: JWTKeys.Algorithm
    let fingerprint: [UInt8]
}
#endif
