// SPDX-License-Identifier: Apache-2.0

#if Server

public import Plinth

/// A ``Connector``'s addresses and limits.
///
/// Limits are clamped: counts, ``maximumHeadSize`` and ``maximumTargetSize`` to at least 1, ``maximumBodySize`` to at
/// least 0.
public struct ConnectorConfiguration: Sendable {
    /// The addresses to listen on.
    ///
    /// Default: plain HTTP on 127.0.0.1:8080.
    public var addresses: [ListenAddress]
    /// The most connections that the kernel queues for acceptance, for each address.
    ///
    /// Default: 1,024.
    public var backlog: Int { didSet { backlog = Self.clamped(backlog) } }
    /// The most open connections for each address; others wait in the backlog.
    ///
    /// Default: nil, limited by file descriptors only.
    public var maximumConnections: Int? { didSet { maximumConnections = maximumConnections.map { max(1, $0) } } }
    /// The most open connections of one client address, on all ``addresses`` together; a further one is closed at once.
    ///
    /// An IPv6 address counts with all that have the same first 64 bits. Unix sockets and ``trustedProxies`` are not
    /// limited. A stream that was handed off counts no longer.
    ///
    /// Default: nil, no limit.
    public var maximumConnectionsPerAddress: Int? {
        didSet { maximumConnectionsPerAddress = maximumConnectionsPerAddress.map { max(1, $0) } }
    }
    /// Reverse proxies, whose connections are not limited by ``maximumConnectionsPerAddress``.
    ///
    /// What they report of their clients is read by ``/Plinth/Interceptor/trustedProxies(_:)``.
    ///
    /// Default: none.
    public var trustedProxies: TrustedProxies
    /// What a client may do on an HTTP/2 connection in 30 s.
    ///
    /// Default: the defaults of ``HTTP2Limits``.
    public var http2: HTTP2Limits
    /// The most bytes of a request's target, which is its path and query; a longer one gets status 414.
    ///
    /// Default: 16 KiB.
    public var maximumTargetSize: Int { didSet { maximumTargetSize = Self.clamped(maximumTargetSize) } }
    /// The most bytes of a request's head, target and all fields together; a larger one gets status 431.
    ///
    /// Default: 64 KiB.
    public var maximumHeadSize: Int { didSet { maximumHeadSize = Self.clamped(maximumHeadSize) } }
    /// The most bytes of a request's body; a larger one gets status 413.
    ///
    /// Handlers set lower limits where they collect a body.
    ///
    /// Default: 64 MiB.
    public var maximumBodySize: Int { didSet { maximumBodySize = max(0, maximumBodySize) } }
    /// How long a request's head may take from its first byte; then it gets status 408.
    ///
    /// Default: 15 s.
    public var headTimeout: Duration
    /// How long a handler waits for the next bytes of a body; then the request gets status 408.
    ///
    /// Default: 30 s.
    public var bodyTimeout: Duration
    /// How long a connection may be idle between requests.
    ///
    /// Default: 75 s.
    public var idleTimeout: Duration
    /// How long a client may take nothing of a response before its connection is closed.
    ///
    /// Event streams have ``/Plinth/EventStreamOptions/writeTimeout`` instead.
    ///
    /// Default: 30 s.
    public var writeTimeout: Duration
    /// How long a client may keep sending after the last response of its connection, so that it can read that response
    /// (RFC 9112, section 9.6).
    ///
    /// A connection that is silent for 5 s is closed sooner.
    ///
    /// Default: 30 s.
    public var lingerTimeout: Duration
    /// How long a peer may leave sent bytes unacknowledged before the kernel drops the connection (`TCP_USER_TIMEOUT`,
    /// RFC 5482; Linux only).
    ///
    /// Nil leaves the time to the kernel.
    ///
    /// Default: 60 s.
    public var acknowledgementTimeout: Duration?
    /// How long requests may continue after a shutdown has begun before their connections are closed.
    ///
    /// Event streams end at once.
    ///
    /// Default: 10 s.
    public var shutdownTimeout: Duration
    /// How long handlers, ready functions and callbacks may take to return after a shutdown has closed their
    /// connections and cancelled their tasks.
    ///
    /// What has not returned by then is left behind, and a warning counts it.
    ///
    /// Default: 5 s.
    public var cancellationTimeout: Duration
    /// Whether requests run on their connection's event loop instead of Swift's thread pool.
    ///
    /// This saves two thread switches for each request, and one that does not wait is answered in the read that brought
    /// it, without a task; see ``/Plinth/Interceptor``. But a request that blocks or computes for long then delays all
    /// connections of its event loop. It suits services whose requests do neither, such as a hub.
    ///
    /// Default: false.
    public var runsRequestsOnEventLoops: Bool
    /// The value of the `Server` header field.
    ///
    /// Default: nil, no such field.
    public var serverName: String?

    /// Creates a configuration; parameters default to the values documented with the properties.
    public init(
        addresses: [ListenAddress] = [.tcp()],
        backlog: Int = 1024,
        maximumConnections: Int? = nil,
        maximumConnectionsPerAddress: Int? = nil,
        trustedProxies: TrustedProxies = .none,
        http2: HTTP2Limits = HTTP2Limits(),
        maximumTargetSize: Int = 16 * 1024,
        maximumHeadSize: Int = 64 * 1024,
        maximumBodySize: Int = 64 * 1024 * 1024,
        headTimeout: Duration = .seconds(15),
        bodyTimeout: Duration = .seconds(30),
        idleTimeout: Duration = .seconds(75),
        writeTimeout: Duration = .seconds(30),
        lingerTimeout: Duration = .seconds(30),
        acknowledgementTimeout: Duration? = .seconds(60),
        shutdownTimeout: Duration = .seconds(10),
        cancellationTimeout: Duration = .seconds(5),
        runsRequestsOnEventLoops: Bool = false,
        serverName: String? = nil
    ) {
        self.addresses = addresses
        self.backlog = Self.clamped(backlog)
        self.maximumConnections = maximumConnections.map { max(1, $0) }
        self.maximumConnectionsPerAddress = maximumConnectionsPerAddress.map { max(1, $0) }
        self.trustedProxies = trustedProxies
        self.http2 = http2
        self.maximumTargetSize = Self.clamped(maximumTargetSize)
        self.maximumHeadSize = Self.clamped(maximumHeadSize)
        self.maximumBodySize = max(0, maximumBodySize)
        self.headTimeout = headTimeout
        self.bodyTimeout = bodyTimeout
        self.idleTimeout = idleTimeout
        self.writeTimeout = writeTimeout
        self.lingerTimeout = lingerTimeout
        self.acknowledgementTimeout = acknowledgementTimeout
        self.shutdownTimeout = shutdownTimeout
        self.cancellationTimeout = cancellationTimeout
        self.runsRequestsOnEventLoops = runsRequestsOnEventLoops
        self.serverName = serverName
    }

    /// The system calls and HTTP/2 settings that take these have 32 bits.
    private static func clamped(_ number: Int) -> Int { min(max(1, number), Int(Int32.max)) }
}

#endif
