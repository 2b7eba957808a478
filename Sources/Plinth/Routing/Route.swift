// SPDX-License-Identifier: Apache-2.0

/// A method, a path pattern, and the interceptors that answer what matches both.
///
/// The rules of patterns are with ``Routes``, which takes routes as a nested form or as a flat table.
public struct Route: Sendable {
    /// The method, nil for any.
    public var method: HTTPRequest.Method?
    /// The pattern, such as `/users/:id`.
    public var path: String
    /// The name as it was given; ``defaultName`` otherwise.
    public var name: String?
    /// What runs for a request that matches: the last one answers, unless a closure was given as the handler.
    public var interceptors: [Interceptor]
    /// The closure that answers, if one was given.
    ///
    /// It becomes an interceptor when the name of the route is certain: groups still change the path, and thus the
    /// default name.
    var handler: Handler?
    /// What parameters must look like for the route to match.
    public var constraints: [String: ParameterConstraint]
    /// The file that declares it, which messages about conflicts name.
    public var fileID: String
    /// The line that declares it.
    public var line: Int

    /// A route as a row of a flat table.
    ///
    /// ```swift
    /// Route(.get, "/orders/:id", name: "order", interceptors: [authenticate, showOrder])
    /// ```
    ///
    /// - Parameters:
    ///   - method: The method it answers; nil for any.
    ///   - path: The pattern.
    ///   - name: What ``Routes/url(for:parameters:query:)``, logs and traces call it. Unless given, method and pattern.
    ///   - interceptors: What runs for a request that matches, the last one being the handler.
    ///   - constraints: What parameters must look like; any value that is not empty unless given.
    ///   - fileID: Where the route is declared.
    ///   - line: Where the route is declared.
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

    /// The name of a route that was not given any: its method and pattern, as in `GET /users/:id`, with `ANY` for any
    /// method; a constraint follows its parameter in parentheses, as in `GET /users/:id(digits)`.
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

    /// How messages call it: `"user" (GET /users/:id, declared at App/main.swift:12)`.
    var place: String {
        "\"\(name ?? defaultName)\" (\(method?.rawValue ?? "ANY") \(path), declared at \(fileID):\(line))"
    }
}

/// What can stand behind a path: an interceptor that answers, or several of which the last one does.
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
