// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Plinth
import PlinthHub
import PlinthTesting
import Testing

@testable import PlinthServer

/// The cookie, its origins, and its ends.
@Suite("Hub endpoints: sessions")
struct HubSessionsTests {
    private let a: TopicSelector
    private let ours: HTTPFields = [.origin: "http://localhost"]

    init() throws {
        a = .exact(try Topic("a"))
    }

    private func hub(_ origins: HubOrigins = HubOrigins()) async throws -> AuthorizedHub {
        let hub = try await AuthorizedHub(origins: origins)
        hub.token("eve", "eve", publish: [a], subscribe: [a], lasts: 600)
        hub.token("bob", "bob", publish: [a], subscribe: [a], lasts: 600)
        return hub
    }

    private func with(_ cookie: String, _ headers: HTTPFields = [:]) -> HTTPFields {
        var headers = headers
        headers[.cookie] = cookie
        return headers
    }

    @Test("A token is exchanged for a cookie that scripts cannot read, and that lives an hour longer")
    func signIn() async throws {
        let hub = try await hub()
        let response = try await hub.response(.post, "/session", "eve", ours)
        #expect(response.status == .ok)
        #expect(response.body.contains(#""subject":"eve""#))
        let cookie = try #require(response.headers[.setCookie])
        #expect(cookie.contains("; HttpOnly") && cookie.contains("; SameSite=Lax") && cookie.contains("; Path=/"))
        #expect(cookie.contains("; Max-Age=4200"))
        // Over plaintext on a loopback name, a Secure cookie would not come back everywhere.
        #expect(cookie.hasPrefix("plinth=") && !cookie.contains("Secure"))
        let sent = String(cookie.prefix { $0 != ";" })
        #expect(try await hub.response(.get, "/topics/a?wait=0", nil, with(sent)).status == .ok)
    }

    @Test("Over TLS, or at any other host, the cookie is Secure and bound to the host")
    func secure() async throws {
        let hub = try await hub()
        var request = Request.post("/session", headers: [.authorization: "Bearer eve"])
        request.head.authority = "hub.example"
        var cookie = try await hub.chain.response(for: request).headers[.setCookie] ?? ""
        #expect(cookie.hasPrefix("__Host-plinth=") && cookie.contains("; Secure"))
        request.head.authority = "localhost"
        request.isSecure = true
        cookie = try await hub.chain.response(for: request).headers[.setCookie] ?? ""
        #expect(cookie.hasPrefix("__Host-plinth=") && cookie.contains("; Secure"))
    }

    @Test("With a cookie, an unsafe method needs an origin of ours, and no page of another may read")
    func origins() async throws {
        let hub = try await hub(try HubOrigins(allowed: ["https://www.example"]))
        let cookie = try await hub.signIn("eve", ours)
        let cases: [(HTTPRequest.Method, HTTPFields, Bool)] = [
            (.post, [:], false), (.post, ours, true), (.post, [.origin: "null"], false),
            (.post, [.origin: "http://localhost:81"], false), (.post, [.origin: "https://www.example"], false),
            (.post, [.origin: "http://localhost.example"], false),
            (.get, [:], true), (.get, ours, true), (.get, [.origin: "https://www.example"], true),
            (.get, [.origin: "https://other.example"], false), (.get, [.origin: "null"], false),
            (.get, [.secFetchSite: "cross-site"], false), (.get, [.secFetchSite: "same-origin"], true),
            (.get, [.secFetchSite: "cross-site", .origin: "https://www.example"], true),
        ]
        for (method, headers, isServed) in cases {
            let target = method == .get ? "/topics/a?wait=0" : "/topics/a"
            let response = try await hub.response(method, target, nil, with(cookie, headers), body: "x")
            let what = "\(method) \(headers)"
            if isServed {
                #expect(response.status.kind == .successful, "\(what): \(response.body)")
            } else {
                #expect(response.status == .forbidden, "\(what)")
                #expect(response.body.contains(#""code":"origin-foreign""#), "\(what)")
            }
            // With Authorization, neither the cookie nor the origin is looked at.
            let token = try await hub.response(method, target, "eve", with("plinth=nonsense", headers), body: "x")
            #expect(token.status.kind == .successful, "\(what)")
        }
    }

    @Test("A foreign page cannot sign its own subject in")
    func foreignSignIn() async throws {
        let hub = try await hub(try HubOrigins(allowed: ["https://www.example"]))
        for (origin, isTaken) in [("https://evil.example", false), ("null", false), ("https://www.example", true)] {
            let response = try await hub.response(.post, "/session", "eve", [.origin: origin])
            #expect((response.headers[.setCookie] != nil) == isTaken, "\(origin)")
        }
    }

