// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore
import NIOEmbedded
import Plinth
import PlinthTestSupport
import Testing

@testable import PlinthServer

@Suite("Limits of addresses")
struct AddressLimitsTests {
    private static func time(_ seconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: seconds * 1_000_000_000) }

    @Test("The connections of an address are limited, whatever others have, and a closed one makes room")
    func limit() throws {
        let limits = AddressLimits(maximum: 2, trusted: .none)
        let key = try #require(AddressKey("192.0.2.1"))
        for _ in 0..<2 { #expect(limits.admit("192.0.2.1", now: Self.time(0)) == .counted(key)) }
        #expect(limits.admit("::ffff:192.0.2.1", now: Self.time(0)) == .refused(unreported: 1))
        #expect(limits.admit("192.0.2.2", now: Self.time(0)) != .refused(unreported: nil))
        limits.release(key)
        #expect(limits.admit("192.0.2.1", now: Self.time(0)) == .counted(key))
        #expect(limits.admit("192.0.2.1", now: Self.time(0)) == .refused(unreported: nil))
        #expect(limits.addressCount == 2)
    }

    @Test("An address without connections is forgotten")
    func forgetting() throws {
        let limits = AddressLimits(maximum: 1, trusted: .none)
        for number in 0..<255 {
            guard case .counted(let key) = limits.admit("192.0.2.\(number)", now: Self.time(0)) else {
                Issue.record("refused")
                continue
            }
            limits.release(key)
        }
        #expect(limits.addressCount == 0)
    }

    @Test("Trusted proxies and Unix sockets are not counted")
    func uncounted() throws {
        let limits = AddressLimits(maximum: 1, trusted: try TrustedProxies(["10.0.0.0/8"]))
        for _ in 0..<3 {
            #expect(limits.admit("10.1.2.3", now: Self.time(0)) == .uncounted)
            #expect(limits.admit(nil, now: Self.time(0)) == .uncounted)
        }
        #expect(limits.addressCount == 0)
    }

    @Test("Refusals are reported at once, and then at most every 10 s with their number")
    func reports() {
        let limits = AddressLimits(maximum: 1, trusted: .none)
        _ = limits.admit("192.0.2.1", now: Self.time(5))
        var reports: [Int: Int] = [:]
        for second in 5..<30 {
            if case .refused(let unreported?) = limits.admit("192.0.2.1", now: Self.time(Int64(second))) {
                reports[second] = unreported
            }
        }
        #expect(reports == [5: 1, 15: 10, 25: 10])
    }

    // MARK: - The handler

    /// Records the connections that get past the handler.
    private final class Accepted: ChannelInboundHandler {
        typealias InboundIn = any Channel

        var count = 0

        func channelRead(context: ChannelHandlerContext, data: NIOAny) { count += 1 }
    }

    @Test("A connection beyond the limit is closed before it is set up, counted, and logged once")
    func handler() throws {
        let log = LogRecord()
        let counts = RefusalRecord()
        let accepted = Accepted()
        let limits = AddressLimits(maximum: 1, trusted: .none)
        let handler = AddressLimitHandler(limits, metrics: LimitMetrics(factory: counts), logger: log.logger)
        let listener = EmbeddedChannel(handlers: [handler, accepted])
        func connect(_ address: String) throws -> EmbeddedChannel {
            let connection = EmbeddedChannel()
            try connection.connect(to: SocketAddress(ipAddress: address, port: 1)).wait()
            connection.remoteAddress = try SocketAddress(ipAddress: address, port: 1)
            listener.pipeline.syncOperations.fireChannelRead(NIOAny(connection as any Channel))
            connection.embeddedEventLoop.run()
            return connection
        }
        let first = try connect("192.0.2.1")
        for _ in 0..<3 { #expect(!(try connect("192.0.2.1").isActive)) }
        let other = try connect("192.0.2.2")
        #expect(first.isActive && other.isActive)
        #expect(accepted.count == 2)
        #expect(counts.refusals == ["address-connections": 3])
        #expect(log.lines.map { $0.metadata["connections"] } == ["1"])
        #expect(log.lines.first?.metadata["last-address"] == "192.0.2.1")

        first.close(promise: nil)
        first.embeddedEventLoop.run()
        #expect(try connect("192.0.2.1").isActive)
        #expect(accepted.count == 3)
    }

    @Test("A connector closes connections beyond the limit of an address, on all of its addresses together")
    func connector() async throws {
        try await withServer(
            [answering("x")],
            configure: {
                $0.addresses = [.tcp(port: 0), .tcp(port: 0)]
                $0.maximumConnectionsPerAddress = 2
            }
        ) { server in
            let (one, other) = (server.port, server.addresses[1].port ?? 0)
            let clients = [try await RawClient.connect(port: one), try await RawClient.connect(port: other)]
            for client in clients { #expect(try await client.get("/").body == "x") }
            let third = try await RawClient.connect(port: one)
            #expect(try await third.readAll().bytes.isEmpty)
            clients[0].close()
            // The server notices a moment later.
            try await wait(for: "room for another connection") {
                while (try? await RawClient.connect(port: other).get("/").body) != "x" {}
            }
            clients[1].close()
        }
    }
}

#endif
