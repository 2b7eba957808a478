// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// Converts input lines to events for a hub, without I/O.
package struct EventLines {
    /// The format of a line.
    package enum Form: Sendable {
        /// The data of an event.
        case text
        /// A JSON line, as printed by `plinth decode` and `plinth listen --json`.
        case json
    }

    /// How to handle an invalid line: one that is not UTF-8, too long, or not a JSON event.
    package enum Invalid: String, Sendable, CaseIterable {
        /// Throws an error, which ends the run.
        case fail
        /// Skips the line with a note.
        case skip
        /// Replaces invalid UTF-8 with U+FFFD, as a browser does, and truncates text that is too long, with a note.
        /// JSON that is too long or invalid is an error.
        case replace
    }

    /// Events that are published together.
    package struct Batch: Sendable, Equatable {
        /// An event of the batch.
        package struct Event: Sendable, Equatable {
            /// The number of its input line.
            package let line: Int
            /// The end of the event in the batch's bytes.
            package fileprivate(set) var end: Int
            /// The event's ID at its source, or else the last one before it in the batch.
            package let id: String?
            /// The event's own ID at its source; nil if it has none.
            package let ownID: String?
        }

        /// The events, encoded as an event stream.
        package private(set) var bytes: [UInt8] = []
        /// The events in ``bytes``.
        package private(set) var events: [Event] = []
        /// The source ID of the last line that has one.
        package fileprivate(set) var lastID: String?
        /// The number of skipped lines.
        package fileprivate(set) var skipped = 0
        /// Messages about skipped or truncated lines.
        package fileprivate(set) var notes: [String] = []

        package init() {}

        /// The number of events.
        package var count: Int { events.count }
        /// The line number of each event.
        package var lines: [Int] { events.map(\.line) }

        /// The ID to resume after once the first `count` events are published; nil if none of them has one.
        package func lastID(ofFirst count: Int) -> String? {
            events.prefix(count).last { $0.id != nil }?.id
        }

        /// Appends a later batch.
        package mutating func append(_ other: Batch) {
            for var event in other.events {
                event.end += bytes.count
                events.append(event)
            }
            bytes += other.bytes
            lastID = other.lastID ?? lastID
            skipped += other.skipped
            notes += other.notes
        }

        /// Removes the first events.
        package mutating func removeFirst(_ count: Int) {
            guard count > 0, events.indices.contains(count - 1) else { return }
            let end = events[count - 1].end
            bytes.removeFirst(end)
            events.removeFirst(count)
            for index in events.indices { events[index].end -= end }
        }

        /// Removes and returns the notes.
        package mutating func takeNotes() -> [String] {
            defer { notes = [] }
            return notes
        }

        /// The first `count` events, without the notes and the last ID of the lines.
        package func prefix(_ count: Int) -> Batch {
            guard count > 0, events.indices.contains(count - 1) else { return Batch() }
            var first = Batch()
            first.events = Array(events.prefix(count))
            first.bytes = Array(bytes.prefix(events[count - 1].end))
            return first
        }

        fileprivate mutating func append(_ event: ServerSentEvent, ownID: String?, line: Int) {
            EventStreamBlock.event(event).encode(into: &bytes)
            events.append(Event(line: line, end: bytes.count, id: lastID, ownID: ownID))
        }
    }

    private let form: Form
    private let type: String?
    private let maximumLineSize: Int
    private let invalid: Invalid
    /// Whether the number of a text line is its ID.
    private let numbersLines: Bool
    /// The number of first lines that are read and ignored.
    private let skippedLines: Int
    /// The current, incomplete line.
    private var rest: [UInt8] = []
    /// Whether the current line is too long, so that its remaining bytes are dropped.
    private var excess = Excess.none
    /// The number of the current line, from 1.
    package private(set) var line = 1

    /// The number of buffered bytes of the current line.
    package var keptByteCount: Int { rest.count }

    private enum Excess {
        case none
        /// The line is skipped.
        case skipped
        /// The line is truncated.
        case cut
    }

    /// - Parameters:
    ///   - form: The format of a line.
    ///   - type: The type of events that specify none.
    ///   - maximumLineSize: Maximum bytes per line, and of a line's buffer.
    ///   - invalid: How to handle an invalid line.
    ///   - numbersLines: Whether the number of a text line is its ID.
    ///   - skippedLines: The number of first lines to ignore.
    package init(
        _ form: Form,
        type: String? = nil,
        maximumLineSize: Int = .max,
        invalid: Invalid = .fail,
        numbersLines: Bool = false,
        skippedLines: Int = 0
    ) {
        self.form = form
        self.type = type
        self.maximumLineSize = maximumLineSize
        self.invalid = invalid
        self.numbersLines = numbersLines
        self.skippedLines = skippedLines
    }

    /// Adds the event of each line that `bytes` completes.
    package mutating func append(_ bytes: [UInt8], to batch: inout Batch) throws(EventJSONError) {
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            try keep(bytes[start..<end], &batch)
            try endLine(&batch)
            start = end + 1
        }
        try keep(bytes[start...], &batch)
    }

    /// Adds the event of a last line without a line feed.
    package mutating func finish(_ batch: inout Batch) throws(EventJSONError) {
        if !rest.isEmpty { try endLine(&batch) }
    }

    private mutating func endLine(_ batch: inout Batch) throws(EventJSONError) {
        if excess != .skipped, line > skippedLines { try add(rest, to: &batch) }
        excess = .none
        rest.removeAll(keepingCapacity: rest.capacity <= 1 << 20)
        line += 1
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>, _ batch: inout Batch) throws(EventJSONError) {
        guard excess == .none, line > skippedLines else { return }
        let room = maximumLineSize - rest.count
        guard bytes.count > room else {
            rest.append(contentsOf: bytes)
            return
        }
        let reason = "longer than \(maximumLineSize) bytes"
        if invalid == .replace, form == .text {
            rest.append(contentsOf: bytes.prefix(room))
            Self.removePartialCharacter(from: &rest)
            excess = .cut
            batch.notes.append("line \(line): \(reason); truncated")
        } else {
            try leaveOut(reason, &batch)
            rest = []
            excess = .skipped
        }
    }

    /// Removes an incomplete UTF-8 sequence at the end of `bytes`.
    private static func removePartialCharacter(from bytes: inout [UInt8]) {
        guard let start = bytes.suffix(4).lastIndex(where: { $0 & 0xC0 != 0x80 }) else { return }
        let length = bytes[start] >= 0xF0 ? 4 : bytes[start] >= 0xE0 ? 3 : bytes[start] >= 0xC0 ? 2 : 1
        if bytes.count - start < length { bytes.removeSubrange(start...) }
    }

    private func leaveOut(_ reason: String, _ batch: inout Batch) throws(EventJSONError) {
        guard invalid == .skip else { throw EventJSONError(line: line, reason: reason) }
        batch.skipped += 1
        batch.notes.append("line \(line): \(reason); skipped")
    }

    private func add(_ bytes: [UInt8], to batch: inout Batch) throws(EventJSONError) {
        do throws(JSONLine.Failure) {
            switch form {
            case .text: try addText(bytes, to: &batch)
            case .json: try addJSON(bytes, to: &batch)
            }
        } catch {
            try leaveOut(error.reason, &batch)
        }
    }

    private func addText(_ bytes: [UInt8], to batch: inout Batch) throws(JSONLine.Failure) {
        guard var text = String(validating: bytes, as: UTF8.self) ?? repaired(bytes) else {
            throw JSONLine.Failure(reason: "not valid UTF-8")
        }
        // Strips the CR of a CR LF line ending.
        if text.utf8.last == 0x0D { text.removeLast() }
        var id: String?
        if numbersLines {
            id = "\(line)"
            batch.lastID = id
        }
        try add(type: type, data: text, retry: nil, id: id, to: &batch)
    }

    private func addJSON(_ bytes: [UInt8], to batch: inout Batch) throws(JSONLine.Failure) {
        var bytes = bytes
        if invalid == .replace, String(validating: bytes, as: UTF8.self) == nil {
            bytes = Array(String(decoding: bytes, as: UTF8.self).utf8)
        }
        guard let object = try JSONLine.object(bytes.span) else { return }
        // Only for validation.
        _ = try object.blocks()
        if let id = object.id { batch.lastID = id }
        guard let data = object.data else { return }
        let time = object.retry.map { Duration.milliseconds($0) }
        let type = object.type == "message" ? type : object.type ?? type
        // An empty ID resets the last one, and identifies no event.
        try add(type: type, data: data, retry: time, id: object.id.flatMap { $0.isEmpty ? nil : $0 }, to: &batch)
    }

    private func repaired(_ bytes: [UInt8]) -> String? {
        invalid == .replace ? String(decoding: bytes, as: UTF8.self) : nil
    }

    private func add(
        type: String?,
        data: String,
        retry: Duration?,
        id: String?,
        to batch: inout Batch
    ) throws(JSONLine.Failure) {
        do throws(ServerSentEventError) {
            // Without an ID, which the hub assigns.
            batch.append(try ServerSentEvent(type: type, data: data, retry: retry), ownID: id, line: line)
        } catch {
            throw JSONLine.Failure(reason: error.description)
        }
    }
}
