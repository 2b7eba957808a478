// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import PlinthClient
import PlinthEvents
import PlinthStreams

/// Formats events as `plinth listen` prints them.
struct EventText {
    enum Form {
        /// Human-readable text.
        case readable(colours: Bool)
        /// One JSON line per event, in the format of `plinth decode`.
        case json
        /// An event stream.
        case raw
    }

    let form: Form

    func append(_ event: EventSource.Event, to output: inout [UInt8]) {
        switch form {
        case .readable(let colours): appendReadable(event, colours, &output)
        case .json: appendJSON(event, &output)
        case .raw: appendRaw(event, &output)
        }
    }

    func append(comment: String, to output: inout [UInt8]) {
        switch form {
        case .readable(let colours):
            output += Array(Self.styled(": " + Self.visible(comment.drop { $0 == " " }), "2", colours).utf8) + [0x0A]
        case .json:
            output += Array(#"{"comment":""#.utf8)
            JSONString.appendEscaped(Array(comment.utf8).span, to: &output)
            output += Array("\"}\n".utf8)
        case .raw: EventStreamBlock.comment(comment).encode(into: &output)
        }
    }

    /// Prints type, ID and single-line data on one line; data of several lines is indented below.
    private func appendReadable(_ event: EventSource.Event, _ colours: Bool, _ output: inout [UInt8]) {
        var text = Self.styled(Self.visible(event.type[...]), event.type == "gap" ? "1;33" : "1;36", colours)
        if let id = event.id { text += " " + Self.styled(Self.visible(id[...]), "2", colours) }
        let lines = event.data.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.count == 1 {
            text += "  " + Self.visible(lines[0]) + "\n"
        } else {
            text += "\n"
            for line in lines { text += "  " + Self.visible(line) + "\n" }
        }
        output.append(contentsOf: text.utf8)
    }

    private func appendJSON(_ event: EventSource.Event, _ output: inout [UInt8]) {
        output += Array(#"{"type":""#.utf8)
        JSONString.appendEscaped(Array(event.type.utf8).span, to: &output)
        output += Array(#"","data":""#.utf8)
        JSONString.appendEscaped(Array(event.data.utf8).span, to: &output)
        if let id = event.id {
            output += Array(#"","id":""#.utf8)
            JSONString.appendEscaped(Array(id.utf8).span, to: &output)
            output += Array("\"}\n".utf8)
        } else {
            output += Array(("\",\"id\":null}\n").utf8)
        }
    }

    private func appendRaw(_ event: EventSource.Event, _ output: inout [UInt8]) {
        let type = event.type == "message" ? nil : event.type
        // Type and ID were parsed from a stream, so they are valid.
        guard let event = try? ServerSentEvent(type: type, data: event.data, id: event.id) else { return }
        EventStreamBlock.event(event).encode(into: &output)
    }

    /// Text with terminal controls replaced.
    static func visible(_ text: Substring) -> String { TerminalText.visible(text) }

    private static func styled(_ text: String, _ style: String, _ colours: Bool) -> String {
        colours ? "\u{1B}[\(style)m\(text)\u{1B}[0m" : text
    }
}
#endif
