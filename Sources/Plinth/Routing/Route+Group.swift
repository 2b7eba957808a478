// SPDX-License-Identifier: Apache-2.0

extension Route {
    /// Groups routes under a path prefix and shared interceptors.
    ///
    /// Paths are concatenated: `/admin` and `/purge` give `/admin/purge`, `/admin` and an empty path give `/admin`.
    /// Groups nest; the interceptors of the outer group run first.
    ///
    /// ```swift
    /// Route.group("/admin", interceptors: [authenticate]) {
    ///     Route.get("", dashboard)
    ///     Route.post("/purge", purge)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - prefix: The prefix of the paths: empty, or a pattern with a leading and no trailing slash. Default: empty.
    ///   - interceptors: Interceptors that run before those of each route. Default: none.
    ///   - constraints: The constraints on the parameters of the prefix. Default: none.
    ///   - routes: The routes.
    /// - Returns: The routes, with the prefix, interceptors and constraints applied.
    public static func group(
        _ prefix: String = "",
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        @RoutesBuilder _ routes: () -> [Route]
    ) -> [Route] {
        routes().map { route in
            var route = route
            route.path = prefix + route.path
            route.interceptors = interceptors + route.interceptors
            // A duplicate parameter is a pattern error, so neither choice can hide a constraint.
            route.constraints.merge(constraints) { inner, _ in inner }
            return route
        }
    }
}

/// Builds an array of routes from routes, groups, arrays of routes, conditions and loops.
@resultBuilder
public enum RoutesBuilder {
    /// Adds a route.
    public static func buildExpression(_ route: Route) -> [Route] { [route] }
    /// Adds a group or an array of routes.
    public static func buildExpression(_ routes: [Route]) -> [Route] { routes }
    /// Concatenates the routes of a block.
    public static func buildBlock(_ routes: [Route]...) -> [Route] { routes.flatMap { $0 } }
    /// Supports `if` without `else`.
    public static func buildOptional(_ routes: [Route]?) -> [Route] { routes ?? [] }
    /// Supports the first branch of `if`-`else` and `switch`.
    public static func buildEither(first routes: [Route]) -> [Route] { routes }
    /// Supports the second branch of `if`-`else` and `switch`.
    public static func buildEither(second routes: [Route]) -> [Route] { routes }
    /// Supports `for` loops.
    public static func buildArray(_ routes: [[Route]]) -> [Route] { routes.flatMap { $0 } }
    /// Supports `if #available`.
    public static func buildLimitedAvailability(_ routes: [Route]) -> [Route] { routes }
}
