// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub

/// An event stream that a publisher sends: its events, on their way into history.
struct EventUpload {
    /// Why an upload stopped.
    struct Failure: Error, CustomStringConvertible {
        let description: String
        let status: HTTPResponse.Status
        /// The same for programs.
        let code: String
        let headers: HTTPFields

        init(_ description: String, _ error: HTTPError) {
            self.description = description
            status = error.status
            code = error.jsonCode
            headers = error.headers
        }
    }

    private let topic: Topic
    private let isReserved: (String) -> Bool
    private var parser: ServerSentEventParser
    private(set) var failure: Failure?
    private var count = 0
    private var lastID: PlinthHub.EventID?

    /// The upload of a request.
    ///
    /// - Parameters:
    ///   - topic: The topic of its events.
    ///   - maximumEventSize: The most bytes of an event's data.
    ///   - isReserved: Whether only the hub's own events have a type; an event of such a type ends the upload.
    init(topic: Topic, maximumEventSize: Int, isReserved: @escaping (String) -> Bool) {
        self.topic = topic
        self.isReserved = isReserved
        // A line has a field's name, too.
        let line = maximumEventSize.addingReportingOverflow(16)
        parser = ServerSentEventParser(
            maximumLineSize: line.overflow ? .max : line.partialValue,
            maximumEventSize: maximumEventSize
        )
    }

    /// Whether an event has begun and is not complete.
    var isWithinEvent: Bool { parser.isWithinEvent }

    /// The events that these bytes complete.
    ///
    /// Their IDs are the publisher's own and not used. After a failure there are none.
    mutating func parse(_ bytes: [UInt8]) -> [NewEvent] {
        guard failure == nil else { return [] }
        var events: [NewEvent] = []
        // The first event that cannot be taken; those before it are.
        var refusal: HTTPError?
        let topics = [topic]
        do {
            try parser.parseBorrowed(
                bytes,
                event: { view in
                    guard refusal == nil else { return }
                    guard let event = Self.event(view) else {
                        refusal = HTTPError(.badRequest, .badField, "it is not valid UTF-8, and an event is text")
                        return
                    }
                    if let type = event.type, isReserved(type) {
                        refusal = .typeReserved(type)
                    } else {
                        events.append(NewEvent(event, topics: topics))
                    }
                }
            )
        } catch {
            refusal = refusal ?? HTTPError(.contentTooLarge, .tooLarge, "\(error)")
        }
        if let refusal { fail(after: events.count, refusal) }
        return events
    }

    /// The body has ended: an event without the blank line behind it may be half of one, and is not published.
    mutating func finish() {
        guard failure == nil else { return }
        var isUnfinished = false
        do {
            // What comes of two line ends had not ended.
            try parser.parseBorrowed([0x0A, 0x0A] as [UInt8], event: { _ in isUnfinished = true })
        } catch {
            return fail(after: 0, HTTPError(.contentTooLarge, .tooLarge, "\(error)"))
        }
        if isUnfinished {
            let reason = "the body ends inside it, before a blank line; it is not published"
            fail(after: 0, HTTPError(.badRequest, .badField, reason))
        }
    }

    /// History did not take the next events.
    func refused(_ error: HTTPError) -> Failure {
        Failure("event \(count + 1) or one behind it: \(error.message)", error)
    }

    mutating func accepted(_ ids: [PlinthHub.EventID]) {
        count += ids.count
        if let last = ids.last { lastID = last }
    }

    /// What the publisher is told: how many events are in history, the ID of the last, and why there are no more.
    func report(_ failure: Failure?) -> String {
        let id = JSONString.quoted(lastID?.description)
        let reason =
            failure.map { ",\"error\":\(JSONString.quoted($0.description)),\"code\":\(JSONString.quoted($0.code))" }
            ?? ""
        return "{\"id\":\(id),\"count\":\(count)\(reason)}"
    }

    /// The upload ends at the event behind those that are in history and so many more.
    private mutating func fail(after events: Int, _ error: HTTPError) {
        failure = Failure("event \(count + events + 1): \(error.message)", error)
    }

    /// The event, unless its type or its data is not UTF-8: it is refused and not repaired, as in any other body.
    private static func event(_ view: borrowing ServerSentEventView) -> ServerSentEvent? {
        var type: String?
        if !view.type.isEmpty {
            type = view.type.withUnsafeBufferPointer { String(validating: $0, as: UTF8.self) }
            if type == nil { return nil }
        }
        guard let data = view.data.withUnsafeBufferPointer({ String(validating: $0, as: UTF8.self) }) else {
            return nil
        }
        // A line of the stream has no line end that a type could not have.
        return try? ServerSentEvent(type: type, data: data, retry: view.retry)
    }
}

#endif
