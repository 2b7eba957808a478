// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub
import Synchronization

/// A hub's stream on a connection in memory, for tests without a socket: a group of one subscriber.
final class HubMemoryStream: DeliveryGroup, MemoryStream {
    private final class Sink: StreamSink {
        let connection: any MemoryConnection

        init(_ connection: any MemoryConnection) { self.connection = connection }

        func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) -> StreamWrite { .took(connection.take(bytes)) }
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
            _ = opening.withUnsafeBytes { state.sink.write($0, to: 0) }
            state.onEnd = request.onEnd
            state.slot = state.distributor.add(request.selection, request.start, request.form, now: now)
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
        let (skipped, entries) = pending.withLock { pending in
            pending.isScheduled = false
            return pending.entries.take()
        }
        run { state, now in
            if let skipped { state.distributor.skip(to: skipped) }
            state.distributor.deliver(entries, state.sink, now: now)
        }
    }

    func tick() { run { state, now in state.distributor.tick(state.sink, now: now) } }

    func hasRoom() {
        run { state, now in
            if let slot = state.slot { state.distributor.isWritable(slot, state.sink, now: now) }
        }
    }

    func leave(_ end: StreamEnd) {
        run { state, _ in
            if let slot = state.slot { state.distributor.remove(slot, end) }
        }
    }

    func drain() {
        run { state, now in
            if let slot = state.slot { state.distributor.end(slot, .serverDraining, state.sink, now: now) }
        }
    }

    private func run(_ body: (inout State, MonotonicTime) -> Void) {
        let now = connection.now
        let (ended, requests, wait) = state.withLock { state -> (Ended?, [Distributor.ReadRequest], Int64?) in
            body(&state, now)
            while !state.distributor.unfinished.isEmpty { state.distributor.proceed(state.sink, now: now) }
            let requests = state.distributor.requests
            state.distributor.requests = []
            guard let end = state.distributor.ended.first?.reason, let onEnd = state.onEnd.take() else {
                return (nil, requests, state.distributor.untilTick(now: now))
            }
            state.distributor.ended = []
            state.slot = nil
            return ((end, onEnd), requests, nil)
        }
        if let wait { connection.schedule(at: now + .nanoseconds(max(1, wait))) }
        for request in requests { Task { await read(request) } }
        guard let ended else { return }
        hub.remove(group: self)
        ended.notify(ended.reason)
        connection.finish(ended.reason)
    }

    /// Reads history asynchronously.
    private func read(_ request: Distributor.ReadRequest) async {
        let batch = try? await hub.history.read(
            after: request.position,
            selection: request.selection,
            limit: ReadLimit()
        )
        run { state, now in state.distributor.didRead(request, batch, state.sink, now: now) }
    }
}

#endif
