// SPDX-License-Identifier: Apache-2.0

/// A request, as handlers and interceptors receive it.
public struct Request: Sendable {
    /// Method, target and header fields.
    public var head: HTTPRequest
    /// The HTTP version.
    public var version: HTTPVersion
    /// The body, which can be read once.
    public var body: RequestBody
    /// The peer address of the connection; nil on a Unix socket and in tests.
    ///
    /// Behind a proxy this is the proxy's address.
    public var remoteAddress: String?
    /// Whether the connection is encrypted.
    public var isSecure: Bool
    /// Whether the listening socket is bound to a loopback address, which only local processes can reach.
    ///
    /// False for a Unix socket.
    public var isOnLoopback: Bool
    /// Identifies the request in logs; unique within the process.
    public var id: String
    /// A logger with ``id`` in its metadata.
    public var logger: Logger
    /// The path parameters of the matched route, percent-decoded.
    public var pathParameters: PathParameters
    /// The matched route; nil if none matched.
    ///
    /// Metrics are labelled with the route, never with the path.
    public var route: RouteIdentity?
    /// The router's routes, for ``url(for:parameters:query:)``.
    var routes: Routes?
    /// Values attached by interceptors.
    public var values: TypedValues

    /// Creates a request.
    ///
    /// - Parameters:
    ///   - head: Method, target and header fields.
    ///   - version: The HTTP version. Default: HTTP/1.1.
    ///   - body: The body. Default: empty.
    ///   - remoteAddress: The peer address. Default: nil.
    ///   - isSecure: Whether the connection is encrypted. Default: false.
    ///   - isOnLoopback: Whether the listening socket is bound to a loopback address. Default: false.
    ///   - id: The request ID. Default: a new one.
    ///   - logger: The logger. Default: one that discards everything.
    public init(
        head: HTTPRequest,
        version: HTTPVersion = .http1_1,
        body: RequestBody = .empty,
        remoteAddress: String? = nil,
        isSecure: Bool = false,
        isOnLoopback: Bool = false,
        id: String = RequestID.next(),
        logger: Logger = Logger(label: "plinth.request") { _ in SwiftLogNoOpLogHandler() }
    ) {
        self.head = head
        self.version = version
        self.body = body
        self.remoteAddress = remoteAddress
        self.isSecure = isSecure
        self.isOnLoopback = isOnLoopback
        self.id = id
        self.logger = logger
        self.pathParameters = PathParameters()
        self.route = nil
        self.routes = nil
        self.values = TypedValues()
    }

    /// The method.
    public var method: HTTPRequest.Method { head.method }

    /// The header fields.
    public var headers: HTTPFields { head.headerFields }

    /// The path as sent: percent-encoded, without the query.
    public var path: Substring {
        let target = head.path ?? "/"
        // Search bytes: "?" followed by a combining character is a different Character.
        return target[..<(target.utf8.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex)]
    }

    /// The query as sent: percent-encoded, without the question mark; nil if there is none.
    public var query: Substring? {
        guard let target = head.path, let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        return target[target.utf8.index(after: mark)...]
    }
}
