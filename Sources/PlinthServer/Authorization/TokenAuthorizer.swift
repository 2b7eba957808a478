// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
import HTTPTypes
public import Plinth
public import PlinthHub

/// Authorizes requests by what they carry: a token or an API key in `Authorization: Bearer`, or a browser's cookie.
///
/// A request with `Authorization` is judged by it alone. One with a cookie of ``HubSessions`` is judged by the token in
/// it, and by the origin of its page. A request with neither is anonymous.
///
/// ```swift
/// let sessions = try HubSessions()
/// let authorizer = TokenAuthorizer(tokens: JWTVerifier(…), sessions: sessions)
/// let endpoints = HubEndpoints(service, authorizer: authorizer)
/// ```
public struct TokenAuthorizer: AdmittingAuthorizer {
    /// Verifies tokens; nil if there are API keys only.
    public let tokens: (any HubTokenVerifier)?
    /// The API keys; nil if there are none.
    public let keys: HubAPIKeys?
    /// The sessions of browsers; nil if cookies are not looked at.
    public let sessions: HubSessions?
    /// What a request without a credential may do.
    public let anonymous: HubGrant
    /// Checks the host and the origin of anonymous requests that arrive on a loopback address, where any page of a
    /// browser on the same machine can send them.
    public let fence: LoopbackFence

    /// Creates an authorizer.
    ///
    /// - Parameters:
    ///   - tokens: Verifies tokens. Default: nil, none is taken.
    ///   - keys: The API keys. Default: nil, none is taken.
    ///   - sessions: The sessions of browsers. Default: nil, cookies are not looked at.
    ///   - anonymous: What a request without a credential may do. Default: nothing.
    ///   - fence: Checks anonymous requests that arrive on a loopback address. Default: only `localhost`.
    public init(
        tokens: (any HubTokenVerifier)? = nil,
        keys: HubAPIKeys? = nil,
        sessions: HubSessions? = nil,
        anonymous: HubGrant = HubGrant(),
        fence: LoopbackFence = LoopbackFence()
    ) {
        self.tokens = tokens
        self.keys = keys
        self.sessions = sessions
        self.anonymous = anonymous
        self.fence = fence
    }

    // MARK: - The credential

    /// What a request carries.
    enum Credential {
        case bearer(String)
        case cookie(HubSessions.Value)
    }

    /// - Throws: ``/PlinthHub/HubTokenError`` if there is a credential that nobody can read.
    func credential(of request: Request) throws -> Credential? {
        if let token = try Self.bearer(request) { return .bearer(token) }
        return try sessions?.cookie(of: request).map { .cookie($0) }
    }

    /// The token in `Authorization` (RFC 6750, section 2.1); nil without the field.
    static func bearer(_ request: Request) throws -> String? {
        guard request.headers.contains(.authorization) else { return nil }
        let values = request.headers[values: .authorization]
        guard values.count == 1 else { throw HubTokenError(.malformed, "there is more than one Authorization field") }
        let parts = values[0].split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer", !parts[1].isEmpty, !parts[1].contains(" ") else {
            throw HubTokenError(.malformed, "Authorization is not `Bearer` and a token")
        }
        return String(parts[1])
    }

    /// Decides by the request's credential; nil if its keys are to be fetched.
    public func grantNow(for request: Request) throws -> HubGrant? { try admitNow(request)?.grant }

    /// Decides by the request's credential.
    public func grant(for request: Request) async throws -> HubGrant { try await admit(request).grant }

    func admitNow(_ request: Request) throws -> Admission? {
        switch try credential(of: request) {
        case nil: return try admitAnonymous(request)
        case .bearer(let token):
            return try verifyNow(token).map { Admission(grant: $0) }
        case .cookie(let cookie):
            do {
                return try tokens?.verifyNow(cookie.token).map { try admit($0, cookie, request) }
            } catch let error as HubTokenError {
                throw expired(error, cookie, request)
            }
        }
    }

    func admit(_ request: Request) async throws -> Admission {
        switch try credential(of: request) {
        case nil: return try admitAnonymous(request)
        case .bearer(let token): return Admission(grant: try await verify(token))
        case .cookie(let cookie):
            guard let tokens else { throw Self.unknown }
            let grant: HubGrant
            do {
                grant = try await tokens.verify(cookie.token)
            } catch let error as HubTokenError {
                throw expired(error, cookie, request)
            }
            return try admit(grant, cookie, request)
        }
    }

    private func admitAnonymous(_ request: Request) throws -> Admission {
        let mayDoAnything = !anonymous.publish.isEmpty || !anonymous.subscribe.isEmpty || anonymous.operates
        if mayDoAnything, let refusal = fence.refusal(of: request) { throw refusal }
        return Admission(grant: anonymous)
    }

    private func admit(_ grant: HubGrant, _ cookie: HubSessions.Value, _ request: Request) throws -> Admission {
        if let refusal = sessions?.origins.refusal(
            ofCookieOn: request,
            isSecure: sessions?.isSecure(request) ?? true
        ) {
            throw refusal
        }
        return Admission(grant: grant, session: cookie.session)
    }

    /// The error of a cookie: one whose token has expired is told apart, since its browser may come back with a new one.
    private func expired(_ error: HubTokenError, _ cookie: HubSessions.Value, _ request: Request) -> any Error {
        guard error.code == .expired, let grant = error.expired else { return error }
        do {
            return ExpiredSession(admission: try admit(grant, cookie, request), error: error)
        } catch {
            return error
        }
    }

    /// Whether a request's credential is known to be good without a signature's being looked at.
    func knows(_ request: Request) -> Bool {
        switch try? credential(of: request) {
        case .bearer(let token): keys?.grant(token) != nil || tokens?.remembered(token) != nil
        case .cookie(let cookie): tokens?.remembered(cookie.token) != nil
        case nil: true
        }
    }

    /// Whether the key of a grant is still there; streams of others are to end.
    public func isCurrent(_ grant: HubGrant) -> Bool {
        (keys?.isCurrent(grant) ?? true) && (tokens?.isCurrent(grant) ?? true)
    }

    // MARK: - Tokens

    private static let unknown = HubTokenError(.signature, "this is no token and no API key of this hub")

    /// The grant of a token or an API key; nil if it has to wait.
    func verifyNow(_ token: String) throws -> HubGrant? {
        if let grant = keys?.grant(token) { return grant }
        guard let tokens else { throw Self.unknown }
        return try tokens.verifyNow(token)
    }

    func verify(_ token: String) async throws -> HubGrant {
        if let grant = keys?.grant(token) { return grant }
        guard let tokens else { throw Self.unknown }
        return try await tokens.verify(token)
    }
}

/// A cookie whose token has expired, of a session that is good otherwise.
struct ExpiredSession: Error {
    let admission: Admission
    let error: HubTokenError

    /// Whether the browser may still be told in its stream, which it then opens anew with its next cookie.
    func isTold(at now: Date) -> Bool {
        guard let expires = admission.grant.expires else { return false }
        return now.timeIntervalSince(expires) < HubSessions.grace
    }
}

#endif
