// SPDX-License-Identifier: Apache-2.0

/// A JSON value (RFC 8259) from somebody who is not trusted.
///
/// Unlike Foundation's parsers it refuses an object with a name twice, of which two readers would see different values,
/// numbers that no `Double` holds, and unpaired surrogates; and it bounds the depth.
package enum JSONValue: Sendable, Equatable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object(Members)

    /// The members of an object, in the order of the text; no name occurs twice.
    package struct Members: Sendable, Equatable {
        package fileprivate(set) var all: [Member] = []

        /// The value of a name, compared by bytes.
        package subscript(_ name: String) -> JSONValue? {
            all.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
        }
    }

    package struct Member: Sendable, Equatable {
        package let name: String
        package let value: JSONValue
    }

    /// What is wrong with a text, and where.
    package struct Failure: Error, CustomStringConvertible {
        /// What is wrong.
        package let reason: String
        /// The byte at which it is, from 0.
        package let offset: Int

        package var description: String { "\(reason) at byte \(offset)" }
    }

    /// The deepest nesting of arrays and objects: 32.
    package static let maximumDepth = 32

    /// Parses a text; the caller bounds its length.
    ///
    /// - Parameter text: One JSON value in UTF-8, with white space around it.
    /// - Throws: ``Failure``.
    package init(_ text: [UInt8]) throws(Failure) {
        guard String(validating: text, as: UTF8.self) != nil else {
            throw Failure(reason: "the text is not valid UTF-8", offset: 0)
        }
        var parser = JSONValueParser(text)
        self = try parser.value(depth: 0)
        try parser.end()
    }

    /// The string; nil if it is another value.
    package var string: String? { if case .string(let text) = self { text } else { nil } }
    /// The number; nil if it is another value.
    package var number: Double? { if case .number(let number) = self { number } else { nil } }
    /// The elements; nil if it is no array.
    package var array: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }
    /// The members; nil if it is no object.
    package var object: Members? { if case .object(let members) = self { members } else { nil } }
}

/// Parses one text.
///
/// The recursion is bounded by ``JSONValue/maximumDepth``.
private struct JSONValueParser {
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    private var byte: UInt8? { at < bytes.count ? bytes[at] : nil }

    private func failure(_ reason: String) -> JSONValue.Failure { JSONValue.Failure(reason: reason, offset: at) }

    private mutating func skipSpace() {
        while let byte, byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D { at += 1 }
    }

    mutating func end() throws(JSONValue.Failure) {
        skipSpace()
        guard byte == nil else { throw failure("something follows the value") }
    }

    mutating func value(depth: Int) throws(JSONValue.Failure) -> JSONValue {
        skipSpace()
        guard let byte else { throw failure("the text ends before a value") }
        switch byte {
        case UInt8(ascii: "{"): return .object(try object(depth: depth + 1))
        case UInt8(ascii: "["): return .array(try array(depth: depth + 1))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number())
        default: throw failure("this is no value")
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONValue.Failure) -> JSONValue {
        for expected in word.description.utf8 {
            guard byte == expected else { throw failure("this is no value") }
            at += 1
        }
        return value
    }

    // MARK: - Arrays and objects

    private mutating func array(depth: Int) throws(JSONValue.Failure) -> [JSONValue] {
        try open(depth)
        var elements: [JSONValue] = []
        while try hasNext(UInt8(ascii: "]"), isFirst: elements.isEmpty) { elements.append(try value(depth: depth)) }
        return elements
    }

    private mutating func object(depth: Int) throws(JSONValue.Failure) -> JSONValue.Members {
        try open(depth)
        var members = JSONValue.Members()
        var names: Set<[UInt8]> = []
        while try hasNext(UInt8(ascii: "}"), isFirst: members.all.isEmpty) {
            skipSpace()
            guard byte == UInt8(ascii: "\"") else { throw failure("an object's member has no name") }
            let start = at
            let name = try string()
            guard names.insert(Array(name.utf8)).inserted else {
                throw JSONValue.Failure(reason: "the name \(JSONString.quoted(name)) occurs twice", offset: start)
            }
            skipSpace()
            guard byte == UInt8(ascii: ":") else { throw failure("no colon follows a name") }
            at += 1
            members.all.append(JSONValue.Member(name: name, value: try value(depth: depth)))
        }
        return members
    }

    private mutating func open(_ depth: Int) throws(JSONValue.Failure) {
        guard depth <= JSONValue.maximumDepth else {
            throw failure("arrays and objects are more than \(JSONValue.maximumDepth) deep")
        }
        at += 1
    }

    /// Skips what separates elements; false behind the last one.
    private mutating func hasNext(_ close: UInt8, isFirst: Bool) throws(JSONValue.Failure) -> Bool {
        skipSpace()
        if byte == close {
            at += 1
            return false
        }
        if isFirst { return true }
        guard byte == UInt8(ascii: ",") else { throw failure("neither a comma nor the end follows an element") }
        at += 1
        return true
    }

    // MARK: - Strings and numbers

    private mutating func string() throws(JSONValue.Failure) -> String {
        at += 1
        var text: [UInt8] = []
        while let byte {
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape(&text)
            case 0..<0x20: throw failure("a string has a control character")
            default:
                text.append(byte)
                at += 1
            }
        }
        throw failure("the text ends within a string")
    }

    private mutating func escape(_ text: inout [UInt8]) throws(JSONValue.Failure) {
        at += 1
        let escaped = byte
        at += 1
        switch escaped {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(escaped ?? 0)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0C)
        case UInt8(ascii: "n"): text.append(0x0A)
        case UInt8(ascii: "r"): text.append(0x0D)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            guard let scalar = Unicode.Scalar(try codePoint()) else { throw failure("a surrogate has no partner") }
            text.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
        default:
            at -= 1
            throw failure("this is no escape")
        }
    }

    /// The code point of `\u` and its digits, of two such for one beyond the basic plane.
    private mutating func codePoint() throws(JSONValue.Failure) -> UInt32 {
        let first = try fourDigits()
        guard (0xD800..<0xDC00).contains(first) else { return first }
        guard byte == UInt8(ascii: "\\"), at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "u") else {
            throw failure("a surrogate has no partner")
        }
        at += 2
        let second = try fourDigits()
        guard (0xDC00..<0xE000).contains(second) else { throw failure("a surrogate has no partner") }
        return 0x10000 + (first - 0xD800) << 10 + (second - 0xDC00)
    }

    private mutating func fourDigits() throws(JSONValue.Failure) -> UInt32 {
        var number: UInt32 = 0
        for _ in 0..<4 {
            guard let digit = byte.flatMap(PercentEncoding.hexValue(of:)) else {
                throw failure("`\\u` is not followed by four hexadecimal digits")
            }
            number = number << 4 | UInt32(digit)
            at += 1
        }
        return number
    }

    /// A number by the grammar of RFC 8259, section 6.
    private mutating func number() throws(JSONValue.Failure) -> Double {
        let start = at
        if byte == UInt8(ascii: "-") { at += 1 }
        if byte == UInt8(ascii: "0") { at += 1 } else { try digits() }
        if byte == UInt8(ascii: ".") {
            at += 1
            try digits()
        }
        if byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
            at += 1
            if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { at += 1 }
            try digits()
        }
        guard let number = Double(String(decoding: bytes[start..<at], as: UTF8.self)), number.isFinite else {
            throw JSONValue.Failure(reason: "the number is too large", offset: start)
        }
        return number
    }

    private mutating func digits() throws(JSONValue.Failure) {
        let start = at
        while let byte, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { at += 1 }
        guard at > start else { throw failure("a number lacks a digit") }
    }
}
