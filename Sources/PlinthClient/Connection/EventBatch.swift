// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// What a reader gets at once: events, and what happened between them.
struct EventBatch: Sendable {
    /// The events, in order.
    var events: [EventSource.Event] = []
    /// Other messages, each with the number of events before it.
    var marks: [(position: Int, message: EventSource.Message)] = []
    /// The last event ID at the end, also after blocks without data; nil if nothing set it.
    var lastEventID: String?
    /// What it weighs against the bound: the bytes that it was made of, and something for each mark.
    var weight = 0

    var isEmpty: Bool { events.isEmpty && marks.isEmpty }

    mutating func mark(_ message: EventSource.Message) {
        marks.append((events.count, message))
        weight += 4096
    }

    /// Appends what came later.
    mutating func append(_ other: EventBatch) {
        if isEmpty {
            let earlier = lastEventID
            let weight = weight
            self = other
            if lastEventID == nil { lastEventID = earlier }
            self.weight += weight
            return
        }
        let count = events.count
        marks += other.marks.map { (count + $0.position, $0.message) }
        events += other.events
        if let id = other.lastEventID { lastEventID = id }
        weight += other.weight
    }
}

/// Makes events of bytes.
///
/// Types and last event IDs repeat, so that a string is made of them only when they change.
struct EventCollector: Sendable {
    private var parser: ServerSentEventParser
    private var type = RepeatedString()
    private var id = RepeatedString()
    private let includesComments: Bool

    init(lastEventID: String, maximumEventSize: Int, includesComments: Bool) {
        let maximum = max(maximumEventSize, 1)
        parser = ServerSentEventParser(
            lastEventID: lastEventID,
            // A line is the name of a field, a colon and a space longer than its value.
            maximumLineSize: maximum > Int.max - 16 ? .max : maximum + 16,
            maximumEventSize: maximum
        )
        self.includesComments = includesComments
    }

    /// The last event ID that a blank line has committed.
    var lastEventID: String { parser.lastEventID }

    /// The reconnection time that the stream set last.
    var reconnectionTime: Duration? { parser.reconnectionTime }

    /// Forgets what is unfinished, for a new connection; the last event ID and the reconnection time stay.
    mutating func reset() {
        parser.reset()
    }

    /// Parses bytes, and appends what they complete to a batch; what precedes an error is there as well.
    mutating func collect(_ bytes: Span<UInt8>, into batch: inout EventBatch) throws(ServerSentEventParserError) {
        batch.weight += bytes.count
        // Taken out, so that the closures need not borrow all of this.
        var type = self.type
        var id = self.id
        var events = batch.events
        var marks = batch.marks
        var changed = false
        batch.events = []
        batch.marks = []
        defer {
            self.type = type
            self.id = id
            batch.events = events
            batch.marks = marks
            if changed { batch.lastEventID = id.string }
        }
        let includesComments = includesComments
        try parser.parseBorrowed(
            bytes,
            event: { event in
                let hasID = event.id != nil
                if hasID { changed = true }
                id.set(event.lastEventID)
                if !event.type.isEmpty { type.set(event.type) }
                events.append(
                    EventSource.Event(
                        type: event.type.isEmpty ? "message" : type.string,
                        data: String(repairing: event.data),
                        lastEventID: id.string,
                        hasID: hasID
                    )
                )
            },
            comment: { text in
                if includesComments { marks.append((events.count, .comment(String(repairing: text)))) }
            },
            fields: { block in
                guard block.id != nil else { return }
                id.set(block.lastEventID)
                changed = true
            }
        )
    }
}

/// A string that is often the same as the one before.
private struct RepeatedString: Sendable {
    private(set) var string = ""
    private var bytes: [UInt8] = []

    mutating func set(_ new: Span<UInt8>) {
        var isSame = new.count == bytes.count
        if isSame {
            for index in 0..<bytes.count where bytes[index] != new[index] {
                isSame = false
                break
            }
        }
        if isSame { return }
        bytes.removeAll(keepingCapacity: true)
        for index in 0..<new.count { bytes.append(new[index]) }
        string = String(repairing: new)
    }
}
