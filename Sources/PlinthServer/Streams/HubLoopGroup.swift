// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth
import PlinthHub
import Synchronization

/// A connection of a ``HubLoopGroup``.
///
/// Confined to its event loop.
protocol HubConnection: AnyObject {
    /// Writes what the connection has room for.
    func write(_ bytes: UnsafeRawBufferPointer) -> StreamWrite
    /// Called when the stream is over.
    func finish(_ end: StreamEnd)
}

/// The subscribers of one event loop: over TLS or HTTP/2, or where there is no reactor.
final class HubLoopGroup: DeliveryGroup {
    /// State confined to the event loop.
    ///
    /// A class, so that a connection can access the rest while the distributor writes to it.
    final class LoopState {
        var distributor: Distributor
        let sink = Sink()
        var onEnd: [Int: @Sendable (StreamEnd) -> Void] = [:]
        var reads = HistoryReads()
        let timer = Timer()
        var isBusy = false
        var isDraining = false
        /// Whether a turn for subscribers that are behind is scheduled.
        var isTurnDue = false

        init(_ distributor: Distributor) {
            self.distributor = distributor
        }
    }

    final class Sink: StreamSink {
        var connections: [Int: any HubConnection] = [:]

        func write(_ bytes: UnsafeRawBufferPointer, to slot: Int) -> StreamWrite {
            connections[slot]?.write(bytes) ?? .failed(.clientClosed)
        }
    }

    /// The group's timer.
    final class Timer: LoopTimer {
        weak var group: HubLoopGroup?

        override func fire(now: MonotonicTime) -> MonotonicTime? { group?.tick() }
    }

    /// The most history reads in a turn: fewer than a reactor's, since an event loop also serves requests.
    private static let readsPerTurn = 8

    private struct Pending {
        var entries = PendingEntries()
        var tally = DeliveryTally()
        var isScheduled = false
    }

    private let history: any History
    private let loop: LoopContext
    private let local: NIOLoopBoundBox<LoopState>
    private let pending = Mutex(Pending())

    init(hub: Hub, loop: LoopContext, head: Position) {
        history = hub.history
        self.loop = loop
        local = .makeBoxSendingValue(
            LoopState(Distributor(history: hub.history, options: hub.options, head: head)),
            eventLoop: loop.eventLoop
        )
    }

    func enqueue(_ entries: [HistoryEntry]) {
        let isFirst = pending.withLock { pending in
            pending.entries.add(entries)
            defer { pending.isScheduled = true }
            return !pending.isScheduled
        }
        if isFirst { loop.eventLoop.execute { self.deliver() } }
    }

    func takeTally() -> DeliveryTally {
        pending.withLock { pending in
            defer { pending.tally = DeliveryTally() }
            return pending.tally
        }
    }

    /// Ends all streams gracefully, including those that begin later.
    func drain() {
        loop.eventLoop.execute {
            self.local.value.isDraining = true
            self.run { distributor, sink, now in
                for slot in distributor.slots(where: { _, _ in true }) {
                    distributor.end(slot, .serverDraining, sink, now: now)
                }
            }
        }
    }

    /// Returns when what was asked for before has been performed.
    func performed() async {
        await withCheckedContinuation { continuation in loop.eventLoop.execute { continuation.resume() } }
    }

    /// Ends the selected streams gracefully.
    func end(where isMeant: @escaping StreamPredicate, _ end: StreamEnd) {
        loop.eventLoop.execute {
            self.run { distributor, sink, now in
                for slot in distributor.slots(where: isMeant) { distributor.end(slot, end, sink, now: now) }
            }
        }
    }

    // MARK: - On the event loop

    /// Adds a connection whose head has been written.
    ///
    /// - Returns: Its slot, valid until its `finish` is called.
    func add(_ connection: any HubConnection, _ request: StreamRequest) -> Int {
        let slot = local.value.distributor.add(request, now: loop.now)
        local.value.sink.connections[slot] = connection
        local.value.onEnd[slot] = request.onEnd
        local.value.timer.group = self
        if local.value.isDraining {
            run { distributor, sink, now in distributor.end(slot, .serverDraining, sink, now: now) }
        } else {
            run { _, _, _ in }
        }
        return slot
    }

