// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import PlinthTestSupport
import Testing

@Suite("JSON from clients")
struct JSONValueTests {
    private func parse(_ text: String) throws -> JSONValue { try JSONValue(Array(text.utf8)) }

    private func failure(_ text: String) -> JSONValue.Failure? {
        #expect(throws: JSONValue.Failure.self, "\(text.debugDescription)") { try parse(text) }
    }

    @Test(
        "Each kind of value is read, with white space around it",
        arguments: [
            ("null", .null), ("true", .bool(true)), ("false", .bool(false)), ("0", .number(0)), ("-0", .number(0)),
            ("12", .number(12)), ("-1.5", .number(-1.5)), ("1e2", .number(100)), ("1E+2", .number(100)),
            ("25e-1", .number(2.5)), ("0.1", .number(0.1)), ("1e-400", .number(0)),
            ("1.7976931348623157e308", .number(.greatestFiniteMagnitude)), ("\"\"", .string("")),
            ("\"a b\"", .string("a b")), ("[]", .array([])), ("[ 1 , [ ] ]", .array([.number(1), .array([])])),
            ("[null,true]", .array([.null, .bool(true)])),
        ] as [(String, JSONValue)]
    )
    func values(text: String, value: JSONValue) throws {
        for (before, after) in [("", ""), (" ", "\n"), ("\t\r\n ", " ")] {
            #expect(try parse(before + text + after) == value)
        }
        #expect(try parse("[\(text)]") == .array([value]))
    }

    @Test("An object's members are found by name, in the order of the text")
    func objects() throws {
        let members = try #require(try parse("{ \"a\" : 1 , \"b\" : { \"c\" : [ ] }, \"\" : null }").object)
        #expect(members.all.map(\.name) == ["a", "b", ""])
        #expect(members["a"]?.number == 1)
        #expect(members["b"]?.object?["c"]?.array == [])
        #expect(members[""] == .null)
        #expect(members["c"] == nil)
        #expect(try parse("{}").object?.all.isEmpty == true)
    }

    @Test("Names are compared by bytes: canonically equivalent ones differ")
    func bytes() throws {
        let members = try #require(try parse("{\"caf\u{e9}\":1,\"cafe\u{301}\":2,\"\u{212A}\":3}").object)
        #expect(members["caf\u{e9}"]?.number == 1)
        #expect(members["cafe\u{301}"]?.number == 2)
        #expect(members["K"] == nil)
    }

    @Test("Escapes stand for their characters")
    func escapes() throws {
        #expect(try parse(#""\"\\\/\b\f\n\r\t""#).string == "\"\\/\u{8}\u{c}\n\r\t")
        #expect(try parse(#""\u0041\u00e9\u20AC\ud83d\ude00\uD83D\uDE00""#).string == "Aé€😀😀")
        #expect(try parse(#""\u0000""#).string == "\0")
        #expect(try parse(#""\uffff\ud800\udc00\udbff\udfff""#).string == "\u{FFFF}\u{10000}\u{10FFFF}")
        #expect(try parse("\"\u{7F}é\u{2028}\"").string == "\u{7F}é\u{2028}")
    }

    @Test("Each accessor is nil for other values")
    func accessors() throws {
        let values = try parse("[null,true,1,\"a\",[],{}]").array ?? []
        #expect(values.map { $0.string != nil } == [false, false, false, true, false, false])
        #expect(values.map { $0.number != nil } == [false, false, true, false, false, false])
        #expect(values.map { $0.array != nil } == [false, false, false, false, true, false])
        #expect(values.map { $0.object != nil } == [false, false, false, false, false, true])
    }

