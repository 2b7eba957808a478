// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Plinth
import PlinthTesting
import Synchronization

@testable import PlinthHub
@testable import PlinthServer

/// A hub whose tokens are words, on a clock that tests set.
final class AuthorizedHub: Sendable {
    /// Tokens by their text.
    final class Tokens: HubTokenVerifier {
        let all = Mutex<[String: Result<HubGrant, HubTokenError>]>([:])
        private let now: @Sendable () -> Date

        init(now: @escaping @Sendable () -> Date) { self.now = now }

        func verifyNow(_ token: String) throws -> HubGrant? {
            guard let result = all.withLock({ $0[token] }) else {
                throw HubTokenError(.signature, "this is no token")
            }
            let grant = try result.get()
            if grant.hasExpired(at: now()) { throw HubTokenError(.expired, "it has expired", expired: grant) }
            return grant
        }

        func verify(_ token: String) async throws -> HubGrant {
            guard let grant = try verifyNow(token) else { throw HubTokenError(.signature, "this is no token") }
            return grant
        }
    }

    final class Clock: Sendable {
        private let time = Mutex(Date(timeIntervalSince1970: 1_000_000))

        var now: Date { time.withLock { $0 } }

        func advance(by seconds: Double) { time.withLock { $0 = $0.addingTimeInterval(seconds) } }
    }

    let hub: Hub
    let clock = Clock()
    let tokens: Tokens
    let service: HubService
    let chain: Chain
    let revocations: HubRevocations

    init(
        anonymous: HubGrant = HubGrant(),
        keys: HubAPIKeys? = nil,
        origins: HubOrigins = HubOrigins(),
        revokes: Bool = true,
        limits: HubLimits = HubLimits()
    ) async throws {
        let clock = self.clock
        hub = try await Hub()
        service = HubService(hub)
        tokens = Tokens(now: { clock.now })
        revocations = try await HubRevocations(
            store: MemoryRevocationStore(),
            maximumLifetime: .seconds(3600),
            leeway: .seconds(60),
            now: { clock.now }
        )
        let sessions = try HubSessions(origins: origins)
        var endpoints = HubEndpoints(
            service,
            authorizer: TokenAuthorizer(tokens: tokens, keys: keys, sessions: sessions, anonymous: anonymous)
        )
        endpoints.origins = origins
        endpoints.limits = limits
        endpoints.wallClock = { clock.now }
        if revokes { endpoints.revocations = revocations }
        let routes = try Routes(endpoints.routes())
        chain = Chain([.hubErrorResponses(), .queryParameters(), routes.router])
    }

    /// Adds a token for a subject, issued now.
    func token(
        _ name: String,
        _ subject: HubSubject,
        publish: [TopicSelector] = [],
        subscribe: [TopicSelector] = [],
        restricted: [TopicSelector]? = nil,
        operates: Bool = false,
        lasts seconds: Double? = nil
    ) {
        let grant = HubGrant(
            subject: subject,
            publish: publish,
            subscribe: subscribe,
            restricted: restricted,
            operates: operates,
            expires: seconds.map { clock.now.addingTimeInterval($0) },
            issued: clock.now
        )
        tokens.all.withLock { $0[name] = .success(grant) }
    }

    func response(
        _ method: HTTPRequest.Method,
        _ target: String,
        _ token: String?,
        _ headers: HTTPFields = [:],
        body: String = ""
    ) async throws -> TestResponse {
        var headers = headers
        if let token { headers[.authorization] = "Bearer \(token)" }
        return try await chain.response(for: .make(method, target, headers: headers, body: Array(body.utf8)))
    }

    func stream(_ target: String, _ token: String?, _ headers: HTTPFields = [:]) async throws -> TestEventStream {
        var headers = headers
        if let token { headers[.authorization] = "Bearer \(token)" }
        return try await chain.eventStream(for: .get(target, headers: headers))
    }

    /// Signs in, and returns the cookie as a browser sends it.
    func signIn(_ token: String, _ headers: HTTPFields = [:]) async throws -> String {
        let response = try await response(.post, "/session", token, headers)
        let cookie = response.headers[.setCookie] ?? ""
        return String(cookie.prefix { $0 != ";" })
    }
}

#endif
