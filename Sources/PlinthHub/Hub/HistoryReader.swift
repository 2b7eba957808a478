// SPDX-License-Identifier: Apache-2.0

/// Reads history for a subscriber within the process: gaps, ends and failures mean to it what they mean to a stream.
struct HistoryReader {
    private let history: any History
    private let selection: Selection
    let options: StreamOptions
    private var start: LocatedStart
    private(set) var position: Position?
    private var unknown: EventID?
    /// Whether it began with the oldest event and has not caught up yet.
    private var startsWithOldest = false
    /// Ends of before the start that are still to be returned.
    private var pendingEnds: [TopicEnd] = []
    private var receivedEnds = ReceivedEnds()
    /// Whether all that the subscriber receives has ended, and every end was returned.
    private(set) var hasEnded = false

    init(_ history: any History, _ selection: Selection, _ start: LocatedStart, _ options: StreamOptions) {
        self.history = history
        self.selection = selection
        self.options = options
        self.start = start
        if start.query == nil { begin(start) }
    }

    private mutating func begin(_ start: LocatedStart) {
        self.start = start
        position = start.position
        unknown = start.unknown
        startsWithOldest = start.startsWithOldest
        receivedEnds = ReceivedEnds(start.ended)
        pendingEnds = start.sendsEnds ? start.ended : []
        checkEnds()
    }

    private mutating func checkEnds() {
        hasEnded = pendingEnds.isEmpty && receivedEnds.areComplete(for: selection, in: history)
    }

    /// Whether everything up to a position has been read.
    func isAt(_ head: Position) -> Bool { start.query == nil && (position ?? .zero) >= head }

    /// Reads the next events.
    ///
    /// - Returns: The gap before them, if any, and the events; none if there is nothing more up to ``position``.
    /// - Throws: The history's error, if it has failed for ``StreamOptions/historyTimeout``; ``HubError`` at a gap, if
    ///   the gap policy closes.
    mutating func read() async throws -> (gap: HubGap?, entries: [HistoryEntry]) {
        if let now = try readNow() { return now }
        let (history, selection) = (history, selection)
        if let query = start.query {
            begin(try await answer { try await history.locate(query, selection) })
            if let now = try readNow() { return now }
        }
        let (position, limit) = (position, ReadLimit())
        return try take(
            try await answer {
                try await history.read(after: position, selection: selection, limit: limit)
            }
        )
    }

    /// Reads the next events if that requires no waiting.
    ///
    /// - Returns: As ``read()``; nil if history has to wait.
    /// - Throws: ``HubError`` at a gap, if the gap policy closes.
    mutating func readNow() throws -> (gap: HubGap?, entries: [HistoryEntry])? {
        guard start.query == nil else { return nil }
        if !pendingEnds.isEmpty { return (nil, takePendingEnds()) }
        guard let batch = history.readNow(after: position, selection: selection, limit: ReadLimit()) else { return nil }
        return try take(batch)
    }

    private mutating func take(_ batch: HistoryBatch) throws -> (gap: HubGap?, entries: [HistoryEntry]) {
        let gap = HubGap(before: batch, after: position, unknown: unknown, in: history)
        if gap != nil, options.gapPolicy.ends(startsWithOldest: startsWithOldest) { throw HubError.lagged }
        if batch.entries.isEmpty, gap == nil { startsWithOldest = false }
        position = batch.through
        unknown = nil
        guard selection.isExact else { return (gap, batch.entries) }
        for entry in batch.entries { receivedEnds.record(entry) }
        checkEnds()
        return (gap, batch.entries)
    }

    /// The ends of before the start, with its position as their ID.
    private mutating func takePendingEnds() -> [HistoryEntry] {
        let position = position ?? .zero
        let id = history.id(at: position)
        let entries = pendingEnds.map { HistoryEntry(.end(of: $0.topic), position: position, id: id) }
        pendingEnds = []
        checkEnds()
        return entries
    }

    /// Asks history again, every second, for as long as it fails to answer.
    private func answer<Answer: Sendable>(_ ask: @Sendable () async throws -> Answer) async throws -> Answer {
        let deadline = options.now() + options.historyTimeout
        while true {
            do {
                return try await ask()
            } catch {
                try Task.checkCancellation()
                guard options.now() < deadline else { throw error }
                try await options.pause(.seconds(1))
            }
        }
    }
}
