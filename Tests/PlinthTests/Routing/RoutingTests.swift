// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

/// Answers with the route's name and parameters, in pattern order.
private let echo = Interceptor.handler("echo") { request in
    let names = ["id", "view", "a", "b", "c", "rest"]
    let values = names.compactMap { name in request.pathParameters[name].map { "\(name)=\($0)" } }
    return .text(([request.route?.name ?? "?"] + values).joined(separator: " "))
}

private func chain(basePath: String = "", @RoutesBuilder _ routes: () -> [Route]) throws -> Chain {
    Chain([try Routes(basePath: basePath, routes).router])
}

@Suite("Routing")
struct RoutingTests {
    @Test(
        "A path matches the most specific route",
        arguments: [
            ("/", "root"), ("/users", "users"), ("/users/", "users-slash"), ("/users/me", "me"),
            ("/users/7", "number id=7"), ("/users/x", "user id=x"), ("/users/7/posts", "posts a=7"),
            ("/users/me/posts", "posts a=me"), ("/files/a", "file rest=a"), ("/files/a/b.txt", "file rest=a/b.txt"),
            ("/files/a/", "file rest=a/"), ("/files/a//b", "file rest=a//b"), ("/files/1/2", "numbers rest=1/2"),
            ("/orders/open", "view view=open"), ("/orders/x", "order id=x"), ("/users?id=9", "users"),
            ("/us%65rs/m%65", "me"), ("/users/a%2Fb", "user id=a/b"), ("/users/a%252Fb", "user id=a%2Fb"),
            ("/users/a+b", "user id=a+b"), ("/users/%C3%A9", "user id=é"), ("/caf%C3%A9", "cafe"),
            ("/files/a%2Fb/c", "file rest=a/b/c"), ("/users/..", "user id=.."), ("/users/:id", "user id=:id"),
            ("/a/x/c", "deep a=x"), ("/a/b/d", "fixed"), ("/a/b/c", "deep a=b"),
        ]
    )
    func precedence(path: String, expected: String) async throws {
        let chain = try chain {
            Route.get("/", echo, name: "root")
            Route.get("/users/:id", echo, name: "user")
            Route.get("/users/:id", echo, name: "number", constraints: ["id": .digits])
            Route.get("/users/me", echo, name: "me")
            Route.get("/users", echo, name: "users")
            Route.get("/users/", echo, name: "users-slash")
            Route.get("/users/:a/posts", echo, name: "posts")
            Route.get("/files/*rest", echo, name: "file")
            Route.get(
                "/files/*rest",
                echo,
                name: "numbers",
                constraints: ["rest": .matching("numbers") { $0.utf8.allSatisfy { (0x2F...0x39).contains($0) } }]
            )
            Route.get("/orders/:view", echo, name: "view", constraints: ["view": .oneOf(["open", "closed"])])
            Route.get("/orders/:id", echo, name: "order")
            Route.get("/café", echo, name: "cafe")
            Route.get("/a/:a/c", echo, name: "deep")
            Route.get("/a/b/d", echo, name: "fixed")
        }
        #expect(try await chain.response(for: .get(path)).body == expected)
    }

    @Test(
        "A path that matches no pattern gets no response from the router",
        arguments: [
            "/nothing", "//", "/users//", "/users/", "//users", "/users/7/", "/Users", "/files", "/files/", "/files//a",
            "", "*", "users", "/cafe%CC%81",
        ]
    )
    func noMatch(path: String) async throws {
        let chain = try chain {
            Route.get("/users", echo)
            Route.get("/users/:id", echo)
            Route.get("/files/*rest", echo)
            Route.get("/caf\u{E9}", echo)
        }
        #expect(try await chain.response(for: .get(path)).status == .notFound)
    }

    @Test("A malformed path is answered with 400", arguments: ["/%", "/%4", "/%zz", "/users/%FF", "/a/%C3", "/%C0%AF"])
    func malformed(path: String) async throws {
        let chain = try chain { Route.get("/users/:id", echo) }
        #expect(try await chain.response(for: .get(path)).status == .badRequest)
    }

    @Test("Canonically equivalent paths differ")
    func bytes() async throws {
        let chain = try chain {
            Route.get("/caf\u{E9}", echo, name: "one code point")
            Route.get("/cafe\u{301}", echo, name: "two code points")
        }
        #expect(try await chain.response(for: .get("/caf%C3%A9")).body == "one code point")
        #expect(try await chain.response(for: .get("/cafe%CC%81")).body == "two code points")
    }

    @Test("A question mark followed by a combining character starts the query")
    func combiningQuery() async throws {
        let chain = try chain { Route.get("/a", echo, name: "a") }
        #expect(try await chain.response(for: .get("/a?\u{301}=1")).body == "a")
    }

    @Test("Interceptors run from the outer group to the handler, which is named after its route")
    func groups() async throws {
        struct Trail: ValueKey { typealias Value = [String] }
        func step(_ name: String) -> Interceptor {
            Interceptor(name, enter: { $0.request.values[Trail.self, default: []].append(name) })
        }
        let routes = try Routes {
            Route.group("/a", interceptors: [step("1")]) {
                Route.group("/:id", interceptors: [step("2")], constraints: ["id": .digits]) {
                    Route.get("/x", interceptors: [step("3")]) { request in
                        .text(request.values[Trail.self, default: []].joined())
                    }
                    Route.get("") { _ in .text("itself") }
                    [Route(.put, "/x", interceptors: [echo])]
                }
            }
            if true { Route.any("/any", echo) }
            for n in 1...2 { Route.get("/n\(n)", echo) }
        }
        let chain = Chain([routes.router])
        #expect(try await chain.response(for: .get("/a/7/x")).body == "123")
        #expect(try await chain.response(for: .get("/a/7")).body == "itself")
        #expect(try await chain.response(for: .get("/a/b/x")).status == .notFound)
        #expect(
            routes.identities.map(\.name) == [
                "GET /a/:id(digits)/x", "GET /a/:id(digits)", "PUT /a/:id(digits)/x", "ANY /any", "GET /n1", "GET /n2",
            ]
        )
    }

    @Test("The request has the matched route")
    func identity() async throws {
        let chain = try chain { Route.get("/users/:id", echo) }
        let response = try await chain.response(for: .get("/users/7"))
        #expect(response.route == RouteIdentity(name: "GET /users/:id", pattern: "/users/:id"))
    }

    @Test("The base path is stripped, and required")
    func basePath() async throws {
        let chain = try chain(basePath: "/app/v1/") {
            Route.get("/", echo, name: "root")
            Route.get("/users/:id", echo, name: "user")
        }
        #expect(try await chain.response(for: .get("/app/v1/")).body == "root")
        #expect(try await chain.response(for: .get("/app/v1/users/7")).body == "user id=7")
        for path in ["/users/7", "/app/users/7", "/app/v1", "/app/v1users/7"] {
            #expect(try await chain.response(for: .get(path)).status == .notFound)
        }
    }

    @Test("Interceptors before the router see the request, and can answer instead of it")
    func responseBefore() async throws {
        let routes = try Routes { Route.get("/", echo) }
        let chain = Chain([Interceptor("early", enter: { $0.response = .text("early") }), routes.router])
        #expect(try await chain.response(for: .get("/")).body == "early")
    }
}

extension TypedValues {
    fileprivate subscript<Key: ValueKey>(key: Key.Type, default value: Key.Value) -> Key.Value {
        get { self[key] ?? value }
        set { self[key] = newValue }
    }
}
