// SPDX-License-Identifier: Apache-2.0

/// The routes of a service: which interceptors answer which method and path.
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
/// A pattern begins with a slash and consists of segments between slashes:
///
/// | Segment | Matches |
/// |---|---|
/// | `users` | itself, byte by byte. It is written as it reads, not percent-encoded. |
/// | `:id` | one segment that is not empty |
/// | `*rest`, last only | one or more segments, slashes included, of which the first is not empty |
///
/// The path of a request is split at its slashes, then every segment is percent-decoded, once. So `%2F` in a parameter
/// is a slash within it, and never separates segments; only in the value of a wildcard it looks like one that does. A
/// path whose encoding is malformed or does not stand for UTF-8 is answered 400. A `+` stands for itself.
///
/// Paths are taken literally: `/a` and `/a/` are two paths, `//` encloses an empty segment which no pattern matches
/// (but a wildcard may contain it), and `.` and `..` are segments like others. Case matters.
///
/// ## Precedence
///
/// Segment by segment from the left: fixed text, then parameters with a constraint in the order of declaration, then
/// parameters without, then wildcards with a constraint, then those without. If what follows does not match, the next
/// possibility is tried: declaration order never hides a route. On the same path a route for the method itself comes
/// before one for any method. A route of another method never gets in the way: with `GET /users/me` and
/// `DELETE /users/:id`, `DELETE /users/me` goes to the second.
///
/// ## Methods
///
/// `HEAD` goes to the route for `GET` unless there is one for `HEAD`; the handler sees `HEAD`, and the connector sends
/// no body. If patterns match only for other methods, the answer is 405 with `Allow`, and to `OPTIONS` 204 with
/// `Allow`.
///
/// ## Cost
///
/// A path without parameters is found by one dictionary lookup, others by a walk down a tree: neither depends on the
/// number of routes. The walk visits each node of the tree at most once, whatever the path.
public struct Routes: Sendable {
    let table: RouteTable
    /// The path under which a proxy publishes the service: empty, or with a slash at its beginning and none at its end.
    public let basePath: String

    /// Routes of a flat table.
    ///
    /// - Parameters:
    ///   - routes: The routes; their order matters only among constrained parameters in the same place.
    ///   - basePath: What all paths of the service begin with, where a proxy publishes it under a path and leaves that
    ///     in the requests. Routing strips it, `url(for:)` adds it. None unless given.
    /// - Throws: The first mistake: a malformed pattern, two routes of one name, two routes that match the same
    ///   requests. The message names the routes and where they are declared.
    public init(_ routes: [Route], basePath: String = "") throws(RoutesError) {
        var base = basePath
        while base.utf8.last == UInt8(ascii: "/") { base.removeLast() }
        self.basePath = base
        self.table = try RouteTable(routes, basePath: base)
    }

    /// Routes as a nested form.
    ///
    /// - Parameters:
    ///   - basePath: What all paths of the service begin with; see ``init(_:basePath:)``. None unless given.
    ///   - routes: Routes and groups.
    /// - Throws: The first mistake, as ``init(_:basePath:)``.
    public init(basePath: String = "", @RoutesBuilder _ routes: () -> [Route]) throws(RoutesError) {
        try self.init(routes(), basePath: basePath)
    }

    /// The name and pattern of each route, in the order of declaration.
    public var identities: [RouteIdentity] { table.routes.map(\.identity) }
}
