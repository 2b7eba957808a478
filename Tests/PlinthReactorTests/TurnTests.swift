// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthEvents
import PlinthHub
import PlinthReactor
import PlinthTestSupport
import Synchronization
import Testing

/// A publisher's turn, which the test ends.
private final class Turn: Sendable {
    private let closures = Mutex<[@Sendable () -> Void]>([])

    var count: Int { closures.withLock { $0.count } }

    func atEnd(_ closure: @escaping @Sendable () -> Void) { closures.withLock { $0.append(closure) } }

    func end() {
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
        let turn = Turn()
        let fixture = try await Fixture(currentTurn: { { turn.atEnd($0) } })
        let subscriber = try await fixture.subscribe()
        // The hand-off, too, waits for a turn's end, unless the thread is awake and takes it by itself.
        turn.end()
        // In the end the thread waits for the turn.
        try await wait(for: "a promised wake-up") {
            while turn.count == 0 {
                try fixture.publish()
                await Task.yield()
            }
        }
        try fixture.publish(10)
        #expect(turn.count == 1)
        turn.end()
        let expected = fixture.expected()
        #expect(try await subscriber.client.read(expected.count) == expected)
        await fixture.finish([subscriber])
    }

    @Test("Other work wakes the thread at once, whatever a turn has promised")
    func other() async throws {
        let turn = Turn()
        let fixture = try await Fixture(currentTurn: { { turn.atEnd($0) } })
        let subscriber = try await fixture.subscribe()
        try await wait(for: "a promised wake-up") {
            while turn.count == 0 {
                try fixture.publish()
                await Task.yield()
            }
        }
        // Answered by the thread, which then has the socket and the events, too.
        _ = await fixture.reactor.countBehind()
        let expected = fixture.expected()
        #expect(try await subscriber.client.read(expected.count) == expected)
        // The turn never ends, as if its event loop was shut down.
        await fixture.finish([subscriber])
    }
}

#endif
