// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore

/// Accepts connections while there are descriptors for them, and says when there are not.
///
/// It stops accepting before the last descriptor is taken, and checks every 100 ms whether there is room again. Logs the first
/// pause, then at most one a minute.
final class AcceptNotice: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias InboundOut = any Channel
    typealias OutboundIn = any Channel
    typealias OutboundOut = any Channel

    private let logger: Logger
    private let bound = DescriptorLimit.acceptBound
    private var isPaused = false
    private var wantsRead = false
    private var quietUntil = NIODeadline.uptimeNanoseconds(0)

    private init(_ logger: Logger) {
        self.logger = logger
    }

    /// Puts a notice into a listener's pipeline.
    ///
    /// If connections are counted they are then accepted one by one: otherwise several would come in where there is room
    /// for one. Otherwise no more at once than leave some of the last descriptors free.
    static func add(to channel: any Channel, isLimited: Bool, logger: Logger) async {
        let atOnce = isLimited ? 1 : UInt(min(16, DescriptorLimit.reserve / 2))
        try? await channel.setOption(.maxMessagesPerRead, value: atOnce).get()
        try? await channel.eventLoop.submit {
            // In front of the handler that waits a while after an error, and keeps the error to itself.
            try channel.pipeline.syncOperations.addHandler(AcceptNotice(logger), position: .first)
        }.get()
    }

    func read(context: ChannelHandlerContext) {
        if isPaused { wantsRead = true } else { context.read() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Before what follows from it, which is the next read.
        if !isPaused, !hasRoom { pause(context, nil) }
        context.fireChannelReadComplete()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if !isPaused { pause(context, error) }
        context.fireErrorCaught(error)
    }

    private var hasRoom: Bool { DescriptorLimit.next.map { $0 < bound } ?? false }

    private func pause(_ context: ChannelHandlerContext, _ error: (any Error)?) {
        isPaused = true
        lookAgain(context)
        let now = NIODeadline.now()
        guard now >= quietUntil else { return }
        quietUntil = now + .minutes(1)
        var metadata: Logger.Metadata = ["limit": "\(DescriptorLimit.current)"]
        if let error { metadata["error"] = "\(error)" }
        logger.warning(
            "connections cannot be accepted, since the last descriptors are kept; they are when others have ended",
            metadata: metadata
        )
    }

    private func lookAgain(_ context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.eventLoop.scheduleTask(in: .milliseconds(100)) {
            let (notice, context) = bound.value
            guard context.channel.isActive else { return }
            guard notice.hasRoom else { return notice.lookAgain(context) }
            notice.isPaused = false
            guard notice.wantsRead else { return }
            notice.wantsRead = false
            context.read()
        }
    }
}

#endif
