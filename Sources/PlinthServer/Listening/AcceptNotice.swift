// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore

/// Pauses accepting connections while file descriptors are short, and logs that.
///
/// Pauses at ``DescriptorLimit/acceptBound``, before the last descriptor is used, and checks every 100 ms whether it
/// can resume. Logs the first pause, then at most one a minute.
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

    init(_ logger: Logger) {
        self.logger = logger
    }

    /// How many connections are accepted in one read of the listener.
    ///
    /// With a connection limit one, so that it cannot overshoot; otherwise at most 16, and at most half of the reserved
    /// descriptors.
    static func maximumAtOnce(isLimited: Bool) -> UInt {
        isLimited ? 1 : UInt(min(16, DescriptorLimit.reserve / 2))
    }

    func read(context: ChannelHandlerContext) {
        if isPaused { wantsRead = true } else { context.read() }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        // Before forwarding, which triggers the next read.
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
        let now = context.eventLoop.now
        guard now >= quietUntil else { return }
        quietUntil = now + .minutes(1)
        var metadata: Logger.Metadata = ["limit": "\(DescriptorLimit.current)"]
        if let error { metadata["error"] = "\(error)" }
        logger.warning(
            "not accepting connections: too few file descriptors are left; resumes when other connections have closed",
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
