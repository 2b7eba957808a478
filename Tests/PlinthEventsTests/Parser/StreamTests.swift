// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Testing

@Suite("The parser across reads")
struct StreamTests {
    /// Invalid UTF-8 and the output of the Encoding standard's decoder.
    static let repairs: [(bytes: [UInt8], text: String)] = [
        ([0x80], "\u{FFFD}"),
        ([0xFF], "\u{FFFD}"),
        ([0xC0, 0xAF], "\u{FFFD}\u{FFFD}"),
        ([0xC3], "\u{FFFD}"),
        ([0xC3, 0x41], "\u{FFFD}A"),
        ([0xE2, 0x82], "\u{FFFD}"),
        ([0xE2, 0x82, 0x41], "\u{FFFD}A"),
        ([0xE2, 0x82, 0xE2, 0x82, 0xAC], "\u{FFFD}€"),
        ([0xE0, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}"),
        ([0xED, 0xA0, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}"),
        ([0xED, 0xB0, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}"),
        ([0xF0, 0x9F], "\u{FFFD}"),
        ([0xF0, 0x9F, 0x8E], "\u{FFFD}"),
        ([0xF0, 0x9F, 0x8E, 0x41], "\u{FFFD}A"),
        ([0xF0, 0x80, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"),
        ([0xF4, 0x90, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"),
        ([0xF5, 0x80, 0x80, 0x80], "\u{FFFD}\u{FFFD}\u{FFFD}\u{FFFD}"),
        (
            [0xF1, 0x80, 0x80, 0xE1, 0x80, 0xC2, 0x62, 0x80, 0x63, 0x80, 0xBF, 0x64],
            "\u{FFFD}\u{FFFD}\u{FFFD}b\u{FFFD}c\u{FFFD}\u{FFFD}d"
        ),
        (Array("é漢🎉".utf8), "é漢🎉"),
    ]

    @Test("Each maximal invalid subpart in type, data or ID becomes one U+FFFD", arguments: repairs)
    func repair(_ bytes: [UInt8], _ text: String) throws {
        let stream =
            Array("event: ".utf8) + bytes + Array("\nid: ".utf8) + bytes + Array("\ndata: ".utf8) + bytes
            + Array("\ndata: x\n\n".utf8)
        let event = try ServerSentEvent(type: text, data: text + "\nx", id: text)
        for reads in splits(stream) {
            #expect(Outcome.owned(reads) == [event])
            let outcome = Outcome.borrowed(reads)
            #expect(outcome.events == [event])
            #expect(outcome.lastEventID == text)
        }
    }

    @Test("Borrowed bytes are unchanged")
    func borrowedBytes() throws {
        var parser = ServerSentEventParser()
        var found: [[UInt8]] = []
        try parser.parseBorrowed(Array("data: ".utf8) + [0xFF, 0x0A, 0x0A]) { event in
            found.append(event.data.withUnsafeBytes { Array($0) })
        }
        #expect(found == [[0xFF]])
    }

    @Test("The byte that ends the blank line dispatches the event", arguments: ["\n", "\r", "\r\n"])
    func promptly(_ lineEnd: String) throws {
        var parser = ServerSentEventParser()
        let bytes = Array("data: a\(lineEnd)\(lineEnd)".utf8)
        // With CRLF, the CR is enough.
        let enough = bytes.count - (lineEnd == "\r\n" ? 1 : 0)
        for (index, byte) in bytes.enumerated() {
            var count = 0
            try parser.parse([byte]) { _ in count += 1 }
            #expect(count == (index == enough - 1 ? 1 : 0))
        }
    }

    @Test("Comments are delivered at the end of their line, unchanged")
    func comments() throws {
        let bytes = Array(":\n: a \n:b:\r\ndata: x\n: in between\ndata: y\n\n:not ended".utf8)
        for reads in splits(bytes) {
            let outcome = Outcome.borrowed(reads)
            #expect(
                outcome.parts == [
                    .comment(""), .comment(" a "), .comment("b:"), .comment(" in between"),
                    .event(.init(data: "x\ny"), lastEventID: ""),
                ]
            )
        }
    }

    @Test("Blocks without data are delivered as fields, not as events")
    func fields() {
        let bytes = Array("id: 1\n\nretry: 5\nevent: x\n\nid: 2\nretry: 6\n\nevent: y\n\nid\n\n".utf8)
        for reads in splits(bytes) {
            #expect(
                Outcome.borrowed(reads).parts == [
                    .fields(id: "1", retry: nil), .fields(id: nil, retry: .milliseconds(5)),
                    .fields(id: "2", retry: .milliseconds(6)), .fields(id: "", retry: nil),
                ]
            )
        }
    }

    @Test("An event has the last event ID as of itself")
    func lastEventID() {
        let bytes = Array("data: a\n\nid: 1\ndata: b\n\ndata: c\n\nid: 2\n\ndata: d\n\nid\ndata: e\n\ndata: f\n\n".utf8)
        for reads in splits(bytes) {
            let last = Outcome.borrowed(reads).parts.compactMap { part -> String? in
                if case .event(_, let last) = part { last } else { nil }
            }
            #expect(last == ["", "1", "1", "2", "", ""])
        }
    }

    @Test("An initial last event ID is kept until the stream sets another")
    func givenLastEventID() throws {
        var parser = ServerSentEventParser(lastEventID: "41")
        #expect(parser.lastEventID == "41")
        try parser.parse(Array("data: a\n\n".utf8)) { _ in }
        #expect(parser.lastEventID == "41")
        try parser.parse(Array("id: 42\ndata: a\n".utf8)) { _ in }
        #expect(parser.lastEventID == "41")
        try parser.parse(Array("\n".utf8)) { _ in }
        #expect(parser.lastEventID == "42")
    }

    @Test("A reset begins a new stream and keeps the last event ID and the reconnection time")
    func reset() throws {
        var parser = ServerSentEventParser()
        try parser.parse(Array("id: 1\nretry: 7\ndata: a\n\nid: 2\nevent: b\ndata: unfinished\nda\r".utf8)) { _ in }
        parser.reset()
        #expect(parser.lastEventID == "1")
        #expect(parser.reconnectionTime == .milliseconds(7))
        var events: [ServerSentEvent] = []
        // Skips a byte order mark again, but no line feed.
        try parser.parse(Array("\u{FEFF}\ndata: c\n\n".utf8)) { events.append($0) }
        #expect(events == [.init(data: "c")])
    }

    @Test("A copy of a parser continues independently")
    func copies() throws {
        var first = ServerSentEventParser()
        try first.parse(Array("id: 1\ndata: a\ndata: b".utf8)) { _ in }
        var second = first
        var one: [ServerSentEvent] = []
        var two: [ServerSentEvent] = []
        try first.parse(Array("1\n\n".utf8)) { one.append($0) }
        try second.parse(Array("2\nid: 2\n\n".utf8)) { two.append($0) }
        try first.parse(Array("data: c\n\n".utf8)) { one.append($0) }
        #expect(one == [.init(data: "a\nb1", id: "1"), .init(data: "c")])
        #expect(two == [.init(data: "a\nb2", id: "2")])
        #expect(first.lastEventID == "1")
        #expect(second.lastEventID == "2")
    }

    @Test("Any byte collection can be parsed")
    func collections() throws {
        let bytes = Array("data: a\n\ndata: b\n\n".utf8)
        let expected: [ServerSentEvent] = [.init(data: "a"), .init(data: "b")]
        func events(_ parse: (inout ServerSentEventParser, (ServerSentEvent) -> Void) throws -> Void) rethrows
            -> [ServerSentEvent]
        {
            var parser = ServerSentEventParser()
            var events: [ServerSentEvent] = []
            try parse(&parser) { events.append($0) }
            return events
        }
        #expect(try events { try $0.parse(bytes, $1) } == expected)
        #expect(try events { try $0.parse(bytes.span, $1) } == expected)
        #expect(try events { try $0.parse(bytes[...], $1) } == expected)
        #expect(try events { try $0.parse(ContiguousArray(bytes), $1) } == expected)
        #expect(try events { try $0.parse(Array(bytes.reversed()).reversed() as ReversedCollection, $1) } == expected)
        #expect(try events { parser, event in try bytes.withUnsafeBytes { try parser.parse($0, event) } } == expected)
        #expect(try events { try $0.parse("data: a\n\ndata: b\n\n".utf8, $1) } == expected)
        #expect(try events { try $0.parse(EmptyCollection<UInt8>(), $1) } == [])
    }

    @Test("Any byte collection can be parsed as borrowed bytes, and errors are thrown")
    func borrowingCollections() throws {
        let text = "data: a\n\ndata: 0123456789\n\n"
        func check(
            _ limit: Int,
            _ parse: (inout ServerSentEventParser, inout [String]) throws(ServerSentEventParserError) -> Void
        ) {
            var parser = ServerSentEventParser(maximumLineSize: limit)
            var found: [String] = []
            var failure: ServerSentEventParserError?
            do throws(ServerSentEventParserError) {
                try parse(&parser, &found)
            } catch {
                failure = error
            }
            #expect(found == (limit == 10 ? ["a"] : ["a", "0123456789"]))
            #expect(failure?.byteOffset == (limit == 10 ? 9 : nil))
            #expect(failure?.lineNumber == (limit == 10 ? 3 : nil))
        }
        let bytes = Array(text.utf8)
        let deque = Array(bytes.reversed()).reversed() as ReversedCollection
        for limit in [10, 100] {
            check(limit) { parser, found throws(ServerSentEventParserError) in
                try parser.parseBorrowed(bytes, event: { found.append(Outcome.text($0.data)) })
            }
            check(limit) { parser, found throws(ServerSentEventParserError) in
                try parser.parseBorrowed(bytes.span, event: { found.append(Outcome.text($0.data)) })
            }
            check(limit) { parser, found throws(ServerSentEventParserError) in
                try parser.parseBorrowed(text.utf8, event: { found.append(Outcome.text($0.data)) })
            }
            check(limit) { parser, found throws(ServerSentEventParserError) in
                try parser.parseBorrowed(deque, event: { found.append(Outcome.text($0.data)) })
            }
            check(limit) { parser, found throws(ServerSentEventParserError) in
                try parser.parse(text.utf8) { found.append($0.data) }
            }
            check(limit) { parser, found throws(ServerSentEventParserError) in
                try parser.parse(deque) { found.append($0.data) }
            }
            let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
            defer { memory.deallocate() }
            memory.copyBytes(from: bytes)
            check(limit) { parser, found throws(ServerSentEventParserError) in
                try parser.parseBorrowed(
                    UnsafeRawBufferPointer(memory),
                    event: { found.append(Outcome.text($0.data)) }
                )
            }
            check(limit) { parser, found throws(ServerSentEventParserError) in
                try parser.parse(UnsafeRawBufferPointer(memory)) { found.append($0.data) }
            }
        }
    }

    @Test("Long lines and events parse the same in reads of any size", arguments: [1, 7, 64, 1000, 4096, 65_536])
    func longEvents(_ size: Int) {
        let long = String(repeating: "0123456789", count: 7001)
        let event = ServerSentEvent(data: "a\n\(long)\n\n\(long)b", id: "1")
        let stream = Self.encoded([event, event, .init(data: long), .init(data: "x")])
        let reads = stride(from: 0, to: stream.count, by: size).map {
            Array(stream[$0..<min($0 + size, stream.count)])
        }
        #expect(Outcome.owned(reads) == [event, event, .init(data: long), .init(data: "x")])
        #expect(Outcome.borrowed(reads).events == [event, event, .init(data: long), .init(data: "x")])
    }

    static func encoded(_ events: [ServerSentEvent]) -> [UInt8] {
        var bytes: [UInt8] = []
        for event in events { event.encode(into: &bytes) }
        return bytes
    }
}
