// SPDX-License-Identifier: Apache-2.0

#if JWT
import Logging
public import PlinthHub

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// Verifies JSON Web Tokens (RFC 7519), and turns their rights into grants.
///
/// ```swift
/// let verifier = try JWTVerifier(keys: .publicKey(pem: file))
/// let grant = try await verifier.verify(token)
/// ```
///
/// Key and algorithm come from the verifier's own keys, never from the token. A token is refused unless all of this
/// holds: its form is exactly that of RFC 7515, its signature is its key's, it has `exp` and `sub`, it is valid now,
/// its issuer and audience are accepted, and its rights can be read. A token without the claim of ``JWTOptions/claim``
/// has no rights, but a subject.
///
/// The grant's subject is of the source `jwt`, its `expires` is `exp` plus the leeway, and its `attachment` a
/// ``JWTKeyReference``. Verified tokens are remembered, so that a signature is computed once; expiry is looked at each
/// time. Refusals are not remembered.
public final class JWTVerifier: HubTokenVerifier {
    /// The keys.
    public let keys: JWTKeySource

    private let check: TokenCheck
    private let cache: TokenCache
    private let now: @Sendable () -> Date

    /// Creates a verifier.
    ///
    /// - Parameters:
    ///   - keys: The keys.
    ///   - options: What is required of tokens. Default: the defaults; a key set needs an issuer and an audience.
    /// - Throws: ``JWTConfigurationError`` if an option is missing or out of range.
    public convenience init(
        keys: JWTKeySource,
        options: JWTOptions = JWTOptions()
    ) throws(JWTConfigurationError) {
        try self.init(keys: keys, options: options, now: { Date() })
    }

    /// Creates a verifier of fixed keys.
    ///
    /// - Parameters:
    ///   - keys: The keys.
    ///   - options: What is required of tokens. Default: the defaults; a key set needs an issuer and an audience.
    /// - Throws: ``JWTConfigurationError`` if an option is missing or out of range.
    public convenience init(keys: JWTKeys, options: JWTOptions = JWTOptions()) throws(JWTConfigurationError) {
        try self.init(keys: JWTKeySource(keys), options: options)
    }

    init(
        keys: JWTKeySource,
        options: JWTOptions,
        now: @escaping @Sendable () -> Date
    ) throws(JWTConfigurationError) {
        try options.check(isSet: keys.isSet)
        self.keys = keys
        check = try TokenCheck(options)
        cache = TokenCache(limit: options.cachedTokens)
        self.now = now
        let missing = [(options.issuers, "issuer"), (options.audiences, "audience")].filter(\.0.isEmpty).map(\.1)
        if !missing.isEmpty {
            options.logger.notice(
                "tokens are taken whatever they say of these; an option names what is accepted",
                metadata: ["unchecked": "\(missing.joined(separator: ", "))"]
            )
        }
    }

    /// The number of remembered tokens.
    var cachedTokens: Int { cache.count }

    /// Verifies a token without waiting: nil only while a key set that may have its key is to be fetched.
    public func verifyNow(_ token: String) throws -> HubGrant? {
        switch try decide(token) {
        case .granted(let grant): return grant
        case .unknown(let error, .refuse): throw error
        case .unknown(_, .wait): return nil
        case .unknown(_, .unavailable): throw Self.unavailable
        }
    }

    /// Verifies a token, after a fetch of the key set if that may have its key.
    public func verify(_ token: String) async throws -> HubGrant {
        if let grant = try verifyNow(token) { return grant }
        try await keys.refresh()
        switch try decide(token) {
        case .granted(let grant): return grant
        case .unknown(let error, .refuse): throw error
        // One fetch has to be enough: another one that is due by now is left to the next attempt.
        case .unknown: throw Self.unavailable
        }
    }

    /// The grant of a token that was verified before, by the keys that there are now.
    public func remembered(_ token: String) -> HubGrant? {
        guard token.utf8.count <= CompactToken.maximumLength else { return nil }
        return cache.grant(for: TokenCache.Key(token), keys.generation)
    }

    /// Whether the key that verified a grant's token is still there.
    public func isCurrent(_ grant: HubGrant) -> Bool { keys.isCurrent(grant) }

    private enum Decision {
        case granted(HubGrant)
        /// No key is known; the error is that of an up-to-date set.
        case unknown(HubTokenError, KeySetState.Missing)
    }

    private static let unavailable = HubTokenError(
        .keysUnavailable,
        "the keys that may verify the token cannot be fetched now"
    )

    private func decide(_ token: String) throws(HubTokenError) -> Decision {
        let now = now()
        guard token.utf8.count <= CompactToken.maximumLength else { throw CompactToken.tooLong }
        let entry = TokenCache.Key(token)
        // Read before the keys, so that no grant of older keys is stored as one of newer ones.
        let generation = keys.generation
        if let grant = cache.grant(for: entry, generation) {
            guard !grant.hasExpired(at: now) else { throw TokenCheck.expired(grant) }
            return .granted(grant)
        }
        let (keys, missing) = keys.current
        guard let keys else {
            // What no key could verify is refused without any.
            _ = try CompactToken(token).head()
            return .unknown(Self.unavailable, missing)
        }
        switch try check.outcome(of: token, keys, at: now) {
        case .granted(let grant):
            cache.insert(grant, for: entry, generation)
            return .granted(grant)
        case .unknownKey(let error): return .unknown(error, missing)
        }
    }
}
#endif
