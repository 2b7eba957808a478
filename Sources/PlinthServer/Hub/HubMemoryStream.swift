// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub
import Synchronization

/// A hub's stream on a connection in memory, for tests without a socket: a group of one subscriber.
final class HubMemoryStream: DeliveryGroup, MemoryStream {
    private final class Sink: StreamSink {
        let connection: any MemoryConnection
        /// The opening bytes that the client has not taken.
        var opening: [UInt8] = []

        init(_ connection: any MemoryConnection) { self.connection = connection }

        func open() -> Bool {
            guard !opening.isEmpty else { return true }
            guard opening.withUnsafeBytes({ connection.take($0) }) > 0 else { return false }
            opening = []
            return true
        }

        func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) -> StreamWrite {
            .took(open() ? connection.take(bytes) : 0)
        }
    }

    private typealias Ended = (reason: StreamEnd, notify: @Sendable (StreamEnd) -> Void)

    private struct State {
        var distributor: Distributor
        let sink: Sink
        var slot: Int?
        var onEnd: (@Sendable (StreamEnd) -> Void)?
    }

    private struct Pending {
        var entries = PendingEntries()
        var isScheduled = false
    }

    private let hub: Hub
    private let connection: any MemoryConnection
    private let state: Mutex<State>
    private let pending = Mutex(Pending())

    init(hub: Hub, head: Position, connection: any MemoryConnection) {
        self.hub = hub
        self.connection = connection
        let distributor = Distributor(history: hub.history, options: hub.options, head: head)
        state = Mutex(State(distributor: distributor, sink: Sink(connection)))
    }

    /// Writes the opening bytes and adds the subscriber.
    func begin(_ request: StreamRequest, opening: [UInt8]) {
        run { state, now in
            state.sink.opening = opening
            _ = state.sink.open()
            state.onEnd = request.onEnd
            state.slot = state.distributor.add(request, now: now)
        }
    }

    func enqueue(_ entries: [HistoryEntry]) {
        let isFirst = pending.withLock { pending in
            pending.entries.add(entries)
            defer { pending.isScheduled = true }
            return !pending.isScheduled
        }
        // In a task: the history may hold its lock here, and a subscriber that is behind reads the history.
        if isFirst { Task { deliver() } }
    }

    private func deliver() {
        run { state, now in
            // Taken under the stream's lock, so that two deliveries keep their order.
            let (skipped, entries) = pending.withLock { pending in
                pending.isScheduled = false
                return pending.entries.take()
            }
            if let skipped { state.distributor.skip(to: skipped) }
            state.distributor.deliver(entries, state.sink, now: now)
        }
    }

    func tick() { run { state, now in state.distributor.tick(state.sink, now: now) } }

    func hasRoom() {
        run { state, now in
            _ = state.sink.open()
            if let slot = state.slot { state.distributor.isWritable(slot, state.sink, now: now) }
        }
    }

    func leave(_ end: StreamEnd) {
        run { state, _ in
            if let slot = state.slot { state.distributor.remove(slot, end) }
        }
    }

    func drain() {
        end(where: { _, _ in true }, .serverDraining)
    }

    /// Ends the stream, and completes its body.
    func end(where isMeant: StreamPredicate, _ end: StreamEnd) {
        run { state, now in
            for slot in state.distributor.slots(where: isMeant) {
                state.distributor.end(slot, end, state.sink, now: now)
            }
        }
    }

    private func run(_ body: (inout State, MonotonicTime) -> Void) {
        let now = connection.now
        let (ended, requests) = state.withLock { state -> (Ended?, [Distributor.ReadRequest]) in
            body(&state, now)
            while !state.distributor.unfinished.isEmpty { state.distributor.proceed(state.sink, now: now) }
            let requests = state.distributor.requests
            state.distributor.requests = []
            guard let end = state.distributor.ended.first?.reason, let onEnd = state.onEnd.take() else {
                // Under the lock, so that the latest deadline is the one that counts.
                let wait = state.distributor.untilTick(now: now)
                if let wait { connection.schedule(at: now + .nanoseconds(max(1, wait))) }
                return (nil, requests)
            }
            state.distributor.ended = []
            state.slot = nil
            return ((end, onEnd), requests)
        }
        for request in requests { Task { await read(request) } }
        guard let ended else { return }
        ended.notify(ended.reason)
        connection.finish(ended.reason)
    }

    /// Reads history asynchronously.
    private func read(_ request: Distributor.ReadRequest) async {
        let answer = try? await hub.history.answer(request)
        run { state, now in state.distributor.didRead(request, answer, state.sink, now: now) }
    }
}

#endif
