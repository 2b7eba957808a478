// SPDX-License-Identifier: Apache-2.0

#if Server

import HummingbirdCore
import HummingbirdTLS
public import Logging
public import Metrics
public import NIOCore
import NIOHTTP2
public import NIOPosix
public import Plinth
public import ServiceLifecycle
import Synchronization
import UnixSignals

/// Binds an HTTP server to a chain: listens, runs each request through the interceptors, and serves event streams.
///
/// ```swift
/// try await Connector(chain).runService()
/// ```
///
/// It speaks HTTP/1.0, HTTP/1.1 and HTTP/2, with and without TLS, on several addresses at once
/// (``ConnectorConfiguration/addresses``). A connector runs once.
public final class Connector: Service {
    private struct Listening {
        var hasRun = false
        var bound: [Int: BoundAddress] = [:]
        var outcome: Result<[BoundAddress], any Error>?
        var waiters: [CheckedContinuation<[BoundAddress], any Error>] = []
    }

    /// The connector's configuration.
    public let configuration: ConnectorConfiguration

    private let logger: Logger
    private let group: any EventLoopGroup
    private let server: ServerContext
    private let listening = Mutex(Listening())

    /// Creates a connector for a chain; it listens when it runs.
    ///
    /// - Parameters:
    ///   - chain: Handles the requests.
    ///   - configuration: Addresses and limits. Default: the defaults of ``ConnectorConfiguration``.
    ///   - logger: Receives log messages. Default: a logger labelled `plinth`.
    ///   - metricsFactory: Creates the metrics. Default: the factory bootstrapped in the process.
    ///   - eventLoopGroup: Runs the connections; a group of NIO's own event loops. Default: NIO's shared group.
    public init(
        _ chain: Chain,
        configuration: ConnectorConfiguration = ConnectorConfiguration(),
        logger: Logger = Logger(label: "plinth"),
        metricsFactory: any MetricsFactory = MetricsSystem.factory,
        eventLoopGroup: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) {
        self.configuration = configuration
        self.logger = logger
        self.group = eventLoopGroup
        self.server = ServerContext(
            chain: chain,
            configuration: configuration,
            logger: logger,
            metrics: EventStreamMetricsRegistry(factory: metricsFactory),
            limitMetrics: LimitMetrics(factory: metricsFactory),
            threadPool: .singleton,
            group: eventLoopGroup
        )
    }

    /// Runs until SIGTERM or SIGINT, then ends every stream, lets requests finish, and returns.
    ///
    /// - Parameter services: Services that start before the connector and stop after it, such as a ``HubService``.
    ///   Default: none.
    /// - Throws: ``ConnectorError`` if it cannot listen on an address; any error that a service throws.
    public func runService(alongside services: [any Service] = []) async throws {
        let services = ServiceGroup(
            services: services + [self],
            gracefulShutdownSignals: [.sigterm, .sigint],
            logger: logger
        )
        try await services.run()
    }

