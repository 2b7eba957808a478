// SPDX-License-Identifier: Apache-2.0

/// Brings events to the subscribers of one thread: live ones, and those that are behind.
///
/// A subscriber is live, or behind at a position. Live, it is written what comes in, one write for all that a round has for
/// it. If its connection does not take everything it is behind: it keeps the rest of one event and a position, nothing
/// else, and goes on reading history when there is room again. When that has met what the distributor has brought out, it
/// is live: a position of its own says what it has, so that nothing comes twice and nothing is left out.
///
/// A state machine without I/O, clock or lock: its owner, one thread, hands in events, times and what its connections do,
/// and does what ``requests``, ``unfinished`` and ``ended`` say after each call.
package struct Distributor {
    /// A question to a history that answers later, with ``didRead(_:_:_:now:)``.
    package struct ReadRequest: Sendable {
        package let slot: Int
        package let generation: UInt32
        package let position: Position?
        package let selection: Selection
    }

    /// A stream that has ended: its slot is free, and its connection is to be closed.
    package struct Ended: Sendable {
        package let slot: Int
        package let reason: StreamEnd
    }

    enum Phase: UInt8 {
        case free
        /// Has all that was brought out.
        case live
        /// Reads history now, or waits for its turn.
        case behind
        /// Waits for history.
        case reading
        /// Waits for its connection.
        case blocked
        /// Waits for its connection to take the last bytes.
        case ending
    }

    /// What is looked at for every event.
    struct State {
        /// The last event that it has, or was not meant for it.
        var position: UInt64 = 0
        /// When it was last written to.
        var lastWrite = MonotonicTime(nanoseconds: 0)
        var phase = Phase.free
        var form = StreamForm(isChunked: true, namesTopic: false)
        var isFromEarliest = false
        /// Tells the subscribers apart that had this slot one after the other.
        var generation: UInt32 = 0
        /// Which of its timers counts, of those in the wheel.
        var timer: UInt32 = 0
    }

    /// What is looked at otherwise.
    struct Details {
        var selection: Selection?
        var place: Int32 = -1
        /// What the connection has not taken of the last event: bytes, and from where.
        var rest: [UInt8] = []
        var restStart = 0
        var restEnd = 0
        /// Since when its connection has taken nothing of what waits for it.
        var stalledSince = MonotonicTime(nanoseconds: 0)
        /// An ID that is not from this history: a gap that it has not been told of yet.
        var unknown: EventID?
        /// It began with the oldest and has not been live yet: what it misses it is told of, whatever the policy.
        var startsWithOldest = false
        var expires = MonotonicTime.distantFuture
        /// When it is looked at next.
        var due = MonotonicTime.distantFuture
        var end = StreamEnd.clientClosed
    }

    let history: any History
    let timing: StreamTiming
    let gapType: String
    let gapPolicy: StreamOptions.GapPolicy
    /// What is sent to idle streams, in both forms.
    let heartbeat: (chunked: [UInt8], bare: [UInt8])
    /// Draws each stream's reconnection time.
    private let options: StreamOptions
    /// The last event that was brought out, or skipped.
    var head: Position
    var states: ContiguousArray<State> = []
    var details: ContiguousArray<Details> = []
    private var free: [Int32] = []
    var index = TopicIndex()
    var wheel = TimerWheel()
    var run = FrameRun()
    /// Who has more to read, and waits for its turn: ``proceed(_:now:reads:)``.
    package internal(set) var unfinished: [Int] = []
    /// Questions to history; the owner takes them.
    package var requests: [ReadRequest] = []
    /// Streams that have ended; the owner takes them.
    package var ended: [Ended] = []
    /// The number of subscribers.
    package private(set) var count = 0
    /// What was done since the owner last took it.
    package var tally = DeliveryTally()

    /// What was looked at in history since the owner last called ``proceed(_:now:reads:)``.
    var work = 0

    // Room that rounds use again.
    var touched: [Int] = []
    var pairs: [Pair] = []
    var failed: [(Int, StreamEnd)] = []

    /// An event of the round for a subscriber that may get others from other topics, too.
    struct Pair: Comparable {
        let slot: Int32
        let entry: Int32

        static func < (left: Pair, right: Pair) -> Bool { (left.slot, left.entry) < (right.slot, right.entry) }
    }

    /// A distributor without subscribers.
    ///
    /// - Parameters:
    ///   - history: Where subscribers read that are behind.
    ///   - options: What holds for all streams.
    ///   - head: The last event that was brought out before.
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
        heartbeat = FrameRun.heartbeat(options.heartbeatBlock)
        self.options = options
    }

    // MARK: - Coming and going

    /// Adds a subscriber whose head has been written.
    ///
    /// - Parameters:
    ///   - selection: What it gets.
    ///   - start: Where it begins.
    ///   - form: How it is written.
    ///   - now: The time.
    /// - Returns: Its slot, which is its connection's number until it has ended. The owner then calls
    ///   ``proceed(_:now:)``.
    package mutating func add(_ selection: Selection, _ start: LocatedStart, _ form: StreamForm, now: MonotonicTime)
        -> Int
    {
        let slot: Int
        if let last = free.popLast() {
            slot = Int(last)
        } else {
            slot = states.count
            states.append(State())
            details.append(Details())
        }
        count += 1
        states[slot].position = start.position?.number ?? 0
        states[slot].isFromEarliest = start.position == nil
        states[slot].lastWrite = now
        states[slot].phase = .behind
        states[slot].form = form
        states[slot].generation &+= 1
        details[slot].selection = selection
        details[slot].unknown = start.unknown
        details[slot].startsWithOldest = start.startsWithOldest
        details[slot].expires = timing.expiry(of: now)
        details[slot].place = index.add(slot, selection)
        schedule(slot, at: min(timing.heartbeatDue(after: now, spread: slot), details[slot].expires), now)
        unfinished.append(slot)
        return slot
    }

    /// The connection of a subscriber is gone.
    package mutating func remove(_ slot: Int, _ reason: StreamEnd) {
        guard states.indices.contains(slot), states[slot].phase != .free else { return }
        let reason = states[slot].phase == .ending ? details[slot].end : reason
        if let selection = details[slot].selection {
            let place = details[slot].place
            index.remove(slot, selection, place: place) { details[Int($0)].place = place }
        }
        states[slot].phase = .free
        details[slot] = Details()
        free.append(Int32(slot))
        count -= 1
        ended.append(Ended(slot: slot, reason: reason))
    }

    /// Ends a stream properly: what is under way is completed, a reconnection time follows, and the body is complete.
    package mutating func end(_ slot: Int, _ reason: StreamEnd, _ sink: some StreamSink, now: MonotonicTime) {
        guard states.indices.contains(slot), states[slot].phase != .free, states[slot].phase != .ending else { return }
        details[slot].end = reason
        let last = farewell(isChunked: states[slot].form.isChunked)
        if details[slot].restStart < details[slot].restEnd {
            // The connection waits for room: the rest of an event comes before the end.
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

    /// The end of a body, behind a reconnection time of the stream's own: what ends many streams at once must not have
    /// their clients come back at once, and an event of a publisher's may have given all of them the same time.
    private func farewell(isChunked: Bool) -> [UInt8] {
        let retry = EventFrame(text: options.retryBlock())
        return retry.bytes[retry.range(isChunked: isChunked)] + (isChunked ? ChunkFraming.lastChunk : [])
    }

    /// The subscribers, for those that end some of them.
    package func slots(where isMeant: (Selection) -> Bool) -> [Int] {
        states.indices.filter { states[$0].phase != .free && (details[$0].selection.map(isMeant) ?? false) }
    }

    /// The number of subscribers whose connection does not keep up, or that read history.
    package var behind: Int { states.reduce(0) { $0 + ($1.phase == .live || $1.phase == .free ? 0 : 1) } }

    // MARK: - From the connections

    /// A connection has room again; the owner then calls ``proceed(_:now:reads:)``.
    package mutating func isWritable(_ slot: Int, _ sink: some StreamSink, now: MonotonicTime) {
        guard states.indices.contains(slot), states[slot].phase == .blocked || states[slot].phase == .ending else {
            return
        }
        guard writeRest(slot, sink, now: now) else { return }
        guard states[slot].phase == .blocked else { return }
        states[slot].phase = .behind
        // While it was blocked it may have been put off until its write would have timed out.
        let due = min(timing.heartbeatDue(after: states[slot].lastWrite, spread: slot), details[slot].expires)
        if due < details[slot].due { schedule(slot, at: due, now) }
        // It waits for its turn with all others that are behind.
        unfinished.append(slot)
    }

    /// A connection that has no room yet has taken a part of what it holds: its client is not gone.
    package mutating func hasProgressed(_ slot: Int, now: MonotonicTime) {
        guard states.indices.contains(slot), states[slot].phase == .blocked || states[slot].phase == .ending else {
            return
        }
        details[slot].stalledSince = now
    }

    /// Writes what is left of an event, or of the end.
    ///
    /// - Returns: Whether nothing is left.
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
