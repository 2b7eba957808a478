// SPDX-License-Identifier: Apache-2.0

/// A request, as handlers and interceptors see it.
public struct Request: Sendable {
    /// Method, target and header fields.
    public var head: HTTPRequest
    /// The version of HTTP that it came with.
    public var version: HTTPVersion
    /// Its body, read once.
    public var body: RequestBody
    /// The address of the other end of the connection, nil where there is none (a Unix socket, a test).
    ///
    /// Behind a proxy that is the proxy.
    public var remoteAddress: String?
    /// Whether the connection is encrypted.
    public var isSecure: Bool
    /// Whether the socket that accepted the connection listens on a loopback address, which only programs of the same
    /// machine reach.
    ///
    /// False on a Unix socket.
    public var isOnLoopback: Bool
    /// Tells this request from others in logs: unique in this process.
    public var id: String
    /// A logger whose lines carry ``id``.
    public var logger: Logger
    /// What the route's pattern matched, percent-decoded.
    public var pathParameters: PathParameters
    /// The route that matched.
    ///
    /// Metrics are labelled with it, never with the path.
    public var route: RouteIdentity?
    /// The routes that the router chose from, for ``url(for:parameters:query:)``.
    var routes: Routes?
    /// What interceptors attached.
    public var values: TypedValues

    /// A request made by hand.
    ///
    /// - Parameters:
    ///   - head: Method, target and header fields.
    ///   - version: HTTP/1.1 unless given.
    ///   - body: Empty unless given.
    ///   - remoteAddress: The other end; unknown unless given.
    ///   - isSecure: Whether the connection is encrypted; not unless given.
    ///   - isOnLoopback: Whether the socket that accepted it listens on a loopback address; not unless given.
    ///   - id: A new one unless given.
    ///   - logger: One that keeps quiet unless given.
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

    /// The path as it was sent: percent-encoded, without the query.
    public var path: Substring {
        let target = head.path ?? "/"
        // By bytes: a question mark followed by a combining character is another Character.
        return target[..<(target.utf8.firstIndex(of: UInt8(ascii: "?")) ?? target.endIndex)]
    }

    /// The query as it was sent: percent-encoded, without the question mark.
    ///
    /// Nil if there is none.
    public var query: Substring? {
        guard let target = head.path, let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) else { return nil }
        return target[target.utf8.index(after: mark)...]
    }
}
