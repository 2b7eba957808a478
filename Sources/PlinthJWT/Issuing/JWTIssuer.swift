// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthStreams

#if canImport(FoundationEssentials)
public import FoundationEssentials
#else
public import Foundation
#endif

/// Issues tokens that a ``JWTVerifier`` takes.
///
/// ```swift
/// var issuer = try JWTIssuer(secret: secret)
/// issuer.lifetime = .seconds(600)
/// let token = try issuer.token(for: "user-7", JWTRights(subscribe: [.topic(own)]))
/// ```
public struct JWTIssuer: Sendable {
    /// The `iss`; nil to leave it out.
    ///
    /// Default: nil.
    public var issuer: String?
    /// The `aud`; empty to leave it out.
    ///
    /// Default: empty.
    public var audiences: [String] = []
    /// The `kid`; nil to leave it out.
    ///
    /// Default: nil.
    public var keyID: String?
    /// The time from `iat` to `exp`, of which whole seconds count.
    ///
    /// Default: 1 hour; at least 1 s.
    public var lifetime = Duration.seconds(3600)
    /// The claim with the rights, as ``JWTOptions/claim``.
    ///
    /// Default: `plinth`.
    public var claim = "plinth"

    private let key: SigningKey

    /// The algorithm of the tokens.
    public var algorithm: JWTKeys.Algorithm { key.algorithm }

    /// Creates an issuer with a private key.
    ///
    /// - Parameters:
    ///   - privateKeyPEM: A file with one block: `PRIVATE KEY`, `EC PRIVATE KEY` or `RSA PRIVATE KEY`, not encrypted.
    ///   - algorithm: The algorithm of an RSA key; one that the key fixes may be named too. Default: RS256 for RSA.
    /// - Throws: ``JWTConfigurationError``.
    public init(privateKeyPEM: [UInt8], algorithm: JWTKeys.Algorithm? = nil) throws(JWTConfigurationError) {
        let material = try PEMBlock(privateKeyPEM).privateKey()
        key = SigningKey(
            algorithm: try JWTKeys.choose(algorithm, fixed: material.algorithm),
            material: material
        )
    }

    /// Creates an issuer with a secret, which it shares with the verifier.
    ///
    /// - Parameters:
    ///   - secret: The secret, as for ``JWTKeys/secret(_:algorithm:)``.
    ///   - algorithm: HS256, HS384 or HS512. Default: HS256.
    /// - Throws: ``JWTConfigurationError``.
    public init(secret: [UInt8], algorithm: JWTKeys.Algorithm = .hs256) throws(JWTConfigurationError) {
        key = SigningKey(
            algorithm: algorithm,
            material: .secret(try JWTKeys.checkedSecret(secret, algorithm))
        )
    }

    /// Issues a token.
    ///
    /// - Parameters:
    ///   - subject: `sub`: 1 to 255 bytes.
    ///   - rights: The rights of the claim. Default: nil, no claim.
    ///   - now: `iat`, without its fraction of a second. Default: now.
    /// - Returns: The token in the compact form.
    /// - Throws: ``JWTConfigurationError`` if a verifier would refuse these claims, or they make a token above 8 KiB.
    public func token(
        for subject: String,
        _ rights: JWTRights? = nil,
        at now: Date = Date()
    ) throws(JWTConfigurationError) -> String {
        guard (1...TokenClaims.maximumSubjectLength).contains(subject.utf8.count) else {
            throw JWTConfigurationError(.badClaims, "a subject has 1 to \(TokenClaims.maximumSubjectLength) bytes")
        }
        guard issuer != "", !audiences.contains("") else {
            throw JWTConfigurationError(.badClaims, "an issuer or an audience is empty")
        }
        let seconds = lifetime.components.seconds
        let times = 0...TokenClaims.lastTime
        guard seconds >= 1, times.contains(now.timeIntervalSince1970),
            times.contains(now.timeIntervalSince1970 + Double(seconds))
        else { throw JWTConfigurationError(.badClaims, "a lifetime is at least 1 s, and ends before the year 10000") }
        let issued = Int64(now.timeIntervalSince1970)
        var claims = ["\"sub\":\(JSONString.quoted(subject))", "\"iat\":\(issued)", "\"exp\":\(issued + seconds)"]
        if let issuer { claims.append("\"iss\":\(JSONString.quoted(issuer))") }
        if let first = audiences.first {
            let list = audiences.map(JSONString.quoted).joined(separator: ",")
            claims.append("\"aud\":\(audiences.count == 1 ? JSONString.quoted(first) : "[\(list)]")")
        }
        if let rights { claims.append(try member(ClaimPath(claim), rights)) }
        return try sign("{\(claims.joined(separator: ","))}")
    }

    /// The claim, nested as its path says.
    private func member(_ path: ClaimPath, _ rights: JWTRights) throws(JWTConfigurationError) -> String {
        guard let first = path.names.first, !TokenClaims.registered.contains(first) else {
            throw JWTConfigurationError(.badOptions, "the claim with the rights has the name of another claim")
        }
        let inner = path.names.dropFirst().reversed().reduce(rights.json) { "{\(JSONString.quoted($1)):\($0)}" }
        return "\(JSONString.quoted(first)):\(inner)"
    }

    private func sign(_ claims: String) throws(JWTConfigurationError) -> String {
        var head = ["\"alg\":\"\(algorithm)\"", "\"typ\":\"JWT\""]
        if let keyID { head.append("\"kid\":\(JSONString.quoted(keyID))") }
        let signed = Base64URL.encode("{\(head.joined(separator: ","))}".utf8) + "." + Base64URL.encode(claims.utf8)
        let signature: [UInt8]
        do { signature = try key.signature(of: Array(signed.utf8)) } catch {
            throw JWTConfigurationError(.badKey, "the key cannot sign: \(error)")
        }
        let token = signed + "." + Base64URL.encode(signature)
        guard token.utf8.count <= CompactToken.maximumLength else {
            throw JWTConfigurationError(
                .badClaims,
                "the token has \(token.utf8.count) bytes; at most \(CompactToken.maximumLength) are taken"
            )
        }
        return token
    }
}
#endif
