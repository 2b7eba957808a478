// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Logging
import NIOCore
import NIOPosix
import Plinth

/// What all connections of a connector share.
final class ServerContext: Sendable {
    let chain: Chain
    let configuration: ConnectorConfiguration
    let logger: Logger
    let metrics: EventStreamMetricsRegistry
    /// Counts what limits refuse; nil if nothing is counted.
    let limitMetrics: LimitMetrics?
    let threadPool: NIOThreadPool
    /// Connections, requests and callbacks in progress.
    let activities = ActivityGroup()
    /// Tells requests that wait that a shutdown begins.
    let drain = DrainSignal()
    /// The `Server` field's value: free of anything that would end the field.
    let serverName: String?
    private let loops: [ObjectIdentifier: LoopContext]

    init(
        chain: Chain,
        configuration: ConnectorConfiguration,
        logger: Logger,
        metrics: EventStreamMetricsRegistry,
        limitMetrics: LimitMetrics? = nil,
        threadPool: NIOThreadPool,
        group: any EventLoopGroup
    ) {
        self.chain = chain
        self.configuration = configuration
        self.logger = logger
        self.metrics = metrics
        self.limitMetrics = limitMetrics
        self.threadPool = threadPool
        self.serverName = configuration.serverName.map { HTTPField(name: .server, value: $0).value }
        var loops: [ObjectIdentifier: LoopContext] = [:]
        for loop in group.makeIterator() { loops[ObjectIdentifier(loop)] = LoopContext(loop) }
        self.loops = loops
    }

    var allLoops: some Collection<LoopContext> { loops.values }

    /// The context of one of the group's event loops.
    func loop(of eventLoop: any EventLoop) -> LoopContext {
        guard let loop = loops[ObjectIdentifier(eventLoop)] else {
            preconditionFailure("a connection came from an event loop outside the connector's group")
        }
        return loop
    }
}

#endif
