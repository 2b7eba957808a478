// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import Metrics
import NIOCore
import NIOEmbedded
import NIOPosix
import PlinthTestSupport
import Testing

@testable import Plinth
@testable import PlinthServer

/// The socket's end of a pipeline; completes writes when a test calls ``take()``.
private final class Reluctant: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private var waiting: [(bytes: Int, promise: EventLoopPromise<Void>?)] = []
    /// The bytes written and not taken.
    var held: Int { waiting.reduce(0) { $0 + $1.bytes } }
    private(set) var taken = 0
    private(set) var largest = 0
    var takesAll = false

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        let count = unwrapOutboundIn(data).readableBytes
        largest = max(largest, count)
        waiting.append((count, promise))
    }

    func flush(context: ChannelHandlerContext) {
        if takesAll { while take() {} }
    }

    /// Takes the oldest write.
    @discardableResult
    func take() -> Bool {
        guard !waiting.isEmpty else { return false }
        let (count, promise) = waiting.removeFirst()
        taken += count
        promise?.succeed()
        return true
    }
}

/// A source that records its outlet's calls.
private final class Source: StreamOutlet {
    var rooms = 0
    var progress = 0
    var ends: [StreamEnd] = []

    override func hasRoom() { rooms += 1 }
    override func hasProgressed() { progress += 1 }
    override func ended(_ end: StreamEnd) { ends.append(end) }
}

@Suite("Stream outlet")
struct StreamOutletTests {
    /// An outlet on a channel without a socket, as over TLS.
    private struct Connection {
        let loop = EmbeddedEventLoop()
        let channel: EmbeddedChannel
        let end = Reluctant()
        let outlet: Source

        init() throws {
            channel = EmbeddedChannel(loop: loop)
            let server = ServerContext(
                chain: Chain([]),
                configuration: ConnectorConfiguration(),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
                metrics: EventStreamMetricsRegistry(factory: NOOPMetricsHandler.instance),
                threadPool: .singleton,
                group: loop
            )
            outlet = Source(
                StreamConnection(
                    output: .http1,
                    framing: ResponseFraming(version: .http1_1, body: .unknown, keepsAlive: false),
                    server: server,
                    loop: server.loop(of: loop),
                    isSecure: true,
                    halfCloseIsLeaving: true
                )
            )
            try channel.pipeline.syncOperations.addHandlers([end, outlet])
            try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
            outlet.begin()
        }

        func send(_ count: Int, room: Int) -> StreamWrite {
            [UInt8](repeating: 65, count: count).withUnsafeBytes { outlet.send($0, room: room) }
        }
    }

    @Test("At most `room` bytes are pending, and the source keeps the rest")
    func bound() throws {
        let connection = try Connection()
        #expect(connection.send(16 << 20, room: 64 << 10) == .took(64 << 10))
        #expect(connection.end.held == 64 << 10)
        #expect(connection.send(1, room: 64 << 10) == .took(0))
        #expect(connection.end.held == 64 << 10)
    }

    @Test("A partly taken write reports progress, a fully taken one room")
    func progress() throws {
        let connection = try Connection()
        _ = connection.send(1 << 20, room: 64 << 10)
        #expect(connection.end.largest == 16 << 10)
        for step in 1...3 {
            connection.end.take()
            #expect(connection.outlet.progress == step)
            #expect(connection.outlet.rooms == 0)
            #expect(connection.outlet.stalledSince != nil)
        }
        connection.end.take()
        #expect(connection.outlet.rooms == 1)
        #expect(connection.outlet.pending == 0 && connection.outlet.stalledSince == nil)
    }

    @Test("A connection that takes everything at once gets everything, regardless of room")
    func quick() throws {
        let connection = try Connection()
        connection.end.takesAll = true
        #expect(connection.send(1 << 20, room: 64 << 10) == .took(1 << 20))
        #expect(connection.end.taken == 1 << 20)
        // The return value said so already: neither room nor progress is reported.
        #expect(connection.outlet.rooms == 0 && connection.outlet.progress == 0)
    }

    @Test("The end is sent after the pending bytes, and then the connection closes")
    func ends() throws {
        let connection = try Connection()
        _ = connection.send(100, room: .max)
        connection.outlet.finish(.serverDraining)
        #expect(connection.outlet.ends == [.serverDraining])
        #expect(connection.channel.isActive)
        while connection.end.take() {}
        connection.loop.run()
        #expect(!connection.channel.isActive)
        #expect(connection.end.taken == 100 + "0\r\n\r\n".utf8.count)
        #expect(connection.outlet.ends == [.serverDraining])
    }

    @Test("A client that leaves ends the stream once, and nothing more is written")
    func leaves() throws {
        let connection = try Connection()
        connection.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        connection.outlet.finish(.expired)
        connection.outlet.terminate()
        connection.loop.run()
        #expect(connection.outlet.ends == [.clientClosed])
        #expect(!connection.channel.isActive)
        #expect(connection.end.held == 0)
    }
}

#endif