    @Test(
        "What is no JSON is refused, with the byte at which it is not",
        arguments: [
            ("", 0), ("  ", 2), ("nul", 3), ("nulL", 3), ("True", 0), ("truex", 4), ("NaN", 0), ("Infinity", 0),
            ("-", 1), ("+1", 0), ("-Infinity", 1), ("01", 1), ("-01", 2), ("1.", 2), (".5", 0), ("1e", 2), ("1e+", 3),
            ("0x1", 1), ("1 2", 2), ("1,", 1), ("1e400", 0), ("[-1e400]", 1), ("'a'", 0), ("\"", 1), ("\"a", 2),
            ("\"\t\"", 1), ("\"\n\"", 1), ("\"\0\"", 1), (#""\"#, 2), (#""\x""#, 2), (#""\'""#, 2), (#""\u"#, 3),
            (#""\u12""#, 5), (#""\u123g""#, 6), (#""\ud800""#, 7), (#""\ud800x""#, 7), (#""\ud800\n""#, 7),
            (#""\ud800\u0041""#, 13), (#""\ud800\ud800""#, 13), (#""\udc00""#, 7), ("[", 1), ("[1", 2), ("[1,", 3),
            ("[1,]", 3), ("[,1]", 1), ("[1 2]", 3), ("[1}", 2), ("]", 0), ("{", 1), ("{\"a\"", 4), ("{\"a\":", 5),
            ("{\"a\":1", 6), ("{\"a\":1,", 7), ("{\"a\":1,}", 7), ("{a:1}", 1), ("{1:1}", 1), ("{\"a\" 1}", 5),
            ("{\"a\",1}", 4), ("{,}", 1), ("{\"a\":1]", 6), ("[] []", 3), ("{}}", 2), ("\u{FEFF}1", 0), ("\u{A0}1", 0),
            ("/**/1", 0), ("{\"a\":1,\"a\":2}", 7), ("{\"a\":1,\"b\":2,\"\\u0061\":1}", 13),
            ("[{\"a\":{\"b\":1,\"b\":1}}]", 13),
        ]
    )
    func malformed(text: String, offset: Int) {
        #expect(failure(text)?.offset == offset)
    }

    @Test("Bytes that are not UTF-8 are refused anywhere")
    func encoding() {
        for bytes: [UInt8] in [
            [0xFF], [0x22, 0xC3, 0x22], [0x22, 0xED, 0xA0, 0x80, 0x22], [0x22, 0xC0, 0x80, 0x22], [0x31, 0x80],
            [0x22, 0xF4, 0x90, 0x80, 0x80, 0x22],
        ] {
            #expect(throws: JSONValue.Failure.self) { try JSONValue(bytes) }
        }
    }

    @Test("32 levels are read, and 33 are refused, however many follow")
    func depth() throws {
        func nested(_ levels: Int) -> String {
            String(repeating: "[", count: levels) + String(repeating: "]", count: levels)
        }
        _ = try parse(nested(32))
        #expect(failure(nested(33))?.offset == 32)
        #expect(failure(String(repeating: "[", count: 1_000_000))?.offset == 32)
        #expect(failure(String(repeating: "{\"a\":", count: 100_000))?.offset == 160)
        _ = try parse("[" + Array(repeating: nested(31), count: 100).joined(separator: ",") + "]")
    }

    @Test("No beginning of an object or array is a value")
    func truncated() throws {
        let text = Array(#"{"a":[1,-2.5e+3,"b\n\u00e9\ud83d\ude00",true,null],"é":{"c":false}}"#.utf8)
        _ = try JSONValue(text)
        for length in 0..<text.count {
            #expect(throws: JSONValue.Failure.self) { try JSONValue(Array(text[..<length])) }
        }
    }

    @Test("Random changes of a text never trap, and what is read has no name twice")
    func random() throws {
        let text = Array(#"{"a":[1,-2.5e+3,"b\n\u00e9\ud83d\ude00",true,null],"b":{"c":false,"d":[]}}"#.utf8)
        var random = SeededGenerator(seed: 29)
        for _ in 0..<20_000 {
            var changed = text
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                let index = Int.random(in: 0..<changed.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: changed[index] = UInt8.random(in: 0...255, using: &random)
                case 1: changed[index] = text.randomElement(using: &random) ?? 0
                default: changed.remove(at: index)
                }
            }
            if let value = try? JSONValue(changed) { expectDistinct(value) }
        }
    }

    private func expectDistinct(_ value: JSONValue) {
        switch value {
        case .array(let elements): elements.forEach(expectDistinct)
        case .object(let members):
            #expect(Set(members.all.map { Array($0.name.utf8) }).count == members.all.count)
            members.all.forEach { expectDistinct($0.value) }
        default: break
        }
    }

    @Test("A string that was quoted for JSON comes back")
    func quoted() throws {
        for value: UInt32 in 0...0x10FFFF where value < 0x3000 || value % 97 == 0 {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let text = String(Character(scalar)) + "a"
            let read = try parse(JSONString.quoted(text)).string
            #expect(read?.utf8.elementsEqual(text.utf8) == true)
        }
    }

    @Test("A failure names what is wrong and where")
    func description() {
        #expect(failure("[1,]")?.description == "this is no value at byte 3")
        #expect(failure("{\"a\":1,\"a\":2}")?.description == "the name \"a\" occurs twice at byte 7")
    }
}
