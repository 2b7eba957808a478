// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore
import Plinth

/// An application's event stream on its connection: pulls from the stream's channel while the connection has room.
final class ApplicationStreamHandler<Output: ResponseOutput>: StreamOutlet<Output>, EventStreamConnection {
    /// The stream's channel, kept beside the stream: each event reads it, and one indirection less is one cache miss less.
    private let events: EventChannel
    private let stream: EventStream
    private let metrics: EventStreamMetrics?
    private let logger: Logger
    /// Whether the channel knows this as its connection.
    private var isServing = false
    private var isPumping = false
    /// Whether there is more to pull as soon as the connection has room: otherwise the channel wakes the stream.
    private var waitsForRoom = false
    /// Whether the timer is set for the end of a stall, behind the next heartbeat.
    private var isPutOff = false

    /// How much is pulled at once, and how often before other streams of the event loop have their turn.
    private static var pullLimit: Int { 16 * 1024 }
    private static var maximumPulls: Int { 16 }

    init(
        _ stream: EventStream,
        on connection: StreamConnection,
        logger: Logger,
        route: RouteIdentity?
    ) {
        self.stream = stream
        self.events = stream.channel
        self.logger = logger
        self.metrics = connection.server.metrics.metrics(for: route)
        connection.server.activities.enter()
        super.init(connection)
    }

    // MARK: - Life

    override func start() {
        let now = MonotonicTime.now()
        isServing = events.attach(loop, preamble: stream.preamble, metrics: metrics, now: now)
        if isServing { events.connection = self }
        loop.schedule(self, at: events.firstTick)
        pump(now: now)
        startReadyFunction()
    }

    /// Runs the ready function in a task of its own.
    ///
    /// Not in the request's: that has run the chain, and the room that its stages needed (several kilobytes) would be kept
    /// for as long as the stream lasts. If it already runs, because the stream opened with its first event, the task waits
    /// for it, so that a shutdown does.
    private func startReadyFunction() {
        let stream = self.stream
        let logger = self.logger
        let activities = server.activities
        activities.enter()
        let task = Task {
            await stream.start(logger: logger)
            activities.leave()
        }
        events.onCancellation { task.cancel() }
    }

    override func ended(_ end: StreamEnd) {
        // Of a stream that ends properly the channel knows it already.
        events.disconnect(end)
        if isServing {
            isServing = false
            events.connection = nil
        }
        loop.cancel(self)
        // `onDisconnect` may take its time; the connection's task list is not the place to wait for it. A shutdown waits.
        let activities = server.activities
        let stream = self.stream
        Task {
            await stream.finished()
            activities.leave()
        }
    }

    override func drain() {
        events.end(.serverDraining)
    }

    // MARK: - Events

    override func hasRoom() {
        let now = MonotonicTime.now()
        if isPutOff {
            isPutOff = false
            loop.schedule(self, at: now)
        }
        if waitsForRoom { pump(now: now) }
    }

    func pump(now: MonotonicTime) {
        guard !isOver, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        waitsForRoom = true
        var pulls = 0
        while pending == 0, !isOver {
            pulls += 1
            // A client and an application that are both fast do not keep the event loop for themselves.
            if pulls > Self.maximumPulls { return loop.wake(events) }
            let (pull, write) = loop.withScratch { scratch -> (EventStreamPull, StreamWrite) in
                var chunk = Chunk(in: &scratch, isChunked: framing.isChunked)
                let pull = events.pull(into: &scratch, limit: Self.pullLimit, now: now)
                guard chunk.close(&scratch) else { return (pull, .took(0)) }
                // All of it is taken: what was pulled is nowhere else.
                return (
                    pull,
                    scratch.withUnsafeBytes {
                        send(UnsafeRawBufferPointer(rebasing: $0[chunk.start...]), room: .max)
                    }
                )
            }
            if case .failed(let end) = write { return leave(end) }
            switch pull {
            case .bytes(more: true): continue
            case .bytes(more: false), .idle:
                waitsForRoom = false
                return pending > 0 ? stalls(now) : ()
            case .end(let end): return finish(end)
            }
        }
        guard !isOver, pending > 0 else { return }
        // There is nothing left to send but the end, which this client would take for ever to read.
        if events.disconnectReason == .lagged { return leave(.lagged) }
        stalls(now)
    }

    // MARK: - Time

    /// Sees to it that the client's time to take what is pending is looked at.
    private func stalls(_ now: MonotonicTime) {
        let deadline = now.advanced(by: events.writeTimeout)
        if !isScheduled || deadline < fireTime { loop.schedule(self, at: deadline) }
    }

    override func tick(now: MonotonicTime) -> MonotonicTime? {
        isPutOff = stalledSince != nil
        switch events.tick(now: now, stalledSince: stalledSince) {
        case .next(let next): return next
        case .heartbeat: return now
        case .none: return nil
        case .end(.timedOut):
            leave(.timedOut)
            return nil
        case .end(let end):
            events.end(end)
            return now + .seconds(1)
        }
    }
}

#endif
