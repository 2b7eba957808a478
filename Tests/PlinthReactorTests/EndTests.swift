// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthEvents
import PlinthHub
import PlinthReactor
import Testing

@Suite("Ends of streams")
struct EndTests {
    // MARK: - The client leaves

    /// How a client leaves.
    enum Leaving: CaseIterable {
        case close, reset, halfClose

        func callAsFunction(_ client: Client) {
            switch self {
            case .close: client.close()
            case .reset: client.reset()
            case .halfClose: client.finishOutput()
            }
        }
    }

    @Test("A client that leaves is noticed at once", arguments: Leaving.allCases, SocketKind.allCases)
    func leaves(_ leaving: Leaving, _ transport: SocketKind) async throws {
        let fixture = try await Fixture()
        let subscriber = try await fixture.subscribe(transport)
        try fixture.publish()
        _ = try await subscriber.client.read(fixture.expected().count)
        leaving(subscriber.client)
        #expect(await subscriber.ending.value == .clientClosed)
        await fixture.reactor.waitUntilEmpty()
        await fixture.finish([subscriber])
    }

    @Test("A client that left before its hand-off ends its stream", arguments: Leaving.allCases, SocketKind.allCases)
    func leftBefore(_ leaving: Leaving, _ transport: SocketKind) async throws {
        let fixture = try await Fixture()
        try fixture.publish(10)
        let subscriber = try await fixture.subscribe(transport) { leaving($0) }
        #expect(await subscriber.ending.value == .clientClosed)
        await fixture.finish([subscriber])
    }

    @Test("A client that leaves while behind is noticed", arguments: Leaving.allCases)
    func leavesBehind(_ leaving: Leaving) async throws {
        let fixture = try await Fixture()
        let subscriber = try await fixture.subscribe(buffer: 4096)
        try await fixture.publishUntilBehind()
        leaving(subscriber.client)
        #expect(await subscriber.ending.value == .clientClosed)
        await fixture.finish([subscriber])
    }

    @Test("A hand-off of an invalid descriptor ends the stream as failed")
    func noSocket() async throws {
        let fixture = try await Fixture()
        let ending = Ending()
        let request = StreamRequest(
            selection: Selection([.exact(fixture.topic)]),
            start: LocatedStart(position: .zero),
            form: StreamForm(isChunked: true, namesTopic: false)
        ) { ending.record($0) }
        fixture.reactor.handOff(-1, request)
        fixture.reactor.handOff(CInt.max, request)
        await fixture.reactor.waitUntilEmpty()
        #expect(ending.reasons == [.writeFailed, .writeFailed])
        await fixture.finish([])
    }

    // MARK: - Input

    @Test("Bytes sent before and after the hand-off are ignored", arguments: SocketKind.allCases)
    func pipelined(_ transport: SocketKind) async throws {
        let fixture = try await Fixture()
        let input = [UInt8](repeating: 0x47, count: 100_000)
        let subscriber = try await fixture.subscribe(transport) { await $0.send(input) }
        await subscriber.client.send(input)
        try fixture.publish(100)
        await subscriber.client.send(input)
        let expected = fixture.expected()
        #expect(try await subscriber.client.read(expected.count) == expected)
        await subscriber.client.send(input)
        fixture.reactor.drain()
        // With unread input, closing at once would reset the connection.
        await subscriber.client.send(input)
        #expect(try await subscriber.client.readToEnd() == Fixture.lastChunk)
        subscriber.client.close()
        #expect(await subscriber.ending.value == .serverDraining)
        await fixture.finish([subscriber])
    }

    @Test("A client that never stops sending delays neither other streams nor the end of its own")
    func flood() async throws {
        let fixture = try await Fixture()
        let flooding = try await fixture.subscribe()
        let other = try await fixture.subscribe()
        async let flood: Void = flooding.client.flood()
        var read = 0
        for _ in 0..<50 {
            try fixture.publish()
            let expected = fixture.expected()
            #expect(try await other.client.read(expected.count - read) == Array(expected[read...]))
            read = expected.count
        }
        #expect(flooding.ending.reasons.isEmpty)
        fixture.reactor.drain()
        #expect(await flooding.ending.value == .serverDraining)
        await flood
        #expect(try await other.client.readToEnd() == Fixture.lastChunk)
        other.client.close()
        await fixture.finish([flooding, other])
    }

    // MARK: - Time

