// SPDX-License-Identifier: Apache-2.0

/// What one wait for events returned: a long-poll.
public struct HubPoll: Sendable {
    /// The events and ends, in order.
    public let updates: [HubUpdate]
    /// The ID to begin the next wait after.
    public let next: EventID
    /// The gap before the events; nil if there is none.
    public let gap: HubGap?
    /// Whether all topics are exact and have ended.
    public let hasEnded: Bool
    /// Whether there may be more now, so that the next wait returns at once.
    public let hasMore: Bool
}

extension Hub {
    /// Waits for events, once.
    ///
    /// - Parameters:
    ///   - selection: Topics to receive, and those that the subscriber is authorized for.
    ///   - start: Where to begin. Default: with what is published from now on.
    ///   - subject: Who waits, for observers. Default: nil.
    ///   - attachment: The value that observers see. Default: nil.
    ///   - expiry: Returns when the wait is over, or when its task is cancelled.
    /// - Returns: What there is, at once if there is anything: an event, a gap or an end; otherwise after `expiry`. At
    ///   most 256 events, and 64 KiB beyond the first. A gap is returned whatever the gap policy.
    /// - Throws: `CancellationError` if the task is cancelled; the history's error.
    public func poll(
        _ selection: Selection,
        from start: StreamStart = .live,
        subject: HubSubject? = nil,
        attachment: (any Sendable)? = nil,
        until expiry: @escaping @Sendable () async -> Void
    ) async throws -> HubPoll {
        var options = self.options
        // The answer ends anyway, and has a place for the gap.
        options.gapPolicy = .tell
        let located = locateNow(start, selection) ?? query(start)?.unanswered ?? LocatedStart(position: nil)
        let end = Task { await expiry() }
        defer { end.cancel() }
        return try await subscribe(selection, start, located, subject, attachment) { [options] local in
            var reader = HistoryReader(history, selection, located, options)
            var isOver = false
            while true {
                try Task.checkCancellation()
                let head = local.group.willRead(local)
                guard var read = try await reader.read(until: end) else {
                    return HubPoll(nextOf: reader, start, history)
                }
                // Ends of before the start, and what was published since: one answer.
                if read.gap == nil, !read.entries.isEmpty, reader.position == located.position, !reader.hasEnded,
                    let more = try reader.readNow()
                {
                    read.gap = more.gap
                    read.entries += more.entries
                }
                let isAtHead = reader.isAt(head)
                guard read.gap != nil || !read.entries.isEmpty || reader.hasEnded || (isOver && isAtHead) else {
                    if isAtHead { isOver = await !local.waitForMore(until: end) }
                    continue
                }
                return HubPoll(
                    updates: read.entries.map { HubUpdate($0) },
                    next: history.id(at: reader.position ?? .zero),
                    gap: read.gap,
                    hasEnded: reader.hasEnded,
                    hasMore: !isAtHead && !reader.hasEnded
                )
            }
        }
    }
}

extension HubPoll {
    /// Nothing, as history did not answer in time: the next wait begins where this one did.
    fileprivate init(nextOf reader: HistoryReader, _ start: StreamStart, _ history: any History) {
        var next = history.id(at: reader.position ?? .zero)
        if reader.position == nil, case .after(let id) = start { next = id }
        self.init(updates: [], next: next, gap: nil, hasEnded: false, hasMore: true)
    }
}

extension HistoryReader {
    /// Reads the next events.
    ///
    /// - Returns: As ``read()``; nil if history has not answered a second after the wait is over.
    fileprivate mutating func read(
        until end: Task<Void, Never>
    ) async throws -> (gap: HubGap?, entries: [HistoryEntry])? {
        if hasEnded { return (nil, []) }
        if let now = try readNow() { return now }
        typealias Answer = Result<(HistoryReader, HubGap?, [HistoryEntry]), any Error>
        let first = FirstResult<Answer?>()
        let reading = Task { [self] in
            var reader = self
            do {
                let (gap, entries) = try await reader.read()
                first.set(.success((reader, gap, entries)))
            } catch {
                first.set(.failure(error))
            }
        }
        let pause = options.pause
        let ending = Task {
            await end.value
            // A wait of no time still catches up.
            try? await pause(.seconds(1))
            first.set(nil)
        }
        defer {
            reading.cancel()
            ending.cancel()
        }
        let answer = await withTaskCancellationHandler {
            await first.value()
        } onCancel: {
            first.set(.failure(CancellationError()))
        }
        guard let (reader, gap, entries) = try answer?.get() else { return nil }
        self = reader
        return (gap, entries)
    }
}

extension LocalGroup.Subscription {
    /// Waits until there may be more, or until the wait is over.
    ///
    /// - Returns: Whether there may be more.
    fileprivate func waitForMore(until end: Task<Void, Never>) async -> Bool {
        let first = FirstResult<Bool>()
        let more = Task { first.set((try? await group.waitForMore(self)) != nil) }
        let ending = Task {
            await end.value
            first.set(false)
        }
        defer {
            more.cancel()
            ending.cancel()
        }
        return await withTaskCancellationHandler {
            await first.value()
        } onCancel: {
            first.set(false)
        }
    }
}
