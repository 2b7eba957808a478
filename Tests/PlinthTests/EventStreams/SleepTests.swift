// SPDX-License-Identifier: Apache-2.0

import PlinthTesting
import Testing

@testable import Plinth

/// `sleep(for:)`, on the stream's own timer.
@Suite("Sleeping on a stream", .timeLimit(.minutes(1)))
struct SleepTests {
    private static func stream(_ ready: @escaping EventStream.Ready) async throws -> TestEventStream {
        try await Chain.stream(options: .init(heartbeat: .off), ready).eventStream(for: .get("/"))
    }

    @Test("A closure that sleeps between events resumes as the stream's time passes")
    func ticks() async throws {
        let stream = try await Self.stream { events in
            for number in 1...3 {
                await events.send("\(number)")
                try await events.sleep(for: .seconds(1))
            }
        }
        for number in 1...3 {
            try await stream.expectEvent(data: "\(number)")
            try await stream.clock.waitForSleepers()
            stream.advance(by: .milliseconds(999))
            #expect(stream.clock.sleeperCount == 1)
            #expect(stream.receivedEvents.count == number)
            stream.advance(by: .milliseconds(1))
        }
        try await stream.expectEnd(.applicationClosed)
    }

    @Test("Several tasks may sleep on one stream, each for its own time")
    func several() async throws {
        let stream = try await Self.stream { events in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for seconds in [3, 1, 2] {
                    group.addTask {
                        try await events.sleep(for: .seconds(seconds))
                        await events.send("\(seconds)")
                    }
                }
                try await group.waitForAll()
            }
        }
        try await stream.clock.waitForSleepers(3)
        for seconds in 1...3 {
            stream.advance(by: .seconds(1))
            try await stream.expectEvent(data: "\(seconds)")
        }
    }

    @Test("A sleep ends on time while the client reads nothing")
    func stalled() async throws {
        let slept = Journal<Bool>()
        let stream = try await Self.stream { events in
            await events.send("one")
            try await events.sleep(for: .seconds(1))
            slept.note(true)
        }
        stream.stall()
        try await stream.clock.waitForSleepers()
        stream.advance(by: .seconds(1))
        await slept.wait(for: 1)
    }

    @Test("A client that leaves ends a sleep with CancellationError")
    func leaving() async throws {
        let errors = Journal<String>()
        let stream = try await Self.stream { events in
            do { try await events.sleep(for: .seconds(60)) } catch {
                errors.note("\(type(of: error))")
                throw error
            }
        }
        try await stream.clock.waitForSleepers()
        stream.leave()
        await errors.wait(for: 1)
        #expect(errors.entries == ["CancellationError"])
    }

    @Test("Closing the channel ends a sleep with EventChannelClosed")
    func closing() async throws {
        let errors = Journal<String>()
        let channels = Registry()
        let stream = try await Self.stream { events in
            channels.add(events)
            do { try await events.sleep(for: .seconds(60)) } catch { errors.note("\(error)") }
        }
        try await stream.clock.waitForSleepers()
        channels.channels.first?.close()
        await errors.wait(for: 1)
        #expect(errors.entries == ["\(EventChannelClosed(reason: .applicationClosed))"])
        try await stream.expectEnd(.applicationClosed)
    }

    @Test("Cancelling a sleeping task ends its sleep with CancellationError")
    func cancelled() async throws {
        let results = Journal<String>()
        let stream = try await Self.stream { events in
            let sleeping = Task { try await events.sleep(for: .seconds(60)) }
            await events.send("one")
            try await events.sleep(for: .seconds(1))
            sleeping.cancel()
            let result = await sleeping.result
            results.note("\(result)")
            try await events.sleep(for: .seconds(60))
        }
        try await stream.expectEvent(data: "one")
        try await stream.clock.waitForSleepers()
        stream.advance(by: .seconds(1))
        await results.wait(for: 1)
        #expect(results.entries.first?.contains("CancellationError") == true)
    }

    @Test("A time that is not positive does not suspend, and before the connection a sleep works, too")
    func edges() async throws {
        let events = EventChannel(EventStreamOptions())
        try await events.sleep(for: .zero)
        try await events.sleep(for: .seconds(-1))
        try await events.sleep(for: .nanoseconds(1))
        events.close()
        await #expect(throws: EventChannelClosed.self) { try await events.sleep(for: .seconds(60)) }
    }

    @Test("Only a sleep that ends before all others wakes the transport; the end of the stream ends all")
    func wakes() async throws {
        let events = EventChannel(EventStreamOptions(heartbeat: .off))
        let transport = Wakes()
        events.attach(transport, preamble: [], metrics: nil, now: .seconds(0))
        _ = transport.taken
        _ = events.pullAll()
        let long = Task { try await events.sleep(for: .seconds(60)) }
        while events.sleeperCount < 1 { await Task.yield() }
        #expect(transport.taken == 1)
        #expect(events.takeSleepDeadline() == .seconds(60))
        let longer = Task { try await events.sleep(for: .seconds(70)) }
        while events.sleeperCount < 2 { await Task.yield() }
        #expect(transport.taken == 0)
        let short = Task { try await events.sleep(for: .seconds(1)) }
        while events.sleeperCount < 3 { await Task.yield() }
        #expect(transport.taken == 1)
        #expect(events.tick(now: .seconds(1)) == .next(.seconds(60)))
        try await short.value
        events.disconnect(.clientClosed)
        await #expect(throws: EventChannelClosed.self) { try await long.value }
        await #expect(throws: EventChannelClosed.self) { try await longer.value }
    }
}
