// SPDX-License-Identifier: Apache-2.0

/// Subscribers that are behind: they read history until they reach ``head``.
extension Distributor {
    /// The maximum number of reads of one subscriber before others have their turn.
    private static let turns = 4
    /// The history work of one turn, as ``ReadLimit/work`` counts it: live subscribers wait some milliseconds for it.
    static let workLimit = 20_000

    /// Continues the reads of subscribers that are behind; called while ``unfinished`` is not empty.
    ///
    /// - Parameters:
    ///   - sink: The connections.
    ///   - now: The time.
    ///   - reads: The maximum number of reads. After that many, or after ``workLimit``, the remaining subscribers wait
    ///     for the next call and come first in it. Default: no limit.
    package mutating func proceed(_ sink: some StreamSink, now: MonotonicTime, reads: Int = .max) {
        let slots = unfinished
        unfinished.removeAll(keepingCapacity: true)
        let before = tally.reads
        work = 0
        for (number, slot) in slots.enumerated() {
            guard tally.reads - before < reads, work < Self.workLimit else {
                unfinished = slots[number...] + unfinished
                break
            }
            if states[slot].phase == .behind { proceed(slot, sink, now: now) }
        }
        work = 0
    }

    mutating func proceed(_ slot: Int, _ sink: some StreamSink, now: MonotonicTime) {
        var turns = 0
        while states[slot].phase == .behind {
            // Not only by its timer, which is up to a tick late: what was revoked while it opened gets nothing.
            if now >= details[slot].expires { return end(slot, .expired, sink, now: now) }
            if !waits.isEmpty, let query = waits[slot]?.query { return ask(slot, nil, query, now) }
            if !pendingEnds.isEmpty, let ends = pendingEnds.removeValue(forKey: slot) {
                send(ends, slot, sink, now)
                continue
            }
            if hasEnded(slot) { return end(slot, .topicsEnded, sink, now: now) }
            let position = Position(states[slot].position)
            if position >= head, !states[slot].isFromEarliest, details[slot].unknown == nil {
                states[slot].phase = .live
                details[slot].startsWithOldest = false
                return
            }
            guard turns < Self.turns, work < Self.workLimit, let selection = details[slot].selection else {
                return unfinished.append(slot)
            }
            turns += 1
            let after = states[slot].isFromEarliest ? nil : position
            tally.reads += 1
            guard let batch = history.readNow(after: after, selection: selection, limit: ReadLimit()) else {
                return ask(slot, after, nil, now)
            }
            if !waits.isEmpty { waits[slot] = nil }
            take(batch, slot, sink, now)
        }
    }

    /// Asks a history that answers later.
    private mutating func ask(_ slot: Int, _ position: Position?, _ start: StartQuery?, _ now: MonotonicTime) {
        guard let selection = details[slot].selection else { return }
        states[slot].phase = .reading
        var wait = waits[slot] ?? Wait()
        wait.since = wait.since ?? now
        wait.askAgain = .distantFuture
        lastQuestion += 1
        wait.question = lastQuestion
        waits[slot] = wait
        let deadline = answerDeadline(slot)
        if deadline < details[slot].due { schedule(slot, at: deadline, now) }
        requests.append(
            ReadRequest(
                slot: slot,
                generation: states[slot].generation,
                number: lastQuestion,
                position: position,
                start: start,
                selection: selection
            )
        )
    }

    /// When a subscriber's stream ends if history has not answered by then.
    func answerDeadline(_ slot: Int) -> MonotonicTime {
        waits[slot]?.since?.advanced(by: historyTimeout) ?? .distantFuture
    }

    /// Whether a subscriber waits for the result of a read; false if the stream has ended since.
    package func isAwaited(_ request: ReadRequest) -> Bool {
        states.indices.contains(request.slot) && states[request.slot].phase == .reading
            && states[request.slot].generation == request.generation
            && waits[request.slot]?.question == request.number
    }

