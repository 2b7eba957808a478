// SPDX-License-Identifier: Apache-2.0

import PlinthCLI
import PlinthEvents
import Testing

@Suite("EventStreamDecoder")
struct DecodeTests {
    static func decode(_ stream: String, comments: Bool = false, by size: Int? = nil) throws -> String {
        try decode(Array(stream.utf8), comments: comments, by: size)
    }

    static func decode(_ bytes: [UInt8], comments: Bool = false, by size: Int? = nil) throws -> String {
        var decoder = EventStreamDecoder(includesComments: comments)
        var output: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            let read = Array(rest.prefix(size ?? bytes.count))
            try decoder.decode(read.span, into: &output)
            rest = rest.dropFirst(read.count)
        }
        return String(decoding: output, as: UTF8.self)
    }

    static let cases: [(stream: String, lines: String)] = [
        ("", ""),
        ("data: a\n\n", #"{"type":"message","data":"a","id":null}"# + "\n"),
        ("event: e\ndata: a\nid: 1\n\n", #"{"type":"e","data":"a","id":"1"}"# + "\n"),
        (
            "id: 1\ndata: a\n\ndata: b\n\n",
            #"{"type":"message","data":"a","id":"1"}"# + "\n" + #"{"type":"message","data":"b","id":null}"# + "\n"
        ),
        ("id\ndata: a\n\n", #"{"type":"message","data":"a","id":""}"# + "\n"),
        ("retry: 3000\ndata: a\n\n", #"{"type":"message","data":"a","id":null,"retry":3000}"# + "\n"),
        ("data: a\ndata\ndata: b\n\n", #"{"type":"message","data":"a\n\nb","id":null}"# + "\n"),
        (
            "data: \"\\\u{8}\u{C}\t\u{1}\u{1F}\u{7F}/\n\n",
            #"{"type":"message","data":"\"\\\b\f\t\u0001\u001f\u007f/","id":null}"# + "\n"
        ),
        ("data: é漢🎉\u{2028}\n\n", #"{"type":"message","data":"é漢🎉\u2028","id":null}"# + "\n"),
        ("event: \u{80}\nid: \u{9F}\ndata: \u{A0}\n\n", #"{"type":"\u0080","data":"\#u{A0}","id":"\u009f"}"# + "\n"),
        (
            "data: \u{2027}\u{2029}\u{202A}\u{202E}\u{202F}\u{2065}\u{2066}\u{2069}\u{206A}\n\n",
            #"{"type":"message","data":"\#u{2027}\u2029\u202a\u202e\#u{202F}\#u{2065}\u2066\u2069\#u{206A}","id":null}"#
                + "\n"
        ),
        ("event: \"\nid: \\\ndata:\n\n", #"{"type":"\"","data":"","id":"\\"}"# + "\n"),
        (": c\nid: 1\n\nretry: 5\n\ndata: unfinished\n", ""),
    ]

    @Test("An event is an object with type, data and ID in this order, then any retry", arguments: cases)
    func objects(_ stream: String, _ lines: String) throws {
        #expect(try Self.decode(stream) == lines)
        #expect(try Self.decode(stream, by: 1) == lines)
    }

    @Test("With comments enabled, comments and blocks without data are printed in stream order")
    func comments() throws {
        let stream = ": a \ndata: x\n:\"b\ndata: y\n\nid: 1\n\nretry: 5\n\nid: 2\nretry: 6\n\nid\n\n:\n"
        let lines = """
            {"comment":" a "}
            {"comment":"\\"b"}
            {"type":"message","data":"x\\ny","id":null}
            {"id":"1"}
            {"retry":5}
            {"id":"2","retry":6}
            {"id":""}
            {"comment":""}

            """
        #expect(try Self.decode(stream, comments: true) == lines)
        #expect(try Self.decode(stream, comments: true, by: 1) == lines)
    }

    @Test("Invalid UTF-8 is repaired as String(decoding:as:) does", arguments: 0..<64)
    func repair(_ seed: Int) throws {
        var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 &+ 1
        func next() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 56)
        }
        let some: [UInt8] = [0x80, 0xBF, 0xC2, 0xE0, 0xA0, 0xED, 0x9F, 0xEF, 0xF0, 0x90, 0xF4, 0x8F, 0xFF, 0x41]
        for _ in 0..<50 {
            let bytes = (0..<Int(next() % 12)).map { _ in some[Int(next()) % some.count] }
            // C1 controls, which a terminal interprets, are escaped.
            let text = String(decoding: bytes, as: UTF8.self).unicodeScalars
                .map { (0x80..<0xA0).contains($0.value) ? "\\u00" + String($0.value, radix: 16) : String($0) }.joined()
            let line = try Self.decode(Array("data: ".utf8) + bytes + [0x0A, 0x0A])
            #expect(line == "{\"type\":\"message\",\"data\":\"\(text)\",\"id\":null}\n")
        }
    }

    @Test("A character that needs an escape is found at every position")
    func places() throws {
        for count in 0..<40 {
            for (text, escaped) in [
                ("\"", #"\""#), ("\u{1}", #"\u0001"#), ("é", "é"), ("\\", #"\\"#), ("\u{7F}", #"\u007f"#),
                ("\u{9B}", #"\u009b"#), ("\u{7E}", "~"),
            ] {
                let before = String(repeating: "a", count: count)
                let line = try Self.decode("data: \(before)\(text)bcdefghijk\n\n")
                #expect(line == "{\"type\":\"message\",\"data\":\"\(before)\(escaped)bcdefghijk\",\"id\":null}\n")
            }
        }
    }

    private static let unfinished: [(stream: String, isUnfinished: Bool, withComments: Bool)] = [
        ("", false, false), ("data: a\n\n", false, false), ("data: a\r\r", false, false), ("data: a\n\r", false, false),
        ("data: a\n", true, true), ("data: a\r", true, true), ("data: a", true, true), ("data", true, true),
        ("data: a\n\ndata: b\nid: 1", true, true), ("id: 1\n", false, true), (": c", false, true),
        (": c\n", false, false), ("retry: 5\n", false, true), ("dat", false, false), ("event: e\n", false, false),
    ]

    @Test("A stream that ends within an event, or with comments within a comment or block, ends unfinished")
    func unfinished() throws {
        for (stream, isUnfinished, withComments) in Self.unfinished {
            for split in 0...stream.utf8.count {
                for (comments, expected) in [(false, isUnfinished), (true, withComments)] {
                    var decoder = EventStreamDecoder(includesComments: comments)
                    var output: [UInt8] = []
                    let bytes = Array(stream.utf8)
                    for part in [bytes[..<split], bytes[split...]] where !part.isEmpty {
                        try decoder.decode(Array(part).span, into: &output)
                    }
                    let found = decoder.endsUnfinished()
                    #expect(found == expected, "\(stream.debugDescription) \(comments)")
                }
            }
        }
        var full = EventStreamDecoder(maximumSize: 7)
        var output: [UInt8] = []
        try full.decode(Array("data: a\ndata: b".utf8).span, into: &output)
        let found = full.endsUnfinished()
        #expect(found)
    }
}
