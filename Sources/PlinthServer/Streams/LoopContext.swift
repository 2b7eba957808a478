// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
#if os(Linux)
import CPlinthLinux
#endif
import NIOCore
import Plinth
import Synchronization

/// A timer on an event loop.
///
/// Confined to its event loop.
class LoopTimer {
    /// Its slot in the event loop's table; nil while it is not scheduled.
    fileprivate var slot: Int32?
    /// When it is due.
    fileprivate(set) final var fireTime = MonotonicTime.distantFuture
    /// When the wheel returns it: before ``fireTime`` if it has been postponed.
    fileprivate var wheelDeadline = MonotonicTime.distantFuture

    /// Whether it will fire.
    final var isScheduled: Bool { slot != nil }

    /// Called when the timer is due.
    ///
    /// - Returns: When to fire again; nil for never.
    func fire(now: MonotonicTime) -> MonotonicTime? { nil }
}

/// A participant in the server's shutdown.
///
/// Confined to its event loop.
protocol Drainable: AnyObject {
    /// Finishes what is in progress, and begins nothing new.
    func drain()
    /// Closes at once.
    func terminate()
}

/// What the connections of one event loop share: timers, wake-ups, an encoding buffer, and the list of connections.
final class LoopContext: EventStreamTransport, TaskExecutor {
    /// State confined to the event loop.
    struct LoopState {
        var wheel = TimerWheel()
        /// Timers by their slots in the wheel, with the number of their valid entry in it.
        var timers: [(timer: LoopTimer?, number: UInt32)] = []
        var freeSlots: [Int32] = []
        var isTicking = false
        /// What to drain at a shutdown.
        var drainables: [ObjectIdentifier: any Drainable] = [:]
        /// Storage for the streams that a round serves; empty between rounds.
        var served: [EventChannel] = []
        /// The buffer that events are encoded into; reused.
        var scratch: [UInt8] = []
        /// The buffer made last, shared by streams that send the same bytes.
        var buffer = ByteBuffer()
        /// How many rounds of deliveries are in progress.
        var rounds = 0
        /// HTTP/2 connections to flush at the end of the round.
        var unflushed: [HTTP2Wire] = []
        var isDraining = false
        var date: (second: Int, text: String) = (0, "")
    }

