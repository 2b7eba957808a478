// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Testing

/// A parser's complete output for a stream, comparable and printable.
struct Outcome: Hashable, CustomStringConvertible {
    enum Part: Hashable {
        case event(ServerSentEvent, lastEventID: String)
        case comment(String)
        case fields(id: String?, retry: Duration?)
    }

    var parts: [Part] = []
    var lastEventID = ""
    var reconnectionTime: Duration?
    var error: ServerSentEventParserError?

    var events: [ServerSentEvent] {
        parts.compactMap { if case .event(let event, _) = $0 { event } else { nil } }
    }

    var comments: [String] {
        parts.compactMap { if case .comment(let text) = $0 { text } else { nil } }
    }

    var description: String {
        var lines = parts.map { "\($0)" }
        lines.append("last event ID \(lastEventID.debugDescription), \(reconnectionTime.map { "\($0)" } ?? "no retry")")
        if let error { lines.append("\(error)") }
        return lines.joined(separator: "\n")
    }
}

extension Outcome {
    /// Parses the reads as borrowed bytes.
    static func borrowed(_ reads: [[UInt8]], parser: ServerSentEventParser = .init()) -> Outcome {
        var parser = parser
        var outcome = Outcome()
        for read in reads {
            do throws(ServerSentEventParserError) {
                try parser.parseBorrowed(
                    read,
                    event: { view in
                        outcome.parts.append(.event(ServerSentEvent(view), lastEventID: text(view.lastEventID)))
                    },
                    comment: { outcome.parts.append(.comment(text($0))) },
                    fields: { view in
                        let event = ServerSentEvent(view)
                        outcome.parts.append(.fields(id: event.id, retry: event.retry))
                    }
                )
            } catch {
                outcome.error = error
                break
            }
        }
        outcome.lastEventID = parser.lastEventID
        outcome.reconnectionTime = parser.reconnectionTime
        return outcome
    }

    /// Parses the reads into events with strings.
    static func owned(_ reads: [[UInt8]], parser: ServerSentEventParser = .init()) -> [ServerSentEvent] {
        var parser = parser
        var events: [ServerSentEvent] = []
        for read in reads {
            do throws(ServerSentEventParserError) {
                try parser.parse(read) { events.append($0) }
            } catch {
                break
            }
        }
        return events
    }

    static func text(_ bytes: Span<UInt8>) -> String {
        var array: [UInt8] = []
        for index in bytes.indices { array.append(bytes[index]) }
        return String(decoding: array, as: UTF8.self)
    }
}

/// Splits a stream into reads: whole, byte by byte, in two at every offset and, up to 48 bytes, in three.
func splits(_ bytes: [UInt8]) -> [[[UInt8]]] {
    var all: [[[UInt8]]] = [[bytes], bytes.map { [$0] }, [[]] + bytes.flatMap { [[$0], []] }]
    for first in 0...bytes.count {
        all.append([Array(bytes[..<first]), Array(bytes[first...])])
        guard bytes.count <= 48 else { continue }
        for second in first...bytes.count {
            all.append([Array(bytes[..<first]), Array(bytes[first..<second]), Array(bytes[second...])])
        }
    }
    return all
}
