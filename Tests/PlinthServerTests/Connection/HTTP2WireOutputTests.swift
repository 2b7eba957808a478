// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import NIOEmbedded
import NIOHTTP2
import Testing

@testable import PlinthServer

/// When the wire writes and flushes, between NIO's HTTP/2 handler and the socket.
@Suite("HTTP/2 on the wire: output")
struct HTTP2WireOutputTests {
    /// Records what reaches the socket.
    private final class Socket: ChannelOutboundHandler {
        typealias OutboundIn = IOData

        /// Each write's bytes; an empty array for a flush.
        var output: [[UInt8]] = []

        func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
            if case .byteBuffer(let buffer) = unwrapOutboundIn(data) { output.append(Array(buffer.readableBytesView)) }
            promise?.succeed()
        }

        func flush(context: ChannelHandlerContext) { output.append([]) }

        func take() -> [[UInt8]] {
            defer { output = [] }
            return output
        }
    }

    private final class NoDelegate: NIOHTTP2StreamDelegate, Sendable {
        func streamCreated(_ id: HTTP2StreamID, channel: any Channel) {}
        func streamClosed(_ id: HTTP2StreamID, channel: any Channel) {}
    }

    /// A wire on a connection with a number of streams.
    private struct Wired {
        let channel = EmbeddedChannel()
        let socket = Socket()
        let loop: LoopContext
        let wire: HTTP2Wire
        /// Kept open: a stream's end is its channel's.
        let streams: [EmbeddedChannel]

        init(streams count: Int) throws {
            loop = LoopContext(channel.embeddedEventLoop)
            let limit = HTTP2StreamLimit(maximum: 10, manager: NoDelegate(), eventLoop: channel.eventLoop)
            streams = try (0..<count).map { _ in
                let stream = EmbeddedChannel(loop: EmbeddedEventLoop())
                _ = try limit.admit(stream)
                return stream
            }
            wire = HTTP2Wire(loop: loop, limit: limit, maximumStreams: 10)
            try channel.pipeline.syncOperations.addHandlers(socket, wire)
        }

        /// Writes a DATA frame as NIO does: its head, then its payload.
        func write(_ payload: [UInt8], headPromise: EventLoopPromise<Void>? = nil) {
            write(Self.head(payload.count), headPromise)
            write(payload, nil)
        }

        private func write(_ bytes: [UInt8], _ promise: EventLoopPromise<Void>?) {
            channel.pipeline.syncOperations.write(NIOAny(IOData.byteBuffer(ByteBuffer(bytes: bytes))), promise: promise)
        }

        func flush() { channel.pipeline.syncOperations.flush() }

        static func head(_ count: Int) -> [UInt8] {
            [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), 0, 0, 0, 0, 0, 1]
        }
    }

    @Test("A small DATA frame is one write; a large payload follows its head", arguments: [1, 4096, 4097, 16_384])
    func merges(size: Int) throws {
        let wired = try Wired(streams: 1)
        let payload = [UInt8](repeating: 7, count: size)
        wired.write(payload)
        let output = wired.socket.take()
        #expect(output == (size <= 4096 ? [Wired.head(size) + payload] : [Wired.head(size), payload]))
    }

    @Test("A payload is never read as a frame, however its head was written", arguments: [true, false])
    func payload(hasPromise: Bool) throws {
        let wired = try Wired(streams: 1)
        let goingAway: [UInt8] = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        let promise = hasPromise ? wired.channel.eventLoop.makePromise(of: Void.self) : nil
        wired.write(goingAway, headPromise: promise)
        #expect(!wired.wire.hasSentError)
        #expect(wired.socket.take().flatMap { $0 } == Wired.head(goingAway.count) + goingAway)
    }

    @Test("In a round, a connection with several streams is flushed once, at its end")
    func round() throws {
        let wired = try Wired(streams: 2)
        wired.loop.beginRound()
        wired.loop.beginRound()
        for byte in UInt8(1)...3 {
            wired.write([byte])
            wired.flush()
        }
        wired.loop.endRound()
        #expect(wired.socket.take().allSatisfy { !$0.isEmpty })
        wired.loop.endRound()
        #expect(wired.socket.take() == [[]])
        // Outside of a round at once.
        wired.write([4])
        wired.flush()
        #expect(wired.socket.take() == [Wired.head(1) + [4], []])
        #expect(wired.streams.count == 2)
    }

    @Test("With one stream a flush is not postponed")
    func oneStream() throws {
        let wired = try Wired(streams: 1)
        wired.loop.beginRound()
        wired.write([1])
        wired.flush()
        #expect(wired.socket.take() == [Wired.head(1) + [1], []])
        wired.loop.endRound()
        #expect(wired.socket.take().isEmpty)
        #expect(wired.streams.count == 1)
    }

    @Test("Beyond 32 KiB a round's writes are flushed before its end")
    func bound() throws {
        let wired = try Wired(streams: 2)
        wired.loop.beginRound()
        var flushes = 0
        for _ in 0..<8 {
            wired.write([UInt8](repeating: 1, count: 10_000))
            wired.flush()
            flushes += wired.socket.take().count { $0.isEmpty }
        }
        #expect(flushes == 2)
        wired.loop.endRound()
        #expect(wired.streams.count == 2)
    }

    @Test("A close flushes what the round has written first")
    func close() throws {
        let wired = try Wired(streams: 2)
        wired.loop.beginRound()
        wired.write([1])
        wired.flush()
        wired.channel.pipeline.syncOperations.close(mode: .all, promise: nil)
        #expect(wired.socket.take() == [Wired.head(1) + [1], []])
        wired.loop.endRound()
        #expect(wired.streams.count == 2)
    }
}

#endif
