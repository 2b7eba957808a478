// SPDX-License-Identifier: Apache-2.0

import PlinthCLI
import Testing

@Suite("EventStreamEncoder")
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

    @Test("A line becomes a block", arguments: good)
    func lines(_ line: String, _ text: String) {
        for size in [nil, 1, 3] {
            let result = Self.encode(line + "\n" + line, by: size)
            #expect(result.text == text + text)
            #expect(result.error == nil)
        }
    }

    static let bad: [(line: String, reason: String)] = [
        ("x", "not a JSON object"),
        ("[]", "not a JSON object"),
        (#""data""#, "not a JSON object"),
        ("null", "not a JSON object"),
        ("{", "expected a key in quotes, but the input ends"),
        (#"{"data""#, "expected a colon, but the input ends"),
        (#"{"data":"a"#, "unterminated string"),
        (#"{"data":"a""#, "expected a comma or the end of the object, but the input ends"),
        (#"{"data":"a",}"#, "expected a key in quotes at byte 12"),
        (#"{"data":"a"} x"#, "expected the end of the line at byte 13"),
        (#"{"data":"a"}{"data":"b"}"#, "expected the end of the line at byte 12"),
        (#"{data:"a"}"#, "expected a key in quotes at byte 1"),
        (#"{"data":"a","foo":1}"#, #"unknown key "foo"; known keys: type, data, id, retry, comment"#),
        (#"{"Data":"a"}"#, #"unknown key "Data"; known keys: type, data, id, retry, comment"#),
        (#"{"data":"a","data":"b"}"#, #"the key "data" occurs twice"#),
        (#"{"data":null,"data":"b"}"#, #"the key "data" occurs twice"#),
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
        (#"{"data":"a","retry":01}"#, "number with a leading zero at byte 20"),
        (#"{"data":"\ud83c"}"#, "unpaired surrogate escape at byte 9"),
        (#"{"data":"\udf89"}"#, "unpaired surrogate escape at byte 9"),
        (#"{"data":"\ud83cx"}"#, "unpaired surrogate escape at byte 9"),
        (#"{"data":"\ud83c\u0041"}"#, "unpaired surrogate escape at byte 9"),
        (#"{"data":"\x"}"#, "unknown escape at byte 9"),
        (#"{"data":"\u12g4"}"#, "escape without four hexadecimal digits at byte 9"),
        (#"{"data":"\u12"#, "escape without four hexadecimal digits at byte 9"),
        (#"{"data":"\"#, "unknown escape at byte 9"),
        ("{\"data\":\"\t\"}", "unescaped control character at byte 9"),
        (#"{"type":"e"}"#, #"an event requires the key "data", which may be empty"#),
        ("{}", #"none of the keys "data", "id", "retry" and "comment" has a value"#),
        (#"{"data":null}"#, #"none of the keys "data", "id", "retry" and "comment" has a value"#),
        (#"{"comment":"a","data":"b"}"#, #"the key "comment" cannot be combined with the keys of an event"#),
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

    @Test("An invalid line is reported with its number, after earlier lines are encoded", arguments: bad)
    func failures(_ line: String, _ reason: String) {
        for size in [nil, 1] {
            let result = Self.encode(#"{"data":"good"}"# + "\n\n" + line + "\n" + #"{"data":"later"}"#, by: size)
            #expect(result.text == "data: good\n\n")
            #expect(result.error == "line 3: \(reason)")
        }
    }

    @Test("A line that is not UTF-8 is rejected, not repaired")
    func notUTF8() {
        let result = Self.encode(Array(#"{"data":""#.utf8) + [0xFF] + Array(#""}"#.utf8))
        #expect(result.error == "line 1: the string that starts at byte 9 is not valid UTF-8")
        let escaped = Self.encode(Array(#"{"data":"\n"#.utf8) + [0xC3] + Array(#""}"#.utf8))
        #expect(escaped.error == "line 1: the string that starts at byte 9 is not valid UTF-8")
    }

    @Test("A line above the maximum size is rejected", arguments: [nil, 1, 5])
    func tooLong(_ size: Int?) {
        let line = #"{"data":"a"}"#
        #expect(Self.encode(line, by: size, maximum: 12).error == nil)
        #expect(Self.encode(line, by: size, maximum: 11).error == "line 1: longer than 11 bytes")
    }

    @Test("Encode reverses the output of decode with comments")
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
