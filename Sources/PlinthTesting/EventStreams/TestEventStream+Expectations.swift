// SPDX-License-Identifier: Apache-2.0

public import Plinth

extension TestEventStream {
    /// Consumes the next part of any kind.
    ///
    /// - Parameters:
    ///   - file: The file that failures report. Default: the caller's.
    ///   - line: The line that failures report. Default: the caller's.
    /// - Returns: The part. At the end, every call returns ``EventStreamPart/end(_:)``.
    /// - Throws: ``EventStreamExpectationError`` if nothing arrives within ``timeout``.
    public func nextPart(file: String = #fileID, line: Int = #line) async throws -> EventStreamPart {
        try await take("any part", file, line) { _ in true }
    }

    /// Consumes the next event, skipping comments and blocks without an event.
    ///
    /// - Parameters:
    ///   - file: The file that failures report. Default: the caller's.
    ///   - line: The line that failures report. Default: the caller's.
    /// - Returns: The event, or nil if the stream has ended.
    /// - Throws: ``EventStreamExpectationError`` if neither arrives within ``timeout``.
    public func next(file: String = #fileID, line: Int = #line) async throws -> ServerSentEvent? {
        let part = try await take("an event or the end", file, line) { part in
            switch part {
            case .event, .end: true
            case .comment, .fields: false
            }
        }
        if case .event(let event) = part { return event }
        return nil
    }

    /// Consumes the next event and compares it, skipping comments and blocks without an event.
    ///
    /// - Parameters:
    ///   - expected: The expected event, compared in all fields.
    ///   - file: The file that failures report. Default: the caller's.
    ///   - line: The line that failures report. Default: the caller's.
    /// - Throws: ``EventStreamExpectationError`` if another event or the end arrives, or nothing within ``timeout``.
    public func expectEvent(
        _ expected: ServerSentEvent,
        file: String = #fileID,
        line: Int = #line
    ) async throws {
        let part = try await take("\(expected)", file, line) { part in
            switch part {
            case .event, .end: true
            case .comment, .fields: false
            }
        }
        try check(part == .event(expected), "\(expected)", part, file, line)
    }

    /// Consumes the next event and compares type and data, skipping comments and blocks without an event.
    ///
    /// - Parameters:
    ///   - type: The expected type. Default: none.
    ///   - data: The expected data. Default: any.
    ///   - file: The file that failures report. Default: the caller's.
    ///   - line: The line that failures report. Default: the caller's.
    /// - Returns: The event, for further checks.
    /// - Throws: ``EventStreamExpectationError`` if another event or the end arrives, or nothing within ``timeout``.
    @discardableResult
    public func expectEvent(
        type: String? = nil,
        data: String? = nil,
        file: String = #fileID,
        line: Int = #line
    ) async throws -> ServerSentEvent {
        let awaited =
            "an event of "
            + (type.map { "type \($0.debugDescription)" } ?? "no type")
            + (data.map { " with data \($0.debugDescription)" } ?? "")
        let part = try await take(awaited, file, line) { part in
            switch part {
            case .event, .end: true
            case .comment, .fields: false
            }
        }
        guard case .event(let event) = part, event.type == type, data == nil || event.data == data else {
            throw failure(awaited, "received \(part)", file, line)
        }
        return event
    }

    /// Consumes the next part, which must be a comment: a heartbeat, or the one that opens the stream.
    ///
    /// - Parameters:
    ///   - text: The expected text after the colon. Default: empty.
    ///   - file: The file that failures report. Default: the caller's.
    ///   - line: The line that failures report. Default: the caller's.
    /// - Throws: ``EventStreamExpectationError`` if anything else arrives, or nothing within ``timeout``.
    public func expectComment(
        _ text: String = "",
        file: String = #fileID,
        line: Int = #line
    ) async throws {
        let awaited = EventStreamPart.comment(text)
        let part = try await take("\(awaited)", file, line) { _ in true }
        try check(part == awaited, "\(awaited)", part, file, line)
    }

    /// Consumes the next part, which must be a reconnection time without an event, skipping comments.
    ///
    /// - Parameters:
    ///   - time: The expected reconnection time.
    ///   - file: The file that failures report. Default: the caller's.
    ///   - line: The line that failures report. Default: the caller's.
    /// - Throws: ``EventStreamExpectationError`` if anything else arrives, or nothing within ``timeout``.
    public func expectRetry(
        _ time: Duration,
        file: String = #fileID,
        line: Int = #line
    ) async throws {
        let awaited = EventStreamPart.fields(id: nil, retry: time)
        let part = try await take("\(awaited)", file, line) { part in
            if case .comment = part { false } else { true }
        }
        try check(part == awaited, "\(awaited)", part, file, line)
    }

    /// Waits for the end of the stream, without another event, and for the return of `onDisconnect`.
    ///
    /// - Parameters:
    ///   - reason: The expected reason. Default: any.
    ///   - file: The file that failures report. Default: the caller's.
    ///   - line: The line that failures report. Default: the caller's.
    /// - Returns: The reason.
    /// - Throws: ``EventStreamExpectationError`` if an event arrives, the reason differs, or the end or the return does
    ///   not come within ``timeout``.
    @discardableResult
    public func expectEnd(
        _ reason: StreamEnd? = nil,
        file: String = #fileID,
        line: Int = #line
    ) async throws -> StreamEnd {
        let awaited = "the end" + (reason.map { " (\($0))" } ?? "")
        let part = try await take(awaited, file, line) { part in
            switch part {
            case .event, .end: true
            case .comment, .fields: false
            }
        }
        guard case .end(let found) = part, reason == nil || found == reason else {
            throw failure(awaited, "received \(part)", file, line)
        }
        let told: Void? = try await connection.received.wait(within: timeout) { $0.isTold ? () : nil }
        if told == nil { throw failure("the return of onDisconnect", "none within \(timeout)", file, line) }
        return found
    }

    /// Waits for the end of the request's task: the chain has finished and the ready function has returned.
    ///
    /// - Parameters:
    ///   - file: The file that failures report. Default: the caller's.
    ///   - line: The line that failures report. Default: the caller's.
    /// - Throws: ``EventStreamExpectationError`` if it does not end within ``timeout``.
    public func expectReturn(file: String = #fileID, line: Int = #line) async throws {
        let returned: Void? = try await connection.received.wait(within: timeout) { $0.hasReturned ? () : nil }
        if returned == nil {
            throw failure("the end of the request's task", "none within \(timeout)", file, line)
        }
    }

    // MARK: - Parts

    /// Consumes parts up to and including the first wanted one.
    ///
    /// The end is returned, but never consumed.
    private func take(
        _ awaited: String,
        _ file: String,
        _ line: Int,
        _ isWanted: @escaping @Sendable (EventStreamPart) -> Bool
    ) async throws -> EventStreamPart {
        let part = try await connection.received.wait(within: timeout) { received -> EventStreamPart? in
            while received.taken < received.parts.count {
                let part = received.parts[received.taken]
                if case .end = part { return part }
                received.taken += 1
                if isWanted(part) { return part }
            }
            return nil
        }
        guard let part else { throw failure(awaited, "nothing arrived within \(timeout)", file, line) }
        return part
    }

    private func check(_ isMet: Bool, _ awaited: String, _ part: EventStreamPart, _ file: String, _ line: Int) throws {
        if !isMet { throw failure(awaited, "received \(part)", file, line) }
    }

    private func failure(
        _ awaited: String,
        _ found: String,
        _ file: String,
        _ line: Int
    ) -> EventStreamExpectationError {
        EventStreamExpectationError(awaited: awaited, found: found, received: received, file: file, line: line)
    }
}
