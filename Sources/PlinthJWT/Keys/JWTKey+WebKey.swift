// SPDX-License-Identifier: Apache-2.0

#if JWT
import Crypto
import CryptoExtras
import PlinthStreams

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

extension JWTKey {
    /// Why a key of a set cannot be used.
    struct Unusable: Error, CustomStringConvertible {
        let description: String

        init(_ description: String) {
            self.description = description
        }
    }

    /// The members of a key that only a private or secret key has (RFC 7518, section 6; RFC 8037, section 2).
    private static let privateMembers = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"]

    /// Reads a key of a set (RFC 7517, section 4).
    ///
    /// - Parameters:
    ///   - value: The key.
    ///   - rsa: The algorithm of an RSA key without `alg`.
    /// - Throws: ``Unusable``.
    init(webKey value: JSONValue, rsa: JWTKeys.Algorithm) throws(Unusable) {
        guard let members = value.object else { throw Unusable("it is no object") }
        let kind = try Self.text("kty", members)
        guard kind != "oct" else { throw Unusable("it is a secret, which no set may have") }
        guard !Self.privateMembers.contains(where: { members[$0] != nil }) else {
            throw Unusable("it is a private key, which no set may have")
        }
        if let use = members["use"], use.string != "sig" { throw Unusable("its `use` is not `sig`") }
        if let operations = members["key_ops"] {
            guard operations.array?.contains(.string("verify")) == true else {
                throw Unusable("its `key_ops` do not have `verify`")
            }
        }
        let id = members["kid"] == nil ? nil : try Self.text("kid", members)
        let material = try Self.material(kind, members)
        self.init(id: id, try Self.algorithm(members, material.algorithm, rsa: rsa), material)
    }

    private static func algorithm(
        _ members: JSONValue.Members,
        _ fixed: JWTKeys.Algorithm?,
        rsa: JWTKeys.Algorithm
    ) throws(Unusable) -> JWTKeys.Algorithm {
        guard members["alg"] != nil else { return fixed ?? rsa }
        let name = try text("alg", members)
        guard let algorithm = JWTKeys.Algorithm(name),
            algorithm == fixed || (fixed == nil && algorithm.family == .rsa)
        else { throw Unusable("its `alg` is not one of its kind's") }
        return algorithm
    }

    private static func material(_ kind: String, _ members: JSONValue.Members) throws(Unusable) -> Material {
        switch kind {
        case "RSA":
            let (n, e) = (try bytes("n", members), try bytes("e", members))
            // Bounded before any arithmetic.
            guard n.count <= 1025, e.count <= 8, let key = try? _RSA.Signing.PublicKey(n: n, e: e) else {
                throw Unusable("it is no RSA key of 2,048 to 8,192 bits")
            }
            do { return try Material.checkedRSA(key) } catch { throw Unusable(error.description) }
        case "EC":
            // RFC 7518, section 6.2.1.2: both coordinates have the curve's full length.
            let (x, y) = (try bytes("x", members), try bytes("y", members))
            guard x.count == y.count else { throw Unusable("its coordinates differ in length") }
            let point = [0x04] + x + y
            switch try text("crv", members) {
            case "P-256": return .p256(try checked { try P256.Signing.PublicKey(x963Representation: point) })
            case "P-384": return .p384(try checked { try P384.Signing.PublicKey(x963Representation: point) })
            case "P-521": return .p521(try checked { try P521.Signing.PublicKey(x963Representation: point) })
            default: throw Unusable("its `crv` is unknown")
            }
        case "OKP":
            guard try text("crv", members) == "Ed25519" else { throw Unusable("its `crv` is unknown") }
            let x = try bytes("x", members)
            return .ed25519(try checked { try Curve25519.Signing.PublicKey(rawRepresentation: x) })
        default: throw Unusable("its `kty` is unknown")
        }
    }

    private static func checked<Key>(_ make: () throws -> Key) throws(Unusable) -> Key {
        do { return try make() } catch { throw Unusable("its coordinates are no key of its curve") }
    }

    private static func text(_ name: String, _ members: JSONValue.Members) throws(Unusable) -> String {
        guard let text = members[name]?.string, !text.isEmpty else { throw Unusable("its `\(name)` is no text") }
        return text
    }

    private static func bytes(_ name: String, _ members: JSONValue.Members) throws(Unusable) -> [UInt8] {
        guard let bytes = Base64URL.decode(Array(try text(name, members).utf8)[...]), !bytes.isEmpty else {
            throw Unusable("its `\(name)` is no base64url")
        }
        return bytes
    }
}
#endif