    // The closures below may be deferred: by then the slot may be another connection's.

    func remove(_ connection: any HubConnection, _ slot: Int, _ end: StreamEnd) {
        run { distributor, sink, _ in
            if sink.connections[slot] === connection { distributor.remove(slot, end) }
        }
    }

    func end(_ connection: any HubConnection, _ slot: Int, _ end: StreamEnd) {
        run { distributor, sink, now in
            if sink.connections[slot] === connection { distributor.end(slot, end, sink, now: now) }
        }
    }

    func isWritable(_ connection: any HubConnection, _ slot: Int) {
        run { distributor, sink, now in
            if sink.connections[slot] === connection { distributor.isWritable(slot, sink, now: now) }
        }
    }

    func hasProgressed(_ connection: any HubConnection, _ slot: Int) {
        run { distributor, sink, now in
            if sink.connections[slot] === connection { distributor.hasProgressed(slot, now: now) }
        }
    }

    private func deliver() {
        let (skipped, entries) = pending.withLock { pending in
            pending.isScheduled = false
            return pending.entries.take()
        }
        run { distributor, sink, now in
            if let skipped { distributor.skip(to: skipped) }
            // Entries are published by the process's clock, which cannot be compared with the event loop's.
            distributor.deliver(entries, sink, now: now, processTime: .now())
        }
    }

    private func takeTurn() {
        local.value.isTurnDue = false
        run { distributor, sink, now in distributor.proceed(sink, now: now, reads: Self.readsPerTurn) }
    }

    private func tick() -> MonotonicTime? {
        run { distributor, sink, now in distributor.tick(sink, now: now) }
        // `run` has rescheduled the timer, if a subscriber is left.
        return nil
    }

    /// Runs `body`, then does what the distributor requested.
    ///
    /// Calls that connections make meanwhile, such as to report their end, are deferred: the distributor is in use.
    private func run(_ body: @escaping (inout Distributor, Sink, MonotonicTime) -> Void) {
        let local = self.local.value
        guard !local.isBusy else {
            let later = NIOLoopBound(body, eventLoop: loop.eventLoop)
            return loop.eventLoop.execute { self.run(later.value) }
        }
        local.isBusy = true
        loop.beginRound()
        defer { loop.endRound() }
        let now = loop.now
        let sink = local.sink
        body(&local.distributor, sink, now)
        let requests = local.distributor.requests
        local.distributor.requests = []
        let ended = local.distributor.ended
        local.distributor.ended = []
        let tally = local.distributor.tally
        local.distributor.tally = DeliveryTally()
        if tally != DeliveryTally() { pending.withLock { $0.tally.add(tally) } }
        local.isBusy = false
        for end in ended {
            sink.connections.removeValue(forKey: end.slot)?.finish(end.reason)
            local.onEnd.removeValue(forKey: end.slot)?(end.reason)
        }
        if !requests.isEmpty { local.reads.add(requests) }
        while let request = local.reads.begin(isAwaited: { local.distributor.isAwaited($0) }) { read(request) }
        if !local.distributor.unfinished.isEmpty, !local.isTurnDue {
            // Scheduled, not run here, so that the event loop serves its connections between turns.
            local.isTurnDue = true
            loop.eventLoop.execute { self.takeTurn() }
        }
        guard let wait = local.distributor.untilTick(now: now) else { return }
        let next = loop.now + .nanoseconds(wait)
        if !local.timer.isScheduled || next < local.timer.fireTime { loop.schedule(local.timer, at: next) }
    }

    /// Reads history asynchronously.
    private func read(_ request: Distributor.ReadRequest) {
        let history = self.history
        Task {
            let answer = try? await history.answer(request)
            loop.eventLoop.execute {
                self.local.value.reads.didAnswer(1)
                self.run { distributor, sink, now in distributor.didRead(request, answer, sink, now: now) }
            }
        }
    }
}

#endif
