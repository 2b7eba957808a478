// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthEvents
import PlinthHub
import PlinthReactor
import PlinthTestSupport
import Synchronization
import Testing

/// An event loop, whose turn the test ends.
private final class Loop: Sendable {
    private let closures = Mutex<[@Sendable () -> Void]>([])

    var count: Int { closures.withLock { $0.count } }

    var turn: Turn {
        Turn(id: ObjectIdentifier(self)) { closure in self.closures.withLock { $0.append(closure) } }
    }

    func endTurn() {
        for closure in closures.withLock({ closures in
            defer { closures = [] }
            return closures
        }) { closure() }
    }
}

@Suite("Turns of publishers")
struct TurnTests {
    @Test("All events of a turn are delivered after it, by one wake-up")
    func once() async throws {
        let loop = Loop()
        let fixture = try await Fixture(currentTurn: { loop.turn })
        let subscriber = try await fixture.subscribe()
        // The hand-off, too, waits for a turn's end, unless the thread is awake and takes it by itself.
        loop.endTurn()
        // In the end the thread waits for the turn.
        try await promise(of: loop, fixture)
        try fixture.publish(10)
        #expect(loop.count == 1)
        loop.endTurn()
        let expected = fixture.expected()
        #expect(try await subscriber.client.read(expected.count) == expected)
        await fixture.finish([subscriber])
    }

    @Test("Other work wakes the thread at once, whatever a turn has promised")
    func other() async throws {
        let loop = Loop()
        let fixture = try await Fixture(currentTurn: { loop.turn })
        let subscriber = try await fixture.subscribe()
        try await promise(of: loop, fixture)
        // Answered by the thread, which then has the socket and the events, too.
        _ = await fixture.reactor.countBehind()
        let expected = fixture.expected()
        #expect(try await subscriber.client.read(expected.count) == expected)
        // The turn never ends, as if its event loop was shut down.
        await fixture.finish([subscriber])
    }

    @Test("A turn does not rely on another one's promise, which may last")
    func others() async throws {
        let stalled = Loop()
        let other = Loop()
        let current = Mutex(stalled)
        let fixture = try await Fixture(currentTurn: { current.withLock { $0 }.turn })
        let subscriber = try await fixture.subscribe()
        try await promise(of: stalled, fixture)
        current.withLock { $0 = other }
        try fixture.publish()
        #expect(other.count == 1)
        other.endTurn()
        let expected = fixture.expected()
        #expect(try await subscriber.client.read(expected.count) == expected)
        await fixture.finish([subscriber])
    }

    /// Publishes until the reactor's thread sleeps, and its wake-up is promised for the end of a loop's turn.
    private func promise(of loop: Loop, _ fixture: Fixture) async throws {
        try await wait(for: "a promised wake-up") {
            repeat {
                try fixture.publish()
                await Task.yield()
            } while loop.count == 0
        }
    }
}

#endif
