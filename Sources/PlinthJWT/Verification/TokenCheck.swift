// SPDX-License-Identifier: Apache-2.0

#if JWT
import PlinthHub
import PlinthStreams

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The whole decision about a token: a pure function of its text, the keys and the time.
struct TokenCheck: Sendable {
    enum Outcome {
        case granted(HubGrant)
        /// No key is known for the token. It is refused with the error, unless a newer set has the key.
        case unknownKey(HubTokenError)
    }

    private let issuers: [String]
    private let audiences: [String]
    private let leeway: TimeInterval
    private let maximumLifetime: TimeInterval?
    private let path: ClaimPath

    /// Creates a check of options that are known to be valid, but for the claim's path.
    init(_ options: JWTOptions) throws(JWTConfigurationError) {
        issuers = options.issuers
        audiences = options.audiences
        leeway = options.leeway.seconds
        maximumLifetime = options.maximumLifetime?.seconds
        path = try ClaimPath(options.claim)
    }

    /// Decides about a token.
    ///
    /// Nothing but the head is parsed before the signature is verified, and expiry is looked at last, so that an error
    /// for it says that all else is good.
    ///
    /// - Throws: `HubTokenError`.
    func outcome(of text: String, _ keys: JWTKeys, at now: Date) throws(HubTokenError) -> Outcome {
        let token = try CompactToken(text)
        let head = try token.head()
        guard case .key(let key) = try keys.choose(head.keyID, head.algorithm) else {
            return .unknownKey(HubTokenError(.key, "no key is known for the token"))
        }
        guard key.verifies(token.signature, of: token.signed) else {
            throw HubTokenError(.signature, "the token's signature is not its key's")
        }
        let members = try CompactToken.object(token.claimsJSON, "claims")
        let claims = try TokenClaims(members)
        try check(claims, at: now)
        let grant = try grant(claims, members, key)
        guard !grant.hasExpired(at: now) else { throw Self.expired(grant) }
        return .granted(grant)
    }

    /// The error of a token that is good but for having expired.
    static func expired(_ grant: HubGrant) -> HubTokenError {
        HubTokenError(.expired, "the token has expired", expired: grant)
    }

    /// The error of a claim whose rights cannot be read.
    static func unreadable(_ path: ClaimPath, _ failure: HubClaim.Failure) -> HubTokenError {
        HubTokenError(.claim, "the token's claim \(JSONString.quoted(path.text)) cannot be read: \(failure)")
    }

    private func check(_ claims: TokenClaims, at now: Date) throws(HubTokenError) {
        guard issuers.isEmpty || issuers.contains(where: { isSame(claims.issuer, $0) }) else {
            throw HubTokenError(.issuer, "the token's `iss` is missing, or not an accepted issuer")
        }
        guard audiences.isEmpty || audiences.contains(where: { own in claims.audiences.contains { isSame($0, own) } })
        else { throw HubTokenError(.audience, "the token's `aud` is missing, or does not name this hub") }
        let latest = now.addingTimeInterval(leeway)
        if let notBefore = claims.notBefore, notBefore > latest {
            throw HubTokenError(.early, "the token is not valid yet (`nbf`)")
        }
        if let issued = claims.issued, issued > latest {
            throw HubTokenError(.early, "the token was issued in the future (`iat`)")
        }
        if let maximumLifetime {
            guard let issued = claims.issued else {
                throw HubTokenError(.lifetime, "the token has no `iat`, so its lifetime is unknown")
            }
            guard claims.expires.timeIntervalSince(issued) <= maximumLifetime else {
                throw HubTokenError(.lifetime, "the token lives longer than \(Int64(maximumLifetime)) s")
            }
        }
    }

    private func grant(
        _ claims: TokenClaims,
        _ members: JSONValue.Members,
        _ key: JWTKey
    ) throws(HubTokenError) -> HubGrant {
        var rights = HubClaim()
        if let members = try path.members(in: members) {
            do { rights = try HubClaim(members) } catch { throw Self.unreadable(path, error) }
        }
        return HubGrant(
            subject: HubSubject(source: "jwt", issuer: claims.issuer, name: claims.subject),
            publish: rights.publish,
            subscribe: rights.subscribe,
            operates: rights.operates,
            expires: claims.expires.addingTimeInterval(leeway),
            issued: claims.issued,
            attachment: key.reference
        )
    }
}
#endif
