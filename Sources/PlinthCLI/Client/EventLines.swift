// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// Lines of input as events on their way to a hub; knows no files.
package struct EventLines {
    /// What a line is.
    package enum Form: Sendable {
        /// The data of an event.
        case text
        /// A line of JSON, as `plinth decode` and `plinth listen --json` print.
        case json
    }

    /// What becomes of a line of which no event can be made: one that is not UTF-8, too long, or no JSON.
    package enum Invalid: String, Sendable, CaseIterable {
        /// It is an error, and the end.
        case fail
        /// It is left out, with a note.
        case skip
        /// What is not UTF-8 becomes U+FFFD, as in a browser; of a text that is too long the beginning is kept, with a
        /// note. JSON that is too long, or none, is an error.
        case replace
    }

    /// Events that are published together.
    package struct Batch: Sendable, Equatable {
        /// One of them.
        package struct Event: Sendable, Equatable {
            /// The number of its line.
            package let line: Int
            /// Where it ends in the batch's bytes.
            package fileprivate(set) var end: Int
            /// The ID that it had where it came from, or else the one before it in the batch.
            package let id: String?
        }

        /// An event stream.
        package private(set) var bytes: [UInt8] = []
        /// Its events.
        package private(set) var events: [Event] = []
        /// The ID that the last line with one had, where it came from.
        package fileprivate(set) var lastID: String?
        /// How many lines were left out.
        package fileprivate(set) var skipped = 0
        /// What to say about lines that were left out or cut.
        package fileprivate(set) var notes: [String] = []

        package init() {}

        /// How many events it has.
        package var count: Int { events.count }
        /// The line of each event.
        package var lines: [Int] { events.map(\.line) }

        /// The ID behind which a run resumes that has published the first events; nil if none of them has one.
        package func lastID(ofFirst count: Int) -> String? {
            events.prefix(count).last { $0.id != nil }?.id
        }

        /// Adds what comes later.
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

        /// Takes the notes out.
        package mutating func takeNotes() -> [String] {
            defer { notes = [] }
            return notes
        }

        fileprivate mutating func append(_ event: ServerSentEvent, line: Int) {
            EventStreamBlock.event(event).encode(into: &bytes)
            events.append(Event(line: line, end: bytes.count, id: lastID))
        }
    }

    private let form: Form
    private let type: String?
    private let maximumLineSize: Int
    private let invalid: Invalid
    /// The line that has not ended.
    private var rest: [UInt8] = []
    /// Whether that line is too long, so that what follows of it is not kept.
    private var excess = Excess.none
    /// The number of the line that comes next, from 1.
    package private(set) var line = 1

    /// The bytes of the line that has not ended.
    package var keptByteCount: Int { rest.count }

    private enum Excess {
        case none
        /// The line is left out.
        case skipped
        /// The line is published without the rest of it.
        case cut
    }

    /// - Parameters:
    ///   - form: What a line is.
    ///   - type: The type of events whose line names none.
    ///   - maximumLineSize: The bytes that a line may have; no more of a line is kept.
    ///   - invalid: What becomes of a line of which no event can be made.
    package init(
        _ form: Form,
        type: String? = nil,
        maximumLineSize: Int = .max,
        invalid: Invalid = .fail
    ) {
        self.form = form
        self.type = type
        self.maximumLineSize = maximumLineSize
        self.invalid = invalid
    }

    /// Adds the events of the lines that `bytes` complete.
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
        if excess != .skipped { try add(rest, to: &batch) }
        excess = .none
        rest.removeAll(keepingCapacity: rest.capacity <= 1 << 20)
        line += 1
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>, _ batch: inout Batch) throws(EventJSONError) {
        guard excess == .none else { return }
        let room = maximumLineSize - rest.count
        guard bytes.count > room else {
            rest.append(contentsOf: bytes)
            return
        }
        let reason = "it is longer than \(maximumLineSize) bytes"
        if invalid == .replace, form == .text {
            rest.append(contentsOf: bytes.prefix(room))
            Self.removePartialCharacter(from: &rest)
            excess = .cut
            batch.notes.append("line \(line): \(reason); the rest of it is left out")
        } else {
            try leaveOut(reason, &batch)
            rest = []
            excess = .skipped
        }
    }

    /// Removes the beginning of a character of UTF-8 whose other bytes do not follow.
    private static func removePartialCharacter(from bytes: inout [UInt8]) {
        guard let start = bytes.suffix(4).lastIndex(where: { $0 & 0xC0 != 0x80 }) else { return }
        let length = bytes[start] >= 0xF0 ? 4 : bytes[start] >= 0xE0 ? 3 : bytes[start] >= 0xC0 ? 2 : 1
        if bytes.count - start < length { bytes.removeSubrange(start...) }
    }

    private func leaveOut(_ reason: String, _ batch: inout Batch) throws(EventJSONError) {
        guard invalid == .skip else { throw EventJSONError(line: line, reason: reason) }
        batch.skipped += 1
        batch.notes.append("line \(line): \(reason); it is skipped")
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
            throw JSONLine.Failure(reason: "it is not UTF-8, and an event is text")
        }
        // A line that ends with CR LF, as some systems write them.
        if text.utf8.last == 0x0D { text.removeLast() }
        try add(type: type, data: text, retry: nil, to: &batch)
    }

    private func addJSON(_ bytes: [UInt8], to batch: inout Batch) throws(JSONLine.Failure) {
        var bytes = bytes
        if invalid == .replace, String(validating: bytes, as: UTF8.self) == nil {
            bytes = Array(String(decoding: bytes, as: UTF8.self).utf8)
        }
        guard let object = try JSONLine.object(bytes.span) else { return }
        // Throws what is wrong with it.
        _ = try object.blocks()
        if let id = object.id { batch.lastID = id }
        guard let data = object.data else { return }
        let time = object.retry.map { Duration.milliseconds($0) }
        try add(type: object.type == "message" ? type : object.type ?? type, data: data, retry: time, to: &batch)
    }

    private func repaired(_ bytes: [UInt8]) -> String? {
        invalid == .replace ? String(decoding: bytes, as: UTF8.self) : nil
    }

    private func add(
        type: String?,
        data: String,
        retry: Duration?,
        to batch: inout Batch
    ) throws(JSONLine.Failure) {
        do throws(ServerSentEventError) {
            // Its ID is the hub's to give.
            batch.append(try ServerSentEvent(type: type, data: data, retry: retry), line: line)
        } catch {
            throw JSONLine.Failure(reason: error.description)
        }
    }
}
