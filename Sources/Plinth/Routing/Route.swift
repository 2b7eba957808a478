// SPDX-License-Identifier: Apache-2.0

/// A method, a path pattern, and the interceptors that handle matching requests.
///
/// See ``Routes`` for the pattern rules; it takes routes as nested declarations or as a flat table.
public struct Route: Sendable {
    /// The method; nil for any.
    public var method: HTTPRequest.Method?
    /// The pattern, such as `/users/:id`.
    public var path: String
    /// The explicit name; nil for ``defaultName``.
    public var name: String?
    /// The interceptors that run for a matching request; the last one answers, unless the handler is a closure.
    public var interceptors: [Interceptor]
    /// Makes the handler from its name, if the route has a closure.
    ///
    /// Called once the name of the route is final: groups still change the path, and thus the default name.
    var handler: (@Sendable (String) -> Interceptor)?
    /// The constraints on parameters.
    public var constraints: [String: ParameterConstraint]
    /// The file that declares the route, for error messages.
    public var fileID: String
    /// The line that declares the route.
    public var line: Int

    /// Creates a route, as a row of a flat table.
    ///
    /// ```swift
    /// Route(.get, "/orders/:id", name: "order", interceptors: [authenticate, showOrder])
    /// ```
    ///
    /// - Parameters:
    ///   - method: The method; nil for any.
    ///   - path: The pattern.
    ///   - name: The name in ``Routes/url(for:parameters:query:)``, logs and traces. Default: method and pattern.
    ///   - interceptors: The interceptors that run for a matching request; the last one is the handler.
    ///   - constraints: The constraints on parameters. Default: none, any non-empty value matches.
    ///   - fileID: The file that declares the route.
    ///   - line: The line that declares the route.
    public init(
        _ method: HTTPRequest.Method?,
        _ path: String,
        name: String? = nil,
        interceptors: [Interceptor],
        constraints: [String: ParameterConstraint] = [:],
        fileID: String = #fileID,
        line: Int = #line
    ) {
        self.method = method
        self.path = path
        self.name = name
        self.interceptors = interceptors
        self.constraints = constraints
        self.fileID = fileID
        self.line = line
    }

    /// The name of a route without an explicit one: method and pattern, such as `GET /users/:id`.
    ///
    /// The method is `ANY` for any method. A constraint follows its parameter in parentheses, as in
    /// `GET /users/:id(digits)`.
    public var defaultName: String {
        let pattern =
            constraints.isEmpty
            ? path
            : path.split(separator: "/", omittingEmptySubsequences: false).map { segment in
                guard let constraint = constraints[String(segment.dropFirst())],
                    segment.first.map(":*".contains) == true
                else { return String(segment) }
                return "\(segment)(\(constraint))"
            }.joined(separator: "/")
        return "\(method?.rawValue ?? "ANY") \(pattern)"
    }

    /// The route in error messages: `"user" (GET /users/:id, declared at App/main.swift:12)`.
    var place: String {
        "\"\(name ?? defaultName)\" (\(method?.rawValue ?? "ANY") \(path), declared at \(fileID):\(line))"
    }
}

/// The endpoint of a route: one interceptor, or several of which the last one answers.
public protocol RouteEndpoint {
    /// The interceptors in order.
    var interceptors: [Interceptor] { get }
}

extension Interceptor: RouteEndpoint {
    /// This interceptor alone.
    public var interceptors: [Interceptor] { [self] }
}

extension [Interceptor]: RouteEndpoint {
    /// These interceptors.
    public var interceptors: [Interceptor] { self }
}
