// SPDX-License-Identifier: Apache-2.0

import PlinthEvents

/// Converts JSON lines to an event stream, without I/O.
package struct EventStreamEncoder {
    private let maximumLineSize: Int
    /// The current, incomplete line.
    private var line: [UInt8] = []
    private var lineNumber = 1

    package init(maximumLineSize: Int = .max) {
        self.maximumLineSize = maximumLineSize
    }

    /// Encodes each line that `bytes` completes and appends the result.
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

    /// Encodes a last line without a line feed and appends the result.
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
            throw EventJSONError(line: lineNumber, reason: "longer than \(maximumLineSize) bytes")
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

/// A JSON line that cannot be encoded: its number and the reason.
package struct EventJSONError: Error, Hashable, CustomStringConvertible {
    package let line: Int
    package let reason: String

    package var description: String { "line \(line): \(reason)" }
}

/// The JSON object of a line.
struct EventObject {
    var type: String?
    var data: String?
    var id: String?
    var retry: Int64?
    var comment: String?

    /// The blocks that the object encodes to, in output order.
    func blocks() throws(JSONLine.Failure) -> [EventStreamBlock] {
        if let comment {
            guard type == nil, data == nil, id == nil, retry == nil else {
                throw JSONLine.Failure(reason: #"the key "comment" cannot be combined with the keys of an event"#)
            }
            return [.comment(comment)]
        }
        let time = retry.map { Duration.milliseconds($0) }
        if data == nil, type != nil {
            throw JSONLine.Failure(reason: #"an event requires the key "data", which may be empty"#)
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
