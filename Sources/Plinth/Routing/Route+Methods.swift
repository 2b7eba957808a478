// SPDX-License-Identifier: Apache-2.0

extension Route {
    /// A handler: returns the response to a request.
    public typealias Handler = @Sendable (Request) async throws -> Response
    /// A handler that does not wait.
    public typealias ImmediateHandler = @Sendable (Request) throws -> Response

    /// A route for a method, answered by interceptors.
    ///
    /// - Parameters:
    ///   - method: The method; nil for any.
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - endpoint: An interceptor, or an array of which the last one answers.
    ///   - name: The route's name in URLs, logs and traces. Default: method and pattern.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    /// - Returns: The route.
    public static func on(
        _ method: HTTPRequest.Method?,
        _ path: String,
        _ endpoint: some RouteEndpoint,
        name: String? = nil,
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line
    ) -> Route {
        Route(
            method,
            path,
            name: name,
            interceptors: endpoint.interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line
        )
    }

    /// A route for a method, answered by a closure.
    ///
    /// - Parameters:
    ///   - method: The method; nil for any.
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - name: The name of the route and its handler in URLs, logs and traces. Default: method and pattern.
    ///   - interceptors: Interceptors that run before the handler. Default: none.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    ///   - handler: Returns the response.
    /// - Returns: The route.
    @_disfavoredOverload
    public static func on(
        _ method: HTTPRequest.Method?,
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line,
        _ handler: @escaping Handler
    ) -> Route {
        Route(
            method,
            path,
            name: name,
            interceptors: interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line
        )
        .answered { .handler($0, handler) }
    }

    /// A route for a method, answered by a closure that does not wait; the compiler chooses it for closures without
    /// `await`.
    ///
    /// - Parameters:
    ///   - method: The method; nil for any.
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - name: The name of the route and its handler in URLs, logs and traces. Default: method and pattern.
    ///   - interceptors: Interceptors that run before the handler. Default: none.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    ///   - handler: Returns the response.
    /// - Returns: The route.
    public static func on(
        _ method: HTTPRequest.Method?,
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line,
        _ handler: @escaping ImmediateHandler
    ) -> Route {
        Route(
            method,
            path,
            name: name,
            interceptors: interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line
        )
        .answered { .handler($0, handler) }
    }

    /// The route with a handler, made from its final name.
    private func answered(by handler: @escaping @Sendable (String) -> Interceptor) -> Route {
        var route = self
        route.handler = handler
        return route
    }

    /// Routes for `GET`, which also answer `HEAD` unless another route does.
    public static let get = RouteMethod(.get)
    /// Routes for `POST`.
    public static let post = RouteMethod(.post)
    /// Routes for `PUT`.
    public static let put = RouteMethod(.put)
    /// Routes for `PATCH`.
    public static let patch = RouteMethod(.patch)
    /// Routes for `DELETE`.
    public static let delete = RouteMethod(.delete)
    /// Routes for any method; one for the specific method takes precedence.
    public static let any = RouteMethod(nil)
}

/// Makes routes for one method: `Route.get("/users/:id") { request in … }`.
public struct RouteMethod: Sendable {
    private let method: HTTPRequest.Method?

    init(_ method: HTTPRequest.Method?) {
        self.method = method
    }

    /// A route answered by interceptors.
    ///
    /// - Parameters:
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - endpoint: An interceptor, or an array of which the last one answers.
    ///   - name: The route's name in URLs, logs and traces. Default: method and pattern.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    /// - Returns: The route.
    public func callAsFunction(
        _ path: String,
        _ endpoint: some RouteEndpoint,
        name: String? = nil,
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line
    ) -> Route {
        .on(method, path, endpoint, name: name, constraints: constraints, fileID: fileID, line: line)
    }

    /// A route answered by a closure.
    ///
    /// - Parameters:
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - name: The name of the route and its handler in URLs, logs and traces. Default: method and pattern.
    ///   - interceptors: Interceptors that run before the handler. Default: none.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    ///   - handler: Returns the response.
    /// - Returns: The route.
    @_disfavoredOverload
    public func callAsFunction(
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line,
        _ handler: @escaping Route.Handler
    ) -> Route {
        .on(
            method,
            path,
            name: name,
            interceptors: interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line,
            handler
        )
    }

    /// A route answered by a closure that does not wait; the compiler chooses it for closures without `await`.
    ///
    /// - Parameters:
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - name: The name of the route and its handler in URLs, logs and traces. Default: method and pattern.
    ///   - interceptors: Interceptors that run before the handler. Default: none.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    ///   - handler: Returns the response.
    /// - Returns: The route.
    public func callAsFunction(
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line,
        _ handler: @escaping Route.ImmediateHandler
    ) -> Route {
        .on(
            method,
            path,
            name: name,
            interceptors: interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line,
            handler
        )
    }
}
