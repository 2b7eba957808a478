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

/// The end of a pipeline that takes writes when a test says so.
private final class Reluctant: ChannelOutboundHandler {
    typealias OutboundIn = ByteBuffer

    private var waiting: [(bytes: Int, promise: EventLoopPromise<Void>?)] = []
    /// The bytes that were written and not taken.
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

/// A source that notes what its outlet reports.
private final class Source: StreamOutlet<HTTP1Output> {
    var rooms = 0
    var progress = 0
    var ends: [StreamEnd] = []

    override func hasRoom() { rooms += 1 }
    override func hasProgressed() { progress += 1 }
    override func ended(_ end: StreamEnd) { ends.append(end) }
}

@Suite("The outlet of a stream")
struct StreamOutletTests {
    /// An outlet on a channel that has no socket, as over TLS.
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

    @Test("no more waits for a connection than its room, and the rest stays with the source")
    func bound() throws {
        let connection = try Connection()
        #expect(connection.send(16 << 20, room: 64 << 10) == .took(64 << 10))
        #expect(connection.end.held == 64 << 10)
        #expect(connection.send(1, room: 64 << 10) == .took(0))
        #expect(connection.end.held == 64 << 10)
    }

    @Test("a connection that takes a little is seen to read, and has room when it has taken all")
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

    @Test("a connection that takes everything at once gets everything, whatever its room")
    func quick() throws {
        let connection = try Connection()
        connection.end.takesAll = true
        #expect(connection.send(1 << 20, room: 64 << 10) == .took(1 << 20))
        #expect(connection.end.taken == 1 << 20)
        // Nothing is reported that the source was told already.
        #expect(connection.outlet.rooms == 0 && connection.outlet.progress == 0)
    }

    @Test("the end goes out behind what is pending, and the connection closes behind both")
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

    @Test("a client that leaves ends the stream once, and nothing is written any more")
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
