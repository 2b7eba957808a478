// SPDX-License-Identifier: Apache-2.0

/// Delivers events to the subscribers of one thread, live and behind.
///
/// A live subscriber receives each round of events in one write. If its connection does not take everything, the
/// subscriber is behind: it keeps the rest of one event and a position, nothing else, and reads history when the
/// connection has room again. When it reaches ``head``, it is live. Its position records what it has, so that no event
/// is delivered twice or left out.
///
/// A state machine without I/O, clock or lock. Its owner, one thread, passes in events, times and connection events,
/// and acts on ``requests``, ``unfinished`` and ``ended`` after each call.
package struct Distributor {
    /// A question to a history that answers later, through ``didRead(_:_:_:now:)``.
    package struct ReadRequest: Sendable {
        package let slot: Int
        package let generation: UInt32
        /// Distinguishes the subscriber's questions: only the answer to the latest is taken.
        package let number: UInt64
        /// What is asked for: events after a position, or the start, if it has not been located.
        package let position: Position?
        package let start: StartQuery?
        package let selection: Selection
    }

    /// A stream that has ended: its slot is free, and its connection must be closed.
    package struct Ended: Sendable {
        package let slot: Int
        package let reason: StreamEnd
    }

    enum Phase: UInt8 {
        case free
        /// Has everything that was delivered.
        case live
        /// Reads history, or waits for its turn.
        case behind
        /// Waits for history to answer.
        case reading
        /// Waits until it asks history again, which failed to answer.
        case pausing
        /// Waits for room in its connection.
        case blocked
        /// Waits for its connection to take the last bytes.
        case ending
    }

    /// The state that every event needs.
    struct State {
        /// The last event that it has, or that was not for it.
        var position: UInt64 = 0
        /// When it was last written to.
        var lastWrite = MonotonicTime(nanoseconds: 0)
        var phase = Phase.free
        var form = StreamForm(isChunked: true, namesTopic: false)
        var isFromEarliest = false
        /// Distinguishes successive subscribers of this slot.
        var generation: UInt32 = 0
        /// The number of its current timer; the wheel's others are ignored.
        var timer: UInt32 = 0
    }

    /// The state that is needed less often.
    struct Details {
        var selection: Selection?
        var owner: StreamOwner?
        var place: Int32 = -1
        /// An event that the connection took in part, and the range that it has not taken.
        var rest: [UInt8] = []
        var restStart = 0
        var restEnd = 0
        /// The time since which its connection has taken none of the waiting bytes.
        var stalledSince = MonotonicTime(nanoseconds: 0)
        /// The unknown ID that it asked for, until the gap is reported.
        var unknown: EventID?
        /// Whether it began with the oldest event and has not been live: gaps are then reported, whatever the policy.
        var startsWithOldest = false
        var expires = MonotonicTime.distantFuture
        /// When its timer is due.
        var due = MonotonicTime.distantFuture
        var end = StreamEnd.clientClosed
    }

    /// The state of a subscriber whose question history has not answered.
    struct Wait {
        /// What it has not answered about the start; nil if it was asked for events.
        var query: StartQuery?
        /// Since when it has not answered; nil while it is not asked.
        var since: MonotonicTime?
        /// The number of the question; 0 for none.
        var question: UInt64 = 0
        /// When to ask it again.
        var askAgain = MonotonicTime.distantFuture
    }

    let history: any History
    let timing: StreamTiming
    let gapType: String
    let gapPolicy: StreamOptions.GapPolicy
    /// How long history may fail to answer, in nanoseconds.
    let historyTimeout: Int64
    /// The heartbeat, in both forms.
    let heartbeat: (chunked: [UInt8], bare: [UInt8])
    /// Draws each stream's reconnection time.
    private let options: StreamOptions
    /// The last event that was delivered or skipped.
    var head: Position
    var states: ContiguousArray<State> = []
    var details: ContiguousArray<Details> = []
    // Of few subscribers, by slot.
    var waits: [Int: Wait] = [:]
    /// The number of the last question.
    var lastQuestion: UInt64 = 0
    /// Ends of before the start that are still to be sent.
    var pendingEnds: [Int: [TopicEnd]] = [:]
    /// Of subscribers of exact topics only: others never finish.
    var receivedEnds: [Int: ReceivedEnds] = [:]
    private var free: [Int32] = []
    var index = TopicIndex()
    var wheel = TimerWheel()
    var run = FrameRun()
    /// The subscribers that have more to read and wait for ``proceed(_:now:reads:)``.
    package internal(set) var unfinished: [Int] = []
    /// Reads to be answered later; the owner takes them.
    package var requests: [ReadRequest] = []
    /// Streams that have ended; the owner takes them.
    package var ended: [Ended] = []
    /// The number of subscribers.
    package private(set) var count = 0
    /// Counts since the owner last took them.
    package var tally = DeliveryTally()

    /// The history work since the owner last called ``proceed(_:now:reads:)``.
    var work = 0

    // Buffers that rounds reuse.
    var touched: [Int] = []
    var pairs: [Pair] = []
    var failed: [(Int, StreamEnd)] = []
    var finished: [Int] = []
    var recorded: [HistoryEntry] = []

    /// An event of the round for a subscriber whose events are delivered separately.
    struct Pair: Comparable {
        let slot: Int32
        let entry: Int32

        static func < (left: Pair, right: Pair) -> Bool { (left.slot, left.entry) < (right.slot, right.entry) }
    }

    /// Creates a distributor without subscribers.
    ///
    /// - Parameters:
    ///   - history: The history that subscribers read when behind.
    ///   - options: The options of all streams.
    ///   - head: The last event that was delivered before.
    package init(history: any History, options: StreamOptions, head: Position) {
        self.history = history
        self.head = head
        timing = StreamTiming(
            heartbeat: options.heartbeat,
            writeTimeout: options.writeTimeout,
            maximumAge: options.maximumAge
        )
        gapType = options.gapType
        gapPolicy = options.gapPolicy
        historyTimeout = max(0, options.historyTimeout.clampedNanoseconds)
        heartbeat = FrameRun.heartbeat(options.heartbeatBlock)
        self.options = options
    }

    // MARK: - Adding and removing

    /// Adds a subscriber whose response head has been written.
    ///
    /// - Parameters:
    ///   - selection: The events that it receives.
    ///   - start: Where it begins.
    ///   - form: How it is written.
    ///   - owner: Whose it is.
    ///   - lifetime: How long it may last, besides the maximum age; nil for no limit.
    ///   - now: The time.
    /// - Returns: Its slot, which identifies its connection until the stream has ended. The owner then calls
    ///   ``proceed(_:now:reads:)``.
    package mutating func add(
        _ selection: Selection,
        _ start: LocatedStart,
        _ form: StreamForm,
        owner: StreamOwner? = nil,
        lifetime: Duration? = nil,
        now: MonotonicTime
    ) -> Int {
        let slot: Int
        if let last = free.popLast() {
            slot = Int(last)
        } else {
            slot = states.count
            states.append(State())
            details.append(Details())
        }
        count += 1
        states[slot].lastWrite = now
        states[slot].phase = .behind
        states[slot].form = form
        states[slot].generation &+= 1
        details[slot].selection = selection
        begin(slot, start)
        details[slot].owner = owner
        details[slot].expires = min(timing.expiry(of: now), lifetime.map { now + $0 } ?? .distantFuture)
        if let owner, !owner.stands() { details[slot].expires = now }
        details[slot].place = index.add(slot, selection)
        schedule(slot, at: min(timing.heartbeatDue(after: now, spread: slot), details[slot].expires), now)
        unfinished.append(slot)
        return slot
    }

    /// Adds the subscriber of a request, as ``add(_:_:_:owner:lifetime:now:)``.
    package mutating func add(_ request: StreamRequest, now: MonotonicTime) -> Int {
        add(
            request.selection,
            request.start,
            request.form,
            owner: request.owner,
            lifetime: request.lifetime,
            now: now
        )
    }

    /// Sets where a subscriber begins.
    mutating func begin(_ slot: Int, _ start: LocatedStart) {
        states[slot].position = start.position?.number ?? 0
        states[slot].isFromEarliest = start.position == nil
        details[slot].unknown = start.unknown
        details[slot].startsWithOldest = start.startsWithOldest
        if let query = start.query { waits[slot] = Wait(query: query) }
        guard !start.ended.isEmpty else { return }
        receivedEnds[slot] = ReceivedEnds(start.ended)
        if start.sendsEnds { pendingEnds[slot] = start.ended }
    }

    /// Removes a subscriber whose connection is gone.
    package mutating func remove(_ slot: Int, _ reason: StreamEnd) {
        guard states.indices.contains(slot), states[slot].phase != .free else { return }
        let reason = states[slot].phase == .ending ? details[slot].end : reason
        if let selection = details[slot].selection {
            let place = details[slot].place
            index.remove(slot, selection, place: place) { details[Int($0)].place = place }
        }
        states[slot].phase = .free
        details[slot] = Details()
        if !waits.isEmpty { waits[slot] = nil }
        if !receivedEnds.isEmpty {
            receivedEnds[slot] = nil
            pendingEnds[slot] = nil
        }
        free.append(Int32(slot))
        count -= 1
        ended.append(Ended(slot: slot, reason: reason))
    }

    /// Ends a stream cleanly: completes the event under way, sends a reconnection time, and completes the body.
    package mutating func end(_ slot: Int, _ reason: StreamEnd, _ sink: some StreamSink, now: MonotonicTime) {
        guard states.indices.contains(slot), states[slot].phase != .free, states[slot].phase != .ending else { return }
        details[slot].end = reason
        let last = farewell(reason, isChunked: states[slot].form.isChunked)
        if details[slot].restStart < details[slot].restEnd {
            // The connection is blocked: the rest of an event precedes the end.
            details[slot].rest = Array(details[slot].rest[details[slot].restStart..<details[slot].restEnd]) + last
            details[slot].restStart = 0
            details[slot].restEnd = details[slot].rest.count
            states[slot].phase = .ending
            return stalls(slot, now)
        }
        let wasBlocked = states[slot].phase == .blocked
        states[slot].phase = .ending
        stalls(slot, now)
        keep(slot, last, 0..<last.count)
        if !wasBlocked { writeRest(slot, sink, now: now) }
    }

    /// The end of a body, preceded by a reconnection time drawn for the stream: clients of streams that end together
    /// must not reconnect together, and a publisher's event may have given all of them the same time.
    ///
    /// After the last topic's end nothing follows.
    private func farewell(_ reason: StreamEnd, isChunked: Bool) -> [UInt8] {
        guard reason != .topicsEnded else { return isChunked ? ChunkFraming.lastChunk : [] }
        let retry = EventFrame(text: options.retryBlock())
        return retry.bytes[retry.range(isChunked: isChunked)] + (isChunked ? ChunkFraming.lastChunk : [])
    }

    /// The subscribers that satisfy a predicate.
    package func slots(where isMeant: StreamPredicate) -> [Int] {
        states.indices.filter { slot in
            guard states[slot].phase != .free, let selection = details[slot].selection else { return false }
            return isMeant(selection, details[slot].owner)
        }
    }

    /// The number of subscribers that read history or whose connection does not keep up.
    package var behind: Int { states.reduce(0) { $0 + ($1.phase == .live || $1.phase == .free ? 0 : 1) } }

    // MARK: - From the connections

    /// Resumes a connection that has room again; the owner then calls ``proceed(_:now:reads:)``.
    package mutating func isWritable(_ slot: Int, _ sink: some StreamSink, now: MonotonicTime) {
        guard states.indices.contains(slot), states[slot].phase == .blocked || states[slot].phase == .ending else {
            return
        }
        guard writeRest(slot, sink, now: now) else { return }
        guard states[slot].phase == .blocked else { return }
        states[slot].phase = .behind
        // While it was blocked, its timer may have been set to the write timeout.
        let due = min(timing.heartbeatDue(after: states[slot].lastWrite, spread: slot), details[slot].expires)
        if due < details[slot].due { schedule(slot, at: due, now) }
        // It waits for its turn with the others that are behind.
        unfinished.append(slot)
    }

    /// Records that a connection without room took some of the waiting bytes: its client is still there.
    package mutating func hasProgressed(_ slot: Int, now: MonotonicTime) {
        guard states.indices.contains(slot), states[slot].phase == .blocked || states[slot].phase == .ending else {
            return
        }
        details[slot].stalledSince = now
    }

    /// Writes the rest of an event, or of the end.
    ///
    /// - Returns: Whether nothing is left and the stream continues.
    @discardableResult
    private mutating func writeRest(_ slot: Int, _ sink: some StreamSink, now: MonotonicTime) -> Bool {
        let start = details[slot].restStart
        let end = details[slot].restEnd
        if start < end {
            let outcome = details[slot].rest.withUnsafeBytes { bytes in
                sink.write(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), to: slot)
            }
            switch outcome {
            case .took(let taken):
                tally.bytes += taken
                if taken > 0 {
                    details[slot].restStart += taken
                    details[slot].stalledSince = now
                    states[slot].lastWrite = now
                }
                guard start + taken == end else { return false }
                keep(slot, [], 0..<0)
            case .failed(let reason):
                remove(slot, reason)
                return false
            }
        }
        guard states[slot].phase == .ending else { return true }
        remove(slot, details[slot].end)
        return false
    }
}
