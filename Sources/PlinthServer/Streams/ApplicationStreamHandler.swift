// SPDX-License-Identifier: Apache-2.0

#if Server

import Logging
import NIOCore
import Plinth

/// An application's event stream on its connection: pulls from the stream's channel while the connection has room.
final class ApplicationStreamHandler: StreamOutlet, EventStreamConnection {
    /// The stream's channel, cached: every event reads it, and going through the stream would cost a cache miss.
    private let events: EventChannel
    private let stream: EventStream
    private let metrics: EventStreamMetrics?
    private let logger: Logger
    /// Whose the channel is.
    private enum Attachment {
        case none
        /// This connection's.
        case own
        /// Another connection's, or it has ended.
        case foreign
    }

    private var attachment = Attachment.none
    private var isPumping = false
    /// Whether to pull as soon as the connection has room; if not, the channel wakes the stream.
    private var waitsForRoom = false
    /// Whether the timer was set during a stall; a heartbeat may then be due earlier.
    private var isPutOff = false

    /// The bytes after which a pull takes no further event, and the most pulls before other streams get their turn.
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
        let now = loop.now
        guard events.attach(loop, preamble: stream.preamble, metrics: metrics, now: now) else {
            // Another connection's client still gets what the channel holds.
            attachment = .foreign
            return finish(events.disconnectReason ?? .applicationFailed)
        }
        attachment = .own
        events.connection = self
        loop.schedule(self, at: events.firstTick)
        pump(now: now)
        // Not in the request's task, which has run the chain and would keep the stack of its stages, several kilobytes,
        // as long as the stream lasts. A shutdown waits for the new task.
        let activities = server.activities
        activities.enter()
        stream.start(logger: logger) { activities.leave() }
    }

    override func ended(_ end: StreamEnd) {
        // Does nothing if the stream ended gracefully: the channel has already ended.
        if attachment != .foreign { events.disconnect(end) }
        if attachment == .own { events.connection = nil }
        loop.cancel(self)
        // `onDisconnect` may take long, so it runs in its own task, which a shutdown waits for.
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
        let now = loop.now
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
        var sleepDeadline = MonotonicTime.distantFuture
        while pending == 0, !isOver {
            pulls += 1
            // A fast client and a fast application must not monopolize the event loop.
            if pulls > Self.maximumPulls { return loop.wake(events) }
            let (pull, write) = loop.withScratch { scratch -> (EventStreamPull, StreamWrite) in
                var chunk = Chunk(in: &scratch, isChunked: framing.isChunked)
                let pull = events.pull(
                    into: &scratch,
                    limit: Self.pullLimit,
                    now: now,
                    sleepDeadline: &sleepDeadline
                )
                guard chunk.close(&scratch) else { return (pull, .took(0)) }
                // Unlimited room, as the pulled bytes are stored nowhere else.
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
                fires(by: sleepDeadline)
                return pending > 0 ? stalls(now) : ()
            case .end(let end): return finish(end)
            }
        }
        guard !isOver, pending > 0 else { return }
        // Only the end remains to be sent, and a lagging client might never read it.
        if events.disconnectReason == .lagged { return leave(.lagged) }
        fires(by: events.takeSleepDeadline())
        stalls(now)
    }

    // MARK: - Time

    /// Schedules the check of the client's write timeout.
    private func stalls(_ now: MonotonicTime) {
        fires(by: now.advanced(by: events.writeTimeout))
    }

    /// Schedules the next check no later than a time.
    private func fires(by deadline: MonotonicTime) {
        // Not of a stream that the last write has ended: its timer would keep it in memory.
        guard !isOver, deadline < .distantFuture else { return }
        if !isScheduled || deadline < fireTime { loop.schedule(self, at: deadline) }
    }

    override func tick(now: MonotonicTime) -> MonotonicTime? {
        isPutOff = stalledSince != nil
        switch events.tick(now: now, stalledSince: stalledSince) {
        case .next(let next): return next
        // The channel has queued it and woken the event loop: `pump` writes it.
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
