// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// Turns lines of JSON into an event stream; knows no files.
package struct EventStreamEncoder {
    private let maximumLineSize: Int
    /// The line that has not ended.
    private var line: [UInt8] = []
    private var lineNumber = 1

    package init(maximumLineSize: Int = .max) {
        self.maximumLineSize = maximumLineSize
    }

    /// Appends what the lines that `bytes` complete encode to.
    package mutating func encode(_ bytes: Span<UInt8>, into output: inout [UInt8]) throws(EventJSONError) {
        var start = 0
        for at in 0..<bytes.count where bytes[at] == 0x0A {
            if line.isEmpty {
                try encode(line: bytes.extracting(start..<at), into: &output)
            } else {
                try keep(bytes.extracting(start..<at))
                let whole = line
                line.removeAll(keepingCapacity: whole.count <= 1 << 20)
                try encode(line: whole.span, into: &output)
            }
            lineNumber += 1
            start = at + 1
        }
        try keep(bytes.extracting(start..<bytes.count))
    }

    /// Appends what a last line without a line feed encodes to.
    package mutating func finish(into output: inout [UInt8]) throws(EventJSONError) {
        let whole = line
        line = []
        try encode(line: whole.span, into: &output)
    }

    private mutating func keep(_ bytes: Span<UInt8>) throws(EventJSONError) {
        try check(size: line.count + bytes.count)
        bytes.withUnsafeBufferPointer { line.append(contentsOf: $0) }
    }

    private func check(size: Int) throws(EventJSONError) {
        if size > maximumLineSize {
            throw EventJSONError(line: lineNumber, reason: "it is longer than \(maximumLineSize) bytes")
        }
    }

    private func encode(line: Span<UInt8>, into output: inout [UInt8]) throws(EventJSONError) {
        try check(size: line.count)
        do throws(JSONLine.Failure) {
            guard let object = try JSONLine.object(line) else { return }
            for block in try object.blocks() { block.encode(into: &output) }
        } catch {
            throw EventJSONError(line: lineNumber, reason: error.reason)
        }
    }
}

/// A line of JSON that cannot be encoded: which, and why.
package struct EventJSONError: Error, Hashable, CustomStringConvertible {
    package let line: Int
    package let reason: String

    package var description: String { "line \(line): \(reason)" }
}

/// The object of a line.
struct EventObject {
    var type: String?
    var data: String?
    var id: String?
    var retry: Int64?
    var comment: String?

    /// What it stands for, in the order in which it is written.
    func blocks() throws(JSONLine.Failure) -> [EventStreamBlock] {
        if let comment {
            guard type == nil, data == nil, id == nil, retry == nil else {
                throw JSONLine.Failure(reason: #"the key "comment" stands alone, without the keys of an event"#)
            }
            return [.comment(comment)]
        }
        let time = retry.map { Duration.milliseconds($0) }
        if data == nil, type != nil {
            throw JSONLine.Failure(reason: #"an event needs the key "data", if only with an empty string"#)
        }
        if data == nil, id == nil, retry == nil {
            throw JSONLine.Failure(reason: #"none of the keys "data", "id", "retry" and "comment" has a value"#)
        }
        do throws(ServerSentEventError) {
            if let data {
                let type = self.type == "message" ? nil : self.type
                return [.event(try ServerSentEvent(type: type, data: data, id: id, retry: time))]
            }
            var blocks: [EventStreamBlock] = []
            if let id { blocks.append(.lastEventID(try ServerSentEvent.ID(id))) }
            if let time { blocks.append(try .retry(time)) }
            return blocks
        } catch {
            throw JSONLine.Failure(reason: error.description)
        }
    }
}
