// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
import HTTPTypes
import Plinth
import PlinthHub
import PlinthStreams

/// `session`: what a credential may do, and its exchange for a cookie.
extension HubEndpoints {
    /// Answers what the request's credential may do.
    func session(_ request: Request) async throws -> Response {
        let admission = try await admit(request)
        return .json(json(of: admission))
    }

    /// Exchanges the token in `Authorization` for a cookie.
    ///
    /// The same subject keeps its session; another one ends the former, whose streams end too: what is on the screen
    /// must be what the signed-in subject may see.
    func signIn(_ request: Request) async throws -> Response {
        let (authorizer, sessions) = try signingIn()
        if let origin = request.headers[.origin],
            !sessions.origins.isOurs(origin, request, isSecure: sessions.isSecure(request)),
            !sessions.origins.isAllowed(origin)
        {
            throw HubOrigins.foreign(origin)
        }
        guard let token = try TokenAuthorizer.bearer(request) else {
            throw HTTPError(
                .unauthorized,
                .unauthorized,
                "send the token as Authorization: Bearer TOKEN",
                headers: [.wwwAuthenticate: "Bearer realm=\"plinth\""]
            )
        }
        if authorizer.keys?.isKey(token) ?? false {
            throw HTTPError(
                .badRequest,
                .badField,
                "an API key is no token: it would let whoever finds the cookie in for good; sign in with a JWT"
            )
        }
        try checkRefusals(request)
        var admission: Admission
        do {
            admission = Admission(grant: try await authorizer.verify(token))
            try check(admission)
        } catch {
            throw refused(error, request)
        }
        let former = try? sessions.cookie(of: request)
        admission.session = await continued(former, by: admission, authorizer, sessions) ?? HubSessions.makeID()
        let session = admission.session ?? ""
        let rest = admission.grant.expires.map { $0.timeIntervalSince(wallClock()) } ?? 0
        let cookie = try sessions.cookie(HubSessions.Value(session: session, token: token), rest: rest, for: request)
        var response = Response.json(json(of: admission))
        response.setCookie(cookie)
        return response
    }

    /// The former session if it is the same subject's; another's is ended.
    private func continued(
        _ former: HubSessions.Value?,
        by admission: Admission,
        _ authorizer: TokenAuthorizer,
        _ sessions: HubSessions
    ) async -> String? {
        guard let former, !sessions.hasEnded(former.session) else { return nil }
        let grant: HubGrant?
        do {
            grant = try await authorizer.verify(former.token)
        } catch {
            grant = (error as? HubTokenError)?.expired
        }
        // Only whoever holds a token that the hub signed has a session to go on with, or to end.
        guard let grant else { return nil }
        if grant.subject == admission.grant.subject { return former.session }
        await end(former.session, grant, sessions)
        return nil
    }

    /// Ends the request's session; its token stays valid.
    func signOut(_ request: Request) async throws -> Response {
        let (authorizer, sessions) = try signingIn()
        let admission: Admission
        do {
            admission = try await admit(request)
        } catch let expired as ExpiredSession {
            admission = expired.admission
        } catch let error as HubTokenError {
            // A browser whose cookie is refused for good could not become anonymous again.
            var refusal = error.response
            if let cookie = try? sessions.deletion(for: request) { refusal.headers[.setCookie] = cookie.description }
            throw refusal
        }
        guard let session = await session(of: request, admission, authorizer, sessions) else {
            throw HTTPError(.badRequest, .badField, "the request has no cookie of a session to sign out of")
        }
        await end(session, admission.grant, sessions)
        var response = Response.json(
            "{\"ended\":true,\"note\":\"the session and its streams have ended; its token itself stays valid until it "
                + "expires or its subject is revoked\"}"
        )
        if let cookie = try? sessions.deletion(for: request) { response.setCookie(cookie) }
        return response
    }

    /// The session to sign out of: that of the cookie, also beside an `Authorization` of the same subject.
    private func session(
        of request: Request,
        _ admission: Admission,
        _ authorizer: TokenAuthorizer,
        _ sessions: HubSessions
    ) async -> String? {
        if let session = admission.session { return session }
        guard let cookie = try? sessions.cookie(of: request), let grant = try? await authorizer.verify(cookie.token),
            grant.subject == admission.grant.subject
        else { return nil }
        return cookie.session
    }

    private func end(_ session: String, _ grant: HubGrant, _ sessions: HubSessions) async {
        sessions.end(session, expires: grant.expires, now: wallClock())
        await service.haveEnded { $0.session == session }
    }

    private func signingIn() throws -> (TokenAuthorizer, HubSessions) {
        guard let authorizer = authorizer as? TokenAuthorizer, let sessions = authorizer.sessions,
            authorizer.tokens != nil
        else { throw HTTPError(.notFound, .notFound, "this hub has no sessions: it takes no tokens, or no cookies") }
        return (authorizer, sessions)
    }

    /// What an admission may do, as the page shows it.
    private func json(of admission: Admission) -> String {
        let grant = admission.grant
        let expires = grant.expires.map { JSONString.quoted($0.formatted(.iso8601)) } ?? "null"
        return "{\"subject\":\(JSONString.quoted(grant.subject?.name)),"
            + "\"issuer\":\(JSONString.quoted(grant.subject?.issuer)),"
            + "\"publish\":\(Self.json(of: grant.publish)),\"subscribe\":\(Self.json(of: grant.subscribe)),"
            + "\"operate\":\(grant.operates),\"expires\":\(expires),\"cookie\":\(admission.session != nil),"
            + "\"signIn\":\((try? signingIn()) != nil)}"
    }

    /// Selectors as a claim writes them.
    private static func json(of selectors: [TopicSelector]) -> String {
        let elements = selectors.map { selector in
            if let topic = selector.topic { return JSONString.quoted(topic.name) }
            return "{\"match\":\(JSONString.quoted(selector.pattern?.description ?? selector.description))}"
        }
        return "[\(elements.joined(separator: ","))]"
    }
}

#endif
