// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
import Logging
import NIOCore
import NIOHTTP1
import Plinth

/// An event stream on its connection: pulls from the channel when the socket has room.
///
/// Everything that changes is touched on the event loop only, where the ``LoopContext`` calls ``pump(now:)``. Every method
/// can be entered again by what it writes or closes: a write may find the client gone, and then the channel is inactive
/// before the write returns.
final class EventStreamHandler<Output: ResponseOutput>: LoopTimer, ChannelInboundHandler, RemovableChannelHandler,
    EventStreamConnection, Drainable
{
    typealias InboundIn = NIOAny
    typealias OutboundOut = Output.Part

    // First what is looked at for every event.

    private var isPumping = false
    private var isDone = false
    /// Whether the channel knows this as its connection.
    private var isServing = false
    /// Whether NIO holds bytes that the socket did not take: until it has taken them nothing may be sent past it.
    private var hasPending = false
    /// The socket itself, where nothing stands between it and the stream: plaintext HTTP/1.
    ///
    /// Valid while ``context`` is.
    private var socket: DirectSocket?
    private let framing: ResponseFraming
    /// Since when the socket has taken nothing of what waits for it.
    private var stalledSince: MonotonicTime?
    /// The stream's channel, at hand: what is asked for at each event costs a look into memory that nobody else needs.
    private let events: EventChannel
    private let loop: LoopContext

    private let stream: EventStream
    private let server: ServerContext
    private let halfCloseIsLeaving: Bool
    private let metrics: EventStreamMetrics?
    private var context: ChannelHandlerContext?
    private let isSecure: Bool
    private let logger: Logger
    private var lastBuffered = 0

    /// How much is pulled at once, and how often before other streams of the event loop have their turn.
    private static var pullLimit: Int { 16 * 1024 }
    private static var maximumPulls: Int { 16 }

    init(
        stream: EventStream,
        framing: ResponseFraming,
        server: ServerContext,
        loop: LoopContext,
        isSecure: Bool,
        logger: Logger,
        halfCloseIsLeaving: Bool,
        route: RouteIdentity?
    ) {
        self.stream = stream
        self.events = stream.channel
        self.framing = framing
        self.server = server
        self.loop = loop
        self.isSecure = isSecure
        self.logger = logger
        self.halfCloseIsLeaving = halfCloseIsLeaving
        self.metrics = server.metrics.metrics(for: route)
        server.activities.enter()
    }

    // MARK: - Life

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        if isServing { events.connection = nil }
        loop.remove(self)
        loop.cancel(self)
    }

    /// The head has been written: events may flow.
    func begin() {
        guard !isDone else { return }
        // A connection that is gone by now does not say so a second time.
        guard let context, context.channel.isActive else { return clientLeft(.clientClosed) }
        if Output.isSocket, !isSecure { socket = DirectSocket(of: context.channel) }
        if socket == nil {
            // Small bounds in user space: what the socket does not take stays with the channel, whose buffer has a policy.
            if Output.isSocket, let options = context.channel.syncOptions {
                try? options.setOption(.writeBufferWaterMark, value: .init(low: 1, high: Self.pullLimit))
            }
        } else if Output.bufferedBytes(context.channel) > 0 {
            notifyWhenWritten(context)
        }
        let channel = events
        let now = MonotonicTime.now()
        isServing = channel.attach(loop, preamble: stream.preamble, metrics: metrics, now: now)
        if isServing { channel.connection = self }
        loop.schedule(self, at: channel.firstTick)
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

    /// Once: the stream is over for the application, too.
    func complete() {
        guard !isDone else { return }
        isDone = true
        loop.cancel(self)
        // Whoever is told may take its time; the connection's task list is not the place to wait for it. A shutdown waits.
        let activities = server.activities
        let stream = self.stream
        Task {
            await stream.finished()
            activities.leave()
        }
    }

    func clientLeft(_ reason: StreamEnd) {
        events.disconnect(reason)
        complete()
        context?.close(promise: nil)
    }

    func drain() {
        events.end(.serverDraining)
    }

    func terminate() {
        clientLeft(.serverDraining)
    }

    // MARK: - From the connection

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A client has nothing to say on an event stream.
    }

    func channelInactive(context: ChannelHandlerContext) {
        clientLeft(.clientClosed)
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if halfCloseIsLeaving, let event = event as? ChannelEvent, event == .inputClosed {
            clientLeft(.clientClosed)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What the client pipelined behind its request is of no interest, and was not even HTTP.
        if error is HTTPParserError { return }
        clientLeft((error as? IOError).map { SocketError.end($0.errnoCode) } ?? .clientClosed)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, socket == nil { pump(now: .now()) }
        context.fireChannelWritabilityChanged()
    }

    // MARK: - To the connection

    func pump(now: MonotonicTime) {
        guard !isDone, !isPumping else { return }
        isPumping = true
        defer { isPumping = false }
        // The way of nearly all events: nothing is looked at but the socket, the channel, and this.
        if let socket, !hasPending, stalledSince == nil {
            send(to: socket, now)
            if !hasPending { return }
        }
        guard let context, !isDone else { return }
        // What the socket has taken since the last time is seen before more is put behind it.
        observeProgress(context, now)
        if let socket { send(to: socket, now) } else { write(context, now) }
        if !isDone, isHeldUp(context), events.disconnectReason == .lagged {
            // There is nothing left to send but the end, which this client would take for ever to read.
            return clientLeft(.lagged)
        }
        observeProgress(context, now)
    }

    /// Whether something waits for the socket.
    private func isHeldUp(_ context: ChannelHandlerContext) -> Bool {
        socket == nil ? !context.channel.isWritable : hasPending
    }

    /// Sends to the socket itself: what it takes is not copied, nor kept, nor written about.
    private func send(to socket: DirectSocket, _ now: MonotonicTime) {
        var pulls = 0
        while !hasPending, !isDone {
            pulls += 1
            // A client and an application that are both fast do not keep the event loop for themselves.
            if pulls > Self.maximumPulls { return loop.wake(events) }
            let (pull, outcome) = loop.withScratch { scratch -> (EventStreamPull, DirectSocket.Outcome) in
                var chunk = Chunk(in: &scratch, isChunked: framing.isChunked)
                let pull = events.pull(into: &scratch, limit: Self.pullLimit, now: now)
                guard chunk.close(&scratch) else { return (pull, .all) }
                return (
                    pull,
                    scratch.withUnsafeBytes { bytes in
                        let framed = UnsafeRawBufferPointer(rebasing: bytes[chunk.start...])
                        let outcome = socket.send(framed)
                        if case .some(let count) = outcome, let context {
                            let rest = UnsafeRawBufferPointer(rebasing: framed[count...])
                            let part = Output.body(rest, .empty, context.channel.allocator)
                            context.write(wrapOutboundOut(part), promise: nil)
                        }
                        return outcome
                    }
                )
            }
            switch outcome {
            case .all: break
            case .some: if let context { notifyWhenWritten(context) }
            case .failed(let reason): return clientLeft(reason)
            }
            switch pull {
            case .bytes(more: true): continue
            case .bytes(more: false), .idle: return
            case .end(let reason): return end(reason)
            }
        }
    }

    /// Flushes what NIO holds, and goes on when the socket has taken it.
    private func notifyWhenWritten(_ context: ChannelHandlerContext) {
        hasPending = true
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        let nothing = Output.body(UnsafeRawBufferPointer(start: nil, count: 0), .empty, context.channel.allocator)
        context.writeAndFlush(wrapOutboundOut(nothing), promise: written)
        written.futureResult.whenSuccess {
            handler.value.hasPending = false
            handler.value.pump(now: .now())
        }
    }

    /// Writes through the pipeline: TLS, and the streams of HTTP/2.
    private func write(_ context: ChannelHandlerContext, _ now: MonotonicTime) {
        var hasWritten = false
        defer { if hasWritten { context.flush() } }
        var pulls = 0
        while context.channel.isWritable, !isDone {
            pulls += 1
            if pulls > Self.maximumPulls { return loop.wake(events) }
            let pull = loop.withScratch { scratch in
                let pull = events.pull(into: &scratch, limit: Self.pullLimit, now: now)
                if !scratch.isEmpty {
                    let part = scratch.withUnsafeBytes { Output.body($0, framing, context.channel.allocator) }
                    context.write(wrapOutboundOut(part), promise: nil)
                    hasWritten = true
                }
                return pull
            }
            switch pull {
            case .bytes(let more):
                // Flushed now, so that the socket's room, not the bound above, says whether there is more.
                if !context.channel.isWritable {
                    context.flush()
                    hasWritten = false
                }
                if !more { return }
            case .idle: return
            case .end(let reason): return end(reason)
            }
        }
    }

    private func end(_ reason: StreamEnd) {
        guard let context else { return complete() }
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        complete()
        guard let end = Output.end(framing, context.channel.allocator) else {
            // The close is the end. It waits for what was written before.
            context.flush()
            return closeWhenWritten(context)
        }
        let written = context.eventLoop.makePromise(of: Void.self)
        context.writeAndFlush(wrapOutboundOut(end), promise: written)
        written.futureResult.whenComplete { _ in handler.value.context?.close(promise: nil) }
        closeLater()
    }

    private func closeWhenWritten(_ context: ChannelHandlerContext) {
        let handler = NIOLoopBound(self, eventLoop: loop.eventLoop)
        let written = context.eventLoop.makePromise(of: Void.self)
        let nothing = Output.body(UnsafeRawBufferPointer(start: nil, count: 0), .empty, context.channel.allocator)
        context.writeAndFlush(wrapOutboundOut(nothing), promise: written)
        written.futureResult.whenComplete { _ in handler.value.context?.close(promise: nil) }
        closeLater()
    }

    /// A client that does not even take the end is given as long as any response.
    private func closeLater() {
        loop.schedule(self, at: .now() + server.configuration.writeTimeout)
    }

    // MARK: - Time

    override func fire(now: MonotonicTime) -> MonotonicTime? {
        guard let context else { return nil }
        if isDone {
            context.close(promise: nil)
            return nil
        }
        observeProgress(context, now)
        switch events.tick(now: now, stalledSince: stalledSince) {
        case .next(let next): return next
        case .heartbeat: return now
        case .none: return nil
        case .end(.timedOut):
            clientLeft(.timedOut)
            return nil
        case .end(let reason):
            events.end(reason)
            return now + .seconds(1)
        }
    }

    /// Notes whether the socket takes anything of what waits for it.
    private func observeProgress(_ context: ChannelHandlerContext, _ now: MonotonicTime) {
        guard !isDone else { return }
        // Nothing can wait where nothing was left with NIO.
        if socket != nil, !hasPending, stalledSince == nil { return }
        let buffered = Output.bufferedBytes(context.channel)
        if (buffered == 0) != (stalledSince == nil) {
            // What is due next has changed: a heartbeat, or the end of the client's time.
            stalledSince = buffered == 0 ? nil : now
            loop.schedule(self, at: now)
        } else if buffered < lastBuffered {
            stalledSince = now
        }
        lastBuffered = buffered
    }
}

#endif
