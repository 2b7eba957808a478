// SPDX-License-Identifier: Apache-2.0

public import PlinthEvents

extension Hub {
    /// Publishes an event.
    ///
    /// - Parameters:
    ///   - event: Its type, data and reconnection time, which is clamped (``StreamOptions/maximumRetry``). Its ID is
    ///     ignored.
    ///   - topic: Its topic.
    ///   - isRestricted: Whether to deliver it only to subscribers authorized for the topic. Default: false.
    /// - Returns: The event's ID, once the event is in history; delivery is not awaited.
    /// - Throws: ``HubError`` with the code `typeReserved` for an event of one of the ``reservedTypes``; the history's
    ///   error. The event is then neither in history nor delivered.
    @discardableResult
    public func publish(_ event: ServerSentEvent, to topic: Topic, isRestricted: Bool = false) async throws -> EventID {
        let ids = try await publish([NewEvent(event, topics: [topic], isRestricted: isRestricted)])
        guard let id = ids.first else { throw HistoryContractError() }
        return id
    }

    /// Publishes events, all or none.
    ///
    /// - Parameter events: The events, in order.
    /// - Returns: Their IDs, once they are in history.
    /// - Throws: ``HubError`` with the code `typeReserved` and the event's index if an event has one of the
    ///   ``reservedTypes``; the history's error. None of the events is then in history or delivered.
    @discardableResult
    public func publish(_ events: [NewEvent]) async throws -> [EventID] {
        guard !events.isEmpty else { return [] }
        return try await publish(AppendRequest(events)).ids
    }

    /// Publishes what a request holds, all or none, unless it repeats what was published before.
    ///
    /// - Parameter request: Events, an end, and how to recognise a repetition.
    /// - Returns: The answer, once the events are in history.
    /// - Throws: ``HubError`` with the code `typeReserved` and the event's index if an event has one of the
    ///   ``reservedTypes``, and `badRequest` if the request contradicts itself; the history's error, a
    ///   ``HistoryError`` if the request is refused. None of the events is then in history or delivered, unless the
    ///   error's code is ``HistoryError/Code/outcomeUnknown``.
    @discardableResult
    public func publish(_ request: AppendRequest) async throws -> AppendResult {
        let request = try accepted(request)
        if let result = try appendNow(request) { return result }
        let start = metrics.map { _ in MonotonicTime.now() }
        do {
            let result = try await history.append(request)
            if let start { published(result.ids.count, since: start) }
            return result
        } catch {
            metrics?.publishFailed()
            throw error
        }
    }

    /// Publishes what a request holds if the history can take it without waiting, as one in memory does.
    ///
    /// - Parameter request: Events, an end, and how to recognise a repetition.
    /// - Returns: The answer, once the events are in history; nil if the history has to wait. Then nothing is
    ///   published, and ``publish(_:)-(AppendRequest)`` waits.
    /// - Throws: As ``publish(_:)-(AppendRequest)``.
    public func publishNow(_ request: AppendRequest) throws -> AppendResult? {
        try appendNow(accepted(request))
    }

    private func appendNow(_ request: AppendRequest) throws -> AppendResult? {
        try measuringPublish({ $0?.ids.count }) { try history.appendNow(request) }
    }

    /// Ends a topic: its subscribers receive an event of type `end`, and nothing can be published to it any more.
    ///
    /// - Parameters:
    ///   - topic: The topic.
    ///   - isRestricted: Whether to deliver the end only to subscribers authorized for the topic. Default: false.
    /// - Returns: The answer; for a topic that had ended, it adds nothing.
    /// - Throws: The history's error.
    @discardableResult
    public func end(_ topic: Topic, isRestricted: Bool = false) async throws -> AppendResult {
        try await publish(AppendRequest([], ending: topic, isEndRestricted: isRestricted))
    }

    /// Counts a publish, or its failure.
    ///
    /// - Parameters:
    ///   - count: The number of events that a result has added; nil if it does not count.
    ///   - body: Publishes.
    /// - Returns: The closure's result.
    /// - Throws: The closure's error.
    package func measuringPublish<Result>(
        _ count: (Result) -> Int?,
        _ body: () throws -> Result
    ) rethrows -> Result {
        let start = metrics.map { _ in MonotonicTime.now() }
        do {
            let result = try body()
            if let start, let count = count(result) { published(count, since: start) }
            return result
        } catch {
            metrics?.publishFailed()
            throw error
        }
    }

    /// By the process's clock: what metrics report is how long it really took, and nothing is decided by it.
    private func published(_ count: Int, since start: MonotonicTime) {
        metrics?.published(count, in: MonotonicTime.now().nanoseconds - start.nanoseconds)
    }

    /// The request with the reconnection times of its events clamped.
    package func accepted(_ request: consuming AppendRequest) throws -> AppendRequest {
        let retry = options.publishedRetry
        var ends = false
        for (index, event) in request.events.enumerated() {
            if event.isEnd {
                ends = true
                continue
            }
            if let type = event.type, isReserved(type) { throw HubError.typeReserved(type, index: index) }
            if let wanted = event.retry, !retry.contains(wanted) {
                request.events[index] = event.clampingRetry(to: retry)
            }
        }
        guard !request.events.isEmpty else { throw HubError.badRequest("there is nothing to publish") }
        guard request.producer != nil || ends else { return request }
        let topics = request.events[0].topics
        guard topics.count == 1, request.events.allSatisfy({ $0.topics == topics }) else {
            throw HubError.badRequest("a request with a producer or an end has events of one topic")
        }
        guard request.events.dropLast().allSatisfy({ !$0.isEnd }) else {
            throw HubError.badRequest("nothing follows the end of a topic")
        }
        if let stamp = request.producer {
            let (last, overflow) = stamp.sequence.addingReportingOverflow(UInt64(request.events.count - 1))
            guard !overflow, last <= ProducerStamp.maximumNumber, stamp.epoch <= ProducerStamp.maximumNumber else {
                throw HubError.badRequest("a producer's numbers go up to \(ProducerStamp.maximumNumber)")
            }
        }
        return request
    }

    /// Whether a type is one of the ``reservedTypes``, compared by bytes as clients do.
    package func isReserved(_ type: String) -> Bool {
        reservedTypes.contains { $0.utf8.elementsEqual(type.utf8) }
    }
}

/// A history broke its contract.
struct HistoryContractError: Error, CustomStringConvertible {
    var description: String { "the history appended an event and returned no ID for it" }
}
