// SPDX-License-Identifier: Apache-2.0

/// A request, as handlers and interceptors receive it.
public struct Request: Sendable {
    /// The properties; copies share them until one is changed, so a copy costs one reference.
    private struct Properties {
        var head: HTTPRequest
        var version: HTTPVersion
        var body: RequestBody
        var remoteAddress: String?
        var isSecure: Bool
        var isOnLoopback: Bool
        var isOnUnixSocket = false
        var id: String
        var logger: Logger
        /// Whether the logger lacks the ID: it is added when the logger is used, which most requests never do.
        var logsWithoutID = false
        var pathParameters = PathParameters()
        var route: RouteIdentity?
        var routes: Routes?
        var values = TypedValues()
    }

    /// Invariant: changed only while uniquely referenced, by ``change``, so no two threads access it at once.
    private final class Storage: @unchecked Sendable {
        var properties: Properties

        init(_ properties: Properties) { self.properties = properties }
    }

    private var storage: Storage

    private var change: Properties {
        get { storage.properties }
        _modify {
            if !isKnownUniquelyReferenced(&storage) { storage = Storage(storage.properties) }
            yield &storage.properties
        }
    }

    /// Method, target and header fields.
    public var head: HTTPRequest {
        get { storage.properties.head }
        _modify { yield &change.head }
    }
    /// The HTTP version.
    public var version: HTTPVersion {
        get { storage.properties.version }
        set { change.version = newValue }
    }
    /// The body, which can be read once.
    public var body: RequestBody {
        get { storage.properties.body }
        set { change.body = newValue }
    }
    /// The peer address of the connection; nil on a Unix socket and in tests.
    ///
    /// Behind a proxy this is the proxy's address; see ``clientAddress``.
    public var remoteAddress: String? {
        get { storage.properties.remoteAddress }
        set { change.remoteAddress = newValue }
    }
    /// Whether the connection is encrypted; behind a proxy see ``isSecureAtClient``.
    public var isSecure: Bool {
        get { storage.properties.isSecure }
        set { change.isSecure = newValue }
    }
    /// Whether the listening socket is bound to a loopback address, which only local processes can reach.
    ///
    /// False for a Unix socket.
    public var isOnLoopback: Bool {
        get { storage.properties.isOnLoopback }
        set { change.isOnLoopback = newValue }
    }
    /// Whether the connection is one of a Unix socket: it has no address then, but a TCP connection may lack it, too.
    package var isOnUnixSocket: Bool {
        get { storage.properties.isOnUnixSocket }
        set { change.isOnUnixSocket = newValue }
    }
    /// Identifies the request in logs; unique within the process.
    public var id: String {
        get { storage.properties.id }
        set { change.id = newValue }
    }
    /// A logger with ``id`` in its metadata.
    public var logger: Logger {
        get {
            var logger = storage.properties.logger
            if storage.properties.logsWithoutID { logger[metadataKey: "request-id"] = "\(id)" }
            return logger
        }
        set {
            change.logger = newValue
            change.logsWithoutID = false
        }
    }
    /// The level of ``logger``, which costs less to read.
    var logLevel: Logger.Level { storage.properties.logger.logLevel }
    /// The path parameters of the matched route, percent-decoded.
    public var pathParameters: PathParameters {
        get { storage.properties.pathParameters }
        set { change.pathParameters = newValue }
    }
    /// The matched route; nil if none matched.
    ///
    /// Metrics are labelled with the route, never with the path.
    public var route: RouteIdentity? {
        get { storage.properties.route }
        set { change.route = newValue }
    }
    /// The router's routes, for ``url(for:parameters:query:)``.
    var routes: Routes? {
        get { storage.properties.routes }
        set { change.routes = newValue }
    }
    /// Values attached by interceptors.
    public var values: TypedValues {
        get { storage.properties.values }
        _modify { yield &change.values }
    }

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
        storage = Storage(
            Properties(
                head: head,
                version: version,
                body: body,
                remoteAddress: remoteAddress,
                isSecure: isSecure,
                isOnLoopback: isOnLoopback,
                id: id,
                logger: logger
            )
        )
    }

    /// The request, whose logger's metadata gets its ID when the logger is read.
    package consuming func loggingItsID() -> Request {
        change.logsWithoutID = true
        return self
    }

    /// The method.
    public var method: HTTPRequest.Method { storage.properties.head.method }

    /// The header fields.
    public var headers: HTTPFields { storage.properties.head.headerFields }

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
