// SPDX-License-Identifier: Apache-2.0

/// Live events: one write per subscriber and round.
extension Distributor {
    /// Delivers events to live subscribers.
    ///
    /// - Parameters:
    ///   - entries: Events in order, after all that were delivered before.
    ///   - sink: The connections.
    ///   - now: The time.
    ///   - processTime: The time of the clock that entries are published by, if `now` is another's. Default: `now`.
    package mutating func deliver(
        _ entries: [HistoryEntry],
        _ sink: some StreamSink,
        now: MonotonicTime,
        processTime: MonotonicTime? = nil
    ) {
        guard let first = entries.first, let last = entries.last else { return }
        tally.lag = max(tally.lag, (processTime ?? now).nanoseconds - first.time.nanoseconds)
        if entries.count == 1 {
            for topic in first.publishedTopics {
                guard let node = index.node(of: topic) else { continue }
                deliver(Self.only, of: entries, of: node, sink, now)
            }
        } else {
            for (number, entry) in entries.enumerated() {
                for topic in entry.publishedTopics {
                    guard let node = index.node(of: topic) else { continue }
                    if index.add(Int32(number), pendingOf: node) { touched.append(node) }
                }
            }
            for node in touched {
                let pending = index.takePending(of: node)
                deliver(pending, of: entries, of: node, sink, now)
                index.giveBack(pending, to: node)
            }
            touched.removeAll(keepingCapacity: true)
        }
        deliverPairs(entries, sink, now)
        run.forget()
        head = last.position
        for (slot, reason) in failed { remove(slot, reason) }
        failed.removeAll(keepingCapacity: true)
        for slot in finished { end(slot, .topicsEnded, sink, now: now) }
        finished.removeAll(keepingCapacity: true)
    }

    /// Makes live subscribers read from history up to a position, in place of delivery.
    ///
    /// - Parameter position: The last skipped event; ``deliver(_:_:now:)`` continues after it.
    package mutating func skip(to position: Position) {
        guard position > head else { return }
        for slot in states.indices where states[slot].phase == .live {
            // A live subscriber has everything for it up to the head.
            states[slot].position = max(states[slot].position, head.number)
            states[slot].phase = .behind
            unfinished.append(slot)
        }
        head = position
    }

    /// The indices of the events in a round of one.
    private static let only: [Int32] = [0]

    /// Delivers the events of one topic.
    private mutating func deliver(
        _ pending: [Int32],
        of entries: [HistoryEntry],
        of node: Int,
        _ sink: some StreamSink,
        _ now: MonotonicTime
    ) {
        if index.hasOthers(node) { pairOthers(of: node, pending) }
        guard let single = index.nodes[node]?.single, !single.isEmpty else { return }
        if pending.contains(where: { entries[Int($0)].isRestricted || entries[Int($0)].isEnd }) {
            for slot in single { pair(slot, pending) }
        } else {
            deliver(pending, of: entries, to: single, sink, now)
        }
    }

    /// Defers a topic's events to ``deliverPairs(_:_:_:)`` for subscribers that may also receive other topics.
    private mutating func pairOthers(of node: Int, _ pending: [Int32]) {
        for member in index.several.places(of: node) where index.several.isPresent(member) {
            pair(member.slot, pending)
        }
        for list in index.nodes[node]?.patterns ?? [] {
            for member in index.patterns.lists.places(of: Int(list)) where index.patterns.lists.isPresent(member) {
                pair(member.slot, pending)
            }
        }
        for slot in index.nodes[node]?.asked ?? [] { pair(slot, pending) }
    }

    /// Defers a subscriber's events to ``deliverPairs(_:_:_:)``, which handles each subscriber separately.
    private mutating func pair(_ slot: Int32, _ pending: [Int32]) {
        guard states[Int(slot)].phase == .live else { return }
        for entry in pending { pairs.append(Pair(slot: slot, entry: entry)) }
    }

    private static let formsOfOneTopic = [
        StreamForm(isChunked: true, namesTopic: false), StreamForm(isChunked: false, namesTopic: false),
    ]

