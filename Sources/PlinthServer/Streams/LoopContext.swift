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

/// Something on an event loop that has deadlines.
///
/// Only its event loop touches it.
class LoopTimer {
    /// Where the event loop keeps it, nil while it is not set.
    fileprivate var slot: Int32?
    /// When it is due.
    fileprivate(set) final var fireTime = MonotonicTime.distantFuture
    /// When it comes out of the wheel, which is earlier if it has been put off.
    fileprivate var wheelDeadline = MonotonicTime.distantFuture

    /// Whether it will fire.
    final var isScheduled: Bool { slot != nil }

    /// Looks at the time.
    ///
    /// - Returns: When to look again, nil for never.
    func fire(now: MonotonicTime) -> MonotonicTime? { nil }
}

/// Something that can be told that the server is shutting down.
///
/// Only its event loop touches it.
protocol Drainable: AnyObject {
    /// Finish what is under way, begin nothing new.
    func drain()
    /// Close at once.
    func terminate()
}

/// What the connections of one event loop share: timers, wake-ups, a buffer to encode into, and the list of themselves.
final class LoopContext: EventStreamTransport, TaskExecutor {
    /// What only the event loop touches.
    struct Local {
        var wheel = TimerWheel()
        /// By the wheel's slots: the timer, and the number of the one that counts.
        var timers: [(timer: LoopTimer?, number: UInt32)] = []
        var freeSlots: [Int32] = []
        var isTicking = false
        /// Everyone who is told of a shutdown.
        var drainables: [ObjectIdentifier: any Drainable] = [:]
        /// Room for the streams that a round serves; empty between rounds.
        var served: [EventChannel] = []
        /// Encoded events on their way into a socket's buffer; its room is used again and again.
        var scratch: [UInt8] = []
        var isDraining = false
        var date: (second: Int, text: String) = (0, "")
    }

    let eventLoop: any EventLoop
    let local: NIOLoopBoundBox<Local>
    /// Streams that have something to pull.
    ///
    /// They are all served by one task of the event loop.
    private let woken: Mutex<[EventChannel]> = Mutex([])

    init(_ eventLoop: any EventLoop) {
        self.eventLoop = eventLoop
        self.local = .makeBoxSendingValue(Local(), eventLoop: eventLoop)
    }

    func wake(_ channel: EventChannel) {
        let isFirst = woken.withLock { woken in
            woken.append(channel)
            return woken.count == 1
        }
        if isFirst { eventLoop.execute { self.serveWoken() } }
    }

    /// Runs a part of a task that prefers this event loop.
    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        eventLoop.execute { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }

    private func serveWoken() {
        var streams = local.value.served
        local.value.served = []
        woken.withLock { swap(&$0, &streams) }
        defer {
            // The room of this round is for the one after the next, unless this one was exceptional.
            streams.removeAll(keepingCapacity: streams.capacity <= 16 * 1024)
            local.value.served = streams
        }
        let now = MonotonicTime.now()
        for (number, stream) in streams.enumerated() {
            // With many streams each is looked at first when its turn comes, in memory that nothing else has touched since
            // the last event. While this one is in the kernel, the channel of the one after the next and the connection
            // of the next are fetched.
            if number + 2 < streams.count { prefetch(streams[number + 2]) }
            if number + 1 < streams.count, let next = streams[number + 1].connection { prefetch(next) }
            stream.connection?.pump(now: now)
        }
    }

    /// Has an object's memory fetched.
    private func prefetch(_ object: AnyObject) {
        #if os(Linux)
        // The object is there during the call, and only its address is used.
        plinth_prefetch(Unmanaged.passUnretained(object).toOpaque())
        #endif
    }

    // MARK: - On the event loop

    /// Sets a timer, or moves it.
    func schedule(_ timer: LoopTimer, at deadline: MonotonicTime) {
        schedule(timer, at: deadline, now: .now())
        startTicking()
    }

    private func schedule(_ timer: LoopTimer, at deadline: MonotonicTime, now: MonotonicTime) {
        timer.fireTime = deadline
        // One that is put off comes out as it was set, and is set anew then.
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

    /// Takes a timer out.
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
        let now = MonotonicTime.now()
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

    /// Tells everyone of a shutdown.
    func drain() {
        local.value.isDraining = true
        for drainable in Array(local.value.drainables.values) { drainable.drain() }
    }

    /// Closes everything that is left.
    func terminate() {
        for drainable in Array(local.value.drainables.values) { drainable.terminate() }
    }

    /// Lends the buffer that events are encoded into, empty.
    func withScratch<Result>(_ body: (inout [UInt8]) -> Result) -> Result {
        // Taken out while it is lent, so that whoever has it may use the rest of this.
        var scratch = local.value.scratch
        local.value.scratch = []
        defer {
            scratch.removeAll(keepingCapacity: scratch.capacity <= 256 * 1024)
            local.value.scratch = scratch
        }
        return body(&scratch)
    }

    /// The `Date` field's value (RFC 9110, section 6.6.1), made once a second.
    func date() -> String {
        let second = time(nil)
        if local.value.date.second != second {
            local.value.date = (second, HTTPDate(secondsSince1970: second).description)
        }
        return local.value.date.text
    }
}

#endif
