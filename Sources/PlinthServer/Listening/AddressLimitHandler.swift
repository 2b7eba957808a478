// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore
import Plinth

/// Closes accepted connections beyond the limit of their address, before anything is set up for them.
///
/// Logs the first one, then at most once in ``AddressLimits/reportInterval`` how many there were.
final class AddressLimitHandler: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    private let limits: AddressLimits
    private let metrics: LimitMetrics?
    private let logger: Logger

    init(_ limits: AddressLimits, metrics: LimitMetrics?, logger: Logger) {
        self.limits = limits
        self.metrics = metrics
        self.logger = logger
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let connection = unwrapInboundIn(data)
        let now = MonotonicTime(nanoseconds: Int64(clamping: context.eventLoop.now.uptimeNanoseconds))
        switch limits.admit(connection.remoteAddress?.ipAddress, now: now) {
        case .uncounted: break
        case .counted(let key):
            connection.closeFuture.whenComplete { [limits] _ in limits.release(key) }
        case .refused(let unreported):
            connection.close(promise: nil)
            metrics?.refused(by: .connectionsOfAddress)
            if let unreported { report(unreported, connection) }
            return
        }
        context.fireChannelRead(data)
    }

    private func report(_ count: Int, _ last: any Channel) {
        logger.warning(
            "closed connections at once: their addresses have as many as are allowed",
            metadata: [
                "connections": "\(count)", "maximum": "\(limits.maximum)",
                "last-address": "\(last.remoteAddress?.ipAddress ?? "-")",
            ]
        )
    }
}

#endif
