// SPDX-License-Identifier: Apache-2.0

/// The interceptors that a new service gets, in an order in which they work together.
///
/// ```swift
/// let chain = Chain.default(routes) { stack in
///     stack.cors = CORSPolicy(origins: .only(["https://app.example.com"]))
///     stack.staticResources = [try .staticResources("Public")]
/// }
/// ```
///
/// They are entered from the top, and left from the bottom:
///
/// | | Interceptor | Unless changed | Why here |
/// |--:|---|---|---|
/// | 1 | ``Interceptor/requestLog(level:)`` | at `info` | sees the final status and the whole duration |
/// | 2 | ``Interceptor/secureHeaders(_:)`` | strict | all responses get them: preflights, errors, event streams |
/// | 3 | ``Interceptor/cors(_:)`` | off | answers preflights before anything that a preflight could fail at |
/// | 4 | ``Interceptor/cookies()`` | on | cookies are set on errors too |
/// | 5 | ``Interceptor/errorResponses()`` | on | what is behind it may throw, and its response passes 4 to 1 |
/// | 6 | ``Interceptor/notFound()`` | plain text | answers after all others had their chance |
/// | 7 | ``staticResources`` | none | files where no route matched |
/// | 8 | ``Interceptor/queryParameters(limit:)`` | 1,000 | 400 for a malformed query before a handler sees it |
/// | 9 | ``Interceptor/htmlBody()`` | on | a string is a page |
/// | 10 | ``interceptors`` | none | your own, for all routes |
/// | 11 | ``Routes/router`` | | enqueues the interceptors of the route; 405 and `OPTIONS` pass 10 to 1 |
///
/// Bodies are not read here: a route that takes a form says so with ``Interceptor/bodyParameters(limit:count:)``, so
/// that others can stream theirs.
public struct DefaultStack: Sendable {
    /// The level of the request log; `info` unless set, nil for no log.
    public var requestLogLevel: Logger.Level? = .info
    /// The secure header fields; the strict ones unless set, nil for none.
    public var secureHeaders: SecureHeaders? = SecureHeaders()
    /// Which other origins may read responses; none unless set.
    public var cors: CORSPolicy?
    /// Whether errors are shown: ``Interceptor/developmentErrors()`` in place of ``Interceptor/errorResponses()``.
    public var showsErrors = false
    /// What answers where nothing else did; ``Interceptor/notFound()`` unless set.
    public var notFound: Interceptor = .notFound()
    /// Directories of files, from ``Interceptor/staticResources(_:at:cacheControl:index:)``; none unless set.
    ///
    /// The last one is asked first.
    public var staticResources: [Interceptor] = []
    /// The most parameters of a query; 1,000 unless set.
    public var queryParameterLimit = 1_000
    /// Whether a body that is a string is a page; true unless set.
    public var takesStringsForPages = true
    /// More interceptors for all routes, between these and the router; none unless set.
    public var interceptors: [Interceptor] = []

    /// The stack with the values that each property documents.
    public init() {}

    /// The interceptors in the order in which they are entered, the router being the last.
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
    /// The chain that a new service gets: ``DefaultStack``, and the routes.
    public static func `default`(_ routes: Routes) -> Chain {
        Chain(DefaultStack().interceptors(for: routes))
    }

    /// The chain that a new service gets, with changes: ``DefaultStack``, and the routes.
    ///
    /// - Parameters:
    ///   - routes: The routes.
    ///   - configure: Changes the stack.
    /// - Returns: The chain.
    /// - Throws: What `configure` throws.
    public static func `default`(_ routes: Routes, configure: (inout DefaultStack) throws -> Void) rethrows -> Chain {
        var stack = DefaultStack()
        try configure(&stack)
        return Chain(stack.interceptors(for: routes))
    }

    /// The chain of a service that is being worked on: ``default(_:)``, with errors shown in responses, and nothing
    /// cached.
    public static func development(_ routes: Routes) -> Chain {
        development(routes) { _ in }
    }

    /// The chain of a service that is being worked on, with changes.
    ///
    /// - Parameters:
    ///   - routes: The routes.
    ///   - configure: Changes the stack, in which ``DefaultStack/showsErrors`` is set.
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
