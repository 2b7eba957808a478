// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthHub
import Testing

@testable import PlinthReactor

@Suite("Input after a request")
struct InputQueueTests {
    @Test("A socket is queued once, however often its input is reported")
    func once() {
        var queue = InputQueue()
        let first = StreamTag(slot: 1, generation: 1)
        let lingering = StreamTag(slot: 1, generation: 1, isLingering: true)
        for _ in 0..<100 {
            queue.add(first)
            queue.add(lingering)
        }
        #expect(queue.count == 2)
        #expect(queue.contains(first))
        #expect(queue.take() == [first, lingering])
        #expect(queue.isEmpty)
        #expect(!queue.contains(first))
        queue.add(first)
        #expect(queue.take() == [first])
    }

    @Test("A turn reads at most 64 queued sockets, those that have waited longest first")
    func bounded() {
        var queue = InputQueue()
        let tags = (0..<150).map { StreamTag(slot: $0, generation: 1) }
        for tag in tags { queue.add(tag) }
        let first = queue.take()
        #expect(first == Array(tags[..<64]))
        // A socket that was read and has more input is queued last.
        queue.add(first[0])
        #expect(queue.take() == Array(tags[64..<128]))
        #expect(queue.take() == Array(tags[128...]) + [first[0]])
        #expect(queue.take() == [])
    }

    @Test("Clients that send 32 MiB are queued once each, and others get their events")
    func flood() async throws {
        let fixture = try await Fixture()
        let flooders = [try await fixture.subscribe(), try await fixture.subscribe()]
        let reader = try await fixture.subscribe()
        let input = [UInt8](repeating: 0x78, count: 32 << 20)
        async let first = flooders[0].client.send(input)
        async let second = flooders[1].client.send(input)
        for _ in 0..<50 { try fixture.publish() }
        #expect(try await reader.client.read(fixture.expected().count) == fixture.expected())
        #expect(await first == input.count)
        #expect(await second == input.count)
        #expect(fixture.reactor.mostUnread <= 2, "\(fixture.reactor.mostUnread) queued sockets for two clients")
        await fixture.finish(flooders + [reader])
    }
}

#endif
