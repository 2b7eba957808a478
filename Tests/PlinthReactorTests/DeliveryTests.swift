// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthEvents
import PlinthHub
import PlinthReactor
import Testing

@Suite("Delivery to sockets")
struct DeliveryTests {
    @Test("Many subscribers get every event once, in order", arguments: SocketKind.allCases)
    func many(_ transport: SocketKind) async throws {
        let fixture = try await Fixture()
        var subscribers: [Subscriber] = []
        for _ in 0..<50 { subscribers.append(try await fixture.subscribe(transport)) }
        try fixture.publish(300)
        let expected = fixture.expected()
        for subscriber in subscribers { #expect(try await subscriber.client.read(expected.count) == expected) }
        #expect(fixture.reactor.count == 50)
        #expect(await fixture.reactor.countBehind() == 0)
        let tally = fixture.reactor.takeTally()
        #expect(tally.delivered == 50 * 300)
        #expect(tally.bytes == 50 * expected.count)
        await fixture.finish(subscribers)
    }

    @Test("A subscriber that joins during publishing receives every event once")
    func join() async throws {
        let fixture = try await Fixture()
        let publisher = Task {
            for _ in 0..<2000 {
                try fixture.publish()
                if fixture.entries.count % 50 == 0 { await Task.yield() }
            }
        }
        var subscribers: [(Subscriber, Int)] = []
        while fixture.entries.count < 2000, subscribers.count < 100 {
            let position = subscribers.count % 2 == 0 ? 0 : fixture.entries.count
            subscribers.append((try await fixture.subscribe(after: position), position))
        }
        try await publisher.value
        for (subscriber, position) in subscribers {
            let expected = fixture.expected(after: position)
            #expect(try await subscriber.client.read(expected.count) == expected)
        }
        await fixture.finish(subscribers.map(\.0))
    }

    @Test("A subscriber from the oldest event gets all events held, without a gap")
    func earliest() async throws {
        let fixture = try await Fixture(limits: HistoryLimits(events: 10))
        try fixture.publish(100)
        let subscriber = try await fixture.subscribe(after: nil)
        let expected = fixture.expected(after: 90)
        #expect(try await subscriber.client.read(expected.count) == expected)
        await fixture.finish([subscriber])
    }

    @Test("A reader that stops and resumes gets every event once, byte for byte", arguments: SocketKind.allCases)
    func partialWrites(_ transport: SocketKind) async throws {
        let fixture = try await Fixture()
        let slow = try await fixture.subscribe(transport, buffer: 4096)
        let quick = try await fixture.subscribe(transport)
        var read = 0
        for round in 0..<4 {
            try await fixture.publishUntilBehind(size: 3000)
            // The slow reader does not delay the quick one.
            let expected = fixture.expected()
            #expect(try await quick.client.read(expected.count - read) == Array(expected[read...]), "round \(round)")
            #expect(try await slow.client.read(expected.count - read) == Array(expected[read...]), "round \(round)")
            read = expected.count
            #expect(slow.ending.reasons.isEmpty)
        }
        await fixture.finish([slow, quick])
    }

    @Test("A subscriber whose history was trimmed gets a gap event, and continues with the oldest event")
    func gap() async throws {
        let fixture = try await Fixture(limits: HistoryLimits(events: 50))
        let subscriber = try await fixture.subscribe(.tcp, buffer: 4096)
        try await fixture.publishUntilBehind(size: 3000)
        try fixture.publish(200)
        fixture.reactor.drain()
        // Ended while behind: only the event in progress is completed.
        _ = try await subscriber.client.readToEnd()
        #expect(await subscriber.ending.value == .serverDraining)
        await fixture.finish([subscriber])

        let second = try await Fixture(limits: HistoryLimits(events: 50))
        let reader = try await second.subscribe(.tcp, buffer: 4096)
        try await second.publishUntilBehind(size: 3000)
        try second.publish(200)
        let last = try #require(second.entries.last)
        let body = try await reader.client.read(until: "id: \(last.id)\n\n\r\n")
        var position = 0
        var gaps = 0
        for event in try events(body) {
            if event.type == "gap" {
                gaps += 1
                // Which event is the oldest depends on when history was read.
                let oldest = try #require(
                    second.entries.firstIndex { event.data.contains("\"oldest\":\"\($0.id)\"") }
                )
                #expect(oldest > position)
                position = oldest
            } else {
                try #require(position < second.entries.count)
                try #require(event == second.entries[position].event)
                position += 1
            }
        }
        #expect(gaps >= 1)
        #expect(position == second.entries.count)
        await second.finish([reader])
    }

    @Test("A subscriber that resumes from another history's ID gets a gap event")
    func unknown() async throws {
        let fixture = try await Fixture()
        try fixture.publish(3)
        let subscriber = try await fixture.subscribe(unknown: EventID(utf8: Array("old-7".utf8)))
        let last = try #require(fixture.entries.last)
        let found = try events(try await subscriber.client.read(until: "id: \(last.id)\n\n\r\n"))
        #expect(found.first?.type == "gap")
        #expect(found.first?.data.contains("\"requested\":\"old-7\"") ?? false)
        #expect(Array(found.dropFirst()) == fixture.entries.map(\.event))
        await fixture.finish([subscriber])
    }

    @Test("An idle stream gets heartbeats")
    func heartbeats() async throws {
        let fixture = try await Fixture(StreamOptions(heartbeat: .milliseconds(100)))
        let subscriber = try await fixture.subscribe()
        for _ in 0..<3 { #expect(try await subscriber.client.read(7) == Array("2\r\n:\n\r\n".utf8)) }
        await fixture.finish([subscriber])
        #expect(fixture.reactor.takeTally().heartbeats >= 3)
    }

    @Test("Events of one turn that exceed one write are all delivered")
    func largeRound() async throws {
        let fixture = try await Fixture(starts: false)
        let subscriber = try await fixture.subscribe()
        try fixture.publish(500, size: 5000)
        try fixture.reactor.start()
        let expected = fixture.expected()
        #expect(try await subscriber.client.read(expected.count) == expected)
        await fixture.finish([subscriber])
    }
}

#endif
