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
        /// When it was last written to, in nanoseconds.
        var lastWrite: Int64 = 0
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
        var stalledSince: Int64 = 0
        /// An ID that is not from this history: a gap that it has not been told of yet.
        var unknown: EventID?
        var expires: Int64 = .max
        /// When it is looked at next.
        var due: Int64 = .max
        var end = StreamEnd.clientClosed
    }

    private let history: any History
    let timing: StreamTiming
    private let gapType: String
    private let gapPolicy: StreamOptions.GapPolicy
    /// The last event that was brought out.
    private(set) var head: Position
    private(set) var states: ContiguousArray<State> = []
    private var details: ContiguousArray<Details> = []
    private var free: [Int32] = []
    private var index = TopicIndex()
    private var wheel = SlotWheel()
    private var run = FrameRun()
    /// Who has more to read, and waits for its turn: ``proceed(_:now:)``.
    package private(set) var unfinished: [Int] = []
    /// Questions to history; the owner takes them.
    package var requests: [ReadRequest] = []
    /// Streams that have ended; the owner takes them.
    package var ended: [Ended] = []
    /// The number of subscribers.
    package private(set) var count = 0
    /// What was done since the owner last took it.
    package var tally = DeliveryTally()

    // Room that rounds use again.
    private var touched: [Int] = []
    private var pairs: [Pair] = []
    private var failed: [(Int, StreamEnd)] = []

    /// An event of the round for a subscriber that may get others from other topics, too.
    private struct Pair: Comparable {
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
        timing = StreamTiming(options)
        gapType = options.gapType
        gapPolicy = options.gapPolicy
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
    package mutating func add(_ selection: Selection, _ start: LocatedStart, _ form: StreamForm, now: HubTime) -> Int {
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
        states[slot].lastWrite = now.nanoseconds
        states[slot].phase = .behind
        states[slot].form = form
        states[slot].generation &+= 1
        details[slot].selection = selection
        details[slot].unknown = start.unknown
        details[slot].expires = timing.expiry(now)
        details[slot].place = index.add(slot, selection)
        schedule(slot, at: min(timing.heartbeat(now.nanoseconds, slot), details[slot].expires), now)
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

    /// Ends a stream properly: what is under way is completed, and the body is.
    package mutating func end(_ slot: Int, _ reason: StreamEnd, _ sink: some StreamSink, now: HubTime) {
        guard states.indices.contains(slot), states[slot].phase != .free, states[slot].phase != .ending else { return }
        details[slot].end = reason
        let last = states[slot].form.isChunked ? FrameRun.lastChunk : []
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

    /// The subscribers, for those that end some of them.
    package func slots(where isMeant: (Selection) -> Bool) -> [Int] {
        states.indices.filter { states[$0].phase != .free && (details[$0].selection.map(isMeant) ?? false) }
    }

    /// The number of subscribers whose connection does not keep up, or that read history.
    package var behind: Int { states.reduce(0) { $0 + ($1.phase == .live || $1.phase == .free ? 0 : 1) } }

    // MARK: - Live events

    /// Brings events to all live subscribers that they are for.
    ///
    /// - Parameters:
    ///   - entries: Events in their order, beyond all that were brought out before.
    ///   - sink: The connections.
    ///   - now: The time.
    package mutating func deliver(_ entries: [HistoryEntry], _ sink: some StreamSink, now: HubTime) {
        guard let first = entries.first, let last = entries.last else { return }
        tally.lag = max(tally.lag, now.nanoseconds - first.time.nanoseconds)
        for (number, entry) in entries.enumerated() {
            for topic in entry.topics {
                guard let node = index.node(of: topic) else { continue }
                if index.nodes[node]?.pending.isEmpty ?? false { touched.append(node) }
                index.nodes[node]?.pending.append(Int32(number))
            }
        }
        for node in touched {
            guard let pending = index.nodes[node]?.pending else { continue }
            index.nodes[node]?.pending.removeAll(keepingCapacity: pending.count <= 1024)
            let isRestricted = pending.contains { entries[Int($0)].isRestricted }
            for slot in index.nodes[node]?.several ?? [] where states[Int(slot)].phase == .live {
                for entry in pending { pairs.append(Pair(slot: slot, entry: entry)) }
            }
            guard let single = index.nodes[node]?.single, !single.isEmpty else { continue }
            if isRestricted {
                for slot in single where states[Int(slot)].phase == .live {
                    for entry in pending { pairs.append(Pair(slot: slot, entry: entry)) }
                }
            } else {
                deliver(pending, of: entries, to: single, sink, now)
            }
        }
        touched.removeAll(keepingCapacity: true)
        deliverPairs(entries, sink, now)
        head = last.position
        for (slot, reason) in failed { remove(slot, reason) }
        failed.removeAll(keepingCapacity: true)
    }

    /// One run of events for all who want this topic alone.
    private mutating func deliver(
        _ pending: [Int32],
        of entries: [HistoryEntry],
        to slots: [Int32],
        _ sink: some StreamSink,
        _ now: HubTime
    ) {
        for form in [StreamForm(isChunked: true, namesTopic: false), StreamForm(isChunked: false, namesTopic: false)] {
            run.begin(form)
            for number in pending { run.append(entries[Int(number)]) }
            let first = run.firstPosition
            let last = run.lastPosition
            var others = 0
            let size = run.count
            run.withBytes { bytes in
                for slot in slots {
                    let slot = Int(slot)
                    guard states[slot].phase == .live else { continue }
                    guard states[slot].form == form else {
                        others += 1
                        continue
                    }
                    guard states[slot].position < first else {
                        // It has read ahead in history.
                        for number in pending { pairs.append(Pair(slot: Int32(slot), entry: number)) }
                        continue
                    }
                    switch sink.write(bytes, to: slot) {
                    case .took(size):
                        states[slot].position = last
                        states[slot].lastWrite = now.nanoseconds
                        tally.delivered += pending.count
                        tally.bytes += size
                    case .took(let taken):
                        cut(slot, run, taken, now)
                    case .failed(let reason):
                        failed.append((slot, reason))
                    }
                }
            }
            // Those of another form are rare: HTTP/1.0, and the topic's name for one that asked for it.
            if others == 0 { return }
        }
        for slot in slots where states[Int(slot)].phase == .live && states[Int(slot)].form.namesTopic {
            for number in pending { pairs.append(Pair(slot: slot, entry: number)) }
        }
    }

    /// What is left of the round: for each subscriber its own run.
    private mutating func deliverPairs(_ entries: [HistoryEntry], _ sink: some StreamSink, _ now: HubTime) {
        guard !pairs.isEmpty else { return }
        pairs.sort()
        var start = 0
        while start < pairs.count {
            let slot = Int(pairs[start].slot)
            var end = start
            run.begin(states[slot].form)
            var last: Int32 = -1
            while end < pairs.count, pairs[end].slot == slot {
                let number = pairs[end].entry
                end += 1
                guard number != last else { continue }
                last = number
                let entry = entries[Int(number)]
                guard entry.position.number > states[slot].position else { continue }
                if entry.isRestricted, !(details[slot].selection?.allows(entry.topics) ?? false) { continue }
                run.append(entry)
            }
            start = end
            guard states[slot].phase == .live, !run.isEmpty else { continue }
            if case .failed(let reason) = write(slot, run, sink, now) { failed.append((slot, reason)) }
        }
        pairs.removeAll(keepingCapacity: pairs.capacity <= 64 * 1024)
    }

    private enum Written {
        case all
        /// At least one event was begun.
        case some
        case none
        case failed(StreamEnd)
    }

    /// Writes a run to one subscriber.
    private mutating func write(_ slot: Int, _ run: FrameRun, _ sink: some StreamSink, _ now: HubTime) -> Written {
        switch run.withBytes({ sink.write($0, to: slot) }) {
        case .took(run.count):
            states[slot].position = run.lastPosition
            states[slot].lastWrite = now.nanoseconds
            tally.delivered += run.frames
            tally.bytes += run.count
            return .all
        case .took(let taken): return cut(slot, run, taken, now) > 0 ? .some : .none
        case .failed(let reason): return .failed(reason)
        }
    }

    /// A connection took only a part: the event in which that ends is kept, of those behind it only the position.
    ///
    /// - Returns: How many events were begun.
    @discardableResult
    private mutating func cut(_ slot: Int, _ run: FrameRun, _ taken: Int, _ now: HubTime) -> Int {
        let cut = run.cut(taken)
        states[slot].phase = .blocked
        states[slot].position = cut.position
        tally.delivered += cut.frames
        tally.bytes += taken
        if taken > 0 { states[slot].lastWrite = now.nanoseconds }
        keep(slot, cut.bytes, cut.rest)
        stalls(slot, now)
        return cut.frames
    }

    /// Its connection takes nothing from now on.
    private mutating func stalls(_ slot: Int, _ now: HubTime) {
        details[slot].stalledSince = now.nanoseconds
        let deadline = timing.stall(now.nanoseconds)
        if deadline < details[slot].due { schedule(slot, at: deadline, now) }
    }

    private mutating func keep(_ slot: Int, _ bytes: [UInt8], _ rest: Range<Int>) {
        details[slot].rest = rest.isEmpty ? [] : bytes
        details[slot].restStart = rest.lowerBound
        details[slot].restEnd = rest.upperBound
    }

    // MARK: - From the connections

    /// A connection has room again.
    package mutating func isWritable(_ slot: Int, _ sink: some StreamSink, now: HubTime) {
        guard states.indices.contains(slot), states[slot].phase == .blocked || states[slot].phase == .ending else {
            return
        }
        guard writeRest(slot, sink, now: now) else { return }
        guard states[slot].phase == .blocked else { return }
        states[slot].phase = .behind
        // While it was blocked it may have been put off until its write would have timed out.
        let due = min(timing.heartbeat(states[slot].lastWrite, slot), details[slot].expires)
        if due < details[slot].due { schedule(slot, at: due, now) }
        proceed(slot, sink, now: now)
    }

    /// Writes what is left of an event, or of the end.
    ///
    /// - Returns: Whether nothing is left.
    @discardableResult
    private mutating func writeRest(_ slot: Int, _ sink: some StreamSink, now: HubTime) -> Bool {
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
                    details[slot].stalledSince = now.nanoseconds
                    states[slot].lastWrite = now.nanoseconds
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

    // MARK: - From history

    /// How often one subscriber reads before others have their turn.
    private static let turns = 4

    /// Lets those go on that have more to read; called while ``unfinished`` is not empty.
    ///
    /// - Parameters:
    ///   - sink: The connections.
    ///   - now: The time.
    ///   - reads: After so many reads the others wait for the next call, and come first then; no limit unless given.
    package mutating func proceed(_ sink: some StreamSink, now: HubTime, reads: Int = .max) {
        let slots = unfinished
        unfinished.removeAll(keepingCapacity: true)
        let before = tally.reads
        for (number, slot) in slots.enumerated() {
            guard tally.reads - before < reads else {
                unfinished = slots[number...] + unfinished
                return
            }
            if states[slot].phase == .behind { proceed(slot, sink, now: now) }
        }
    }

    private mutating func proceed(_ slot: Int, _ sink: some StreamSink, now: HubTime) {
        var turns = 0
        while states[slot].phase == .behind {
            let position = Position(states[slot].position)
            if position >= head, !states[slot].isFromEarliest, details[slot].unknown == nil {
                states[slot].phase = .live
                return
            }
            guard turns < Self.turns, let selection = details[slot].selection else { return unfinished.append(slot) }
            turns += 1
            let after = states[slot].isFromEarliest ? nil : position
            tally.reads += 1
            guard let batch = history.readNow(after: after, selection: selection, limit: ReadLimit()) else {
                states[slot].phase = .reading
                let generation = states[slot].generation
                requests.append(
                    ReadRequest(slot: slot, generation: generation, position: after, selection: selection)
                )
                return
            }
            take(batch, slot, sink, now)
        }
    }

    /// Whether somebody waits for the answer to a question; not if the stream has ended since.
    package func isAwaited(_ request: ReadRequest) -> Bool {
        states.indices.contains(request.slot) && states[request.slot].phase == .reading
            && states[request.slot].generation == request.generation
    }

    /// History has answered.
    ///
    /// - Parameters:
    ///   - request: The question.
    ///   - batch: The answer; nil if history cannot be read, which ends the stream.
    ///   - sink: The connections.
    ///   - now: The time.
    package mutating func didRead(_ request: ReadRequest, _ batch: HistoryBatch?, _ sink: some StreamSink, now: HubTime)
    {
        let slot = request.slot
        guard isAwaited(request) else { return }
        states[slot].phase = .behind
        guard let batch else { return end(slot, .historyFailed, sink, now: now) }
        take(batch, slot, sink, now)
        proceed(slot, sink, now: now)
    }

    private mutating func take(_ batch: HistoryBatch, _ slot: Int, _ sink: some StreamSink, _ now: HubTime) {
        run.begin(states[slot].form)
        let before = (states[slot].position, states[slot].isFromEarliest, details[slot].unknown)
        let isMissing = batch.missingThrough != nil && !states[slot].isFromEarliest
        if isMissing || details[slot].unknown != nil {
            tally.gaps += 1
            guard gapPolicy == .tell else { return end(slot, .lagged, sink, now: now) }
            let after = batch.entries.first.map { $0.position.number - 1 } ?? batch.through.number
            run.append(gap(slot, batch), position: after)
        }
        for entry in batch.entries { run.append(entry) }
        tally.replayed += batch.entries.count
        details[slot].unknown = nil
        states[slot].isFromEarliest = false
        if run.isEmpty {
            states[slot].position = max(states[slot].position, batch.through.number)
            return
        }
        switch write(slot, run, sink, now) {
        case .all: states[slot].position = max(states[slot].position, batch.through.number)
        case .some: break
        // Not even a gap has been told: it asks for the same again.
        case .none:
            (states[slot].position, states[slot].isFromEarliest, details[slot].unknown) = before
        case .failed(let reason): remove(slot, reason)
        }
    }

    private func gap(_ slot: Int, _ batch: HistoryBatch) -> EventFrame {
        let requested = details[slot].unknown ?? history.id(at: Position(states[slot].position))
        let after = batch.entries.first.map { Position($0.position.number - 1) } ?? batch.through
        let event = GapEvent(
            requested: requested,
            oldest: batch.entries.first?.id,
            through: batch.missingThrough.map(history.id(at:))
        )
        return event.frame(type: gapType, id: history.id(at: after))
    }

    // MARK: - Time

    /// Does what is due: heartbeats, and the end of those whose time is over.
    ///
    /// - Parameters:
    ///   - sink: The connections.
    ///   - now: The time.
    package mutating func tick(_ sink: some StreamSink, now: HubTime) {
        for (slot, timer) in wheel.advance(to: now.nanoseconds) {
            guard states[slot].phase != .free, states[slot].timer == timer else { continue }
            if let next = tick(slot, sink, now) { schedule(slot, at: next, now) }
        }
    }

    /// Has a subscriber looked at then, and not when it was said before.
    private mutating func schedule(_ slot: Int, at deadline: Int64, _ now: HubTime) {
        states[slot].timer &+= 1
        details[slot].due = deadline
        wheel.add(slot, states[slot].timer, at: deadline, now: now.nanoseconds)
    }

    /// How long until ``tick(_:now:)`` may have something to do, in nanoseconds; nil if there is nobody.
    package func untilTick(now: HubTime) -> Int64? {
        count == 0 ? nil : wheel.untilNext(now: now.nanoseconds)
    }

    /// - Returns: When to look at this subscriber again; nil if it has gone.
    private mutating func tick(_ slot: Int, _ sink: some StreamSink, _ now: HubTime) -> Int64? {
        let expires = details[slot].expires
        if now.nanoseconds >= expires, states[slot].phase != .ending, states[slot].phase != .free {
            end(slot, .expired, sink, now: now)
            return states[slot].phase == .free ? nil : timing.stall(now.nanoseconds)
        }
        switch states[slot].phase {
        case .free: return nil
        case .blocked, .ending:
            let deadline = timing.stall(details[slot].stalledSince)
            guard now.nanoseconds < deadline else {
                if states[slot].phase == .blocked { remove(slot, .timedOut) } else { remove(slot, details[slot].end) }
                return nil
            }
            return states[slot].phase == .blocked ? min(deadline, expires) : deadline
        case .behind, .reading:
            return min(timing.heartbeat(states[slot].lastWrite, slot), expires)
        case .live: break
        }
        let due = timing.heartbeat(states[slot].lastWrite, slot)
        guard now.nanoseconds >= due else { return min(due, expires) }
        let bytes = FrameRun.heartbeat(isChunked: states[slot].form.isChunked)
        switch bytes.withUnsafeBytes({ sink.write($0, to: slot) }) {
        case .took(let taken):
            tally.heartbeats += 1
            tally.bytes += taken
            states[slot].lastWrite = now.nanoseconds
            guard taken == bytes.count else {
                states[slot].phase = .blocked
                states[slot].position = max(states[slot].position, head.number)
                keep(slot, bytes, taken..<bytes.count)
                stalls(slot, now)
                return timing.stall(now.nanoseconds)
            }
            return min(timing.heartbeat(now.nanoseconds, slot), expires)
        case .failed(let reason):
            remove(slot, reason)
            return nil
        }
    }
}
