// SPDX-License-Identifier: Apache-2.0

public import Plinth

extension TestEventStream {
    /// Takes the next part, whatever it is.
    ///
    /// - Parameters:
    ///   - file: Where failures point; the caller unless given.
    ///   - line: Where failures point; the caller unless given.
    /// - Returns: The part. After the end it is the end again.
    /// - Throws: ``EventStreamExpectationError`` if nothing comes in time.
    public func nextPart(file: String = #fileID, line: Int = #line) async throws -> EventStreamPart {
        try await take("any part", file, line) { _ in true }
    }

    /// Takes the next event; comments and the like before it are skipped.
    ///
    /// - Parameters:
    ///   - file: Where failures point; the caller unless given.
    ///   - line: Where failures point; the caller unless given.
    /// - Returns: The event, nil if the stream has ended.
    /// - Throws: ``EventStreamExpectationError`` if neither comes in time.
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

    /// Takes the next event and checks it; comments and the like before it are skipped.
    ///
    /// - Parameters:
    ///   - expected: The event, the whole of it.
    ///   - file: Where failures point; the caller unless given.
    ///   - line: Where failures point; the caller unless given.
    /// - Throws: ``EventStreamExpectationError`` if another comes, the end, or nothing in time.
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

    /// Takes the next event and checks its type and data; comments and the like before it are skipped.
    ///
    /// - Parameters:
    ///   - type: The type; none unless given.
    ///   - data: The data; any unless given.
    ///   - file: Where failures point; the caller unless given.
    ///   - line: Where failures point; the caller unless given.
    /// - Returns: The event, for further checks.
    /// - Throws: ``EventStreamExpectationError`` if another comes, the end, or nothing in time.
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
            throw failure(awaited, "\(part) came", file, line)
        }
        return event
    }

    /// Takes the next part, which has to be a comment: a heartbeat, or the one that opens the stream.
    ///
    /// - Parameters:
    ///   - text: All that follows the colon; nothing unless given.
    ///   - file: Where failures point; the caller unless given.
    ///   - line: Where failures point; the caller unless given.
    /// - Throws: ``EventStreamExpectationError`` if something else comes, or nothing in time.
    public func expectComment(
        _ text: String = "",
        file: String = #fileID,
        line: Int = #line
    ) async throws {
        let awaited = EventStreamPart.comment(text)
        let part = try await take("\(awaited)", file, line) { _ in true }
        try check(part == awaited, "\(awaited)", part, file, line)
    }

    /// Takes the next part, which has to be a reconnection time without an event; comments before it are skipped.
    ///
    /// - Parameters:
    ///   - time: The reconnection time.
    ///   - file: Where failures point; the caller unless given.
    ///   - line: Where failures point; the caller unless given.
    /// - Throws: ``EventStreamExpectationError`` if something else comes, or nothing in time.
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

    /// Waits for the end, with no event before it, and until the application has been told: `onDisconnect` has returned.
    ///
    /// - Parameters:
    ///   - reason: Why it ends; any reason unless given.
    ///   - file: Where failures point; the caller unless given.
    ///   - line: Where failures point; the caller unless given.
    /// - Returns: The reason.
    /// - Throws: ``EventStreamExpectationError`` if an event comes, or nothing in time.
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
            throw failure(awaited, "\(part) came", file, line)
        }
        let told: Void? = try await connection.received.wait(within: timeout) { $0.isTold ? () : nil }
        if told == nil { throw failure("the return of onDisconnect", "it did not come within \(timeout)", file, line) }
        return found
    }

    /// Waits until the request's task is over: the chain is through, and the ready function has returned.
    ///
    /// - Parameters:
    ///   - file: Where failures point; the caller unless given.
    ///   - line: Where failures point; the caller unless given.
    /// - Throws: ``EventStreamExpectationError`` if it is not in time.
    public func expectReturn(file: String = #fileID, line: Int = #line) async throws {
        let returned: Void? = try await connection.received.wait(within: timeout) { $0.hasReturned ? () : nil }
        if returned == nil {
            throw failure("the end of the request's task", "it did not come within \(timeout)", file, line)
        }
    }

    // MARK: - Parts

    /// Takes parts up to one that is wanted.
    ///
    /// The end is never taken away.
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
        guard let part else { throw failure(awaited, "nothing came within \(timeout)", file, line) }
        return part
    }

    private func check(_ isMet: Bool, _ awaited: String, _ part: EventStreamPart, _ file: String, _ line: Int) throws {
        if !isMet { throw failure(awaited, "\(part) came", file, line) }
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