    @Test("A client that takes nothing until the write timeout is closed")
    func writeTimeout() async throws {
        let fixture = try await Fixture(StreamOptions(heartbeat: nil, writeTimeout: .milliseconds(200)))
        let subscriber = try await fixture.subscribe(buffer: 4096)
        try await fixture.publishUntilBehind()
        #expect(await subscriber.ending.value == .timedOut)
        await fixture.finish([subscriber])
    }

    @Test("A stream is completed at its maximum age", arguments: [false, true])
    func maximumAge(isBehind: Bool) async throws {
        let fixture = try await Fixture(StreamOptions(heartbeat: nil, maximumAge: .milliseconds(100)))
        let subscriber = try await fixture.subscribe(buffer: 4096)
        if isBehind { try await fixture.publishUntilBehind() }
        let body = try await subscriber.client.readToEnd()
        #expect(try unchunked(body).isComplete)
        subscriber.client.close()
        #expect(await subscriber.ending.value == .expired)
        await fixture.finish([subscriber])
    }

    // MARK: - The server ends them

    @Test("Draining completes all bodies, and refuses hand-offs")
    func drain() async throws {
        let fixture = try await Fixture()
        var subscribers: [Subscriber] = []
        for number in 0..<20 {
            subscribers.append(try await fixture.subscribe(number % 2 == 0 ? .tcp : .unix))
        }
        let behind = try await fixture.subscribe(buffer: 4096)
        try await fixture.publishUntilBehind()
        fixture.reactor.drain()
        let late = try await fixture.subscribe()
        #expect(late.ending.reasons == [.serverDraining])
        let expected = fixture.expected() + Fixture.lastChunk
        for subscriber in subscribers {
            #expect(try await subscriber.client.readToEnd() == expected)
            subscriber.client.close()
        }
        let body = try unchunked(try await behind.client.readToEnd())
        #expect(body.isComplete)
        behind.client.close()
        await fixture.reactor.waitUntilEmpty()
        #expect(fixture.reactor.lingering == 0)
        for subscriber in subscribers + [behind] { #expect(subscriber.ending.reasons == [.serverDraining]) }
        await fixture.finish(subscribers + [behind, late])
    }

    @Test("A client that does not close is closed after 2 s")
    func lingering() async throws {
        let fixture = try await Fixture()
        let subscriber = try await fixture.subscribe()
        let start = MonotonicTime.now()
        fixture.reactor.drain()
        #expect(try await subscriber.client.readToEnd() == Fixture.lastChunk)
        // Input until then does not reset the connection.
        await subscriber.client.send([UInt8](repeating: 0x47, count: 1000))
        #expect(try await subscriber.client.readToEnd().isEmpty)
        #expect(await subscriber.ending.value == .serverDraining)
        #expect(MonotonicTime.now().nanoseconds - start.nanoseconds >= 1_900_000_000)
        await fixture.finish([subscriber])
    }

    @Test("Ending the streams of one topic leaves others open")
    func some() async throws {
        let fixture = try await Fixture()
        let other = try Topic("other")
        let stays = try await fixture.subscribe()
        let (client, descriptor) = try Client.pair()
        let ending = Ending()
        let socket = socketNumber(descriptor)
        let request = StreamRequest(
            selection: Selection([.exact(other)]),
            start: LocatedStart(position: .zero),
            form: StreamForm(isChunked: true, namesTopic: false)
        ) { ending.record($0) }
        fixture.reactor.handOff(descriptor, request)
        fixture.reactor.end(where: { selection, _ in selection.wants(other) }, reason: .ended)
        #expect(try await client.readToEnd() == Fixture.lastChunk)
        client.close()
        #expect(await ending.value == .ended)
        try fixture.publish()
        let expected = fixture.expected()
        #expect(try await stays.client.read(expected.count) == expected)
        await fixture.finish([stays, Subscriber(client: client, ending: ending, socket: socket)])
    }

    @Test("Waiting for the last stream can be cancelled")
    func waiting() async throws {
        let fixture = try await Fixture()
        let subscriber = try await fixture.subscribe()
        let waiting = Task { await fixture.reactor.waitUntilEmpty() }
        waiting.cancel()
        await waiting.value
        #expect(fixture.reactor.count == 1)
        await fixture.finish([subscriber])
        await fixture.reactor.waitUntilEmpty()
    }
}

#endif
