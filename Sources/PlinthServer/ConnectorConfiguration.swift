// SPDX-License-Identifier: Apache-2.0

#if Server

/// How a ``Connector`` listens, and the limits that it keeps.
public struct ConnectorConfiguration: Sendable {
    /// Where to listen.
    ///
    /// Default: plain HTTP on 127.0.0.1:8080.
    public var addresses: [ListenAddress]
    /// How many connections the kernel keeps waiting to be accepted, for each address.
    ///
    /// Default: 1,024.
    public var backlog: Int
    /// The most connections open at once, for each address; others wait in the backlog.
    ///
    /// Default: nil, as many as there are descriptors.
    public var maximumConnections: Int?
    /// The most bytes of a request's head, all fields together; more is answered with 431.
    ///
    /// Default: 64 KiB.
    public var maximumHeadSize: Int
    /// The most bytes of a request's body; more is answered with 413.
    ///
    /// Default: 64 MiB. Handlers set lower limits where they collect a body.
    public var maximumBodySize: Int
    /// How long a request's head may take from its first byte.
    ///
    /// Default: 15 seconds, then 408.
    public var headTimeout: Duration
    /// How long a handler that waits for more of a body waits for the next bytes.
    ///
    /// Default: 30 seconds, then 408.
    public var bodyTimeout: Duration
    /// How long a connection may be idle between requests.
    ///
    /// Default: 75 seconds.
    public var idleTimeout: Duration
    /// How long a client may take nothing of a response that is no event stream before the connection is closed.
    ///
    /// Default: 30 seconds. Event streams have ``/Plinth/EventStreamOptions/writeTimeout``.
    public var writeTimeout: Duration
    /// How long a client may go on sending behind the last response of its connection, so that it can read that response
    /// (RFC 9112, section 9.6).
    ///
    /// Default: 30 seconds; one that is silent for 5 seconds is closed sooner.
    public var lingerTimeout: Duration
    /// How long a peer may acknowledge nothing that was sent before the kernel gives the connection up
    /// (`TCP_USER_TIMEOUT`, RFC 5482; Linux).
    ///
    /// Default: 60 seconds; nil leaves it to the kernel.
    public var acknowledgementTimeout: Duration?
    /// How long requests may go on after a shutdown has begun before their connections are closed.
    ///
    /// Event streams end at once. Default: 10 seconds.
    public var shutdownTimeout: Duration
    /// How long handlers, ready functions and callbacks may take to return when a shutdown has closed their connections and
    /// cancelled their tasks.
    ///
    /// Default: 5 seconds. What has not returned by then is left behind, and a warning counts it.
    public var cancellationTimeout: Duration
    /// Whether requests run on the event loop of their connection, and not on Swift's pool of threads.
    ///
    /// Default: false. It saves two changes of thread for each request; and one that computes for long, or blocks, then
    /// holds up all connections of its event loop. For services whose requests do neither, such as a hub's.
    public var runsRequestsOnEventLoops: Bool
    /// What the `Server` header says.
    ///
    /// Default: nil, no such header.
    public var serverName: String?

    /// A configuration; all defaults unless given.
    public init(
        addresses: [ListenAddress] = [.tcp()],
        backlog: Int = 1024,
        maximumConnections: Int? = nil,
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
        self.backlog = backlog
        self.maximumConnections = maximumConnections
        self.maximumHeadSize = maximumHeadSize
        self.maximumBodySize = maximumBodySize
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
}

#endif
