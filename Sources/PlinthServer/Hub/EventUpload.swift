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
    }

    private let topic: Topic
    private let maximumEventSize: Int
    private var parser: ServerSentEventParser
    private(set) var failure: Failure?
    private var count = 0
    private var lastID: PlinthHub.EventID?

    init(topic: Topic, maximumEventSize: Int) {
        self.topic = topic
        self.maximumEventSize = maximumEventSize
        // A line has a field's name, too.
        parser = ServerSentEventParser(maximumLineSize: maximumEventSize + 16, maximumEventSize: maximumEventSize)
    }

    /// The events that these bytes complete.
    ///
    /// Their IDs are the publisher's own and not used. After a failure there are none.
    mutating func parse(_ bytes: [UInt8]) -> [NewEvent] {
        guard failure == nil else { return [] }
        var events: [NewEvent] = []
        let topics = [topic]
        do {
            try parser.parse(bytes) { events.append(NewEvent($0, topics: topics)) }
        } catch {
            failure = Failure(description: "event \(count + events.count + 1): \(error)", status: .contentTooLarge)
        }
        return events
    }

    mutating func accepted(_ ids: [PlinthHub.EventID]) {
        count += ids.count
        if let last = ids.last { lastID = last }
    }

    /// What the publisher is told: how many events are in history, the ID of the last, and why there are no more.
    func report(error: String?) -> String {
        let id = lastID.map { JSONText.quoted($0.description) } ?? "null"
        let reason = error.map { ",\"error\":\(JSONText.quoted($0))" } ?? ""
        return "{\"id\":\(id),\"count\":\(count)\(reason)}"
    }
}

#endif
