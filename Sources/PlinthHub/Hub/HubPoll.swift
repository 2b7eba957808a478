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
    ///   - attachment: The value that observers see. Default: nil.
    ///   - expiry: Returns when the wait is over, or when its task is cancelled.
    /// - Returns: What there is, at once if there is anything: an event, a gap or an end; otherwise after `expiry`. At
    ///   most 256 events, and 64 KiB beyond the first.
    /// - Throws: `CancellationError` if the task is cancelled; the history's error; ``HubError`` with the code `lagged`
    ///   at a gap, if the gap policy is ``StreamOptions/GapPolicy/close``.
    public func poll(
        _ selection: Selection,
        from start: StreamStart = .live,
        attachment: (any Sendable)? = nil,
        until expiry: @escaping @Sendable () async -> Void
    ) async throws -> HubPoll {
        let located = await locate(start, selection)
        return try await subscribe(selection, start, located, attachment: attachment) { local in
            var reader = HistoryReader(history, selection, located, options)
            var isOver = false
            while true {
                try Task.checkCancellation()
                let head = local.group.willRead(local)
                var (gap, entries) = reader.hasEnded ? (nil, []) : try await reader.read()
                // Ends of before the start, and what was published since: one answer.
                if gap == nil, entries.isEmpty == false, reader.position == located.position, !reader.hasEnded {
                    let more = try await reader.read()
                    gap = more.gap
                    entries += more.entries
                }
                let isAtHead = reader.isAt(head)
                guard gap != nil || !entries.isEmpty || reader.hasEnded || (isOver && isAtHead) else {
                    if isAtHead { isOver = await !local.waitForMore(until: expiry) }
                    continue
                }
                return HubPoll(
                    updates: entries.map { entry in
                        entry.topicEnd.map { .end($0) } ?? .event(HubEvent(entry: entry))
                    },
                    next: history.id(at: reader.position ?? .zero),
                    gap: gap,
                    hasEnded: reader.hasEnded,
                    hasMore: !isAtHead
                )
            }
        }
    }
}

extension LocalGroup.Subscription {
    /// Waits until there may be more, or until `expiry` returns.
    ///
    /// - Returns: Whether there may be more.
    fileprivate func waitForMore(until expiry: @escaping @Sendable () async -> Void) async -> Bool {
        await withTaskGroup(of: Bool.self) { group in
            group.addTask { (try? await self.group.waitForMore(self)) != nil }
            group.addTask {
                await expiry()
                return false
            }
            let hasMore = await group.next() ?? false
            group.cancelAll()
            return hasMore
        }
    }
}
