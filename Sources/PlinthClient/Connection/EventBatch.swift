// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// The unit that a driver hands off to a reader: events, and the other messages between them.
struct EventBatch: Sendable {
    /// The events, in order.
    var events: [EventSource.Event] = []
    /// Other messages, each with the number of events before it.
    var marks: [(position: Int, message: EventSource.Message)] = []
    /// Which of the events are a hub's own, each with its position.
    var notices: [(position: Int, notice: HubNotice)] = []
    /// Whether the reader is to read the application's state after the events.
    var asksForState = false
    /// The last event ID after the batch, including blocks without data; nil if nothing set it.
    var lastEventID: String?
    /// The weight counted against the bound: the bytes parsed, and 4096 for each call of `mark`.
    var weight = 0

    var isEmpty: Bool { events.isEmpty && marks.isEmpty && !asksForState }

    mutating func mark(_ message: EventSource.Message) {
        marks.append((events.count, message))
        weight += 4096
    }

    /// Drops an event and all that follows it.
    mutating func removeAll(from position: Int) {
        events.removeSubrange(position...)
        marks.removeAll { $0.position > position }
        lastEventID = events.last?.lastEventID
    }

    /// Appends a later batch.
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
        notices += other.notices.map { (count + $0.position, $0.notice) }
        if other.asksForState { asksForState = true }
        events += other.events
        if let id = other.lastEventID { lastEventID = id }
        weight += other.weight
    }
}

/// Parses bytes into events.
///
/// Types and last event IDs repeat, so a new string is created only when they change.
struct EventCollector: Sendable {
    private var parser: ServerSentEventParser
    private var type = RepeatedString()
    private var id = RepeatedString()
    private let includesComments: Bool
    private let splitsTopic: Bool

    init(lastEventID: String, maximumEventSize: Int, includesComments: Bool, splitsTopic: Bool = false) {
        let maximum = max(maximumEventSize, 1)
        parser = ServerSentEventParser(
            lastEventID: lastEventID,
            // A line has a field name, a colon and a space besides its value.
            maximumLineSize: maximum > Int.max - 16 ? .max : maximum + 16,
            maximumEventSize: maximum
        )
        self.includesComments = includesComments
        self.splitsTopic = splitsTopic
    }

    /// The last event ID committed by a blank line.
    var lastEventID: String { parser.lastEventID }

    /// The reconnection time last set by the stream.
    var reconnectionTime: Duration? { parser.reconnectionTime }

    /// Drops unfinished input for a new connection; keeps the last event ID and the reconnection time.
    mutating func reset() {
        parser.reset()
    }

    /// Parses bytes and appends what they complete to the batch, including what precedes an error.
    mutating func collect(_ bytes: Span<UInt8>, into batch: inout EventBatch) throws(ServerSentEventParserError) {
        batch.weight += bytes.count
        // Moved out so that the closures do not borrow `self`.
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
        let (includesComments, splitsTopic) = (includesComments, splitsTopic)
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
                        hasID: hasID,
                        splitsTopic: splitsTopic
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

/// A string that often repeats, rebuilt only when its bytes change.
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
