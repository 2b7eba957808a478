// SPDX-License-Identifier: Apache-2.0

import PlinthCLI
import Testing

@Suite("plinth encode, its core")
struct EncodeTests {
    static func encode(_ lines: String, by size: Int? = nil, maximum: Int = .max) -> (text: String, error: String?) {
        encode(Array(lines.utf8), by: size, maximum: maximum)
    }

    static func encode(_ bytes: [UInt8], by size: Int? = nil, maximum: Int = .max) -> (text: String, error: String?) {
        var encoder = EventStreamEncoder(maximumLineSize: maximum)
        var output: [UInt8] = []
        var error: String?
        do throws(EventJSONError) {
            var rest = bytes[...]
            while !rest.isEmpty {
                let read = Array(rest.prefix(size ?? bytes.count))
                try encoder.encode(read.span, into: &output)
                rest = rest.dropFirst(read.count)
            }
            try encoder.finish(into: &output)
        } catch let thrown {
            error = thrown.description
        }
        return (String(decoding: output, as: UTF8.self), error)
    }

    static let good: [(line: String, text: String)] = [
        (#"{"data":"a"}"#, "data: a\n\n"),
        (#" { "data" : "a" } "#, "data: a\n\n"),
        (#"{"data":"a"}"# + "\r", "data: a\n\n"),
        (#"{"type":"e","data":"a","id":"1"}"#, "event: e\nid: 1\ndata: a\n\n"),
        (#"{"id":"1","data":"a","retry":3000,"type":"e"}"#, "event: e\nid: 1\nretry: 3000\ndata: a\n\n"),
        (#"{"type":"message","data":"a","id":null}"#, "data: a\n\n"),
        (#"{"type":null,"data":"","id":"","retry":null}"#, "id: \ndata: \n\n"),
        (#"{"data":"a\nb\r\nc\u000dd"}"#, "data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (#"{"data":"\"\\\/\b\f\t\u00e9\ud83c\udf89é"}"#, "data: \"\\/\u{8}\u{C}\té🎉é\n\n"),
        (#"{"d\u0061ta":"a"}"#, "data: a\n\n"),
        (#"{"retry":0}"#, "retry: 0\n\n"),
        (#"{"retry":9007199254740991}"#, "retry: 9007199254740991\n\n"),
        (#"{"id":"1"}"#, "id: 1\n\n"),
        (#"{"id":""}"#, "id: \n\n"),
        (#"{"id":"1","retry":5}"#, "id: 1\n\nretry: 5\n\n"),
        (#"{"comment":" a\nb"}"#, ": a\n:b\n"),
        (#"{"comment":""}"#, ":\n"),
        ("", ""),
        ("  \t ", ""),
    ]

    @Test("a line becomes a block", arguments: good)
    func lines(_ line: String, _ text: String) {
        for size in [nil, 1, 3] {
            let result = Self.encode(line + "\n" + line, by: size)
            #expect(result.text == text + text)
            #expect(result.error == nil)
        }
    }

    static let bad: [(line: String, reason: String)] = [
        ("x", "it is not a JSON object"),
        ("[]", "it is not a JSON object"),
        (#""data""#, "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        ("{", "a key in quotes is missing at its end"),
        (#"{"data""#, "a colon is missing at its end"),
        (#"{"data":"a"#, "a string has no end"),
        (#"{"data":"a""#, "a comma or the end of the object is missing at its end"),
        (#"{"data":"a",}"#, "a key in quotes is missing at byte 12"),
        (#"{"data":"a"} x"#, "the end of the line is missing at byte 13"),
        (#"{"data":"a"}{"data":"b"}"#, "the end of the line is missing at byte 12"),
        (#"{data:"a"}"#, "a key in quotes is missing at byte 1"),
        (#"{"data":"a","foo":1}"#, #"the key "foo" is unknown; known are type, data, id, retry and comment"#),
        (#"{"Data":"a"}"#, #"the key "Data" is unknown; known are type, data, id, retry and comment"#),
        (#"{"data":"a","data":"b"}"#, #"the key "data" is there twice"#),
        (#"{"data":null,"data":"b"}"#, #"the key "data" is there twice"#),
        (#"{"data":1}"#, #"the value of "data" is not a string or null"#),
        (#"{"data":{}}"#, #"the value of "data" is not a string or null"#),
        (#"{"data":"a","type":true}"#, #"the value of "type" is not a string or null"#),
        (#"{"data":"a","id":7}"#, #"the value of "id" is not a string or null"#),
        (#"{"data":"a","retry":"3"}"#, #"the value of "retry" is not a whole number of milliseconds or null"#),
        (#"{"data":"a","retry":1.5}"#, #"the value of "retry" is not a whole number of milliseconds or null"#),
        (#"{"data":"a","retry":1e3}"#, #"the value of "retry" is not a whole number of milliseconds or null"#),
        (#"{"data":"a","retry":-1}"#, #"the value of "retry" is not in 0...9007199254740991"#),
        (#"{"data":"a","retry":9007199254740992}"#, #"the value of "retry" is not in 0...9007199254740991"#),
        (#"{"data":"a","retry":99999999999999999999999}"#, #"the value of "retry" is not in 0...9007199254740991"#),
        (#"{"data":"a","retry":01}"#, "a number has a leading zero at byte 20"),
        (#"{"data":"\ud83c"}"#, "an escape is half of a surrogate pair at byte 9"),
        (#"{"data":"\udf89"}"#, "an escape is half of a surrogate pair at byte 9"),
        (#"{"data":"\ud83cx"}"#, "an escape is half of a surrogate pair at byte 9"),
        (#"{"data":"\ud83c\u0041"}"#, "an escape is half of a surrogate pair at byte 9"),
        (#"{"data":"\x"}"#, "an escape is unknown at byte 9"),
        (#"{"data":"\u12g4"}"#, "an escape has not four hexadecimal digits at byte 9"),
        (#"{"data":"\u12"#, "an escape has not four hexadecimal digits at byte 9"),
        (#"{"data":"\"#, "an escape is unknown at byte 9"),
        ("{\"data\":\"\t\"}", "a control character is not escaped at byte 9"),
        (#"{"type":"e"}"#, #"an event needs the key "data", if only with an empty string"#),
        ("{}", #"none of the keys "data", "id", "retry" and "comment" has a value"#),
        (#"{"data":null}"#, #"none of the keys "data", "id", "retry" and "comment" has a value"#),
        (#"{"comment":"a","data":"b"}"#, #"the key "comment" stands alone, without the keys of an event"#),
        (
            #"{"data":"a","type":"a\nb"}"#,
            "invalidType: The event type has a line feed (LF) at byte 1, which would end its field; remove it."
        ),
        (
            #"{"data":"a","type":""}"#,
            "invalidType: The event type is empty; leave it out (nil) for the default type, message."
        ),
        (
            #"{"id":"1\u0000"}"#,
            "invalidID: The event ID has a NUL at byte 1, for which clients ignore the whole ID; remove it."
        ),
    ]

    @Test("a bad line is named with its number, after what was good", arguments: bad)
    func failures(_ line: String, _ reason: String) {
        for size in [nil, 1] {
            let result = Self.encode(#"{"data":"good"}"# + "\n\n" + line + "\n" + #"{"data":"later"}"#, by: size)
            #expect(result.text == "data: good\n\n")
            #expect(result.error == "line 3: \(reason)")
        }
    }

    @Test("a line that is not UTF-8 is refused, not repaired")
    func notUTF8() {
        let result = Self.encode(Array(#"{"data":""#.utf8) + [0xFF] + Array(#""}"#.utf8))
        #expect(result.error == "line 1: the string that starts at byte 9 is not UTF-8")
        let escaped = Self.encode(Array(#"{"data":"\n"#.utf8) + [0xC3] + Array(#""}"#.utf8))
        #expect(escaped.error == "line 1: the string that starts at byte 9 is not UTF-8")
    }

    @Test("a line above the maximum is refused", arguments: [nil, 1, 5])
    func tooLong(_ size: Int?) {
        let line = #"{"data":"a"}"#
        #expect(Self.encode(line, by: size, maximum: 12).error == nil)
        #expect(Self.encode(line, by: size, maximum: 11).error == "line 1: it is longer than 11 bytes")
    }

    @Test("what decode prints with comments, encode reads back")
    func roundTrip() throws {
        let stream = """
            : a "comment"
            event: e\\
            id: 1
            retry: 5
            data: x
            data:\u{20}
            data: é🎉\u{2028}\t"

            id: 2

            retry: 7

            id:\u{20}

            data:\u{20}


            """
        let lines = try DecodeTests.decode(stream, comments: true)
        #expect(Self.encode(lines).text == stream)
        #expect(Self.encode(lines).error == nil)
    }
}
