// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Testing

@Suite("The parser's limits")
struct LimitTests {
    struct Case: CustomTestStringConvertible {
        let testDescription: String
        let stream: String
        let line: Int
        let event: Int
        let error: (code: ServerSentEventParserError.Code, offset: Int, line: Int)?
        let events: [ServerSentEvent]

        init(
            _ name: String,
            _ stream: String,
            line: Int = 100,
            event: Int = 100,
            error: (code: ServerSentEventParserError.Code, offset: Int, line: Int)?,
            _ events: [ServerSentEvent] = []
        ) {
            (testDescription, self.stream, self.line, self.event) = (name, stream, line, event)
            (self.error, self.events) = (error, events)
        }
    }

    static let cases: [Case] = [
        .init("a line of the maximum size", "data: abcd\n\n", line: 10, error: nil, [.init(data: "abcd")]),
        .init("a line one byte longer", "data: abcde\n\n", line: 10, error: (.lineTooLong, 0, 1)),
        .init("an unfinished line that is too long", "data: abcde", line: 10, error: (.lineTooLong, 0, 1)),
        .init(
            "a long line after an event",
            "id: 1\ndata: a\r\n\r\n:0123456789\n",
            line: 10,
            error: (.lineTooLong, 17, 4),
            [.init(data: "a", id: "1")]
        ),
        .init("a long comment", ":0123456789\n", line: 10, error: (.lineTooLong, 0, 1)),
        .init(
            "a long line of an unknown field",
            "data: a\n\nfoo: 0123456789\n",
            line: 10,
            error: (.lineTooLong, 9, 3),
            [.init(data: "a")]
        ),
        .init(
            "a long first line after a byte order mark",
            "\u{FEFF}data: abcde\n",
            line: 10,
            error: (.lineTooLong, 3, 1)
        ),
        .init(
            "an event of the maximum size",
            "data: abcd\ndata: efghi\n\n",
            event: 10,
            error: nil,
            [.init(data: "abcd\nefghi")]
        ),
        .init("an event one byte larger", "data: abcd\ndata: efghij\n\n", event: 10, error: (.eventTooLarge, 11, 2)),
        .init(
            "an event of one line too large",
            "data: a\n\ndata: abcdefghijk\n\n",
            event: 10,
            error: (.eventTooLarge, 9, 3),
            [.init(data: "a")]
        ),
        .init("line feeds count", "data\ndata\ndata\ndata\n\n", event: 3, error: nil, [.init(data: "\n\n\n")]),
        .init("one more line feed", "data\ndata\ndata\ndata\ndata\n\n", event: 3, error: (.eventTooLarge, 20, 5)),
        .init(
            "type and ID count",
            "event: abc\nid: def\ndata: ghij\n\n",
            event: 10,
            error: nil,
            [.init(type: "abc", data: "ghij", id: "def")]
        ),
        .init(
            "type and ID count, one byte too many",
            "event: abc\nid: def\ndata: ghijk\n\n",
            event: 10,
            error: (.eventTooLarge, 19, 3)
        ),
        .init("an ID too large", "id: abcdefghijk\n\n", event: 10, error: (.eventTooLarge, 0, 1)),
        .init("a type too large", "\nevent: abcdefghijk\n\n", event: 10, error: (.eventTooLarge, 1, 2)),
        .init(
            "a type that is replaced does not count",
            "event: abcdef\nevent: ghijkl\nid: 1\nid: 2\ndata: abc\n\n",
            event: 10,
            error: nil,
            [.init(type: "ghijkl", data: "abc", id: "2")]
        ),
        .init(
            "comments do not count",
            "data: abcdefghij\n:aaaaaaaaaaaaaaaaaaaa\n\n",
            event: 10,
            error: nil,
            [.init(data: "abcdefghij")]
        ),
        .init(
            "each event counts by itself",
            "data: abcdefghij\n\ndata: abcdefghij\n\n",
            event: 10,
            error: nil,
            [.init(data: "abcdefghij"), .init(data: "abcdefghij")]
        ),
    ]

    @Test("Limits and error positions do not depend on how the stream is split", arguments: cases)
    func limits(_ example: Case) {
        let parser = ServerSentEventParser(maximumLineSize: example.line, maximumEventSize: example.event)
        for reads in splits(Array(example.stream.utf8)) {
            let outcome = Outcome.borrowed(reads, parser: parser)
            #expect(outcome.events == example.events, "read as \(reads)")
            #expect(Outcome.owned(reads, parser: parser) == example.events)
            #expect(outcome.error?.code == example.error?.code, "read as \(reads)")
            #expect(outcome.error?.byteOffset == example.error?.offset, "read as \(reads)")
            #expect(outcome.error?.lineNumber == example.error?.line, "read as \(reads)")
            if let error = outcome.error {
                #expect(error.limit == (error.code == .lineTooLong ? example.line : example.event))
            }
        }
    }

    @Test("The error is thrown again until a reset, and last event ID and reconnection time are kept")
    func afterError() throws {
        var parser = ServerSentEventParser(maximumLineSize: 10)
        var events: [ServerSentEvent] = []
        let error = #expect(throws: ServerSentEventParserError.self) {
            try parser.parse(Array("id: 1\nretry: 5\ndata: a\n\nid: 2\ndata: 0123456789\n\n".utf8)) {
                events.append($0)
            }
        }
        #expect(events == [.init(data: "a", id: "1", retry: .milliseconds(5))])
        #expect(
            error?.description
                == "lineTooLong: A line is longer than 10 bytes: line 6, which begins at byte 30 of the event stream. "
                + "Raise maximumLineSize if the sender can be trusted."
        )
        let again = #expect(throws: ServerSentEventParserError.self) {
            try parser.parse(Array("data: b\n\n".utf8)) { events.append($0) }
        }
        #expect(again == error)
        #expect(throws: ServerSentEventParserError.self) { try parser.parse([]) { events.append($0) } }
        #expect(events.count == 1)
        #expect(parser.lastEventID == "1")
        #expect(parser.reconnectionTime == .milliseconds(5))
        parser.reset()
        try parser.parse(Array("data: b\n\n".utf8)) { events.append($0) }
        #expect(events.last == .init(data: "b"))
        #expect(parser.lastEventID == "1")
    }

    @Test("The limits default to 16 MiB")
    func defaults() {
        let parser = ServerSentEventParser()
        #expect(parser.maximumLineSize == 16 * 1024 * 1024)
        #expect(parser.maximumEventSize == 16 * 1024 * 1024)
        let large = ServerSentEventParser(maximumLineSize: .max, maximumEventSize: .max)
        #expect(Outcome.owned([Array("data: a\n\n".utf8)], parser: large) == [.init(data: "a")])
    }
}
