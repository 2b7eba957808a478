// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthHub
import PlinthReactor
import PlinthTestSupport
import Synchronization
import Testing

/// A history that answers reads only after ``open(fails:)``.
final class SlowHistory: MemoryBackedHistory {
    private struct State {
        var isOpen = false
        var fails = false
        var running = 0
        var most = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    struct Failure: Error {}

    let memory: MemoryHistory
    private let state = Mutex(State())

    init(_ memory: MemoryHistory) {
        self.memory = memory
    }

    /// The most concurrent reads.
    var most: Int { state.withLock { $0.most } }

    /// Answers all reads, pending and later ones.
    func open(fails: Bool = false) {
        let waiting = state.withLock { state in
            state.isOpen = true
            state.fails = fails
            defer { state.waiting = [] }
            return state.waiting
        }
        for one in waiting { one.resume() }
    }

    /// Waits until `count` reads are in progress.
    func waitForReads(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.running >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    func read(after position: Position?, selection: Selection, limit: ReadLimit) async throws -> HistoryBatch {
        let due = state.withLock { state in
            state.running += 1
            state.most = max(state.most, state.running)
            let due = state.watchers.filter { $0.count <= state.running }
            state.watchers.removeAll { $0.count <= state.running }
            return due
        }
        for watcher in due { watcher.continuation.resume() }
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
        let fails = state.withLock { state in
            state.running -= 1
            return state.fails
        }
        if fails { throw Failure() }
        return try await memory.read(after: position, selection: selection, limit: ReadLimit(events: 7))
    }
}

@Suite("Asynchronous history")
struct AsynchronousHistoryTests {
    private func make(
        _ options: StreamOptions = StreamOptions(heartbeat: nil)
    ) async throws -> (Fixture, SlowHistory) {
        let made = Mutex<SlowHistory?>(nil)
        let fixture = try await Fixture(options) { memory in
            let slow = SlowHistory(memory)
            made.withLock { $0 = slow }
            return slow
        }
        return (fixture, try #require(made.withLock { $0 }))
    }

    @Test("At most 64 history reads run at once, and live subscribers do not wait for them")
    func reads() async throws {
        let (fixture, history) = try await make()
        try fixture.publish(100)
        var subscribers: [Subscriber] = []
        // When the reactor answers, it has delivered everything; a stream that begins now at the head is live.
        #expect(await fixture.reactor.countBehind() == 0)
        let live = try await fixture.subscribe(after: 100)
        for _ in 0..<150 { subscribers.append(try await fixture.subscribe()) }
        await history.waitForReads(64)
        try fixture.publish(10)
        let news = fixture.expected(after: 100)
        #expect(try await live.client.read(news.count) == news)
        // A client that leaves meanwhile gets no answer, and its slot is reused.
        subscribers[3].client.close()
        #expect(await subscribers[3].ending.value == .clientClosed)
        let next = try await fixture.subscribe()
        history.open()
        let expected = fixture.expected()
        for (number, subscriber) in subscribers.enumerated() where number != 3 {
            #expect(try await subscriber.client.read(expected.count) == expected)
        }
        #expect(try await next.client.read(expected.count) == expected)
        #expect(history.most == 64)
        await fixture.finish(subscribers + [live, next])
    }

    @Test("A stream ends if history has not answered within its timeout")
    func failure() async throws {
        var options = StreamOptions(heartbeat: nil)
        options.historyTimeout = .zero
        let (fixture, history) = try await make(options)
        try fixture.publish(10)
        #expect(await fixture.reactor.countBehind() == 0)
        let subscriber = try await fixture.subscribe()
        history.open(fails: true)
        #expect(try await subscriber.client.readToEnd() == Fixture.lastChunk)
        subscriber.client.close()
        #expect(await subscriber.ending.value == .historyFailed)
        await fixture.finish([subscriber])
    }

    @Test("The reactor stops without waiting for a history read")
    func stop() async throws {
        let (fixture, history) = try await make()
        try fixture.publish(10)
        #expect(await fixture.reactor.countBehind() == 0)
        let subscriber = try await fixture.subscribe()
        await history.waitForReads(1)
        await fixture.finish([subscriber])
        history.open()
    }
}

#endif
