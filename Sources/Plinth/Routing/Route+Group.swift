// SPDX-License-Identifier: Apache-2.0

extension Route {
    /// Routes that share a path prefix and interceptors.
    ///
    /// Paths are put together as they are written: `/admin` and `/purge` make `/admin/purge`, `/admin` and an empty path
    /// make `/admin`. Groups nest; the interceptors of the outer group come first.
    ///
    /// ```swift
    /// Route.group("/admin", interceptors: [authenticate]) {
    ///     Route.get("", dashboard)
    ///     Route.post("/purge", purge)
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - prefix: What the paths begin with: nothing, or a pattern with a slash at its beginning and none at its end.
    ///   - interceptors: What runs before the interceptors of each route.
    ///   - constraints: What the parameters of the prefix must look like.
    ///   - routes: The routes.
    /// - Returns: The routes, with prefix and interceptors.
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
            // A parameter that is declared twice is an error of the pattern, so nothing is hidden by either choice.
            route.constraints.merge(constraints) { inner, _ in inner }
            return route
        }
    }
}

/// Puts routes together from declarations: routes, groups, arrays of routes, conditions and loops.
@resultBuilder
public enum RoutesBuilder {
    /// One route.
    public static func buildExpression(_ route: Route) -> [Route] { [route] }
    /// A group, or an array that was made elsewhere.
    public static func buildExpression(_ routes: [Route]) -> [Route] { routes }
    /// All of a block.
    public static func buildBlock(_ routes: [Route]...) -> [Route] { routes.flatMap { $0 } }
    /// A condition without `else`.
    public static func buildOptional(_ routes: [Route]?) -> [Route] { routes ?? [] }
    /// The first branch of a condition.
    public static func buildEither(first routes: [Route]) -> [Route] { routes }
    /// The second branch of a condition.
    public static func buildEither(second routes: [Route]) -> [Route] { routes }
    /// A loop.
    public static func buildArray(_ routes: [[Route]]) -> [Route] { routes.flatMap { $0 } }
    /// What an `#available` condition guards.
    public static func buildLimitedAvailability(_ routes: [Route]) -> [Route] { routes }
}
