// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTestSupport
import PlinthTesting
import Testing

@Suite("Default stacks")
struct StackTests {
    struct Oops: Error { var secret = "<secret & co>" }

    let routes: Routes

    init() throws {
        routes = try Routes {
            Route.get("/page") { _ in Response(body: .string("<p>hello")) }
            Route.get("/users/:id") { _ in .text("user") }
            Route.get("/error") { _ in throw Oops() }
            Route.get("/forbidden") { _ in throw HTTPError(.forbidden, "not you") }
        }
    }

    @Test(
        "Every response has secure headers, CORS fields and cookies",
        arguments: [
            ("GET", "/page", 200), ("GET", "/nothing", 404), ("POST", "/page", 405), ("OPTIONS", "/page", 204),
            ("GET", "/error", 500), ("GET", "/forbidden", 403), ("GET", "/users/%zz", 400), ("GET", "/page?a=%", 400),
            ("HEAD", "/page", 200),
        ]
    )
    func everywhere(method: String, path: String, status: Int) async throws {
        let cookie = try Cookie("s", "1")
        let chain = Chain.default(routes) { stack in
            stack.cors = CORSPolicy(origins: .only(["https://a.com"]))
            stack.notFound = Interceptor(
                "first",
                enter: { $0.setCookie(cookie) },
                leave: { context in if context.response == nil { context.response = .text("none", status: .notFound) } }
            )
        }
        for chain in [chain] {
            let response = try await chain.response(
                for: .make(try #require(.init(method)), path, headers: [.origin: "https://a.com"])
            )
            #expect(response.status.code == status)
            #expect(response.headers[.contentSecurityPolicy] == SecureHeaders.strictContentSecurityPolicy)
            #expect(response.headers[.accessControlAllowOrigin] == "https://a.com")
            #expect(response.headers[.setCookie]?.hasPrefix("s=1") == true)
            #expect(!response.body.contains("secret"))
        }
    }

    @Test("The order is as documented")
    func order() throws {
        var stack = DefaultStack()
        stack.cors = CORSPolicy(origins: .any)
        stack.interceptors = [Interceptor("own")]
        #expect(
            stack.interceptors(for: routes).map(\.name) == [
                "request-log", "secure-headers", "cors", "cookies", "error-responses", "not-found", "query-parameters",
                "html-body", "own", "router",
            ]
        )
    }

    @Test("Every optional interceptor can be disabled")
    func minimal() throws {
        var stack = DefaultStack()
        stack.requestLogLevel = nil
        stack.secureHeaders = nil
        stack.takesStringsForPages = false
        #expect(
            stack.interceptors(for: routes).map(\.name) == [
                "cookies", "error-responses", "not-found", "query-parameters", "router",
            ]
        )
    }

    @Test("A string is served as HTML")
    func page() async throws {
        let response = try await Chain.default(routes).response(for: .get("/page"))
        #expect(response.headers[.contentType] == "text/html; charset=utf-8")
    }

    @Test("An error is logged once with its interceptor, its request once with the route and without the query")
    func log() async throws {
        let log = LogRecord()
        _ = try await Chain.default(routes).response(for: .make(.get, "/error?token=x", logger: log.logger))
        _ = try await Chain.default(routes).response(for: .make(.get, "/users/7?token=x", logger: log.logger))
        _ = try await Chain.default(routes).response(for: .make(.get, "/nothing", logger: log.logger))
        #expect(log.lines.map(\.level) == [.error, .info, .info, .info])
        #expect(log.lines[0].metadata["interceptor"] == "GET /error")
        #expect(log.lines[1].metadata["status"] == "500")
        #expect(log.lines[2].metadata["route"] == "/users/:id")
        #expect(log.lines[2].metadata["method"] == "GET")
        #expect(log.lines[2].metadata["duration-ms"] != nil)
        #expect(log.lines[2].metadata["request-id"] != nil)
        #expect(log.lines[3].metadata["route"] == "-")
        #expect(log.lines.allSatisfy { !"\($0.metadata)".contains("token") })
    }

    @Test("A client that disconnects before the response is logged as 499, not as an error")
    func clientLeft() async throws {
        let log = LogRecord()
        let started = Gate()
        let routes = try Routes {
            Route.get("/slow") { _ in
                started.open()
                while !Task.isCancelled { await Task.yield() }
                try Task.checkCancellation()
                return .text("never")
            }
        }
        for chain in [Chain.default(routes), Chain([.requestLog(), routes.router])] {
            let request = Task { try await chain.response(for: .make(.get, "/slow", logger: log.logger)) }
            await started.wait()
            request.cancel()
            _ = try? await request.value
        }
        #expect(log.lines.filter { $0.message == "request" }.map { $0.metadata["status"] } == ["499", "499"])
        #expect(log.lines.allSatisfy { $0.level < .warning })
    }

    @Test("The request log has the status of unhandled errors")
    func logWithoutResponses() async throws {
        let log = LogRecord()
        let chain = Chain([.requestLog(level: .debug), routes.router])
        _ = try await chain.response(for: .make(.get, "/forbidden", logger: log.logger))
        _ = try await chain.response(for: .make(.get, "/error", logger: log.logger))
        #expect(
            log.lines.map { "\($0.level) \($0.metadata["status"] ?? "-")" } == ["debug 403", "debug 500", "error -"]
        )
    }

    @Test("In development, an error shows its cause and interceptor, escaped in HTML, and nothing is cached")
    func development() async throws {
        let chain = Chain.development(routes)
        let html = try await chain.response(for: .get("/error", headers: [.accept: "text/html,*/*"]))
        #expect(html.status == .internalServerError)
        #expect(html.headers[.contentType] == "text/html; charset=utf-8")
        #expect(html.body.contains("&lt;secret &amp; co&gt;"))
        #expect(!html.body.contains("<secret"))
        #expect(html.body.contains("GET /error"))
        let text = try await chain.response(for: .get("/error"))
        #expect(text.body.contains("<secret & co>"))
        #expect(text.body.contains("Stage: enter"))
        #expect(try await chain.response(for: .get("/forbidden")).body == "not you\n")
        for path in ["/error", "/forbidden", "/page", "/nothing"] {
            let response = try await chain.response(for: .get(path))
            #expect(response.headers[.cacheControl] == "no-store")
            #expect(response.headers[.contentSecurityPolicy] != nil)
        }
    }

    @Test("The 404 response can be customized, and an early head is not changed")
    func notFound() async throws {
        let chain = Chain([.notFound { .text("no \($0.path)", status: .gone) }])
        let response = try await chain.response(for: .get("/x"))
        #expect(response.status == .gone)
        #expect(response.body == "no /x")
        let log = LogRecord()
        let early = try Routes {
            Route.get(
                "/",
                Interceptor(
                    "early",
                    enter: { context in
                        context.response = Response(body: .string("x"))
                        try await context.sendHead()
                    }
                )
            )
        }
        let sent = try await Chain.default(early) { $0.cors = CORSPolicy(origins: .any) }
            .response(for: .make(.get, "/", headers: [.origin: "https://a.com"], logger: log.logger))
        #expect(sent.isHeadSentEarly)
        #expect(sent.headers.isEmpty)
        #expect(log.lines.map(\.level) == [.info])
    }
}
