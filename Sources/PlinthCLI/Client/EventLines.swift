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

    /// Events that are published together.
    package struct Batch: Sendable, Equatable {
        /// An event stream.
        package var bytes: [UInt8] = []
        /// How many events it has.
        package var count = 0
        /// The line of each event.
        package var lines: [Int] = []
        /// The ID that the last line with one had, where it came from.
        package var lastID: String?

        package init() {}
    }

    private let form: Form
    private let type: String?
    private let maximumLineSize: Int
    /// The line that has not ended.
    private var rest: [UInt8] = []
    /// The number of the line that comes next, from 1.
    package private(set) var line = 1

    /// - Parameters:
    ///   - form: What a line is.
    ///   - type: The type of events whose line names none.
    ///   - maximumLineSize: The bytes that a line may have.
    package init(_ form: Form, type: String? = nil, maximumLineSize: Int = .max) {
        self.form = form
        self.type = type
        self.maximumLineSize = maximumLineSize
    }

    /// Adds the events of the lines that `bytes` complete.
    package mutating func append(_ bytes: [UInt8], to batch: inout Batch) throws(EventJSONError) {
        var start = 0
        while let end = bytes[start...].firstIndex(of: 0x0A) {
            try keep(bytes[start..<end])
            try add(rest, to: &batch)
            rest.removeAll(keepingCapacity: true)
            line += 1
            start = end + 1
        }
        try keep(bytes[start...])
    }

    /// Adds the event of a last line without a line feed.
    package mutating func finish(_ batch: inout Batch) throws(EventJSONError) {
        guard !rest.isEmpty else { return }
        try add(rest, to: &batch)
        rest = []
    }

    private mutating func keep(_ bytes: ArraySlice<UInt8>) throws(EventJSONError) {
        guard bytes.count <= maximumLineSize - rest.count else {
            throw EventJSONError(line: line, reason: "it is longer than \(maximumLineSize) bytes")
        }
        rest.append(contentsOf: bytes)
    }

    private func add(_ bytes: [UInt8], to batch: inout Batch) throws(EventJSONError) {
        switch form {
        case .text:
            guard let text = String(validating: bytes, as: UTF8.self) else {
                throw EventJSONError(line: line, reason: "it is not UTF-8, and an event is text")
            }
            // A line that ends with CR LF, as some systems write them.
            try add(type: type, data: text.utf8.last == 0x0D ? String(text.dropLast()) : text, retry: nil, to: &batch)
        case .json:
            let object: EventObject?
            do throws(JSONLine.Failure) {
                object = try JSONLine.object(bytes.span)
                // Says what is wrong with it.
                _ = try object?.blocks()
            } catch {
                throw EventJSONError(line: line, reason: error.reason)
            }
            guard let object else { return }
            if let id = object.id { batch.lastID = id }
            guard let data = object.data else { return }
            let time = object.retry.map { Duration.milliseconds($0) }
            try add(type: object.type == "message" ? type : object.type ?? type, data: data, retry: time, to: &batch)
        }
    }

    private func add(
        type: String?,
        data: String,
        retry: Duration?,
        to batch: inout Batch
    ) throws(EventJSONError) {
        do throws(ServerSentEventError) {
            // Its ID is the hub's to give.
            EventStreamBlock.event(try ServerSentEvent(type: type, data: data, retry: retry)).encode(into: &batch.bytes)
        } catch {
            throw EventJSONError(line: line, reason: error.description)
        }
        batch.count += 1
        batch.lines.append(line)
    }
}
