// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import CPlinthLinux
import PlinthHub
import Synchronization

/// The loop of the reactor's thread, and the state confined to that thread.
///
/// Each turn drains queued work and epoll events, using a single timestamp. ``settle()`` frees the slots of ended
/// streams, so it runs before anything that may reuse one.
struct ReactorLoop {
    private let reactor: Reactor
    private let history: any History
    private let sockets = SocketTable()
    private var distributor: Distributor
    private var lingering = LingeringSockets()
    private var reads = HistoryReads()
    private var now = MonotonicTime.now()
    private var isStopping = false
    private var readable = InputQueue()
    /// When to retry the sockets for which the kernel lacked memory.
    private var retries = Int64.max
    private let writeTimeout: CInt?

    /// The bytes of events written to all subscribers in one pass.
    ///
    /// A longer run would not stay in the processor's cache from one subscriber to the next.
    private static let runLimit = 256 * 1024
    /// The most history reads in a turn, so that subscribers that catch up do not delay live ones.
    private static let readLimit = 64
    /// The most epoll events in a turn; each may cause a few history reads for a subscriber that was behind.
    private static let eventLimit = 64
    /// Nanoseconds until a socket is retried for which the kernel lacked memory.
    private static let retryInterval: Int64 = 10_000_000

    init(_ reactor: Reactor, _ plan: ReactorState.Plan) {
        self.reactor = reactor
        history = plan.history
        distributor = Distributor(history: plan.history, options: plan.options, head: plan.head)
        writeTimeout = plan.options.writeTimeout.map { CInt(clamping: max(1, $0.clampedNanoseconds / 1_000_000)) }
    }

