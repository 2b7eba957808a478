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

    @Test("An allowed origin is named, also on error responses", arguments: ["/", "/error"])
    func allowed(path: String) async throws {
        let response = try await chain(policy).response(for: .get(path, headers: [.origin: "https://app.example.com"]))
        #expect(response.headers[.accessControlAllowOrigin] == "https://app.example.com")
        #expect(response.headers[.accessControlAllowCredentials] == "true")
        #expect(response.headers[.accessControlExposeHeaders] == "ETag")
        #expect(response.headers[.vary] == "Origin")
    }

    @Test(
        "Any other origin gets the response without CORS fields, but with Vary",
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

    @Test("Any origin is `*`, never with credentials")
    func any() async throws {
        let chain = chain(CORSPolicy(origins: .any, allowsCredentials: true))
        let response = try await chain.response(for: .get("/", headers: [.origin: "https://a.com"]))
        #expect(response.headers[.accessControlAllowOrigin] == "*")
        #expect(response.headers[.accessControlAllowCredentials] == nil)
        #expect(response.headers[.vary] == nil)
    }

    @Test("A preflight from an allowed origin is answered immediately")
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

    @Test("OPTIONS passes through unless it is a preflight from an allowed origin")
    func noPreflight() async throws {
        for headers: HTTPFields in [
            [:], [.origin: "https://app.example.com"],
            [.origin: "https://evil.com", .accessControlRequestMethod: "PUT"],
        ] {
            #expect(try await chain(policy).response(for: .options("/", headers: headers)).body == "hello")
        }
    }

    @Test(
        "The handler's Vary is kept and not duplicated",
        arguments: [("Accept", "Accept, Origin"), ("origin", "origin"), ("*", "*")]
    )
    func vary(before: String, after: String) async throws {
        let chain = Chain([.cors(policy), .handler("h") { _ in Response(headers: [.vary: before]) }])
        #expect(try await chain.response(for: .get("/")).headers[.vary] == after)
    }
}

@Suite("Secure headers")
struct SecureHeaderTests {
    @Test("All responses get secure headers")
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

    @Test("Fields set by the handler are kept, and nil disables a field")
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

    @Test("Strict-Transport-Security is sent over encrypted connections, or if enabled")
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
    @Test("Only a string without a content type is served as HTML")
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
        "The path extension determines the content type",
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
