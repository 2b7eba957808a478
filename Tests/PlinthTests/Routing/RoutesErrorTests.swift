// SPDX-License-Identifier: Apache-2.0

import Plinth
import Testing

private let nothing = Interceptor("nothing")

@Suite("Routes errors")
struct RoutesErrorTests {
    @Test(
        "A malformed pattern throws an error that names the route",
        arguments: [
            ("users", "slash"), ("", "slash"), ("/a//b", "empty segment"), ("/:", "not a parameter"),
            ("/*", "not a parameter"),
            ("/:a b", "not a parameter"), ("/:id.json", "not a parameter"), ("/:id/:id", "two parameters"),
            ("/*a/b", "not the last"), ("/*a/", "not the last"), ("/:a/*a", "two parameters"), ("/a?b", "the path"),
            ("/a#b", "only the path"), ("/caf%C3%A9", "percent-encoded"),
        ]
    )
    func malformed(path: String, reason: String) throws {
        let error = try #require(throws: RoutesError.self) {
            try Routes { Route.get(path, nothing, name: "wrong") }
        }
        #expect(error.code == .malformedPattern)
        #expect(error.message.contains(reason))
        #expect(error.message.contains("\"wrong\" (GET \(path), declared at PlinthTests/RoutesErrorTests.swift:"))
    }

    @Test("A constraint without a parameter throws")
    func strayConstraint() {
        let error = #expect(throws: RoutesError.self) {
            try Routes { Route.get("/:id", nothing, constraints: ["ID": .digits]) }
        }
        #expect(error?.code == .malformedPattern)
    }

    @Test("A malformed base path throws", arguments: ["app", "/:app", "/a//b"])
    func basePath(base: String) {
        let error = #expect(throws: RoutesError.self) { try Routes(basePath: base) {} }
        #expect(error?.code == .malformedPattern)
    }

    @Test("A duplicate name throws an error that names both routes")
    func duplicateName() throws {
        // Declared outside of the macro, whose expansion changes line numbers.
        let line = #line
        let first = Route.get("/a", nothing, name: "x")
        let second = Route.get("/b", nothing, name: "x")
        let error = try #require(throws: RoutesError.self) { try Routes([first, second]) }
        #expect(error.code == .duplicateName)
        #expect(error.message.contains("\"x\" (GET /a, declared at PlinthTests/RoutesErrorTests.swift:\(line + 1))"))
        #expect(error.message.contains("\"x\" (GET /b, declared at PlinthTests/RoutesErrorTests.swift:\(line + 2))"))
    }

    @Test(
        "Routes that match the same requests throw an error that names both",
        arguments: [
            (Route.get("/a", nothing), Route.get("/a", nothing)),
            (Route.get("/:a", nothing), Route.get("/:b", nothing)),
            (Route.any("/:a/x", nothing), Route.any("/:b/x", nothing)),
            (Route.get("/*a", nothing), Route.get("/*b", nothing)),
            (
                Route.get("/:a", nothing, constraints: ["a": .digits]),
                Route.get("/:b", nothing, constraints: ["b": .digits])
            ),
            (
                Route.get("/*a", nothing, constraints: ["a": .oneOf(["x"])]),
                Route.get("/*b", nothing, constraints: ["b": .oneOf(["x"])])
            ),
        ]
    )
    func conflict(first: Route, second: Route) throws {
        var first = first
        var second = second
        (first.name, second.name) = ("first", "second")
        let error = try #require(throws: RoutesError.self) { try Routes([first, second]) }
        #expect(error.code == .conflict)
        for route in [first, second] {
            #expect(error.message.contains("\(route.path), declared at \(route.fileID):\(route.line)"))
        }
    }

    @Test(
        "Routes that differ in method, constraint or segment kind do not conflict",
        arguments: [
            [Route.get("/a", nothing), Route.post("/a", nothing), Route.any("/a", nothing)],
            [
                Route.get("/:a", nothing), Route.get("/:a", nothing, constraints: ["a": .digits]),
                Route.get("/*a", nothing),
            ],
            [
                Route.get("/:a", nothing, constraints: ["a": .uuid]),
                Route.get("/:a", nothing, constraints: ["a": .digits]),
            ],
            [Route.get("/a", nothing), Route.get("/a/", nothing), Route.get("/A", nothing)],
        ]
    )
    func noConflict(routes: [Route]) throws {
        #expect(try Routes(routes).identities.count == routes.count)
    }
}