    @Test("Two cookies of the name, or one of another kind, are 401")
    func twoCookies() async throws {
        let hub = try await hub()
        let cookie = try await hub.signIn("eve", ours)
        let foreign = "plinth=\(String(repeating: "g", count: 32)).eve"
        for value in ["\(cookie); \(cookie)", "plinth=", "plinth=x.y", foreign] {
            let response = try await hub.response(.get, "/topics/a?wait=0", nil, with(value))
            #expect(response.status == .unauthorized, "\(value)")
        }
    }

    @Test("The same subject goes on with its session; another's ends the streams of the former")
    func renewal() async throws {
        let hub = try await hub()
        let cookie = try await hub.signIn("eve", ours)
        let stream = try await hub.stream("/topics/a", nil, with(cookie))
        hub.token("eve2", "eve", publish: [a], subscribe: [a], lasts: 1200)
        let renewed = try await hub.signIn("eve2", with(cookie, ours))
        #expect(renewed.prefix(39) == cookie.prefix(39))
        try await hub.hub.publish(ServerSentEvent(data: "1"), to: try Topic("a"))
        #expect(try await stream.next()?.data == "1")
        let other = try await hub.signIn("bob", with(renewed, ours))
        #expect(other.prefix(39) != cookie.prefix(39))
        try await stream.expectEnd(.ended)
        for former in [cookie, renewed] {
            #expect(try await hub.response(.get, "/topics/a?wait=0", nil, with(former)).status == .unauthorized)
        }
        #expect(try await hub.response(.get, "/topics/a?wait=0", nil, with(other)).status == .ok)
    }

    @Test("Signing out ends the session's streams, and says that the token stays valid")
    func signOut() async throws {
        let hub = try await hub()
        let cookie = try await hub.signIn("eve", ours)
        let stream = try await hub.stream("/topics/a", nil, with(cookie))
        #expect(try await hub.response(.delete, "/session", nil, with(cookie)).status == .forbidden)
        let response = try await hub.response(.delete, "/session", nil, with(cookie, ours))
        #expect(response.status == .ok)
        #expect(response.body.contains("stays valid"))
        #expect(response.headers[.setCookie]?.contains("Max-Age=0") ?? false)
        try await stream.expectEnd(.ended)
        #expect(try await hub.response(.get, "/topics/a?wait=0", nil, with(cookie)).status == .unauthorized)
        #expect(try await hub.response(.get, "/topics/a?wait=0", "eve").status == .ok)
    }

    @Test("A page that always sends its token signs out of its cookie's session, too")
    func signOutWithToken() async throws {
        let hub = try await hub()
        let cookie = try await hub.signIn("eve", ours)
        #expect(try await hub.response(.delete, "/session", "bob", with(cookie, ours)).status == .badRequest)
        #expect(try await hub.response(.delete, "/session", "eve", with(cookie, ours)).status == .ok)
        #expect(try await hub.response(.get, "/topics/a?wait=0", nil, with(cookie)).status == .unauthorized)
    }

    @Test("An address whose tokens are refused cannot go on at the sign-in")
    func refusedSignIns() async throws {
        let hub = try await hub()
        func signIn(_ token: String) async throws -> Int {
            var request = Request.post("/session", headers: [.authorization: "Bearer \(token)"])
            request.remoteAddress = "192.0.2.7"
            return try await hub.chain.response(for: request).status.code
        }
        var statuses: [Int] = []
        for number in 0..<100 { statuses.append(try await signIn("forged\(number)")) }
        #expect(statuses.first == 401 && statuses.last == 429)
        #expect(statuses.count { $0 == 401 } < 80)
    }

    @Test("An empty issuer revokes nobody, and is 400")
    func emptyIssuer() async throws {
        let hub = try await hub()
        hub.token("operator", "operator", operates: true)
        #expect(try await hub.response(.delete, "/subjects/eve?issuer=", "operator").status == .badRequest)
        #expect(try await hub.response(.get, "/topics/a?wait=0", "eve").status == .ok)
    }