    /// Writes one run of events to all subscribers of this topic alone.
    mutating func deliver(
        _ pending: [Int32],
        of entries: [HistoryEntry],
        to slots: [Int32],
        _ sink: some StreamSink,
        _ now: MonotonicTime
    ) {
        for form in Self.formsOfOneTopic {
            run.begin(form)
            for number in pending { run.append(entries[Int(number)], for: nil) }
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
                        states[slot].lastWrite = now
                        tally.delivered += pending.count
                        tally.bytes += size
                    case .took(let taken):
                        cut(slot, run, taken, now)
                    case .failed(let reason):
                        failed.append((slot, reason))
                    }
                }
            }
            // Other forms are rare: HTTP/1.0, and clients that asked for topic names.
            if others == 0 { return }
        }
        for slot in slots where states[Int(slot)].phase == .live && states[Int(slot)].form.namesTopic {
            for number in pending { pairs.append(Pair(slot: slot, entry: number)) }
        }
    }

    /// Delivers the rest of the round, with a separate run for each subscriber.
    private mutating func deliverPairs(_ entries: [HistoryEntry], _ sink: some StreamSink, _ now: MonotonicTime) {
        guard !pairs.isEmpty else { return }
        pairs.sort()
        var start = 0
        while start < pairs.count {
            let slot = Int(pairs[start].slot)
            var end = start
            run.begin(states[slot].form)
            var last: Int32 = -1
            let selection = details[slot].selection
            recorded.removeAll(keepingCapacity: true)
            while end < pairs.count, pairs[end].slot == slot {
                let number = pairs[end].entry
                end += 1
                guard number != last else { continue }
                last = number
                let entry = entries[Int(number)]
                guard entry.position.number > states[slot].position else { continue }
                if entry.isRestricted, !(selection?.allows(entry.publishedTopics) ?? false) { continue }
                run.append(entry, for: selection)
                if entry.isEnd || (!receivedEnds.isEmpty && receivedEnds[slot] != nil) { recorded.append(entry) }
            }
            start = end
            guard states[slot].phase == .live, !run.isEmpty else { continue }
            if case .failed(let reason) = write(slot, run, sink, now) {
                failed.append((slot, reason))
            } else if !recorded.isEmpty {
                record(recorded, slot)
                if hasEnded(slot) { finished.append(slot) }
            }
        }
        recorded.removeAll(keepingCapacity: recorded.capacity <= 1024)
        pairs.removeAll(keepingCapacity: pairs.capacity <= 64 * 1024)
    }

    enum Written {
        case all
        /// At least one event was begun.
        case some
        case none
        case failed(StreamEnd)
    }

    /// Writes a run to one subscriber.
    mutating func write(_ slot: Int, _ run: FrameRun, _ sink: some StreamSink, _ now: MonotonicTime) -> Written {
        switch run.withBytes({ sink.write($0, to: slot) }) {
        case .took(run.count):
            states[slot].position = run.lastPosition
            states[slot].lastWrite = now
            tally.delivered += run.frames
            tally.bytes += run.count
            return .all
        case .took(let taken): return cut(slot, run, taken, now) > 0 ? .some : .none
        case .failed(let reason): return .failed(reason)
        }
    }

    /// Handles a partial write: keeps the rest of the event that it ended in, and only a position for later ones.
    ///
    /// - Returns: The number of events begun.
    @discardableResult
    mutating func cut(_ slot: Int, _ run: FrameRun, _ taken: Int, _ now: MonotonicTime) -> Int {
        let cut = run.cut(taken)
        states[slot].phase = .blocked
        states[slot].position = cut.position
        tally.delivered += cut.frames
        tally.bytes += taken
        if taken > 0 { states[slot].lastWrite = now }
        keep(slot, cut.bytes, cut.rest)
        // If the previous attempt took nothing either, the stall began earlier.
        if taken > 0 || details[slot].stalledSince < states[slot].lastWrite {
            stalls(slot, now)
        } else {
            awaitStall(slot, now)
        }
        return cut.frames
    }

    /// Records that the connection stalls from now on.
    mutating func stalls(_ slot: Int, _ now: MonotonicTime) {
        details[slot].stalledSince = now
        awaitStall(slot, now)
    }

    /// Schedules the write timeout, unless the subscriber's timer is due earlier.
    private mutating func awaitStall(_ slot: Int, _ now: MonotonicTime) {
        let deadline = timing.writeDeadline(since: details[slot].stalledSince)
        if deadline < details[slot].due { schedule(slot, at: deadline, now) }
    }

    mutating func keep(_ slot: Int, _ bytes: [UInt8], _ rest: Range<Int>) {
        details[slot].rest = rest.isEmpty ? [] : bytes
        details[slot].restStart = rest.lowerBound
        details[slot].restEnd = rest.upperBound
    }
}
