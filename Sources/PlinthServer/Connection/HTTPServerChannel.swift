// SPDX-License-Identifier: Apache-2.0

#if Server

import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTP2
import Plinth

/// Sets up the pipeline of a connection that has been accepted; from then on, its handlers run the connection.
///
/// Conforms to Hummingbird's protocol, so that Hummingbird's TLS can be put in front.
struct HTTPServerChannel: ServerChildChannel {
    struct Value: ServerChildChannelValue {
        let channel: any Channel
    }

    let server: ServerContext
    let isSecure: Bool
    /// Whether connections may lack the options of their listening socket: they do where they do not inherit them, and
    /// those that were established before the socket got them.
    let setsOptions: Bool

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop.makeCompletedFuture {
            let loop = server.loop(of: channel.eventLoop)
            if setsOptions {
                channel.setConnectionOptions(acknowledgementTimeout: server.configuration.acknowledgementTimeout)
            }
            // Most requests fit; a buffer of NIO's usual 2 kB would stay with each open stream.
            try channel.syncOptions?.setOption(
                .recvAllocator,
                value: AdaptiveRecvByteBufferAllocator(minimum: 64, initial: 512, maximum: 64 * 1024)
            )
            if isSecure { try TLSClosure.add(to: channel, loop: loop) }
            try channel.pipeline.syncOperations.addHandler(
                ProtocolNegotiator(isSecure: isSecure, server: server, loop: loop)
            )
            server.activities.enter()
            let activities = server.activities
            channel.closeFuture.whenComplete { _ in activities.leave() }
            return Value(channel: channel)
        }
    }

    func handle(value: Value, logger: Logger) async {}

    // MARK: - Pipelines

    /// Sets a connection up for HTTP/1.
    static func configureHTTP1(
        _ channel: any Channel,
        _ server: ServerContext,
        _ loop: LoopContext,
        isSecure: Bool,
        hasInput: Bool
    ) throws {
        var limits = NIOHTTPDecoderLimitConfiguration()
        limits.maxHeaderFieldSize = server.configuration.maximumHeadSize
        limits.maxHeaderListSize = server.configuration.maximumHeadSize
        let decoder = HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: limits)
        let handler = RequestHandler(
            output: .http1,
            server: server,
            loop: loop,
            isSecure: isSecure,
            halfCloseIsLeaving: true,
            hasInput: hasInput
        )
        try channel.pipeline.syncOperations.addHandlers(InputNotice(handler), ByteToMessageHandler(decoder), handler)
    }

    /// Removes the parser from an HTTP/1 connection on which no request will follow.
    static func removeParser(from channel: any Channel) {
        let operations = channel.pipeline.syncOperations
        if let context = try? operations.context(handlerType: ByteToMessageHandler<HTTPRequestDecoder>.self) {
            operations.removeHandler(context: context, promise: nil)
        }
        if let context = try? operations.context(handlerType: InputNotice.self) {
            operations.removeHandler(context: context, promise: nil)
        }
    }

    /// The most open streams of an HTTP/2 connection; each further one is refused alone.
    static let maximumStreams = 256

    /// Sets a connection up for HTTP/2, each stream of which is a channel of its own.
    static func configureHTTP2(_ channel: any Channel, _ server: ServerContext, _ loop: LoopContext, isSecure: Bool)
        throws
    {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            // `HTTP2Wire` announces another limit to the client.
            HTTP2Setting(parameter: .maxConcurrentStreams, value: HTTP2Wire.acceptedStreams),
            HTTP2Setting(parameter: .maxHeaderListSize, value: server.configuration.maximumHeadSize),
        ]
        connection.controlFrameRateLimit.maximumCount = server.configuration.http2.maximumControlFrames
        connection.controlFrameRateLimit.windowLength = .nanoseconds(HTTP2Limits.window.clampedNanoseconds)
        var streams = NIOHTTP2Handler.StreamConfiguration()
        streams.streamResetFrameRateLimit.maximumCount = server.configuration.http2.maximumResets
        streams.streamResetFrameRateLimit.windowLength = .nanoseconds(HTTP2Limits.window.clampedNanoseconds)
        streams.outboundBufferSizeHighWatermark = 16 * 1024
        streams.outboundBufferSizeLowWatermark = 1
        let manager = connectionManager(channel, server)
        let limit = HTTP2StreamLimit(
            maximum: maximumStreams,
            // Without it the manager takes a connection for idle while streams are open.
            manager: manager.http2StreamDelegate,
            eventLoop: channel.eventLoop
        )
        let wire = HTTP2Wire(loop: loop, limit: limit, maximumStreams: maximumStreams)
        let guardian = HTTP2ConnectionGuard(wire: wire, server: server, loop: loop)
        let boundGuardian = NIOLoopBound(guardian, eventLoop: channel.eventLoop)
        try channel.pipeline.syncOperations.addHandler(wire)
        _ = try channel.pipeline.syncOperations.configureHTTP2Pipeline(
            mode: .server,
            connectionConfiguration: connection,
            streamConfiguration: streams,
            streamDelegate: limit
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                guard try limit.admit(stream) else { return boundGuardian.value.streamWasRefused() }
                try stream.pipeline.syncOperations.addHandlers(
                    HTTP2HostCheck(),
                    HTTP2FramePayloadToHTTP1ServerCodec(),
                    RequestHandler(
                        output: .http2,
                        server: server,
                        loop: loop,
                        isSecure: isSecure,
                        halfCloseIsLeaving: false,
                        hasInput: true
                    )
                )
            }
        }
        try channel.pipeline.syncOperations.addHandlers(guardian, manager)
        // NIO's handler wrote the preface when it was added; that may have found the client gone.
        guard channel.isActive else { return }
        // The manager starts its timers in `channelActive`, and the connection was already active.
        manager.channelActive(context: try channel.pipeline.syncOperations.context(handler: manager))
    }

    private static func connectionManager(
        _ channel: any Channel,
        _ server: ServerContext
    ) -> NIOHTTP2ServerConnectionManagementHandler {
        let idleTime = TimeAmount.nanoseconds(server.configuration.idleTimeout.clampedNanoseconds)
        let graceTime = TimeAmount.nanoseconds(server.configuration.shutdownTimeout.clampedNanoseconds)
        return NIOHTTP2ServerConnectionManagementHandler(
            eventLoop: channel.eventLoop,
            configuration: .init(
                maxIdleTime: idleTime,
                maxAge: nil,
                maxGraceTime: graceTime,
                // Finds peers that vanished without a word.
                keepalive: .init(pingInterval: .seconds(60), ackTimeout: .seconds(20))
            )
        )
    }
}

#endif
