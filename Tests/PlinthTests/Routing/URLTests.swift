// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

@Suite("Route URLs")
struct URLTests {
    let routes: Routes

    init() throws {
        routes = try Routes(basePath: "/app") {
            Route.get("/", name: "root") { _ in .text("root") }
            Route.get("/users/:id", name: "user") { .text(try $0.pathParameters.require("id")) }
            Route.get("/n/:id", name: "number", constraints: ["id": .digits]) { _ in .text("") }
            Route.get("/files/*rest", name: "file") { .text(try $0.pathParameters.require("rest")) }
            Route.get("/café & co/é", name: "fixed") { _ in .text("fixed") }
            Route.get("/link", name: "link") { .text(try $0.url(for: "user", parameters: ["id": "7"])) }
        }
    }

    @Test("A URL has the base path, encoded segments and a query")
    func urls() throws {
        #expect(try routes.url(for: "root") == "/app/")
        #expect(
            try routes.url(for: "user", parameters: ["id": "a/b"], query: [("q", "x y"), ("q", "&=+é")])
                == "/app/users/a%2Fb?q=x%20y&q=%26%3D%2B%C3%A9"
        )
        #expect(try routes.url(for: "file", parameters: ["rest": "a b/c"]) == "/app/files/a%20b/c")
        #expect(try routes.url(for: "fixed") == "/app/caf%C3%A9%20&%20co/%C3%A9")
    }

    @Test(
        "A URL matches its route with the same parameters",
        arguments: [
            "x", "a/b", "%2F", "%", "a b", "+", "é", "e\u{301}", "?q", "#f", "\u{0}", "🎈", ";", ":id", "*", "...",
        ]
    )
    func roundTrip(value: String) async throws {
        let chain = Chain([routes.router])
        let user = try routes.url(for: "user", parameters: ["id": value])
        #expect(try await chain.response(for: .get(user)).bytes == Array(value.utf8))
        let file = try routes.url(for: "file", parameters: ["rest": value + "/" + value])
        #expect(try await chain.response(for: .get(file)).bytes == Array((value + "/" + value).utf8))
        #expect(try await chain.response(for: .get(routes.url(for: "fixed"))).body == "fixed")
    }

    @Test("An error in building a URL names its cause")
    func mistakes() throws {
        func code(_ name: String, _ parameters: [String: String], mentions text: String) -> RoutesError.Code? {
            let error = #expect(throws: RoutesError.self) { try routes.url(for: name, parameters: parameters) }
            #expect(error?.message.contains("\"\(text)\"") == true)
            return error?.code
        }
        #expect(code("nobody", [:], mentions: "nobody") == .unknownRoute)
        #expect(code("user", [:], mentions: "id") == .missingParameter)
        #expect(code("user", ["id": "1", "x": "2"], mentions: "x") == .superfluousParameter)
        #expect(code("user", ["id": ""], mentions: "id") == .invalidParameter)
        #expect(code("user", ["id": ".."], mentions: "id") == .invalidParameter)
        #expect(code("number", ["id": "x"], mentions: "id") == .invalidParameter)
        #expect(code("file", ["rest": "/etc"], mentions: "rest") == .invalidParameter)
        #expect(code("file", ["rest": "a/../b"], mentions: "rest") == .invalidParameter)
    }

    @Test("A request builds URLs after the router, and throws before it")
    func requests() async throws {
        #expect(try await Chain([routes.router]).response(for: .get("/app/link")).body == "/app/users/7")
        let error = #expect(throws: RoutesError.self) { try Request.get("/").url(for: "user") }
        #expect(error?.code == .noRouter)
    }
}
