// SPDX-License-Identifier: Apache-2.0

/// The default interceptors of a service, in an order in which they work together.
///
/// ```swift
/// let chain = Chain.default(routes) { stack in
///     stack.cors = CORSPolicy(origins: .only(["https://app.example.com"]))
///     stack.staticResources = [try .staticResources("Public")]
/// }
/// ```
///
/// They are entered from top to bottom, and left from bottom to top:
///
/// | | Interceptor | Default | Why here |
/// |--:|---|---|---|
/// | 1 | ``Interceptor/requestLog(level:)`` | at `info` | sees the final status and the full duration |
/// | 2 | ``Interceptor/secureHeaders(_:)`` | strict | applies to all responses: preflights, errors, event streams |
/// | 3 | ``Interceptor/cors(_:)`` | off | answers preflights before anything that could reject them |
/// | 4 | ``Interceptor/cookies()`` | on | also sets cookies on error responses |
/// | 5 | ``Interceptor/errorResponses()`` | on | handles errors of 6 to 11; the response passes 4 to 1 |
/// | 6 | ``Interceptor/notFound()`` | plain text | answers if no other interceptor did |
/// | 7 | ``staticResources`` | none | serves files if no route matched |
/// | 8 | ``Interceptor/queryParameters(limit:)`` | 1,000 | rejects a malformed query (400) before the handlers |
/// | 9 | ``Interceptor/htmlBody()`` | on | serves strings as HTML |
/// | 10 | ``interceptors`` | none | application interceptors for all routes |
/// | 11 | ``Routes/router`` | | enqueues the route's interceptors; 405 and `OPTIONS` responses pass 10 to 1 |
///
/// Bodies are not read here, so that handlers can stream them. A route that takes a form adds
/// ``Interceptor/bodyParameters(limit:count:)``.
public struct DefaultStack: Sendable {
    /// The level of the request log; nil for none.
    ///
    /// Default: `info`.
    public var requestLogLevel: Logger.Level? = .info
    /// The security header fields; nil for none.
    ///
    /// Default: the strict ones.
    public var secureHeaders: SecureHeaders? = SecureHeaders()
    /// The policy for cross-origin access; nil for none.
    ///
    /// Default: nil.
    public var cors: CORSPolicy?
    /// Whether responses show errors: ``Interceptor/developmentErrors()`` replaces ``Interceptor/errorResponses()``.
    ///
    /// Default: false.
    public var showsErrors = false
    /// The interceptor that answers if no other did.
    ///
    /// Default: ``Interceptor/notFound()``.
    public var notFound: Interceptor = .notFound()
    /// Directories to serve, from ``Interceptor/staticResources(_:at:cacheControl:index:)``.
    ///
    /// The last one takes precedence. Default: none.
    public var staticResources: [Interceptor] = []
    /// The maximum number of query parameters.
    ///
    /// Default: 1,000.
    public var queryParameterLimit = 1_000
    /// Whether string bodies without a content type are served as HTML.
    ///
    /// Default: true.
    public var takesStringsForPages = true
    /// Additional interceptors for all routes, just before the router.
    ///
    /// Default: none.
    public var interceptors: [Interceptor] = []

    /// Creates a stack with the default values.
    public init() {}

    /// The interceptors in entry order, ending with the router.
    public func interceptors(for routes: Routes) -> [Interceptor] {
        var stack: [Interceptor] = []
        if let requestLogLevel { stack.append(.requestLog(level: requestLogLevel)) }
        if let secureHeaders { stack.append(.secureHeaders(secureHeaders)) }
        if let cors { stack.append(.cors(cors)) }
        stack.append(.cookies())
        stack.append(showsErrors ? .developmentErrors() : .errorResponses())
        stack.append(notFound)
        stack += staticResources
        stack.append(.queryParameters(limit: queryParameterLimit))
        if takesStringsForPages { stack.append(.htmlBody()) }
        return stack + interceptors + [routes.router]
    }
}

extension Chain {
    /// Creates a chain of ``DefaultStack`` and the routes.
    public static func `default`(_ routes: Routes) -> Chain {
        Chain(DefaultStack().interceptors(for: routes))
    }

    /// Creates a chain of a customized ``DefaultStack`` and the routes.
    ///
    /// - Parameters:
    ///   - routes: The routes.
    ///   - configure: Customizes the stack.
    /// - Returns: The chain.
    /// - Throws: What `configure` throws.
    public static func `default`(_ routes: Routes, configure: (inout DefaultStack) throws -> Void) rethrows -> Chain {
        var stack = DefaultStack()
        try configure(&stack)
        return Chain(stack.interceptors(for: routes))
    }

    /// Creates a chain for development: ``default(_:)`` with errors shown in responses and caching disabled.
    public static func development(_ routes: Routes) -> Chain {
        development(routes) { _ in }
    }

    /// Creates a customized chain for development.
    ///
    /// - Parameters:
    ///   - routes: The routes.
    ///   - configure: Customizes the stack, in which ``DefaultStack/showsErrors`` is set.
    /// - Returns: The chain.
    /// - Throws: What `configure` throws.
    public static func development(
        _ routes: Routes,
        configure: (inout DefaultStack) throws -> Void
    ) rethrows -> Chain {
        try .default(routes) { stack in
            stack.showsErrors = true
            try configure(&stack)
        }
    }
}
