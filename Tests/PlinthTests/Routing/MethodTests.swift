// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

@Suite("Routing by method")
struct MethodTests {
    let chain: Chain

    init() throws {
        func answer(_ text: String) -> Interceptor {
            .handler(text) { .text("\(text) \($0.method)") }
        }
        chain = Chain([
            try Routes {
                Route.get("/a", answer("a"))
                Route.post("/a", answer("a"))
                Route.get("/users/me", answer("me"))
                Route.delete("/users/:id", answer("user"))
                Route.any("/any", answer("any"))
                Route.put("/any", answer("put"))
                Route.get("/head", answer("get"))
                Route.on(.head, "/head", answer("head"))
                Route.on(.options, "/a/options", answer("options"))
                Route.patch("/p", answer("patch"))
            }.router
        ])
    }

    @Test("Each method has its own route")
    func own() async throws {
        #expect(try await chain.response(for: .get("/a")).body == "a GET")
        #expect(try await chain.response(for: .post("/a")).body == "a POST")
        #expect(try await chain.response(for: .patch("/p")).body == "patch PATCH")
    }

    @Test("A route for another method does not shadow a less specific route")
    func fallThrough() async throws {
        #expect(try await chain.response(for: .delete("/users/me")).body == "user DELETE")
    }

    @Test("A route for the method precedes one for any method")
    func any() async throws {
        #expect(try await chain.response(for: .put("/any")).body == "put PUT")
        #expect(try await chain.response(for: .get("/any")).body == "any GET")
        #expect(try await chain.response(for: .options("/any")).body == "any OPTIONS")
    }

    @Test("HEAD matches the GET route, without a body but with its length")
    func head() async throws {
        let response = try await chain.response(for: .head("/a"))
        #expect(response.status == .ok)
        #expect(response.bytes.isEmpty)
        #expect(response.contentLength == "a HEAD".utf8.count)
        #expect(try await chain.response(for: .head("/head")).contentLength == "head HEAD".utf8.count)
    }

    @Test(
        "Another method is answered with 405 and Allow",
        arguments: [
            ("/a", "GET, HEAD, OPTIONS, POST"), ("/users/me", "DELETE, GET, HEAD, OPTIONS"),
            ("/users/7", "DELETE, OPTIONS"),
        ]
    )
    func notAllowed(path: String, allow: String) async throws {
        let response = try await chain.response(for: .put(path))
        #expect(response.status == .methodNotAllowed)
        #expect(response.headers[.allow] == allow)
        let options = try await chain.response(for: .options(path))
        #expect(options.status == .noContent)
        #expect(options.headers[.allow] == allow)
    }

    @Test("OPTIONS can have its own route")
    func options() async throws {
        #expect(try await chain.response(for: .options("/a/options")).body == "options OPTIONS")
    }
}
