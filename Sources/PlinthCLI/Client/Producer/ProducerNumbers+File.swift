// SPDX-License-Identifier: Apache-2.0

import PlinthStreams

/// The content of a producer's resume file.
///
/// The first line is the source ID to resume after, as in a file without a producer, so that `plinth listen
/// --resume-from` reads either. JSON lines follow:
///
/// ```
/// f-12
/// {"producer":"bridge","epoch":0,"next":15}
/// {"taken":"f-13"}
/// {"number":14,"id":"f-14"}
/// ```
extension ProducerNumbers {
    var fileContent: [UInt8] {
        var bytes = Array((mark ?? "").utf8) + [0x0A]
        func add(_ head: String, _ text: String?, _ tail: String) {
            bytes += Array(head.utf8)
            if let text {
                bytes.append(0x22)
                JSONString.appendEscaped(Array(text.utf8).span, to: &bytes)
                bytes.append(0x22)
            }
            bytes += Array("\(tail)}\n".utf8)
        }
        add("{\"producer\":", producer, ",\"epoch\":\(epoch),\"next\":\(next)")
        for id in taken { add("{\"taken\":", id, "") }
        for entry in underWay {
            if entry.isEnd {
                add("{\"number\":\(entry.sequence),\"end\":true", nil, "")
            } else if let id = entry.id {
                add("{\"number\":\(entry.sequence),\"id\":", id, "")
            } else {
                add("{\"number\":\(entry.sequence)", nil, "")
            }
        }
        return bytes
    }

    struct FileFailure: Error, Equatable {
        /// The number of the invalid line, from 1.
        let line: Int
        let reason: String
    }

    /// Parses a file's content.
    ///
    /// - Parameters:
    ///   - content: The content; empty for a new file.
    ///   - producer: The producer's ID.
    /// - Throws: ``FileFailure``, also if the file belongs to another producer.
    init(_ content: [UInt8], producer: String) throws(FileFailure) {
        var lines = content.split(separator: 0x0A, omittingEmptySubsequences: false)
        guard let text = String(validating: lines[0], as: UTF8.self), !text.utf8.contains(0) else {
            throw FileFailure(line: 1, reason: "it is not an event ID")
        }
        let mark = text.isEmpty ? nil : text
        lines.removeFirst()
        while lines.last?.isEmpty ?? false { lines.removeLast() }
        guard !lines.isEmpty else {
            self.init(producer, mark: mark)
            return
        }
        var parsed = ParsedFile(producer)
        for (index, line) in lines.enumerated() {
            do throws(JSONLine.Failure) {
                try parsed.add(try JSONLine.settings(Array(line).span))
            } catch {
                // The parser counts the lines of what it gets, which is one line.
                let prefix = "line 1: "
                let reason = error.reason.hasPrefix(prefix) ? error.reason.dropFirst(prefix.count) : error.reason[...]
                throw FileFailure(line: index + 2, reason: String(reason))
            }
        }
        do throws(JSONLine.Failure) {
            self = try parsed.numbers(mark)
        } catch {
            throw FileFailure(line: 2, reason: error.reason)
        }
    }
}

/// The lines of a resume file below the first.
private struct ParsedFile {
    private let producer: String
    private var head: (epoch: UInt64, next: UInt64)?
    private var underWay: [ProducerNumbers.Entry] = []
    private var taken: [String] = []

    init(_ producer: String) { self.producer = producer }

    mutating func add(_ members: [JSONLine.Setting]) throws(JSONLine.Failure) {
        let values = Dictionary(members.map { ($0.key, $0.value) }) { first, _ in first }
        guard head != nil else {
            guard case .text(let name)? = values["producer"] else {
                throw JSONLine.Failure(reason: "it does not name a producer")
            }
            guard name.utf8.elementsEqual(producer.utf8) else {
                throw JSONLine.Failure(reason: "it belongs to the producer \(JSONLine.quoted(name))")
            }
            head = (try number("epoch", values), try number("next", values))
            return
        }
        if case .text(let id)? = values["taken"] {
            taken.append(id)
            return
        }
        var entry = ProducerNumbers.Entry(sequence: try number("number", values))
        if case .text(let id)? = values["id"] { entry.id = id }
        entry.isEnd = values["end"] == .other("true")
        guard underWay.isEmpty || underWay.last?.sequence == entry.sequence &- 1 else {
            throw JSONLine.Failure(reason: "its number does not follow that of the line above")
        }
        underWay.append(entry)
    }

    private func number(
        _ key: String,
        _ values: [String: JSONLine.Setting.Value]
    ) throws(JSONLine.Failure) -> UInt64 {
        guard case .number(let text)? = values[key], let number = ProducerStamp.number(text) else {
            throw JSONLine.Failure(reason: "\(JSONLine.quoted(key)) is not a number from 0 to 9007199254740991")
        }
        return number
    }

    func numbers(_ mark: String?) throws(JSONLine.Failure) -> ProducerNumbers {
        let (epoch, next) = head ?? (0, 0)
        if let last = underWay.last, last.sequence &+ 1 != next {
            throw JSONLine.Failure(reason: "\"next\" does not follow the number of the last line")
        }
        return ProducerNumbers(
            producer,
            epoch: epoch,
            next: next,
            mark: mark,
            underWay: underWay,
            taken: taken
        )
    }
}
