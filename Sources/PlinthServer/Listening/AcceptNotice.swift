// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore

/// Says when connections cannot be accepted, most often for want of descriptors.
///
/// The listener tries again a second later.
final class AcceptNotice: ChannelInboundHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel

    private let logger: Logger

    private init(_ logger: Logger) {
        self.logger = logger
    }

    /// Puts a notice into a listener's pipeline.
    ///
    /// If connections are counted they are then accepted one by one: otherwise several would come in where there is room
    /// for one.
    static func add(to channel: any Channel, isLimited: Bool, logger: Logger) async {
        if isLimited { try? await channel.setOption(.maxMessagesPerRead, value: 1).get() }
        try? await channel.eventLoop.submit {
            // In front of the handler that waits a while after an error, and keeps the error to itself.
            try channel.pipeline.syncOperations.addHandler(AcceptNotice(logger), position: .first)
        }.get()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.warning("connections cannot be accepted; trying again in a second", metadata: ["error": "\(error)"])
        context.fireErrorCaught(error)
    }
}

#endif
