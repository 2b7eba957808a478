// SPDX-License-Identifier: Apache-2.0

#if JWT
import Crypto
import CryptoExtras

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A key that signs with one algorithm.
struct SigningKey: Sendable {
    enum Material: Sendable {
        case secret(SymmetricKey)
        case rsa(_RSA.Signing.PrivateKey)
        case p256(P256.Signing.PrivateKey)
        case p384(P384.Signing.PrivateKey)
        case p521(P521.Signing.PrivateKey)
        case ed25519(Curve25519.Signing.PrivateKey)

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
    }

    let algorithm: JWTKeys.Algorithm
    let material: Material

    /// The signature of a text, in the form of RFC 7518, section 3.
    func signature(of text: [UInt8]) throws -> [UInt8] {
        switch material {
        case .secret(let key):
            switch algorithm.hash {
            case .sha256: Array(HMAC<SHA256>.authenticationCode(for: text, using: key))
            case .sha384: Array(HMAC<SHA384>.authenticationCode(for: text, using: key))
            case .sha512: Array(HMAC<SHA512>.authenticationCode(for: text, using: key))
            }
        case .rsa(let key):
            switch algorithm.hash {
            case .sha256: try signature(of: SHA256.hash(data: text), key)
            case .sha384: try signature(of: SHA384.hash(data: text), key)
            case .sha512: try signature(of: SHA512.hash(data: text), key)
            }
        case .p256(let key): Array(try key.signature(for: text).rawRepresentation)
        case .p384(let key): Array(try key.signature(for: text).rawRepresentation)
        case .p521(let key): Array(try key.signature(for: text).rawRepresentation)
        case .ed25519(let key): Array(try key.signature(for: text))
        }
    }

    private func signature(of digest: some Digest, _ key: _RSA.Signing.PrivateKey) throws -> [UInt8] {
        let padding: _RSA.Signing.Padding = algorithm.isPSS ? .PSS : .insecurePKCS1v1_5
        return Array(try key.signature(for: digest, padding: padding).rawRepresentation)
    }
}
#endif
