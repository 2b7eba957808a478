// SPDX-License-Identifier: Apache-2.0

// Parses one stream per line of input:
//
//     {"id":7,"chunks":["base64",…]}
//     {"id":7,"events":[{"type":"message","data":"…","lastEventId":"…"}],"atEnd":[],"lastEventId":"…","retry":null}
//
// `events` are those that the bytes complete; `atEnd` those that the end of the stream adds, none by the standard;
// `lastEventId` is the value that the next request would send; `retry` is the last reconnection time in milliseconds.
// Reports an invalid line on standard error, and then exits with status 1 at the end.

import Foundation
import PlinthEvents
import PlinthTestSupport

struct Input {
    var id: Any
    var chunks: [[UInt8]]
}

struct Unreadable: Error {
    var message: String
}

func read(_ line: String) throws -> Input {
    let object: Any
    do {
        object = try JSONSerialization.jsonObject(with: Data(line.utf8))
    } catch {
        throw Unreadable(message: "not JSON")
    }
    guard let fields = object as? [String: Any] else { throw Unreadable(message: "not an object") }
    guard let id = fields["id"] else { throw Unreadable(message: "no id") }
    guard let texts = fields["chunks"] as? [Any] else { throw Unreadable(message: "no array of chunks") }
    let chunks = try texts.enumerated().map { index, text in
        guard let text = text as? String, let data = Data(base64Encoded: text) else {
            throw Unreadable(message: "chunk \(index) is not base64")
        }
        return [UInt8](data)
    }
    return Input(id: id, chunks: chunks)
}

func quoted(_ value: Any) -> String {
    let data = try? JSONSerialization.data(
        withJSONObject: value,
        options: [.fragmentsAllowed, .withoutEscapingSlashes]
    )
    return data.map { ascii(String(decoding: $0, as: UTF8.self)) } ?? "null"
}

func text(_ bytes: Span<UInt8>) -> String {
    bytes.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
}

func answer(_ input: Input) throws -> String {
    var parser = ServerSentEventParser(maximumLineSize: .max, maximumEventSize: .max)
    var events: [String] = []
    for chunk in input.chunks {
        try parser.parseBorrowed(chunk.span) { event in
            let type = event.type.isEmpty ? "message" : text(event.type)
            events.append(
                #"{"type":\#(quoted(type)),"data":\#(quoted(text(event.data))),"#
                    + #""lastEventId":\#(quoted(text(event.lastEventID)))}"#
            )
        }
    }
    let retry = parser.reconnectionTime.map { time in
        "\(time.components.seconds * 1000 + time.components.attoseconds / 1_000_000_000_000_000)"
    }
    return #"{"id":\#(quoted(input.id)),"events":[\#(events.joined(separator: ","))],"atEnd":[],"#
        + #""lastEventId":\#(quoted(parser.lastEventID)),"retry":\#(retry ?? "null")}"#
}

var status: Int32 = 0
var number = 0
while let line = readLine() {
    number += 1
    if line.allSatisfy(\.isWhitespace) { continue }
    do {
        let output = try answer(try read(line))
        FileHandle.standardOutput.write(Data((output + "\n").utf8))
    } catch {
        let message = (error as? Unreadable)?.message ?? "\(error)"
        FileHandle.standardError.write(Data("event-parser-probe: skipped line \(number): \(message)\n".utf8))
        status = 1
    }
}
exit(status)
