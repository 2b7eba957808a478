// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth

/// The origins of pages that may use a hub: its own, and others that may read from it.
///
/// An origin is ours if it is one of ``publicOrigins``; without any, if its authority, as written, equals that of the
/// request, and, where the connection is TLS, it is not `http`. `null` is never ours.
///
/// A request that a cookie authorizes is refused with 403 and the code `origin-foreign`
///
/// - with an unsafe method, unless its `Origin` is ours: other sites can send it, and the browser adds the cookie;
/// - with `GET` or `HEAD`, if its `Origin` is neither ours nor allowed, or if it has none and `Sec-Fetch-Site` is
///   `cross-site`. With neither field it is served, since browsers send no `Origin` on a same-origin `GET`.
public struct HubOrigins: Sendable {
    /// The origins at which browsers reach the hub, as browsers serialize them.
    public let publicOrigins: [String]
    /// Further origins whose pages may read the hub's answers, as browsers serialize them.
    public let allowed: [String]

    /// The origins of a hub that is reached at its own host only.
    public init() {
        publicOrigins = []
        allowed = []
    }

    /// Creates the origins.
    ///
    /// - Parameters:
    ///   - publicOrigins: The origins at which browsers reach the hub, such as `https://hub.example`. Default: none,
    ///     the request's own host.
    ///   - allowed: Further origins whose pages may read, such as `https://www.example`. Default: none.
    /// - Throws: ``/Plinth/LoopbackFence/InvalidName`` for one that no browser sends, such as `*`.
    public init(publicOrigins: [String] = [], allowed: [String] = []) throws {
        self.publicOrigins = try publicOrigins.map(Self.serialized)
        self.allowed = try allowed.map(Self.serialized)
    }

    private static func serialized(_ origin: String) throws -> String {
        if let text = LoopbackFence.serialized(origin: origin) { return text }
        let reason =
            origin == "*"
            ? "would let the pages of every site read with the visitor's credentials; name the origins"
            : "is not an origin; use scheme, host and port, no path, such as https://www.example"
        throw LoopbackFence.InvalidName(description: "\(origin.debugDescription) \(reason)")
    }

    /// Whether pages of an origin are this hub's own.
    ///
    /// - Parameters:
    ///   - origin: The value of `Origin`.
    ///   - request: The request.
    ///   - isSecure: Whether browsers reach the hub over TLS.
    /// - Returns: Whether they are.
    func isOurs(_ origin: String, _ request: Request, isSecure: Bool) -> Bool {
        if !publicOrigins.isEmpty { return publicOrigins.contains { $0.utf8.elementsEqual(origin.utf8) } }
        guard let authority = request.publicAuthority else { return false }
        let schemes = isSecure ? ["https://"] : ["https://", "http://"]
        return schemes.contains { (($0 + authority).lowercased()).utf8.elementsEqual(origin.lowercased().utf8) }
    }

    /// Whether pages of an origin may read.
    func isAllowed(_ origin: String) -> Bool { allowed.contains { $0.utf8.elementsEqual(origin.utf8) } }

    /// Why a request that a cookie authorizes is refused; nil if it is not.
    func refusal(ofCookieOn request: Request, isSecure: Bool) -> HTTPError? {
        let origin = request.headers[.origin]
        switch request.method {
        case .get, .head:
            if let origin {
                return isOurs(origin, request, isSecure: isSecure) || isAllowed(origin) ? nil : Self.foreign(origin)
            }
            let site = request.headers[.secFetchSite]?.lowercased()
            return site == "cross-site" ? Self.foreign("another site") : nil
        default:
            guard let origin else {
                return HTTPError(
                    .forbidden,
                    .originForeign,
                    "with a cookie this method needs an Origin, which browsers send; programs send Authorization"
                )
            }
            return isOurs(origin, request, isSecure: isSecure) ? nil : Self.foreign(origin)
        }
    }

    /// The refusal of a page's request.
    static func foreign(_ origin: String) -> HTTPError {
        HTTPError(
            .forbidden,
            .originForeign,
            "pages of \(origin.debugDescription) may not do this with a cookie; an origin that may read is given by "
                + "--allow-origin, one that may change by --public-origin (HubOrigins in code)"
        )
    }

    /// The cross-origin policy of a hub's answers; nil if no other origin may read.
    ///
    /// - Parameter isAuthorized: Whether an authorizer decides; without one, other origins may only read.
    /// - Returns: The policy.
    func policy(isAuthorized: Bool) -> CORSPolicy? {
        let listed = allowed + publicOrigins
        guard !allowed.isEmpty || publicOrigins.count > 1 else { return nil }
        return CORSPolicy(
            origins: .only(listed),
            allowsCredentials: isAuthorized,
            methods: isAuthorized ? [.get, .head, .post, .put, .delete] : [.get, .head],
            headers: [
                .authorization, .lastEventID, .cacheControl, .contentType, .idempotencyKey, .producerID, .producerEpoch,
                .producerSequence,
            ],
            exposedHeaders: [
                .lastEventID, .topicEnded, .producerID, .producerEpoch, .producerSequence, .producerExpectedSequence,
                .retryAfter, .idempotentReplayed,
            ]
        )
    }
}

#endif
