// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTestSupport
import Synchronization
import Testing

/// Runs tasks on demand on the test's thread, so that each section between two suspensions is atomic.
private final class ManualExecutor: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
    }

    /// Runs jobs until all tasks have ended or are suspended.
    func drain() {
        while true {
            let due = jobs.withLock { jobs in
                defer { jobs = [] }
                return jobs
            }
            if due.isEmpty { return }
            for job in due { job.runSynchronously(on: asUnownedTaskExecutor()) }
        }
    }
}

/// A transport that detects redundant wakes.
private final class CheckedTransport: EventStreamTransport {
    struct State {
        /// Woken or pulling, so that another pull will follow.
        var isDue = false
        var doubleWakes = 0
    }

    let state = Mutex(State())

    func wake(_ channel: EventChannel) {
        state.withLock { state in
            if state.isDue { state.doubleWakes += 1 }
            state.isDue = true
        }
    }

    var now: MonotonicTime { .seconds(0) }
}

/// A channel, the operations applied to it, and the expected state.
private final class Trial {
    enum Fate: Equatable { case waiting, accepted, refused }

    let size: Int
    let stream: EventStream
    let events: EventChannel
    let executor = ManualExecutor()
    let transport = CheckedTransport()
    let results = Journal<[Int]>()
    let cancels = Journal<Bool>()

    var isAttached = false
    var reason: StreamEnd?
    /// The client disconnected; buffered events are discarded.
    var isGone = false
    var isOver = false
    var nextID = 0
    /// The accepted and waiting events, in send order.
    var line: [Int] = []
    var fates: [Int: Fate] = [:]
    var tasks: [Int: Task<Void, Never>] = [:]
    var lastEvent: Int?
    /// The events that the client has read.
    var read: [Int] = []
    var parser = ServerSentEventParser()
    var hasComment = false

    init(size: Int) {
        self.size = size
        stream = EventStream(options: .init(heartbeat: .seconds(1), buffer: .bounded(size))) { _ in }
        events = stream.channel
        let cancels = cancels
        events.onCancellation { cancels.note(true) }
    }

    var waiting: [Int] { line.filter { fates[$0] == .waiting } }
    /// The number of accepted, unread events.
    var buffered: Int { line.count { fates[$0] == .accepted } - read.count { $0 != lastEvent } }

    // MARK: - Operations

    func offer() {
        let id = newID()
        let expected: OfferResult =
            reason != nil ? .closed : (buffered < size && waiting.isEmpty ? .accepted : .full)
        let result = events.offer("\(id)")
        #expect(result == expected)
        if result == .accepted { join(id, .accepted) }
    }

    func send() {
        let id = newID()
        if reason != nil {
            fates[id] = .refused
        } else {
            join(id, buffered < size && waiting.isEmpty ? .accepted : .waiting)
        }
        let events = events
        let results = results
        tasks[id] = Task(executorPreference: executor) {
            let accepted = await events.send("\(id)")
            results.note([id, accepted ? 1 : 0])
        }
        executor.drain()
    }

    func cancel(_ random: inout SeededGenerator) {
        guard let id = tasks.keys.sorted().randomElement(using: &random) else { return }
        tasks[id]?.cancel()
        if fates[id] == .waiting { refuse(id) }
        executor.drain()
    }

    func comment() {
        #expect(events.comment("") == (reason == nil))
        if reason == nil { hasComment = true }
    }

    func end(_ reason: StreamEnd, lastEvent hasLastEvent: Bool) {
        let id = newID()
        events.end(reason, lastEvent: hasLastEvent ? ServerSentEvent(data: "\(id)") : nil)
        guard self.reason == nil else { return }
        self.reason = reason
        if hasLastEvent { lastEvent = id }
        for id in waiting { refuse(id) }
        executor.drain()
    }

    func disconnect(_ reason: StreamEnd) {
        events.disconnect(reason)
        if self.reason == nil {
            self.reason = reason
            for id in waiting { refuse(id) }
        }
        isGone = true
        executor.drain()
    }

    func attach() {
        guard !isAttached else { return }
        isAttached = true
        events.attach(transport, preamble: Array(":\n".utf8), metrics: nil, now: .seconds(0))
    }

    func tick(_ now: MonotonicTime) {
        if isAttached { _ = events.tick(now: now) }
    }