    /// Runs until the reactor is stopped.
    mutating func run() {
        // Only this function and the calls below use them, each within its count.
        let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: Self.eventLimit)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 16 * 1024, alignment: 16)
        defer {
            unsafe events.deallocate()
            unsafe buffer.deallocate()
        }
        var count = 0
        while true {
            let (work, phase) = reactor.state.withLock { ($0.take(), $0.phase) }
            now = MonotonicTime.now()
            take(work)
            guard phase == .running else { break }
            for index in 0..<count {
                let event = unsafe events[index]
                let readiness = unsafe Poller.Readiness(rawValue: event.events)
                let tag = unsafe event.data.u64
                if tag != Poller.wakeTag { unsafe isReady(StreamTag(rawValue: tag), readiness, buffer) }
            }
            settle()
            unsafe readOn(buffer)
            retryStarved()
            if !distributor.unfinished.isEmpty {
                distributor.proceed(sockets, now: now, reads: Self.readLimit)
            }
            distributor.tick(sockets, now: now)
            settle()
            tell(lingering.tick(now: now))
            count = unsafe wait(events)
        }
        close()
    }

    // MARK: - From other threads

    private mutating func take(_ work: consuming ReactorState.Work) {
        for handOff in work.handOffs { begin(handOff) }
        let (skipped, entries) = work.entries.take()
        if let skipped { distributor.skip(to: skipped) }
        deliver(entries)
        settle()
        reads.didAnswer(work.answers.count)
        for answer in work.answers { distributor.didRead(answer.request, answer.result, sockets, now: now) }
        for command in work.commands { perform(command) }
        settle()
    }

    private mutating func begin(_ handOff: ReactorState.HandOff) {
        let request = handOff.request
        handOff.socket.prepare(writeTimeout: writeTimeout)
        let slot = distributor.add(request, now: now)
        let tag = sockets.insert(handOff.socket, request.onEnd, at: slot)
        guard reactor.poller.add(handOff.socket.descriptor, tag: tag.rawValue) == 0 else {
            // Not a socket, or epoll's limit is reached.
            distributor.remove(slot, .writeFailed)
            return settle()
        }
    }

    private mutating func deliver(_ entries: [HistoryEntry]) {
        var start = 0
        var size = 0
        for index in entries.indices {
            size += entries[index].frame.bytes.count
            guard size >= Self.runLimit, index + 1 < entries.count else { continue }
            distributor.deliver(Array(entries[start...index]), sockets, now: now)
            start = index + 1
            size = 0
        }
        guard start < entries.count else { return }
        distributor.deliver(start == 0 ? entries : Array(entries[start...]), sockets, now: now)
    }

    private mutating func perform(_ command: ReactorState.Command) {
        switch command {
        case .end(let isMeant, let reason): end(reason, where: isMeant)
        case .drain: end(.serverDraining) { _, _ in true }
        case .countBehind(let continuation): continuation.resume(returning: distributor.behind)
        }
    }

    private mutating func end(_ reason: StreamEnd, where isMeant: StreamPredicate) {
        for slot in distributor.slots(where: isMeant) { distributor.end(slot, reason, sockets, now: now) }
    }

    // MARK: - From the kernel

    private mutating func isReady(
        _ tag: StreamTag,
        _ readiness: Poller.Readiness,
        _ buffer: UnsafeMutableRawBufferPointer
    ) {
        guard !tag.isLingering else {
            // A queued socket is read by ``readOn(_:)``.
            if !readable.contains(tag) { unsafe readLast(tag, buffer) }
            return
        }
        guard let socket = sockets[tag] else { return }
        let isBroken = !readiness.isDisjoint(with: [.error, .hangUp])
        // A half-closed client counts as gone, even if it could still read: no EventSource half-closes.
        if isBroken || readiness.contains(.inputEnd) {
            return distributor.remove(tag.slot, isBroken ? socket.pendingEnd() : .clientClosed)
        }
        if readiness.contains(.input), !readable.contains(tag) { unsafe read(tag, socket, buffer) }
        if readiness.contains(.output) { distributor.isWritable(tag.slot, sockets, now: now) }
    }

    private mutating func read(_ tag: StreamTag, _ socket: StreamSocket, _ buffer: UnsafeMutableRawBufferPointer) {
        switch unsafe socket.discardInput(buffer) {
        case .none: break
        case .more: readable.add(tag)
        case .ended(let reason): distributor.remove(tag.slot, reason)
        }
    }

    private mutating func readLast(_ tag: StreamTag, _ buffer: UnsafeMutableRawBufferPointer) {
        let (over, hasMore) = unsafe lingering.isReady(tag, buffer)
        if hasMore { readable.add(tag) }
        if let over { tell([over]) }
    }

    /// Continues with input that earlier turns left unread.
    private mutating func readOn(_ buffer: UnsafeMutableRawBufferPointer) {
        guard !readable.isEmpty else { return }
        for tag in readable.take() {
            if tag.isLingering {
                unsafe readLast(tag, buffer)
            } else if let socket = sockets[tag] {
                unsafe read(tag, socket, buffer)
            }
        }
        settle()
    }

    private mutating func retryStarved() {
        guard now.nanoseconds >= retries else { return }
        retries = .max
        for slot in sockets.takeStarved() { distributor.isWritable(slot, sockets, now: now) }
    }

    // MARK: - Ends

    /// Does what the distributor requested: closes the sockets of ended streams, and reads history.
    private mutating func settle() {
        if !distributor.requests.isEmpty {
            reads.add(distributor.requests)
            distributor.requests.removeAll(keepingCapacity: true)
        }
        while let request = reads.begin(isAwaited: { distributor.isAwaited($0) }) {
            // Unstructured: the answer is queued for this thread, or dropped if the thread has ended.
            Task { [reactor, history] in await reactor.read(history, request) }
        }
        guard !distributor.ended.isEmpty else { return }
        let ended = distributor.ended
        distributor.ended.removeAll(keepingCapacity: ended.count <= 1024)
        var over: [LingeringSockets.Over] = []
        for stream in ended {
            guard let (socket, onEnd) = sockets.remove(stream.slot) else { continue }
            if !isStopping, stream.reason.completesBody {
                if let closed = lingering.begin(socket, stream.reason, onEnd, reactor.poller, now: now) {
                    over.append(closed)
                }
            } else {
                if stream.reason == .timedOut { socket.discardOutput() }
                socket.close()
                over.append(LingeringSockets.Over(onEnd: onEnd, reason: stream.reason))
            }
        }
        tell(over)
    }

    private func tell(_ streams: [LingeringSockets.Over]) {
        for stream in streams { stream.onEnd(stream.reason) }
        reactor.didTell(streams.count)
    }

    /// Closes all sockets.
    private mutating func close() {
        isStopping = true
        for slot in distributor.slots(where: { _, _ in true }) { distributor.remove(slot, .serverDraining) }
        settle()
        tell(lingering.closeAll())
        publish { _ in }
        reactor.finish()
    }

    // MARK: - Waiting

    /// Waits for work, for readiness, or until a timer is due.
    ///
    /// - Returns: The number of ready descriptors.
    private mutating func wait(_ events: UnsafeMutableBufferPointer<epoll_event>) -> Int {
        if !sockets.starved.isEmpty, retries == .max { retries = now.advanced(by: Self.retryInterval).nanoseconds }
        var timeout: Int64? = 0
        if readable.isEmpty, distributor.unfinished.isEmpty {
            timeout = [
                distributor.untilTick(now: now), lingering.untilTick(now: now),
                retries == .max ? nil : max(0, retries - now.nanoseconds),
            ].lazy.compactMap { $0 }.min()
        }
        let mayWait = publish { state in timeout == 0 ? false : state.mayWait() }
        guard mayWait else { return unsafe reactor.poller.wait(events, timeout: 0) }
        // Rounded up: waking early would find nothing to do.
        let milliseconds = timeout.map { CInt(clamping: ($0 + 999_999) / 1_000_000) } ?? -1
        return unsafe reactor.poller.wait(events, timeout: milliseconds)
    }

    /// Publishes the turn's statistics, and runs `body` under the same lock.
    @discardableResult
    private mutating func publish<Result: Sendable>(_ body: (inout sending ReactorState) -> Result) -> Result {
        let tally = distributor.tally
        distributor.tally = DeliveryTally()
        let lingering = lingering.count
        let unread = readable.count
        return reactor.state.withLock { state in
            state.tally.add(tally)
            state.lingering = lingering
            state.mostUnread = max(state.mostUnread, unread)
            return body(&state)
        }
    }
}

#endif
