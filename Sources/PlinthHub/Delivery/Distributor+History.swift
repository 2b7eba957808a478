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

    /// Whether a subscriber waits for the result of a read; false if the stream has ended since.
    package func isAwaited(_ request: ReadRequest) -> Bool {
        states.indices.contains(request.slot) && states[request.slot].phase == .reading
            && states[request.slot].generation == request.generation
    }

    /// Takes the result of a read.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - batch: The result; nil if history cannot be read, which ends the stream.
    ///   - sink: The connections.
    ///   - now: The time.
    package mutating func didRead(
        _ request: ReadRequest,
        _ batch: HistoryBatch?,
        _ sink: some StreamSink,
        now: MonotonicTime
    ) {
        let slot = request.slot
        guard isAwaited(request) else { return }
        states[slot].phase = .behind
        guard let batch else { return end(slot, .historyFailed, sink, now: now) }
        take(batch, slot, sink, now)
        proceed(slot, sink, now: now)
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
        // Nothing was written, not even a gap: the same read is repeated.
        case .none:
            (states[slot].position, states[slot].isFromEarliest, details[slot].unknown) = before
        case .failed(let reason): remove(slot, reason)
        }
    }
}
