// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthTestSupport
import Foundation
import Glibc
import Logging
import PlinthHub
import PlinthReactor
import Synchronization
import Testing

@Suite("Stopping")
struct StopTests {
    @Test("A reactor stopped before it starts, even twice, ends all its streams")
    func idle() async throws {
        let fixture = try await Fixture(starts: false)
        let before = try await fixture.subscribe()
        fixture.reactor.stop()
        #expect(before.ending.reasons == [.serverDraining])
        fixture.reactor.stop()
        try fixture.reactor.start()
        let after = try await fixture.subscribe()
        #expect(after.ending.reasons == [.serverDraining])
        try fixture.publish()
        fixture.reactor.drain()
        fixture.reactor.end(where: { _, _ in true }, reason: .ended)
        #expect(await fixture.reactor.countBehind() == 0)
        await fixture.finish([before, after])
    }

    @Test("The closure for a stream's end may call the reactor, even to stop it")
    func fromCallback() async throws {
        let fixture = try await Fixture()
        let (client, descriptor) = try Client.pair()
        let other = try await fixture.subscribe()
        let ending = Ending()
        let request = StreamRequest(
            selection: Selection([.exact(fixture.topic)]),
            start: LocatedStart(position: .zero),
            form: StreamForm(isChunked: true, namesTopic: false)
        ) { [weak fixture] reason in
            guard let fixture else { return }
            #expect(fixture.reactor.count == 2)
            fixture.reactor.end(where: { _, _ in true }, reason: .ended)
            try? fixture.publish()
            fixture.reactor.drain()
            _ = fixture.reactor.takeTally()
            fixture.reactor.stop()
            fixture.reactor.stop()
            ending.record(reason)
        }
        fixture.reactor.handOff(descriptor, request)
        client.close()
        #expect(await ending.value == .clientClosed)
        #expect([.serverDraining, .ended].contains(await other.ending.value))
        await fixture.finish([other])
    }

    @Test("A reactor that is released unstarted closes its sockets")
    func forgotten() async throws {
        let ending = Ending()
        let (client, descriptor) = try Client.pair()
        let memory = MemoryHistory()
        var reactor: Reactor? = try Reactor(
            history: memory,
            options: StreamOptions(),
            head: .zero,
            logger: Logger(label: "test")
        )
        let topic = try Topic("news")
        let request = StreamRequest(
            selection: Selection([.exact(topic)]),
            start: LocatedStart(position: .zero),
            form: StreamForm(isChunked: true, namesTopic: false)
        ) { ending.record($0) }
        reactor?.handOff(descriptor, request)
        weak let left = reactor
        reactor = nil
        #expect(left == nil)
        #expect(ending.reasons == [.serverDraining])
        #expect(try await client.readToEnd().isEmpty)
    }

    @Test("Stopped reactors leave no descriptors open")
    func descriptors() async throws {
        func pollers() throws -> Int {
            try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count { name in
                let path = "/proc/self/fd/\(name)"
                return (try? FileManager.default.destinationOfSymbolicLink(atPath: path)) == "anon_inode:[eventpoll]"
            }
        }
        for _ in 0..<500 {
            let fixture = try await Fixture()
            let subscriber = try await fixture.subscribe()
            fixture.reactor.stop()
            await fixture.reactor.waitUntilEmpty()
            #expect(subscriber.ending.reasons == [.serverDraining])
        }
        // Concurrent tests have at most about 100 of their own.
        #expect(try pollers() < 300)
    }

    /// Stops amid hand-offs, ends, publishing, and clients that leave or send.
    @Test("Stopping at a random moment closes every socket, and notifies each owner once", arguments: 0..<60)
    func random(_ number: Int) async throws {
        let seed = ProcessInfo.processInfo.environment["PLINTH_SEED"].flatMap { UInt64($0) } ?? .random(in: 0...9999)
        var generator = SeededGenerator(seed: seed &+ UInt64(number) << 32)
        let drains = Bool.random(using: &generator)
        let startsLate = Bool.random(using: &generator)
        let fixture = try await Fixture(
            StreamOptions(heartbeat: .milliseconds(50), writeTimeout: .milliseconds(100)),
            limits: HistoryLimits(events: 100),
            starts: !startsLate
        )
        let steps = Int.random(in: 0..<200, using: &generator)
        let publisher = Task {
            for _ in 0..<steps { try fixture.publish(size: 2000) }
        }
        let stops = Task { [steps = Int.random(in: 0..<300, using: &generator)] in
            for _ in 0..<steps { await Task.yield() }
            if startsLate { try? fixture.reactor.start() }
            for _ in 0..<steps { await Task.yield() }
            if drains { fixture.reactor.drain() }
            fixture.reactor.stop()
        }
        var subscribers: [Subscriber] = []
        for _ in 0..<steps / 4 {
            let subscriber = try await fixture.subscribe(
                Bool.random(using: &generator) ? .tcp : .unix,
                buffer: Bool.random(using: &generator) ? 4096 : nil
            )
            subscribers.append(subscriber)
            switch Int.random(in: 0..<8, using: &generator) {
            case 0: subscriber.client.close()
            case 1: subscriber.client.reset()
            case 2: subscriber.client.finishOutput()
            case 3: await subscriber.client.send([UInt8](repeating: 0x58, count: 3000))
            case 4: fixture.reactor.end(where: { _, _ in true }, reason: .ended)
            case 5: await Task.yield()
            default: break
            }
        }
        await stops.value
        try await publisher.value
        await fixture.reactor.waitUntilEmpty()
        #expect(subscribers.allSatisfy { $0.ending.reasons.count == 1 }, "seed \(seed), number \(number)")
        let open = openSockets()
        #expect(subscribers.allSatisfy { !open.contains($0.socket) }, "seed \(seed), number \(number)")
    }
}

#endif
