// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import PlinthHub

@Suite("Topics")
struct TopicTests {
    @Test(
        "A name may contain any characters except controls",
        arguments: [
            "a", "orders/7", "/", "//", " ", "a b", "äöü", "👩‍👩‍👧‍👦", "a*", "**", "*/", "%", "#", "?", "\u{FEFF}", "\u{2028}",
            "\u{FFFD}",
            ".well-known", "\u{A0}", "\u{200B}", "\u{10FFFF}",
        ]
    )
    func valid(name: String) throws {
        let topic = try Topic(name)
        #expect(topic.utf8 == Array(name.utf8))
        #expect(topic.name == name)
        #expect(topic.description == name)
        #expect(try Topic(utf8: Array(name.utf8)) == topic)
    }

    @Test(
        "An invalid name is refused with its reason",
        arguments: [
            ("", .empty),
            ("*", .reserved),
            ("a\nb", .controlCharacter),
            ("a\rb", .controlCharacter),
            ("\0", .controlCharacter),
            ("a\tb", .controlCharacter),
            ("\u{1F}", .controlCharacter),
            ("\u{7F}", .controlCharacter),
            ("\u{80}", .controlCharacter),
            ("a\u{85}", .controlCharacter),
            ("\u{9F}b", .controlCharacter),
            (String(repeating: "x", count: 1025), .tooLong),
            (String(repeating: "é", count: 512) + "x", .tooLong),
        ] as [(String, TopicError.Code)]
    )
    func invalid(name: String, code: TopicError.Code) throws {
        let error = #expect(throws: TopicError.self) { try Topic(name) }
        #expect(error?.code == code)
        #expect(error?.description.isEmpty == false)
    }

    @Test("A name has at most 1,024 bytes")
    func longest() throws {
        #expect(try Topic(String(repeating: "x", count: 1024)).utf8.count == 1024)
        #expect(try Topic(String(repeating: "é", count: 512)).utf8.count == 1024)
    }

    @Test(
        "Bytes that are not UTF-8 are refused",
        arguments: [
            [0xFF], [0x80], [0xC3], [0x61, 0xC2], [0xC0, 0xAF], [0xC1, 0xBF], [0xE2, 0x82], [0xED, 0xA0, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0xF0, 0x80, 0x80, 0xAF], [0xE0, 0x80, 0x80], [0xFE],
            [0xF8, 0x88, 0x80, 0x80, 0x80],
        ] as [[UInt8]]
    )
    func invalidUTF8(bytes: [UInt8]) {
        #expect(throws: TopicError.self) { try Topic(utf8: bytes) }
        #expect((#expect(throws: TopicError.self) { try Topic(utf8: bytes) })?.code == .notUTF8)
        #expect(EventID(utf8: bytes) == nil)
    }

    @Test("C1 controls are detected by their bytes")
    func c1() {
        for byte in 0x80...0x9F as ClosedRange<UInt8> {
            #expect((#expect(throws: TopicError.self) { try Topic(utf8: [0xC2, byte]) })?.code == .controlCharacter)
        }
        // The same continuation bytes after another lead byte are letters.
        for byte in 0x80...0x9F as ClosedRange<UInt8> { #expect((try? Topic(utf8: [0xC3, byte])) != nil) }
        #expect((try? Topic(utf8: [0xC2, 0xA0])) != nil)
    }

    @Test("Names are equal and have equal hashes only if their bytes are the same")
    func equality() throws {
        let composed = try Topic("caf\u{e9}")
        let decomposed = try Topic("cafe\u{301}")
        #expect(composed.name == decomposed.name)
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed]).count == 2)
        #expect(composed.hashValue != decomposed.hashValue)
        let again = try Topic("caf\u{e9}")
        #expect(composed == again)
        #expect(composed.hashValue == again.hashValue)
        #expect(try Topic("a") != Topic("A"))
        #expect(try Topic("\u{212B}") != Topic("\u{C5}"))
        #expect([composed, decomposed, composed].uniqued() == [composed, decomposed])
    }

    @Test(
        "Percent escapes are decoded once",
        arguments: [
            ("a", "a"), ("orders%2F7", "orders/7"), ("orders%2f7", "orders/7"), ("a%20b", "a b"), ("a+b", "a+b"),
            ("%252F", "%2F"), ("%25", "%"), ("%2525", "%25"), ("%C3%A9", "é"), ("é", "é"), ("%2A%2A", "**"),
            ("%41", "A"),
        ]
    )
    func decoding(text: String, name: String) throws {
        #expect(try Topic(percentEncoded: text) == Topic(name))
        #expect(try Topic(percentEncoded: text[...]) == Topic(name))
    }

    @Test(
        "An invalid encoded name is refused with its reason",
        arguments: [
            ("%", .badEscape), ("a%", .badEscape), ("a%2", .badEscape), ("%2G", .badEscape), ("%G2", .badEscape),
            ("%%41", .badEscape), ("%-1", .badEscape), ("%+1", .badEscape), ("% 1", .badEscape), ("%é", .badEscape),
            ("", .empty), ("%2A", .reserved), ("%00", .controlCharacter), ("%0A", .controlCharacter),
            ("%7F", .controlCharacter), ("%C2%85", .controlCharacter), ("%FF", .notUTF8), ("%C3", .notUTF8),
            ("%C0%AF", .notUTF8), ("%ED%A0%80", .notUTF8),
        ] as [(String, TopicError.Code)]
    )
    func badEncoding(text: String, code: TopicError.Code) {
        #expect((#expect(throws: TopicError.self) { try Topic(percentEncoded: text) })?.code == code)
    }

    @Test("The length limit applies to the decoded name")
    func encodedLength() throws {
        let longest = String(repeating: "%61", count: 1024)
        #expect(try Topic(percentEncoded: longest) == Topic(String(repeating: "a", count: 1024)))
        #expect((#expect(throws: TopicError.self) { try Topic(percentEncoded: longest + "a") })?.code == .tooLong)
    }

    @Test("An ID has 1 to 256 bytes of UTF-8 without controls, and is compared by bytes")
    func eventIDs() throws {
        #expect(EventID(utf8: []) == nil)
        #expect(EventID(utf8: Array(repeating: 0x61, count: 256))?.utf8.count == 256)
        #expect(EventID(utf8: Array(repeating: 0x61, count: 257)) == nil)
        #expect(EventID(utf8: Array("a\nb".utf8)) == nil)
        #expect(EventID(utf8: Array("a\0".utf8)) == nil)
        #expect(EventID(utf8: Array("*".utf8))?.description == "*")
        #expect(EventID(utf8: Array("\u{e9}".utf8)) != EventID(utf8: Array("e\u{301}".utf8)))
        #expect(eventID("earliest").isReserved)
        #expect(eventID("#").isReserved)
        #expect(eventID("#1").isReserved)
        #expect(!eventID("1#").isReserved)
        #expect(!eventID("Earliest").isReserved)
    }
}