    func pull(limit: Int, now: MonotonicTime) {
        guard isAttached else { return }
        var bytes: [UInt8] = []
        // Until a pull reports that there is no more, a wake is redundant; also during the pull.
        let result = events.pull(into: &bytes, limit: limit, now: now)
        try? parser.parse(bytes) { if let id = Int($0.data) { read.append(id) } }
        hasComment = false
        // The pull made room, so waiting events are accepted.
        for id in waiting where buffered < size { fates[id] = .accepted }
        switch result {
        case .bytes(let more):
            #expect(!bytes.isEmpty)
            #expect(more == (buffered > 0 || reason != nil))
            transport.state.withLock { $0.isDue = more }
        case .idle:
            #expect(bytes.isEmpty && reason == nil && buffered == 0)
            transport.state.withLock { $0.isDue = false }
        case .end(let reason):
            #expect(bytes.isEmpty)
            #expect(reason == self.reason)
            if !isGone { #expect(buffered == 0 && (lastEvent == nil || read.last == lastEvent)) }
            isOver = true
            transport.state.withLock { $0.isDue = false }
        }
        executor.drain()
    }

    // MARK: - Invariants

    func check() {
        let waiting = waiting
        let buffered = buffered
        #expect(events.isClosed == (reason != nil))
        #expect(events.disconnectReason == reason)
        #expect(events.waitingSenders == waiting.count)
        // Invariant: no sender waits while there is room.
        if !waiting.isEmpty { #expect(buffered == size) }
        // Invariant: the client reads the accepted events in order, without loss or duplicates.
        let accepted = line.filter { fates[$0] == .accepted } + (lastEvent.map { [$0] } ?? [])
        #expect(accepted.starts(with: read))
        // Invariant: the transport is woken, exactly once, if there is anything to pull.
        let transport = transport.state.withLock { $0 }
        if isAttached, !isOver, !isGone, buffered > 0 || hasComment || reason != nil { #expect(transport.isDue) }
        #expect(transport.doubleWakes == 0)
        let isCancelled = reason.map { $0 != .applicationClosed && $0 != .applicationFailed } ?? false
        #expect(cancels.entries.count == (isCancelled ? 1 : 0))
        // Invariant: every sender that does not wait has returned once.
        #expect(results.entries.count == tasks.keys.count { fates[$0] != .waiting })
    }

    func finish() async {
        attach()
        end(.applicationClosed, lastEvent: false)
        while !isOver {
            pull(limit: 16, now: .seconds(0))
            check()
        }
        #expect(events.finished() == reason)
        #expect(events.finished() == nil)
        for task in tasks.values { await task.value }
        #expect(results.entries.count == tasks.count)
        for entry in results.entries { #expect(fates[entry[0]] == (entry[1] == 1 ? .accepted : .refused)) }
    }

    private func newID() -> Int {
        nextID += 1
        return nextID
    }

    private func join(_ id: Int, _ fate: Fate) {
        line.append(id)
        fates[id] = fate
    }

    private func refuse(_ id: Int) {
        fates[id] = .refused
        line.removeAll { $0 == id }
    }
}

@Suite("Event channel model", .timeLimit(.minutes(5)))
struct EventChannelModelTests {
    @Test(
        "Random operations lose, duplicate or reorder no event; each sender returns once; no wake is lost",
        arguments: [11, 12, 13, 14] as [UInt64]
    )
    func model(seed: UInt64) async {
        print("event channel, seed \(seed)")
        var random = SeededGenerator(seed: seed)
        var steps = 0
        while steps < 52_000 {
            let trial = Trial(size: Int.random(in: 1...4, using: &random))
            if Bool.random(using: &random) { trial.attach() }
            var now = MonotonicTime.seconds(0)
            for _ in 0..<Int.random(in: 1...120, using: &random) {
                steps += 1
                switch Int.random(in: 0..<400, using: &random) {
                case 0..<100: trial.offer()
                case 100..<180: trial.send()
                case 180..<210: trial.cancel(&random)
                case 210..<230: trial.comment()
                case 230..<240: trial.attach()
                case 240..<260:
                    now = now + .milliseconds(Int64.random(in: 0..<2000, using: &random))
                    trial.tick(now)
                case 260..<394: trial.pull(limit: Int.random(in: 1...40, using: &random), now: now)
                case 394..<398:
                    let reasons: [StreamEnd] = [
                        .applicationClosed, .applicationFailed, .serverDraining, .expired,
                    ]
                    let reason = reasons.randomElement(using: &random) ?? .expired
                    trial.end(reason, lastEvent: Bool.random(using: &random))
                default:
                    trial.disconnect(Bool.random(using: &random) ? .clientClosed : .timedOut)
                }
                trial.check()
            }
            await trial.finish()
        }
    }
}
