// SPDX-License-Identifier: Apache-2.0

/// The routes of a service: which interceptors handle which method and path.
///
/// ```swift
/// let routes = try Routes {
///     Route.get("/users/:id", name: "user", constraints: ["id": .digits]) { request in
///         .text("user \(try request.pathParameters.require("id"))")
///     }
///     Route.get("/events", counter)
///     Route.group("/admin", interceptors: [authenticate]) {
///         Route.post("/purge", purge)
///     }
/// }
/// let chain = Chain([.notFound(), routes.router])
/// ```
///
/// ## Patterns
///
/// A pattern starts with a slash and consists of slash-separated segments:
///
/// | Segment | Matches |
/// |---|---|
/// | `users` | itself, byte by byte; written decoded, not percent-encoded |
/// | `:id` | one non-empty segment |
/// | `*rest`, last only | one or more segments, including slashes; the first is not empty |
///
/// The path of a request is split at its slashes; then each segment is percent-decoded once. `%2F` therefore never
/// separates segments: in a parameter it is a slash in the value, and in the value of a wildcard it is
/// indistinguishable from a separator. A path with malformed encoding or invalid UTF-8 is answered with 400. A `+` is
/// literal.
///
/// Paths are not normalized: `/a` and `/a/` differ; `//` contains an empty segment, which only a wildcard can match,
/// and not as its first segment; `.` and `..` are ordinary segments. Matching is case-sensitive.
///
/// ## Precedence
///
/// Each segment, from left to right, matches in this order: fixed text, constrained parameters in declaration order,
/// unconstrained parameters, constrained wildcards, unconstrained wildcards. If the remaining segments do not match,
/// the router backtracks, so declaration order never hides a route. For the same path, a route for the specific method
/// precedes one for any method. A route for another method never shadows a match: with `GET /users/me` and
/// `DELETE /users/:id`, `DELETE /users/me` matches the second.
///
/// ## Methods
///
/// `HEAD` matches the `GET` route unless there is one for `HEAD`; the handler sees `HEAD`, and the connector sends no
/// body. If the path matches only routes for other methods, the router answers 405 with `Allow`, and `OPTIONS` with 204
/// and `Allow`.
///
/// ## Cost
///
/// A path without parameters takes one dictionary lookup, any other a tree walk; neither depends on the number of
/// routes. The walk visits each node at most once.
public struct Routes: Sendable {
    let table: RouteTable
    /// The path under which a proxy exposes the service: empty, or with a leading and no trailing slash.
    public let basePath: String

    /// Creates routes from a flat table.
    ///
    /// - Parameters:
    ///   - routes: The routes. Order matters only among constrained parameters in the same position.
    ///   - basePath: The prefix of all request paths, for a proxy that exposes the service under a path and does not
    ///     strip it. Routing strips it; `url(for:)` adds it. Default: empty.
    /// - Throws: ``RoutesError`` for the first malformed pattern, duplicate name, or pair of routes that match the same
    ///   requests. The message names the routes and where they are declared.
    public init(_ routes: [Route], basePath: String = "") throws(RoutesError) {
        var base = basePath
        while base.utf8.last == UInt8(ascii: "/") { base.removeLast() }
        self.basePath = base
        self.table = try RouteTable(routes, basePath: base)
    }

    /// Creates routes from nested declarations.
    ///
    /// - Parameters:
    ///   - basePath: The prefix of all request paths; see ``init(_:basePath:)``. Default: empty.
    ///   - routes: The routes and groups.
    /// - Throws: ``RoutesError``, as ``init(_:basePath:)``.
    public init(basePath: String = "", @RoutesBuilder _ routes: () -> [Route]) throws(RoutesError) {
        try self.init(routes(), basePath: basePath)
    }

    /// The name and pattern of each route, in declaration order.
    public var identities: [RouteIdentity] { table.routes.map(\.identity) }
}
