// SPDX-License-Identifier: Apache-2.0

// The least that fanning events out costs through NIO, its TLS and its HTTP/2 handler, for the hub's benchmark: what
// Plinth would cost over TLS if its own code cost nothing. One event loop. As in tlsfloor.c, a GET subscribes, a POST
// publishes its body, one line, and each event is encoded once, into a buffer that all subscribers share.
//
// HTTP/1.1 has no HTTP decoder, HTTP/2 neither a multiplexer nor a channel for each stream. No topics, history,
// heartbeats, timeouts or back-pressure.
//
// Arguments: the port, the seconds after which it exits, and the paths of a certificate and its key. ALPN selects HTTP/2.

import Foundation
import NIOCore
import NIOHPACK
import NIOHTTP2
import NIOPosix
import NIOSSL
import NIOTLS

/// The subscribers; confined to the event loop, and removed when their connection closes.
final class Registry {
    /// Connections, each with its streams: on HTTP/1.1 none.
    var connections: [ObjectIdentifier: (context: ChannelHandlerContext, streams: [HTTP2StreamID])] = [:]
    private var published = 0

    func subscribe(_ context: ChannelHandlerContext, _ stream: HTTP2StreamID?) {
        var streams = connections[ObjectIdentifier(context)]?.streams ?? []
        if let stream { streams.append(stream) }
        connections[ObjectIdentifier(context)] = (context, streams)
    }

    func publish(_ text: String) {
        published += 1
        let event = ByteBuffer(string: "data: \(text)\nid: 1-\(published)\n\n")
        let size = String(event.readableBytes, radix: 16)
        let chunk = NIOAny(ByteBuffer(string: "\(size)\r\n\(String(buffer: event))\r\n"))
        for (context, streams) in connections.values {
            if streams.isEmpty { context.write(chunk, promise: nil) }
            for stream in streams {
                let frame = HTTP2Frame(streamID: stream, payload: .data(.init(data: .byteBuffer(event))))
                context.write(NIOAny(frame), promise: nil)
            }
            context.flush()
        }
    }
}

/// Answers the requests of an HTTP/1.1 connection, none of which is larger than a read.
final class PlainHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let registry: Registry
    private var input = ""

    init(_ registry: Registry) {
        self.registry = registry
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        input += String(buffer: unwrapInboundIn(data))
        guard let end = input.range(of: "\r\n\r\n") else { return }
        let head = input[..<end.lowerBound]
        if head.hasPrefix("GET ") {
            write(
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
                context
            )
            return registry.subscribe(context, nil)
        }
        let length = head.lowercased().range(of: "content-length: ").flatMap {
            Int(head.lowercased()[$0.upperBound...].prefix { $0.isNumber })
        }
        let body = input[end.upperBound...]
        guard body.utf8.count >= length ?? 0 else { return }
        write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", context)
        registry.publish(String(body))
        input = ""
    }

    private func write(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        registry.connections[ObjectIdentifier(context)] = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

/// Subscribes each stream of an HTTP/2 connection.
final class FrameHandler: ChannelInboundHandler {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    private let registry: Registry

    init(_ registry: Registry) {
        self.registry = registry
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let frame = unwrapInboundIn(data)
        guard case .headers = frame.payload else { return }
        let head: HPACKHeaders = [":status": "200", "content-type": "text/event-stream"]
        let answer = HTTP2Frame(streamID: frame.streamID, payload: .headers(.init(headers: head)))
        context.writeAndFlush(wrapOutboundOut(answer), promise: nil)
        registry.subscribe(context, frame.streamID)
    }

    func channelInactive(context: ChannelHandlerContext) {
        registry.connections[ObjectIdentifier(context)] = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}

let arguments = CommandLine.arguments
guard arguments.count == 5, let port = Int(arguments[1]), let seconds = Int64(arguments[2]) else {
    print("usage: NIOFloor PORT SECONDS CERTIFICATE KEY")
    exit(2)
}
var configuration = TLSConfiguration.makeServerConfiguration(
    certificateChain: try NIOSSLCertificate.fromPEMFile(arguments[3]).map { .certificate($0) },
    privateKey: .privateKey(try NIOSSLPrivateKey(file: arguments[4], format: .pem))
)
configuration.applicationProtocols = ["h2", "http/1.1"]
let tls = try NIOSSLContext(configuration: configuration)
let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
let registry = NIOLoopBoundBox.makeBoxSendingValue(Registry(), eventLoop: group.any())
let server = try ServerBootstrap(group: group)
    .serverChannelOption(.backlog, value: 4096)
    .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
    .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
    .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
            let operations = channel.pipeline.syncOperations
            try operations.addHandler(NIOSSLServerHandler(context: tls))
            let negotiation = ApplicationProtocolNegotiationHandler { result, channel in
                channel.eventLoop.makeCompletedFuture {
                    let operations = channel.pipeline.syncOperations
                    if case .negotiated("h2") = result {
                        try operations.addHandlers(
                            NIOHTTP2Handler(mode: .server),
                            FrameHandler(registry.value)
                        )
                    } else {
                        try operations.addHandler(PlainHandler(registry.value))
                    }
                }
            }
            try operations.addHandler(negotiation)
        }
    }
    .bind(host: "127.0.0.1", port: port).wait()
// Exits even if its parent does not stop it.
server.eventLoop.scheduleTask(in: .seconds(seconds)) { server.close(promise: nil) }
try server.closeFuture.wait()
