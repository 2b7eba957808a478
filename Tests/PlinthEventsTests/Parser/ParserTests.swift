// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Testing

/// A stream and the expected events.
struct StreamCase: CustomTestStringConvertible, Sendable {
    let name: String
    let bytes: [UInt8]
    let events: [ServerSentEvent]
    var lastEventID = ""
    var retry: Duration?

    init(_ name: String, _ text: String, _ events: [ServerSentEvent], last: String = "", retry: Duration? = nil) {
        self.init(name, bytes: Array(text.utf8), events, last: last, retry: retry)
    }

    init(_ name: String, bytes: [UInt8], _ events: [ServerSentEvent], last: String = "", retry: Duration? = nil) {
        self.name = name
        self.bytes = bytes
        self.events = events
        self.lastEventID = last
        self.retry = retry
    }

    var testDescription: String { name }
}

@Suite("The parser's rules")
struct ParserRuleTests {
    static let cases: [StreamCase] = [
        .init("an empty stream has no events", "", []),
        .init("one line of data", "data: a\n\n", [.init(data: "a")]),
        .init("CRLF ends lines", "data: a\r\n\r\n", [.init(data: "a")]),
        .init("CR ends lines", "data: a\r\rdata: b\r\r", [.init(data: "a"), .init(data: "b")]),
        .init("line ends may be mixed", "data: a\r\ndata: b\rdata: c\n\r\n", [.init(data: "a\nb\nc")]),
        .init("LF CR are two line ends", "data: a\n\rdata: b\n\n", [.init(data: "a"), .init(data: "b")]),
        .init("CR CRLF ends two lines", "data: a\r\r\ndata: b\n\n", [.init(data: "a"), .init(data: "b")]),
        .init("a final CR ends the blank line", "data: a\n\r", [.init(data: "a")]),
        .init("lines of data are joined with LF", "data: a\ndata: b\n\n", [.init(data: "a\nb")]),
        .init("an empty first line of data is kept", "data:\ndata: b\n\n", [.init(data: "\nb")]),
        .init("an empty last line of data is kept", "data: a\ndata:\n\n", [.init(data: "a\n")]),
        .init("two empty lines of data make one line feed", "data\ndata\n\n", [.init(data: "\n")]),
        .init("three empty lines of data make two", "data:\ndata: \ndata\n\n", [.init(data: "\n\n")]),
        .init("data without a colon is an empty line", "data\n\n", [.init(data: "")]),
        .init("data with a colon only is an empty line", "data:\n\n", [.init(data: "")]),
        .init("only the first space is removed", "data:  a\n\n", [.init(data: " a")]),
        .init("a space is not needed", "data:a\n\n", [.init(data: "a")]),
        .init("a tab is not removed", "data:\ta\n\n", [.init(data: "\ta")]),
        .init("trailing spaces are kept", "data: a  \n\n", [.init(data: "a  ")]),
        .init("a line of one space is not blank", "data: a\n \ndata: b\n\n", [.init(data: "a\nb")]),
        .init("the value may have colons", "data: a: b:\n\n", [.init(data: "a: b:")]),
        .init("a combining mark after the space does not hide it", "data: \u{301}a\n\n", [.init(data: "\u{301}a")]),
        .init(
            "other line breaks of Unicode are data",
            "data: a\u{2028}b\u{85}c\u{0B}d\u{0C}e\n\n",
            [.init(data: "a\u{2028}b\u{85}c\u{0B}d\u{0C}e")]
        ),
        .init("an event needs data", "event: a\n\ndata: b\n\n", [.init(data: "b")]),
        .init("the event field sets the type", "event: a\ndata: b\n\n", [.init(type: "a", data: "b")]),
        .init("the last event field applies", "event: a\nevent: b\ndata: c\n\n", [.init(type: "b", data: "c")]),
        .init("an empty event field means message", "event: a\nevent\ndata: b\n\n", [.init(data: "b")]),
        .init(
            "the type does not apply to the next event",
            "event: a\ndata: b\n\ndata: c\n\n",
            [.init(type: "a", data: "b"), .init(data: "c")]
        ),
        .init("the type may follow the data", "data: b\nevent: a\n\n", [.init(type: "a", data: "b")]),
        .init(
            "the type message can be explicit",
            "event: message\ndata: b\n\n",
            [.init(type: "message", data: "b")]
        ),
        .init(
            "NUL is allowed in type and data",
            "event: a\0\ndata: b\0\n\n",
            [.init(type: "a\0", data: "b\0")]
        ),
        .init("an event unfinished at the end is not dispatched", "data: a\n\ndata: b\n", [.init(data: "a")]),
        .init("an unfinished line at the end is ignored", "data: a\n\ndata: b", [.init(data: "a")]),
        .init("blank lines alone dispatch nothing", "\n\n\r\n\r\n\r\rdata: a\n\n\n\n", [.init(data: "a")]),
        .init("comments are skipped", ": a\ndata: b\n:\n:data: c\n\n", [.init(data: "b")]),
        .init("a comment does not end an event", "data: a\n: b\ndata: c\n\n", [.init(data: "a\nc")]),
        .init("unknown fields are ignored", "foo: a\ndata: b\nfoo\nfoobarbaz: 1\n\n", [.init(data: "b")]),
        .init("field names are case-sensitive", "Data: a\nDATA: b\ndata: c\n\n", [.init(data: "c")]),
        .init("a space before the field name makes another field", " data: a\ndata: b\n\n", [.init(data: "b")]),
        .init("a space after the field name makes another field", "data : a\ndata: b\n\n", [.init(data: "b")]),
        .init(
            "longer names are other fields",
            "datax: a\ndataa\nidx: 1\neventx: c\nretryx: 1\ndat: d\ni: 1\ndata: b\n\n",
            [.init(data: "b")]
        ),
        .init(
            "an ID belongs to its event and becomes the last event ID",
            "id: 1\ndata: a\n\ndata: b\n\n",
            [.init(data: "a", id: "1"), .init(data: "b")],
            last: "1"
        ),
        .init("the last ID field applies", "id: 1\nid: 2\ndata: a\n\n", [.init(data: "a", id: "2")], last: "2"),
        .init(
            "an ID without a colon is empty and resets",
            "id: 1\ndata: a\n\nid\ndata: b\n\n",
            [.init(data: "a", id: "1"), .init(data: "b", id: "")]
        ),
        .init(
            "an empty ID resets",
            "id: 1\ndata: a\n\nid:\ndata: b\n\n",
            [.init(data: "a", id: "1"), .init(data: "b", id: "")]
        ),
        .init(
            "an ID with NUL is ignored",
            "id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
            [.init(data: "a", id: "1"), .init(data: "b")],
            last: "1"
        ),
        .init(
            "an ID with NUL does not undo an earlier one",
            "id: 1\nid: \0\ndata: a\n\n",
            [.init(data: "a", id: "1")],
            last: "1"
        ),
        .init("an ID without data sets the last event ID", "id: 1\n\ndata: a\n\n", [.init(data: "a")], last: "1"),
        .init("an ID applies from its blank line on", "id: 1\n\nid: 2\ndata: a\n", [], last: "1"),
        .init(
            "spaces in an ID are kept except the first",
            "id:  1 \ndata: a\n\n",
            [.init(data: "a", id: " 1 ")],
            last: " 1 "
        ),
        .init("retry sets the reconnection time at once", "retry: 3000\n", [], retry: .seconds(3)),
        .init(
            "retry belongs to its event",
            "retry: 3000\ndata: a\n\ndata: b\n\n",
            [.init(data: "a", retry: .seconds(3)), .init(data: "b")],
            retry: .seconds(3)
        ),
        .init(
            "retry without data does not apply to the next event",
            "retry: 1\n\ndata: b\n\n",
            [.init(data: "b")],
            retry: .milliseconds(1)
        ),
        .init("retry of zero", "retry:0\n\n", [], retry: .zero),
        .init(
            "retry with leading zeros",
            "retry:\(String(repeating: "0", count: 40))7\n\n",
            [],
            retry: .milliseconds(7)
        ),
        .init(
            "retry takes digits only",
            "retry: 1\nretry: 5s\nretry: -5\nretry: +5\nretry: 1.5\nretry:  5\nretry: 5 \n\n",
            [],
            retry: .milliseconds(1)
        ),
        .init("retry takes ASCII digits only", "retry: \u{0663}\nretry: \u{FF13}\n\n", []),
        .init("an empty retry is ignored", "retry: 4\nretry\nretry:\n\n", [], retry: .milliseconds(4)),
        .init(
            "an invalid retry keeps the event's earlier one",
            "retry: 4\nretry: x\ndata: a\n\n",
            [.init(data: "a", retry: .milliseconds(4))],
            retry: .milliseconds(4)
        ),
        .init("retry of 2^53 − 1", "retry: 9007199254740991\n\n", [], retry: .milliseconds(9_007_199_254_740_991)),
        .init(
            "retry above 2^53 − 1 is clamped",
            "retry: 9007199254740992\n\n",
            [],
            retry: .milliseconds(9_007_199_254_740_991)
        ),
        .init(
            "retry of forty digits is clamped",
            "retry: \(String(repeating: "9", count: 40))\n\n",
            [],
            retry: .milliseconds(9_007_199_254_740_991)
        ),
        .init("a byte order mark at the start is skipped", "\u{FEFF}data: a\n\n", [.init(data: "a")]),
        .init("only one byte order mark is skipped", "\u{FEFF}\u{FEFF}data: a\ndata: b\n\n", [.init(data: "b")]),
        .init(
            "a byte order mark later is part of its line",
            "data: a\n\n\u{FEFF}data: b\ndata: c\n\n",
            [.init(data: "a"), .init(data: "c")]
        ),
        .init("a byte order mark in data is kept", "data: \u{FEFF}a\n\n", [.init(data: "\u{FEFF}a")]),
        .init("a byte order mark and nothing else", "\u{FEFF}", []),
        .init("a byte order mark and a blank line", "\u{FEFF}\n\ndata: a\n\n", [.init(data: "a")]),
        .init(
            "part of a byte order mark is an unknown field",
            bytes: [0xEF, 0xBB] + Array("data: a\ndata: b\n\n".utf8),
            [.init(data: "b")]
        ),
        .init(
            "a byte of a byte order mark alone",
            bytes: [0xEF, 0x0A] + Array("data: b\n\n".utf8),
            [.init(data: "b")]
        ),
        .init(
            "half a byte order mark before a whole one",
            bytes: [0xEF, 0xEF, 0xBB, 0xBF] + Array("data: a\ndata: b\n\n".utf8),
            [.init(data: "b")]
        ),
    ]

    @Test("The result does not depend on how the stream is split", arguments: cases)
    func rule(_ stream: StreamCase) {
        for reads in splits(stream.bytes) {
            let outcome = Outcome.borrowed(reads)
            #expect(outcome.events == stream.events, "read as \(reads)")
            #expect(Outcome.owned(reads) == stream.events, "read as \(reads)")
            #expect(outcome.lastEventID == stream.lastEventID)
            #expect(outcome.reconnectionTime == stream.retry)
            #expect(outcome.error == nil)
        }
    }
}