    /// Runs as a service, until a graceful shutdown or until its task is cancelled.
    ///
    /// A graceful shutdown stops listening, ends every event stream with ``/Plinth/StreamEnd/serverDraining``, and
    /// gives requests ``ConnectorConfiguration/shutdownTimeout`` to finish. Cancellation closes everything at once.
    /// Code that ignores cancellation delays the return by at most ``ConnectorConfiguration/cancellationTimeout``; a
    /// warning then counts what is left.
    ///
    /// - Throws: ``ConnectorError`` if it cannot listen on an address, or if the connector has run before.
    public func run() async throws {
        let isFirst = listening.withLock { listening in
            defer { listening.hasRun = true }
            return !listening.hasRun
        }
        guard isFirst else {
            throw ConnectorError(.alreadyRun, "this connector has run before; create a new one for each run")
        }
        do {
            let listeners = try makeListeners()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await self.superviseShutdown() }
                try await self.run(listeners)
                // The listeners are closed. What is in progress ends by itself or is ended by `superviseShutdown`.
                await self.waitForActivities()
                group.cancelAll()
            }
            settle(.failure(CancellationError()))
        } catch {
            settle(.failure(error))
            throw error
        }
    }

    /// Waits until the connector listens, and returns its addresses.
    ///
    /// - Returns: The addresses in the order of ``ConnectorConfiguration/addresses``; port 0 is replaced by the port
    ///   that the system chose.
    /// - Throws: If ``run()`` ends before, its error, or `CancellationError` if it has none.
    public func listeningAddresses() async throws -> [BoundAddress] {
        try await withCheckedThrowingContinuation { continuation in
            let outcome = listening.withLock { listening in
                if listening.outcome == nil { listening.waiters.append(continuation) }
                return listening.outcome
            }
            if let outcome { continuation.resume(with: outcome) }
        }
    }

    /// The number of connections, requests and callbacks in progress.
    package var activityCount: Int { server.activities.count }

    /// Waits until no connection, request or callback is in progress.
    package func waitUntilIdle() async { await server.activities.wait() }

    // MARK: - Parts

    private func run(_ listeners: [any Service]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, listener) in listeners.enumerated() {
                group.addTask {
                    do {
                        try await listener.run()
                    } catch {
                        throw ConnectorError(
                            .listen,
                            "cannot listen on \(self.configuration.addresses[index].socket): \(error); choose another "
                                + "address, or stop the process that uses it",
                            cause: error
                        )
                    }
                }
            }
            // Not `waitForAll`, which would wait for the working listeners before it throws the error of a failed one.
            for try await _ in group {}
        }
    }

    private func makeListeners() throws -> [any Service] {
        guard !configuration.addresses.isEmpty else {
            throw ConnectorError(.listen, "the configuration has no address to listen on")
        }
        let addressLimits = configuration.maximumConnectionsPerAddress.map {
            AddressLimits(maximum: $0, trusted: configuration.trustedProxies)
        }
        return try configuration.addresses.enumerated().map { index, address in
            #if os(Linux)
            var setsOptions = false
            if case .inherited = address.socket { setsOptions = true }
            #else
            let setsOptions = true
            #endif
            let plain = HTTPServerChannel(server: server, isSecure: address.tls != nil, setsOptions: setsOptions)
            guard let identity = address.tls else { return makeListener(address, index, plain, addressLimits) }
            var tls = identity.configuration
            tls.applicationProtocols = NIOHTTP2SupportedALPNProtocols
            tls.shutdownTimeout = min(tls.shutdownTimeout, TLSClosure.patience)
            do {
                return makeListener(address, index, try TLSChannel(plain, tlsConfiguration: tls), addressLimits)
            } catch {
                throw ConnectorError(.tlsIdentity, "invalid TLS configuration: \(error)", cause: error)
            }
        }
    }

    private func makeListener<ChildChannel: ServerChildChannel>(
        _ address: ListenAddress,
        _ index: Int,
        _ childChannel: ChildChannel,
        _ addressLimits: AddressLimits?
    ) -> any Service {
        Listener(
            address: address.socket,
            backlog: configuration.backlog,
            childChannel: childChannel,
            group: group,
            logger: logger,
            maximumConnections: configuration.maximumConnections,
            addressLimits: addressLimits,
            limitMetrics: server.limitMetrics,
            acknowledgementTimeout: configuration.acknowledgementTimeout,
            onRunning: { [self] channel in didListen(index, BoundAddress(channel.localAddress)) }
        )
    }

    private func didListen(_ index: Int, _ address: BoundAddress) {
        logger.info("listening", metadata: ["address": "\(address)"])
        let all: [BoundAddress]? = listening.withLock { listening in
            listening.bound[index] = address
            guard listening.bound.count == configuration.addresses.count else { return nil }
            return listening.bound.sorted { $0.key < $1.key }.map(\.value)
        }
        if let all { settle(.success(all)) }
    }

    private func settle(_ outcome: Result<[BoundAddress], any Error>) {
        let waiters = listening.withLock { listening in
            guard listening.outcome == nil else { return [CheckedContinuation<[BoundAddress], any Error>]() }
            listening.outcome = outcome
            defer { listening.waiters = [] }
            return listening.waiters
        }
        for waiter in waiters { waiter.resume(with: outcome) }
    }

    /// Waits for all activities after a shutdown has begun, at most for both of its timeouts.
    private func waitForActivities() async {
        let limit = configuration.shutdownTimeout + configuration.cancellationTimeout
        if await server.activities.wait(atMost: limit) { return }
        logger.warning(
            "shutdown leaves code behind that did not return after its task was cancelled",
            metadata: ["activities": "\(server.activities.count)", "waited": "\(limit)"]
        )
    }

    /// Waits for a shutdown, drains all event loops, and closes what is left after the timeout.
    private func superviseShutdown() async {
        let isGraceful = (try? await gracefulShutdown()) != nil
        server.drain.begin()
        for loop in server.allLoops { loop.eventLoop.execute { loop.drain() } }
        // The time that activities have to finish; cancelled as soon as none is left.
        if isGraceful { try? await Task.sleep(for: configuration.shutdownTimeout) }
        for loop in server.allLoops { loop.eventLoop.execute { loop.terminate() } }
    }
}

#endif
