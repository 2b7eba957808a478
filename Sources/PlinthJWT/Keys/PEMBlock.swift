// SPDX-License-Identifier: Apache-2.0

#if JWT
import Crypto
import CryptoExtras

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The one block of a PEM file (RFC 7468).
struct PEMBlock {
    /// The most bytes of a file: 64 KiB.
    static let maximumLength = 64 << 10

    /// What it is, such as `PUBLIC KEY`.
    let label: String
    let der: [UInt8]

    /// Parses a file; text around the block is ignored.
    init(_ text: [UInt8]) throws(JWTConfigurationError) {
        guard text.count <= Self.maximumLength, let text = String(validating: text, as: UTF8.self) else {
            throw JWTConfigurationError(.badKey, "the key is no PEM: it is not text, or more than 64 KiB")
        }
        let lines = text.split(whereSeparator: \.isNewline).map { $0.trimmingSuffix(while: \.isWhitespace) }
        let begins = lines.indices.filter { lines[$0].hasPrefix(Self.begin) }
        guard let begin = begins.first else {
            throw JWTConfigurationError(.badKey, "the key is no PEM: no line begins with \(Self.begin)")
        }
        guard begins.count == 1 else {
            throw JWTConfigurationError(.badKey, "the PEM has \(begins.count) blocks; leave one, the key")
        }
        let label = String(lines[begin].dropFirst(Self.begin.count).dropLast(5))
        let body = lines[(begin + 1)...]
        guard lines[begin].hasSuffix("-----"), let end = body.firstIndex(of: "-----END \(label)-----") else {
            throw JWTConfigurationError(.badKey, "the PEM's block does not end as it begins")
        }
        // RFC 1421's headers, which a key has that is encrypted in the old form.
        guard !body[..<end].contains(where: { $0.contains(":") }), label != "ENCRYPTED PRIVATE KEY" else {
            throw JWTConfigurationError(.badKey, "the key is encrypted; `openssl pkey -in FILE` decrypts it")
        }
        guard let der = Data(base64Encoded: body[..<end].joined()), !der.isEmpty else {
            throw JWTConfigurationError(.badKey, "the PEM's block is not valid base64")
        }
        self.label = label
        self.der = Array(der)
    }

    static let begin = "-----BEGIN "

    var isPrivate: Bool { label.hasSuffix("PRIVATE KEY") }

    /// The public key of a block.
    func publicKey() throws(JWTConfigurationError) -> JWTKey.Material {
        if isPrivate {
            throw JWTConfigurationError(
                .wrongKind,
                "it is a private key, which verifying does not need; `openssl pkey -in FILE -pubout` writes the public one"
            )
        }
        if label == "CERTIFICATE" {
            throw JWTConfigurationError(
                .wrongKind,
                "it is a certificate; `openssl x509 -in FILE -pubkey -noout` writes its public key"
            )
        }
        guard label == "PUBLIC KEY" || label == "RSA PUBLIC KEY" else {
            throw JWTConfigurationError(.badKey, "the PEM is no public key but a \(label)")
        }
        if let key = try? P256.Signing.PublicKey(derRepresentation: der) { return .p256(key) }
        if let key = try? P384.Signing.PublicKey(derRepresentation: der) { return .p384(key) }
        if let key = try? P521.Signing.PublicKey(derRepresentation: der) { return .p521(key) }
        if let key = try? Curve25519.Signing.PublicKey(derRepresentation: der) { return .ed25519(key) }
        // The size is checked here, for a message that names it.
        if let key = try? _RSA.Signing.PublicKey(unsafeDERRepresentation: der) {
            return try JWTKey.Material.checkedRSA(key)
        }
        throw JWTConfigurationError(.badKey, "the key is none of RSA up to 8,192 bits, P-256, P-384, P-521 or Ed25519")
    }

    /// The curves' object identifiers in DER (RFC 5480, section 2.1.1.1; RFC 8410, section 3).
    private enum Curve {
        static let p256: [UInt8] = [0x06, 0x08, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07]
        static let p384: [UInt8] = [0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x22]
        static let p521: [UInt8] = [0x06, 0x05, 0x2B, 0x81, 0x04, 0x00, 0x23]
        static let ed25519: [UInt8] = [0x06, 0x03, 0x2B, 0x65, 0x70]
    }

    private func states(_ curve: [UInt8]) -> Bool { der.firstRange(of: curve) != nil }

    /// The private key of a block.
    func privateKey() throws(JWTConfigurationError) -> SigningKey.Material {
        guard isPrivate else {
            throw JWTConfigurationError(.wrongKind, "signing needs a private key, and this is a \(label)")
        }
        // swift-crypto takes the number of any curve of the same length, so the curve is looked for here.
        if states(Curve.p256), let key = try? P256.Signing.PrivateKey(derRepresentation: der) { return .p256(key) }
        if states(Curve.p384), let key = try? P384.Signing.PrivateKey(derRepresentation: der) { return .p384(key) }
        if states(Curve.p521), let key = try? P521.Signing.PrivateKey(derRepresentation: der) { return .p521(key) }
        if states(Curve.ed25519), let key = try? Curve25519.Signing.PrivateKey(derRepresentation: der) {
            return .ed25519(key)
        }
        if let key = try? _RSA.Signing.PrivateKey(unsafeDERRepresentation: der) {
            _ = try JWTKey.Material.checkedRSA(key.publicKey)
            return .rsa(key)
        }
        throw JWTConfigurationError(.badKey, "the key is none of RSA up to 8,192 bits, P-256, P-384, P-521 or Ed25519")
    }
}

extension Substring {
    fileprivate func trimmingSuffix(while predicate: (Character) -> Bool) -> Substring {
        var rest = self
        while let last = rest.last, predicate(last) { rest.removeLast() }
        return rest
    }
}
#endif
