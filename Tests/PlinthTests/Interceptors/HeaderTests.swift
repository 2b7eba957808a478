// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

private func name(_ text: String) throws -> HTTPField.Name {
    try #require(HTTPField.Name(text))
}

@Suite("CORS")
struct CORSTests {
    private let policy = CORSPolicy(
        origins: .only(["https://app.example.com"]),
        allowsCredentials: true,
        exposedHeaders: [.eTag]
    )

    private func chain(_ policy: CORSPolicy) -> Chain {
        Chain([
            .cors(policy), .errorResponses(),
            .handler("h") { request in
                if request.path == "/error" { throw HTTPError(.forbidden) }
                return .text("hello")
            },
        ])
    }

    @Test("an allowed origin is named, on errors too", arguments: ["/", "/error"])
    func allowed(path: String) async throws {
        let response = try await chain(policy).response(for: .get(path, headers: [.origin: "https://app.example.com"]))
        #expect(response.headers[.accessControlAllowOrigin] == "https://app.example.com")
        #expect(response.headers[.accessControlAllowCredentials] == "true")
        #expect(response.headers[.accessControlExposeHeaders] == "ETag")
        #expect(response.headers[.vary] == "Origin")
    }

    @Test(
        "any other origin gets the plain response, which varies all the same",
        arguments: [
            nil, "https://evil.com", "http://app.example.com", "https://app.example.com.evil.com", "null",
            "https://APP.example.com", "https://app.example.com:8443", "",
        ]
    )
    func disallowed(origin: String?) async throws {
        var request = Request.get("/")
        request.head.headerFields[.origin] = origin
        let response = try await chain(policy).response(for: request)
        #expect(response.body == "hello")
        #expect(response.headers[.accessControlAllowOrigin] == nil)
        #expect(response.headers[.accessControlAllowCredentials] == nil)
        #expect(response.headers[.vary] == "Origin")
    }

    @Test("any origin is a star, never with credentials")
    func any() async throws {
        let chain = chain(CORSPolicy(origins: .any, allowsCredentials: true))
        let response = try await chain.response(for: .get("/", headers: [.origin: "https://a.com"]))
        #expect(response.headers[.accessControlAllowOrigin] == "*")
        #expect(response.headers[.accessControlAllowCredentials] == nil)
        #expect(response.headers[.vary] == nil)
    }

    @Test("a preflight of an allowed origin is answered at once")
    func preflight() async throws {
        let response = try await chain(policy).response(
            for: .options(
                "/error",
                headers: [.origin: "https://app.example.com", .accessControlRequestMethod: "PUT"]
            )
        )
        #expect(response.status == .noContent)
        #expect(response.headers[.accessControlAllowOrigin] == "https://app.example.com")
        #expect(response.headers[.accessControlAllowMethods] == "GET, HEAD, POST, PUT, PATCH, DELETE")
        #expect(response.headers[.accessControlAllowHeaders] == "Content-Type, Authorization, Last-Event-ID")
        #expect(response.headers[.accessControlMaxAge] == "600")
        #expect(response.headers[.vary] == "Origin")
    }

    @Test("OPTIONS that is no preflight, or not from an allowed origin, goes on")
    func noPreflight() async throws {
        for headers: HTTPFields in [
            [:], [.origin: "https://app.example.com"],
            [.origin: "https://evil.com", .accessControlRequestMethod: "PUT"],
        ] {
            #expect(try await chain(policy).response(for: .options("/", headers: headers)).body == "hello")
        }
    }

    @Test(
        "Vary of the handler is kept, and not doubled",
        arguments: [("Accept", "Accept, Origin"), ("origin", "origin"), ("*", "*")]
    )
    func vary(before: String, after: String) async throws {
        let chain = Chain([.cors(policy), .handler("h") { _ in Response(headers: [.vary: before]) }])
        #expect(try await chain.response(for: .get("/")).headers[.vary] == after)
    }
}

@Suite("Secure headers")
struct SecureHeaderTests {
    @Test("all responses get them")
    func defaults() async throws {
        let response = try await Chain([.secureHeaders(), .notFound()]).response(for: .get("/"))
        #expect(
            response.headers[.contentSecurityPolicy]
                == "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
                + "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        #expect(response.headers[.xContentTypeOptions] == "nosniff")
        #expect(response.headers[try name("X-Frame-Options")] == "DENY")
        #expect(response.headers[try name("Referrer-Policy")] == "no-referrer")
        #expect(response.headers[try name("Cross-Origin-Opener-Policy")] == "same-origin")
        #expect(response.headers[.strictTransportSecurity] == nil)
    }

    @Test("what the handler set is kept, and nil switches a field off")
    func settable() async throws {
        var headers = SecureHeaders()
        headers.frameOptions = nil
        headers.referrerPolicy = "origin"
        let chain = Chain([
            .secureHeaders(headers),
            .handler("h") { _ in Response(headers: [.contentSecurityPolicy: "default-src *"]) },
        ])
        let response = try await chain.response(for: .get("/"))
        #expect(response.headers[values: .contentSecurityPolicy] == ["default-src *"])
        #expect(response.headers[try name("X-Frame-Options")] == nil)
        #expect(response.headers[try name("Referrer-Policy")] == "origin")
    }

    @Test("transport security is for encrypted connections, or on demand")
    func transport() async throws {
        var headers = SecureHeaders()
        let secure = try await Chain([.secureHeaders(headers), .notFound()]).response(
            for: .make(.get, "/", isSecure: true)
        )
        #expect(secure.headers[.strictTransportSecurity] == "max-age=31536000")
        headers.isTransportSecure = true
        let behindProxy = try await Chain([.secureHeaders(headers), .notFound()]).response(for: .get("/"))
        #expect(behindProxy.headers[.strictTransportSecurity] == "max-age=31536000")
    }
}

@Suite("Content types")
struct ContentTypeTests {
    @Test("a string without a content type is a page, and nothing else is")
    func html() async throws {
        let table: [(Response, String?)] = [
            (Response(body: .string("<p>")), "text/html; charset=utf-8"), (Response(body: .bytes([0x3C])), nil),
            (Response(body: .string("")), nil), (Response(status: .noContent), nil),
            (Response(headers: [.contentType: "text/css"], body: .string("x")), "text/css"),
            (.text("x"), "text/plain; charset=utf-8"),
        ]
        for (response, expected) in table {
            let chain = Chain([.htmlBody(), Interceptor("h", enter: { $0.response = response })])
            #expect(await chain.unsentResponse(for: .get("/")).headers[.contentType] == expected)
        }
    }

    @Test(
        "the extension of the path tells the content type",
        arguments: [
            ("/app.js", "text/javascript; charset=utf-8"), ("/a.b/c.PNG", "image/png"), ("/a.css/c", "x/y"),
            ("/.css", "x/y"), ("/a.", "x/y"), ("/a.unknown", "x/y"), ("/a.css?b.js", "text/css; charset=utf-8"),
        ]
    )
    func byExtension(path: String, expected: String) async throws {
        let chain = Chain([.contentType(default: "x/y"), .handler("h") { _ in Response(body: .bytes([1])) }])
        #expect(try await chain.response(for: .get(path)).headers[.contentType] == expected)
    }
}
