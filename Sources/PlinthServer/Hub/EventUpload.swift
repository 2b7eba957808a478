// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub

/// Parses an event stream that a publisher uploads, and reports what was published.
struct EventUpload {
    /// Why an upload stopped.
    struct Failure: Error, CustomStringConvertible {
        let description: String
        let refusal: HubRefusal

        init(_ description: String, _ refusal: HubRefusal) {
            self.description = description
            self.refusal = refusal
        }

        init(_ description: String, _ error: HTTPError) {
            self.init(description, HubRefusal(http: error))
        }
    }

    private let topic: Topic
    private let producer: ProducerStamp?
    private let subject: HubSubject?
    private let isReserved: (String) -> Bool
    private var parser: ServerSentEventParser
    private(set) var failure: Failure?
    private var count = 0
    /// The events that history had taken before.
    private var repeated = 0
    private var lastID: PlinthHub.EventID?

    /// Creates the upload of a request.
    ///
    /// - Parameters:
    ///   - topic: The topic of its events.
    ///   - producer: The producer's number of its first event; nil if the publisher does not number them.
    ///   - subject: Who publishes.
    ///   - maximumEventSize: The most bytes of an event's data.
    ///   - isReserved: Whether a type is reserved for the hub's own events; an event of such a type ends the upload.
    init(
        topic: Topic,
        producer: ProducerStamp?,
        subject: HubSubject?,
        maximumEventSize: Int,
        isReserved: @escaping (String) -> Bool
    ) {
        self.topic = topic
        self.producer = producer
        self.subject = subject
        self.isReserved = isReserved
        // A line also has its field's name.
        let line = maximumEventSize.addingReportingOverflow(16)
        parser = ServerSentEventParser(
            maximumLineSize: line.overflow ? .max : line.partialValue,
            maximumEventSize: maximumEventSize
        )
    }

    /// Whether an event has begun and is not complete.
    var isWithinEvent: Bool { parser.isWithinEvent }

    /// Returns the events that these bytes complete; none after a failure.
    ///
    /// The publisher's IDs are ignored.
    mutating func parse(_ bytes: [UInt8]) -> [NewEvent] {
        guard failure == nil else { return [] }
        var events: [NewEvent] = []
        // The refusal of the first invalid event; those before it are returned.
        var refusal: HTTPError?
        let topics = [topic]
        do {
            try parser.parseBorrowed(
                bytes,
                event: { view in
                    guard refusal == nil else { return }
                    guard let event = Self.event(view) else {
                        refusal = HTTPError(.badRequest, .badField, "it is not valid UTF-8, which an event must be")
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

    /// Called at the end of the body: an event without its blank line may be incomplete, and is not published.
    mutating func finish() {
        guard failure == nil else { return }
        var isUnfinished = false
        do {
            // If two line ends complete an event, the body ended inside it.
            try parser.parseBorrowed([0x0A, 0x0A] as [UInt8], event: { _ in isUnfinished = true })
        } catch {
            return fail(after: 0, HTTPError(.contentTooLarge, .tooLarge, "\(error)"))
        }
        if isUnfinished {
            let reason = "the body ends inside it, before a blank line; it is not published"
            fail(after: 0, HTTPError(.badRequest, .badField, reason))
        }
    }

    /// The append of the next events.
    func request(_ events: [NewEvent], ends: Bool = false) -> AppendRequest {
        var stamp = producer
        // A number beyond the largest is refused when it is appended.
        stamp?.sequence &+= UInt64(count + repeated)
        return AppendRequest(events, ending: ends ? topic : nil, producer: stamp, subject: subject)
    }

    /// The failure if history refuses the next events.
    func refused(_ refusal: HubRefusal) -> Failure {
        Failure("event \(count + repeated + 1) or a later one: \(refusal.error.message)", refusal)
    }

    mutating func accepted(_ result: AppendResult) {
        count += result.count
        repeated += result.repeated
        lastID = result.lastID
    }

    /// Whether history had taken everything before.
    var isRepeated: Bool { count == 0 && repeated > 0 }

    /// The response's body: the number of events published, the ID of the last, and the error.
    func report(_ failure: Failure?) -> String {
        var json = ""
        let members = failure?.refusal.members ?? []
        // The end of a topic that has ended takes the place of the last ID.
        if !members.contains(where: { $0.name == "id" }) { json = "\"id\":\(JSONString.quoted(lastID?.description))," }
        json += "\"count\":\(count)"
        if producer != nil || repeated > 0 { json += ",\"repeated\":\(repeated)" }
        if let failure {
            json += ",\"error\":\(JSONString.quoted(failure.description))"
            json += ",\"code\":\(JSONString.quoted(failure.refusal.error.jsonCode))"
        }
        for member in members { json += ",\"\(member.name)\":\(member.json)" }
        return "{\(json)}"
    }

    /// Records a failure at the event after those published and `events` more.
    private mutating func fail(after events: Int, _ error: HTTPError) {
        failure = Failure("event \(count + repeated + events + 1): \(error.message)", error)
    }

    /// The event; nil if its type or data is not UTF-8, which is refused, not repaired, as in any other body.
    private static func event(_ view: borrowing ServerSentEventView) -> ServerSentEvent? {
        var type: String?
        if !view.type.isEmpty {
            type = view.type.withUnsafeBufferPointer { String(validating: $0, as: UTF8.self) }
            if type == nil { return nil }
        }
        guard let data = view.data.withUnsafeBufferPointer({ String(validating: $0, as: UTF8.self) }) else {
            return nil
        }
        // A field's value has no line end, so the type is valid.
        return try? ServerSentEvent(type: type, data: data, retry: view.retry)
    }
}

#endif
