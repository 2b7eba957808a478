// SPDX-License-Identifier: Apache-2.0

// Each method has two overloads: interceptors as the endpoint, and a closure as the handler.

extension Route {
    /// A handler: returns the response to a request.
    public typealias Handler = @Sendable (Request) async throws -> Response

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
        var route = Route(
            method,
            path,
            name: name,
            interceptors: interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line
        )
        route.handler = handler
        return route
    }

    /// A route for `GET`, answered by interceptors.
    ///
    /// It also answers `HEAD`, unless another route does.
    ///
    /// - Parameters:
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - endpoint: An interceptor, or an array of which the last one answers.
    ///   - name: The route's name in URLs, logs and traces. Default: method and pattern.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    /// - Returns: The route.
    public static func get(
        _ path: String,
        _ endpoint: some RouteEndpoint,
        name: String? = nil,
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line
    ) -> Route {
        on(.get, path, endpoint, name: name, constraints: constraints, fileID: fileID, line: line)
    }

    /// A route for `GET`, answered by a closure.
    ///
    /// It also answers `HEAD`, unless another route does.
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
    public static func get(
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line,
        _ handler: @escaping Handler
    ) -> Route {
        on(
            .get,
            path,
            name: name,
            interceptors: interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line,
            handler
        )
    }

    /// A route for `POST`, answered by interceptors.
    ///
    /// - Parameters:
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - endpoint: An interceptor, or an array of which the last one answers.
    ///   - name: The route's name in URLs, logs and traces. Default: method and pattern.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    /// - Returns: The route.
    public static func post(
        _ path: String,
        _ endpoint: some RouteEndpoint,
        name: String? = nil,
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line
    ) -> Route {
        on(.post, path, endpoint, name: name, constraints: constraints, fileID: fileID, line: line)
    }

    /// A route for `POST`, answered by a closure.
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
    public static func post(
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line,
        _ handler: @escaping Handler
    ) -> Route {
        on(
            .post,
            path,
            name: name,
            interceptors: interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line,
            handler
        )
    }

    /// A route for `PUT`, answered by interceptors.
    ///
    /// - Parameters:
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - endpoint: An interceptor, or an array of which the last one answers.
    ///   - name: The route's name in URLs, logs and traces. Default: method and pattern.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    /// - Returns: The route.
    public static func put(
        _ path: String,
        _ endpoint: some RouteEndpoint,
        name: String? = nil,
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line
    ) -> Route {
        on(.put, path, endpoint, name: name, constraints: constraints, fileID: fileID, line: line)
    }

    /// A route for `PUT`, answered by a closure.
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
    public static func put(
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line,
        _ handler: @escaping Handler
    ) -> Route {
        on(
            .put,
            path,
            name: name,
            interceptors: interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line,
            handler
        )
    }

    /// A route for `PATCH`, answered by interceptors.
    ///
    /// - Parameters:
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - endpoint: An interceptor, or an array of which the last one answers.
    ///   - name: The route's name in URLs, logs and traces. Default: method and pattern.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    /// - Returns: The route.
    public static func patch(
        _ path: String,
        _ endpoint: some RouteEndpoint,
        name: String? = nil,
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line
    ) -> Route {
        on(.patch, path, endpoint, name: name, constraints: constraints, fileID: fileID, line: line)
    }

    /// A route for `PATCH`, answered by a closure.
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
    public static func patch(
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line,
        _ handler: @escaping Handler
    ) -> Route {
        on(
            .patch,
            path,
            name: name,
            interceptors: interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line,
            handler
        )
    }

    /// A route for `DELETE`, answered by interceptors.
    ///
    /// - Parameters:
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - endpoint: An interceptor, or an array of which the last one answers.
    ///   - name: The route's name in URLs, logs and traces. Default: method and pattern.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    /// - Returns: The route.
    public static func delete(
        _ path: String,
        _ endpoint: some RouteEndpoint,
        name: String? = nil,
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line
    ) -> Route {
        on(.delete, path, endpoint, name: name, constraints: constraints, fileID: fileID, line: line)
    }

    /// A route for `DELETE`, answered by a closure.
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
    public static func delete(
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line,
        _ handler: @escaping Handler
    ) -> Route {
        on(
            .delete,
            path,
            name: name,
            interceptors: interceptors,
            constraints: constraints,
            fileID: fileID,
            line: line,
            handler
        )
    }

    /// A route for any method, answered by interceptors.
    ///
    /// A route for the specific method takes precedence.
    ///
    /// - Parameters:
    ///   - path: The pattern; see ``Routes`` for the rules.
    ///   - endpoint: An interceptor, or an array of which the last one answers.
    ///   - name: The route's name in URLs, logs and traces. Default: method and pattern.
    ///   - constraints: The constraints on parameters. Default: none.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    /// - Returns: The route.
    public static func any(
        _ path: String,
        _ endpoint: some RouteEndpoint,
        name: String? = nil,
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line
    ) -> Route {
        on(nil, path, endpoint, name: name, constraints: constraints, fileID: fileID, line: line)
    }

    /// A route for any method, answered by a closure.
    ///
    /// A route for the specific method takes precedence.
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
    public static func any(
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor] = [],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line,
        _ handler: @escaping Handler
    ) -> Route {
        on(
            nil,
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
