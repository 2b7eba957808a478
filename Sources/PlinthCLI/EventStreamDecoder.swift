// SPDX-License-Identifier: Apache-2.0

package import PlinthEvents
import PlinthStreams

/// Converts the bytes of an event stream to JSON lines, without I/O.
package struct EventStreamDecoder {
    private var parser: ServerSentEventParser
    private let includesComments: Bool

    package init(includesComments: Bool = false, maximumSize: Int = ServerSentEventParser.defaultMaximumSize) {
        parser = ServerSentEventParser(maximumLineSize: maximumSize, maximumEventSize: maximumSize)
        self.includesComments = includesComments
    }

    /// Whether the stream ended within an event, or within a comment or block that would be printed.
    ///
    /// Call once, after the last bytes.
    package mutating func endsUnfinished() -> Bool {
        var isUnfinished = false
        let includesComments = includesComments
        do throws(ServerSentEventParserError) {
            // If two line ends complete an event, the stream ended inside it.
            try parser.parseBorrowed(
                ([0x0A, 0x0A] as [UInt8]).span,
                event: { _ in isUnfinished = true },
                comment: { _ in isUnfinished = isUnfinished || includesComments },
                fields: { _ in isUnfinished = isUnfinished || includesComments }
            )
        } catch {
            // The event's last line feed exceeds the size limit, so there is an event.
            return true
        }
        return isUnfinished
    }

    /// Appends a JSON line for each event that `bytes` completes and, with comments, for each comment and other block.
    package mutating func decode(
        _ bytes: Span<UInt8>,
        into output: inout [UInt8]
    ) throws(ServerSentEventParserError) {
        try parser.parseBorrowed(
            bytes,
            event: { event in
                output.append(event.type.isEmpty ? #"{"type":"message","data":""# : #"{"type":""#)
                if !event.type.isEmpty {
                    JSONString.appendEscaped(event.type, to: &output)
                    output.append(#"","data":""#)
                }
                JSONString.appendEscaped(event.data, to: &output)
                if let id = event.id {
                    output.append(#"","id":""#)
                    JSONString.appendEscaped(id, to: &output)
                    output.append(#"""#)
                } else {
                    output.append(#"","id":null"#)
                }
                if let retry = event.retry { output.append(#","retry":\#(retry.wholeMilliseconds)"#) }
                output.append("}\n")
            },
            comment: { text in
                guard includesComments else { return }
                output.append(#"{"comment":""#)
                JSONString.appendEscaped(text, to: &output)
                output.append("\"}\n")
            },
            fields: { block in
                guard includesComments else { return }
                output.append("{")
                if let id = block.id {
                    output.append(#""id":""#)
                    JSONString.appendEscaped(id, to: &output)
                    output.append(block.retry == nil ? #"""# : #"","#)
                }
                if let retry = block.retry { output.append(#""retry":\#(retry.wholeMilliseconds)"#) }
                output.append("}\n")
            }
        )
    }
}

extension [UInt8] {
    fileprivate mutating func append(_ text: StaticString) {
        append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    fileprivate mutating func append(_ text: String) {
        append(contentsOf: text.utf8)
    }
}