    @Test("An expired cookie brings a browser back for an hour, on a stream that it could have; all else is 401")
    func expired() async throws {
        let hub = try await hub()
        let cookie = try await hub.signIn("eve", ours)
        hub.clock.advance(by: 601)
        let told = try await hub.response(.get, "/topics/a", nil, with(cookie))
        #expect(told.status == .ok)
        #expect(told.headers[.contentType]?.hasPrefix("text/event-stream") ?? false)
        #expect(told.body.hasPrefix("retry: ") && told.body.contains("event: expired\n"))
        #expect(told.body.contains(#""code":"token-expired""#))
        let form: HTTPFields = [.contentType: "application/x-www-form-urlencoded"]
        for (method, target, headers) in [
            (HTTPRequest.Method.get, "/topics/a?wait=1s", HTTPFields()), (.head, "/topics/a", [:]),
            (.post, "/topics", form.merging(ours)), (.post, "/topics/a", ours),
        ] {
            let response = try await hub.response(method, target, nil, with(cookie, headers), body: "topic=a")
            #expect(response.status == .unauthorized, "\(method) \(target)")
            #expect(response.headers[.wwwAuthenticate]?.contains("invalid_token") ?? false, "\(method) \(target)")
        }
        #expect(try await hub.response(.get, "/topics/secret", nil, with(cookie)).status == .forbidden)
        let foreign = try await hub.response(.get, "/topics/a", nil, with(cookie, [.origin: "https://evil.example"]))
        #expect(foreign.status == .forbidden)
        hub.clock.advance(by: 3600)
        #expect(try await hub.response(.get, "/topics/a", nil, with(cookie)).status == .unauthorized)
    }

    @Test("A token that is too large for a cookie, and an API key, are 400 with the reason")
    func unfit() async throws {
        let hub = try await AuthorizedHub(
            keys: try HubAPIKeys("\(String(repeating: "k", count: 40)) {\"subject\":\"backend\"}")
        )
        let large = String(repeating: "t", count: 3600)
        hub.token(large, "eve", subscribe: [a])
        for token in [large, String(repeating: "k", count: 40)] {
            let response = try await hub.response(.post, "/session", token)
            #expect(response.status == .badRequest)
            #expect(response.headers[.setCookie] == nil)
        }
    }

    @Test("A revoked subject's streams end, its tokens of before are refused, and new ones hold")
    func revocation() async throws {
        let hub = try await hub()
        hub.token("operator", "operator", operates: true)
        let stream = try await hub.stream("/topics/a", "eve")
        let other = try await hub.stream("/topics/a", "bob")
        let response = try await hub.response(.delete, "/subjects/eve", "operator")
        #expect(response.status == .ok)
        #expect(response.body.contains(#""untilRestart":true"#))
        try await stream.expectEnd(.ended)
        let refused = try await hub.response(.get, "/topics/a?wait=0", "eve")
        #expect(refused.status == .unauthorized)
        #expect(refused.body.contains(#""code":"token-revoked""#))
        hub.clock.advance(by: 61)
        hub.token("eve3", "eve", subscribe: [a], lasts: 600)
        #expect(try await hub.response(.get, "/topics/a?wait=0", "eve3").status == .ok)
        try await hub.hub.publish(ServerSentEvent(data: "1"), to: try Topic("a"))
        #expect(try await other.next()?.data == "1")
        other.leave()
    }

    @Test("Without a lifetime of tokens nobody can be revoked, nor can a subject with an API key")
    func noRevocation() async throws {
        let keys = try HubAPIKeys(
            """
            \(String(repeating: "o", count: 32)) {"subject":"operator","operate":true}
            """
        )
        let off = try await AuthorizedHub(keys: keys, revokes: false)
        let on = try await AuthorizedHub(keys: keys)
        let key = String(repeating: "o", count: 32)
        let first = try await off.response(.delete, "/subjects/eve", key)
        #expect(first.status == .conflict && first.body.contains(#""code":"revocation-off""#))
        let second = try await on.response(.delete, "/subjects/operator", key)
        #expect(second.status == .conflict && second.body.contains(#""code":"api-key""#))
    }

    @Test("Pages of allowed origins read every answer, 401 and 403 too, and a preflight needs no credential")
    func crossOrigin() async throws {
        let hub = try await hub(try HubOrigins(allowed: ["https://www.example"]))
        let origin: HTTPFields = [.origin: "https://www.example"]
        for (target, token) in [("/topics/a?wait=0", "eve"), ("/topics/a?wait=0", nil), ("/topics/secret", "eve")] {
            let response = try await hub.response(.get, target, token, origin)
            #expect(response.headers[.accessControlAllowOrigin] == "https://www.example", "\(target)")
            #expect(response.headers[.accessControlAllowCredentials] == "true", "\(target)")
            #expect(response.headers[.vary] == "Origin, Cookie, Authorization", "\(target)")
        }
        var preflight = origin
        preflight[.accessControlRequestMethod] = "POST"
        let allowed = try await hub.response(.options, "/topics/a", nil, preflight)
        #expect(allowed.status == .noContent)
        #expect(allowed.headers[.accessControlAllowMethods]?.contains("POST") ?? false)
        let foreign = try await hub.response(.get, "/topics/a?wait=0", "eve", [.origin: "https://evil.example"])
        #expect(foreign.headers[.accessControlAllowOrigin] == nil)
    }
}

extension HTTPFields {
    fileprivate func merging(_ other: HTTPFields) -> HTTPFields {
        var fields = self
        for field in other { fields[field.name] = field.value }
        return fields
    }
}

#endif