    /// Takes history's answer.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - answer: The answer; nil if history cannot answer now: it is asked again, until
    ///     ``StreamOptions/historyTimeout``.
    ///   - sink: The connections.
    ///   - now: The time.
    package mutating func didRead(
        _ request: ReadRequest,
        _ answer: HistoryAnswer?,
        _ sink: some StreamSink,
        now: MonotonicTime
    ) {
        let slot = request.slot
        guard isAwaited(request) else { return }
        guard let answer else {
            states[slot].phase = .pausing
            let askAgain = now.advanced(by: Self.pause)
            waits[slot]?.askAgain = askAgain
            waits[slot]?.question = 0
            return schedule(slot, at: min(askAgain, details[slot].due), now)
        }
        states[slot].phase = .behind
        waits[slot] = nil
        switch answer {
        case .located(let start): begin(slot, start)
        case .batch(let batch): take(batch, slot, sink, now)
        }
        proceed(slot, sink, now: now)
    }

    /// How long a subscriber waits before it asks a history again that failed to answer: one second.
    private static let pause: Int64 = 1_000_000_000

    // MARK: - Ends of topics

    /// Sends the ends of topics that had ended when a subscriber began, with the position of its start as their ID.
    private mutating func send(_ ends: [TopicEnd], _ slot: Int, _ sink: some StreamSink, _ now: MonotonicTime) {
        let id = history.id(at: Position(states[slot].position))
        run.begin(states[slot].form)
        for end in ends {
            guard run.count < ReadLimit().bytes else { break }
            let entry = HistoryEntry(.end(of: end.topic), position: end.position, id: id, time: now)
            run.append(entry, for: details[slot].selection)
        }
        run.forget()
        switch run.withBytes({ sink.write($0, to: slot) }) {
        case .took(let taken):
            // The ends that were not begun are sent later. Until then only their list is kept, not their bytes.
            let cut = run.cut(taken)
            if cut.frames < ends.count { pendingEnds[slot] = Array(ends[cut.frames...]) }
            tally.bytes += taken
            tally.delivered += cut.frames
            if taken > 0 { states[slot].lastWrite = now }
            guard taken < run.count else { return }
            states[slot].phase = .blocked
            keep(slot, cut.bytes, cut.rest)
            stalls(slot, now)
        case .failed(let reason): remove(slot, reason)
        }
    }

    /// Records the ends among entries, as far as the subscriber has received them.
    mutating func record(_ entries: some Sequence<HistoryEntry>, _ slot: Int) {
        guard details[slot].selection?.isExact ?? false else { return }
        for entry in entries where entry.position.number <= states[slot].position {
            if entry.isEnd {
                receivedEnds[slot, default: ReceivedEnds()].record(entry)
            } else if !receivedEnds.isEmpty {
                receivedEnds[slot]?.record(entry)
            }
        }
    }

    /// Whether all that a subscriber receives has ended.
    mutating func hasEnded(_ slot: Int) -> Bool {
        guard !receivedEnds.isEmpty, let selection = details[slot].selection else { return false }
        let history = self.history
        return receivedEnds[slot]?.areComplete(for: selection, in: history) ?? false
    }

    mutating func take(_ batch: HistoryBatch, _ slot: Int, _ sink: some StreamSink, _ now: MonotonicTime) {
        work += batch.work
        run.begin(states[slot].form)
        defer { run.forget() }
        let before = (states[slot].position, states[slot].isFromEarliest, details[slot].unknown)
        let position = states[slot].isFromEarliest ? nil : Position(states[slot].position)
        if let gap = HubGap(before: batch, after: position, unknown: details[slot].unknown, in: history) {
            tally.gaps += 1
            if gapPolicy.ends(startsWithOldest: details[slot].startsWithOldest) {
                return end(slot, .lagged, sink, now: now)
            }
            let after = batch.entries.first.map { Position($0.position.number - 1) } ?? batch.through
            run.append(gap.frame(type: gapType, id: history.id(at: after)), position: after.number)
        }
        for entry in batch.entries { run.append(entry, for: details[slot].selection) }
        tally.replayed += batch.entries.count
        details[slot].unknown = nil
        states[slot].isFromEarliest = false
        if run.isEmpty {
            states[slot].position = max(states[slot].position, batch.through.number)
            return
        }
        switch write(slot, run, sink, now) {
        case .all:
            states[slot].position = max(states[slot].position, batch.through.number)
            record(batch.entries, slot)
        case .some: record(batch.entries, slot)
        // Nothing was written, not even a gap: the same read is repeated.
        case .none:
            (states[slot].position, states[slot].isFromEarliest, details[slot].unknown) = before
        case .failed(let reason): remove(slot, reason)
        }
    }
}