    let eventLoop: any EventLoop
    let local: NIOLoopBoundBox<LoopState>
    /// Streams with something to pull; one task of the event loop serves all of them.
    private let woken: Mutex<[EventChannel]> = Mutex([])

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.local = .makeBoxSendingValue(LoopState(), eventLoop: eventLoop)
    }

    /// The event loop's time, by which everything on it is measured; in a test the test's own.
    var now: MonotonicTime {
        MonotonicTime(nanoseconds: Int64(clamping: eventLoop.now.uptimeNanoseconds))
    }

    func wake(_ channel: EventChannel) {
        let isFirst = woken.withLock { woken in
            woken.append(channel)
            return woken.count == 1
        }
        if isFirst { eventLoop.execute { self.serveWoken() } }
    }

    /// Runs a job of a task that prefers this event loop.
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    private func serveWoken() {
        var streams = local.value.served
        local.value.served = []
        woken.withLock { swap(&$0, &streams) }
        defer {
            // The storage is reused by the round after the next, unless it is exceptionally large.
            streams.removeAll(keepingCapacity: streams.capacity <= 16 * 1024)
            local.value.served = streams
        }
        let now = self.now
        beginRound()
        defer { endRound() }
        for (number, stream) in streams.enumerated() {
            // With many streams, a stream's memory has left the cache since its last event. While this stream is in the
            // kernel, the next one's connection and the channel of the one after that are prefetched.
            if number + 2 < streams.count { prefetch(streams[number + 2]) }
            if number + 1 < streams.count, let next = streams[number + 1].connection { prefetch(next) }
            stream.connection?.pump(now: now)
        }
    }

    /// Prefetches an object's memory.
    private func prefetch(_ object: AnyObject) {
        #if os(Linux)
        // The object is alive during the call, which uses only its address.
        plinth_prefetch(Unmanaged.passUnretained(object).toOpaque())
        #endif
    }

    // MARK: - On the event loop

    /// Whether a round of deliveries is in progress.
    var isInRound: Bool { local.value.rounds > 0 }

    /// Begins a round of deliveries: until its end, HTTP/2 connections with several streams postpone small flushes.
    func beginRound() {
        local.value.rounds += 1
    }

    /// Ends a round, and flushes what it has written.
    func endRound() {
        local.value.rounds -= 1
        guard local.value.rounds == 0, !local.value.unflushed.isEmpty else { return }
        let unflushed = local.value.unflushed
        local.value.unflushed = []
        for wire in unflushed { wire.flushRound() }
    }

    /// Postpones the flush of a connection to the end of the round.
    ///
    /// - Returns: False outside of a round.
    func postponesFlush(of wire: HTTP2Wire) -> Bool {
        guard local.value.rounds > 0 else { return false }
        local.value.unflushed.append(wire)
        return true
    }

    /// Schedules a timer, or reschedules it.
    func schedule(_ timer: LoopTimer, at deadline: MonotonicTime) {
        schedule(timer, at: deadline, now: now)
        startTicking()
    }

    private func schedule(_ timer: LoopTimer, at deadline: MonotonicTime, now: MonotonicTime) {
        timer.fireTime = deadline
        // A postponed timer stays where it is in the wheel, and is rescheduled when the wheel returns it.
        if timer.slot != nil, timer.wheelDeadline <= deadline { return }
        let slot = timer.slot ?? local.value.freeSlots.popLast() ?? Int32(local.value.timers.count)
        if Int(slot) == local.value.timers.count { local.value.timers.append((nil, 0)) }
        timer.slot = slot
        timer.wheelDeadline = deadline
        local.value.timers[Int(slot)].timer = timer
        local.value.timers[Int(slot)].number &+= 1
        let number = local.value.timers[Int(slot)].number
        local.value.wheel.schedule(Int(slot), number: number, at: deadline, now: now)
    }

    /// Cancels a timer.
    func cancel(_ timer: LoopTimer) {
        guard let slot = timer.slot.take() else { return }
        local.value.timers[Int(slot)].timer = nil
        local.value.timers[Int(slot)].number &+= 1
        local.value.freeSlots.append(slot)
    }

    private func startTicking() {
        guard !local.value.isTicking else { return }
        local.value.isTicking = true
        eventLoop.scheduleTask(in: TimeAmount(TimerWheel.tick)) { self.tick() }
    }

    private func tick() {
        local.value.isTicking = false
        let now = self.now
        for (slot, number) in local.value.wheel.advance(to: now) {
            let place = local.value.timers[slot]
            guard place.number == number, let timer = place.timer else { continue }
            let deadline = timer.fireTime
            cancel(timer)
            if deadline > now {
                schedule(timer, at: deadline, now: now)
            } else if let next = timer.fire(now: now) {
                schedule(timer, at: next, now: now)
            }
        }
        if local.value.timers.count > local.value.freeSlots.count { startTicking() }
    }

    func add(_ drainable: any Drainable) {
        local.value.drainables[ObjectIdentifier(drainable)] = drainable
        if local.value.isDraining { drainable.drain() }
    }

    func remove(_ drainable: any Drainable) {
        local.value.drainables[ObjectIdentifier(drainable)] = nil
    }

    /// Drains everything, now and when added later.
    func drain() {
        local.value.isDraining = true
        for drainable in Array(local.value.drainables.values) { drainable.drain() }
    }

    /// Closes everything that is left.
    func terminate() {
        for drainable in Array(local.value.drainables.values) { drainable.terminate() }
    }

    /// Lends the encoding buffer, empty.
    func withScratch<Result>(_ body: (inout [UInt8]) -> Result) -> Result {
        // Taken out meanwhile, so that `body` may use the rest of this context.
        var scratch = local.value.scratch
        local.value.scratch = []
        defer {
            scratch.removeAll(keepingCapacity: scratch.capacity <= 256 * 1024)
            local.value.scratch = scratch
        }
        return body(&scratch)
    }

    /// A buffer of bytes: the last one if it has the same, as for all subscribers of one event.
    func buffer(of bytes: UnsafeRawBufferPointer, _ allocator: ByteBufferAllocator) -> ByteBuffer {
        let last = local.value.buffer
        let isSame = last.withUnsafeReadableBytes { held in
            guard held.count == bytes.count, let held = held.baseAddress, let bytes = bytes.baseAddress else {
                return false
            }
            return memcmp(held, bytes, last.readableBytes) == 0
        }
        if isSame { return last }
        var buffer = allocator.buffer(capacity: bytes.count)
        buffer.writeBytes(bytes)
        local.value.buffer = buffer
        return buffer
    }

    /// The `Date` field's value (RFC 9110, section 6.6.1), formatted once a second.
    func date() -> String {
        let second = time(nil)
        if local.value.date.second != second {
            local.value.date = (second, HTTPDate(secondsSince1970: second).description)
        }
        return local.value.date.text
    }
}

#endif
