// SPDX-License-Identifier: Apache-2.0

import PlinthStreams

/// Parses JSON (RFC 8259): a line with an event object, or a settings file.
///
/// Foundation's parsers keep the last of duplicate keys, report no position, and accept `true` as a number.
struct JSONLine: ~Escapable {
    struct Failure: Error {
        let reason: String
    }

    private let bytes: Span<UInt8>
    private var at = 0

    @_lifetime(copy bytes)
    private init(_ bytes: Span<UInt8>) {
        self.bytes = bytes
    }

    /// Parses an event object; nil for a blank line.
    static func object(_ bytes: Span<UInt8>) throws(Failure) -> EventObject? {
        var line = JSONLine(bytes)
        line.skipSpaces()
        if line.at == bytes.count { return nil }
        return try line.object()
    }

    private mutating func object() throws(Failure) -> EventObject {
        try begin()
        var object = EventObject()
        var keys: Set<String> = []
        while let key = try key(besides: &keys) {
            switch key {
            case "type": object.type = try optionalString(key)
            case "data": object.data = try optionalString(key)
            case "id": object.id = try optionalString(key)
            case "comment": object.comment = try optionalString(key)
            case "retry": object.retry = try optionalNumber(key)
            default:
                throw Failure(
                    reason: "unknown key \(Self.quoted(key)); known keys: type, data, id, retry, comment"
                )
            }
        }
        try end("the end of the line")
        return object
    }

    // MARK: - An object

    private mutating func begin() throws(Failure) {
        skipSpaces()
        guard peek() == UInt8(ascii: "{") else { throw Failure(reason: "not a JSON object") }
        at += 1
    }

    /// Parses the next key and its colon, leaving the parser at the value; nil at the end of the object.
    ///
    /// - Parameter keys: The earlier keys, to which this one is added; empty at the start of the object.
    /// - Returns: The key.
    /// - Throws: ``Failure`` if the next token is not a key, or the key is a duplicate.
    private mutating func key(besides keys: inout Set<String>) throws(Failure) -> String? {
        skipSpaces()
        if peek() == UInt8(ascii: "}") {
            at += 1
            return nil
        }
        if !keys.isEmpty {
            guard peek() == UInt8(ascii: ",") else { throw unexpected("a comma or the end of the object") }
            at += 1
            skipSpaces()
        }
        guard peek() == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
        let key = try string()
        guard keys.insert(key).inserted else { throw Failure(reason: "the key \(Self.quoted(key)) occurs twice") }
        skipSpaces()
        guard peek() == UInt8(ascii: ":") else { throw unexpected("a colon") }
        at += 1
        skipSpaces()
        return key
    }

    private mutating func end(_ expected: String) throws(Failure) {
        skipSpaces()
        guard at == bytes.count else { throw unexpected(expected) }
    }

    // MARK: - Settings

    /// A member of a settings object.
    struct Setting: Equatable {
        enum Value: Equatable {
            case text(String)
            /// The source text of the number.
            case number(String)
            case list([String])
            /// A value that no setting accepts: `true`, `false` or `null`.
            case other(String)
        }

        let key: String
        /// The line of the value, from 1.
        let line: Int
        let value: Value
    }

    /// Parses the members of a settings object, in source order.
    ///
    /// - Throws: ``Failure``, whose reason begins with the line number, if `bytes` is not a valid settings object or a
    ///   key is a duplicate.
    static func settings(_ bytes: Span<UInt8>) throws(Failure) -> [Setting] {
        var file = JSONLine(bytes)
        do throws(Failure) {
            return try file.settings()
        } catch {
            throw Failure(reason: "line \(file.lineNumber): \(error.reason)")
        }
    }

    /// The current line, from 1.
    private var lineNumber: Int {
        var number = 1
        for index in 0..<min(at, bytes.count) where bytes[index] == 0x0A { number += 1 }
        return number
    }

    private mutating func settings() throws(Failure) -> [Setting] {
        // Some editors begin a file with a byte order mark.
        if bytes.count >= 3, bytes[0] == 0xEF, bytes[1] == 0xBB, bytes[2] == 0xBF { at = 3 }
        try begin()
        var settings: [Setting] = []
        var keys: Set<String> = []
        while let key = try key(besides: &keys) {
            let line = lineNumber
            settings.append(Setting(key: key, line: line, value: try setting()))
        }
        try end("the end of the file")
        return settings
    }

    private mutating func setting() throws(Failure) -> Setting.Value {
        switch peek() {
        case UInt8(ascii: "\""): return .text(try string())
        case UInt8(ascii: "-"), .some(0x30...0x39): return .number(try number())
        case UInt8(ascii: "["): return try list()
        case UInt8(ascii: "{"):
            throw Failure(reason: "a value is an object; put all settings in the top-level object")
        default:
            for word: StaticString in ["true", "false", "null"] where skip(word) { return .other("\(word)") }
            throw unexpected("a value")
        }
    }

    private mutating func number() throws(Failure) -> String {
        let start = at
        while let byte = peek(), (0x30...0x39).contains(byte) || "+-.eE".utf8.contains(byte) { at += 1 }
        let text = Self.text(bytes.extracting(start..<at)) ?? ""
        guard Double(text) != nil else { throw Failure(reason: "\(text) is not a number") }
        return text
    }

    private mutating func list() throws(Failure) -> Setting.Value {
        at += 1
        var texts: [String] = []
        skipSpaces()
        if peek() == UInt8(ascii: "]") {
            at += 1
            return .list([])
        }
        while true {
            skipSpaces()
            guard peek() == UInt8(ascii: "\"") else { throw unexpected("a string") }
            texts.append(try string())
            skipSpaces()
            if peek() == UInt8(ascii: "]") {
                at += 1
                return .list(texts)
            }
            guard peek() == UInt8(ascii: ",") else { throw unexpected("a comma or the end of the list") }
            at += 1
        }
    }

    // MARK: - Values

    private mutating func optionalString(_ key: String) throws(Failure) -> String? {
        if skipNull() { return nil }
        guard peek() == UInt8(ascii: "\"") else { throw wrongType(key, "a string or null") }
        return try string()
    }

    private mutating func optionalNumber(_ key: String) throws(Failure) -> Int64? {
        if skipNull() { return nil }
        let start = at
        if peek() == UInt8(ascii: "-") { at += 1 }
        let digits = at
        while let byte = peek(), byte >= 0x30, byte <= 0x39 { at += 1 }
        let expected = "a whole number of milliseconds or null"
        guard at > digits else { throw wrongType(key, expected) }
        if let next = peek(), next == UInt8(ascii: ".") || next | 0x20 == UInt8(ascii: "e") {
            throw wrongType(key, expected)
        }
        if at - digits > 1, bytes[digits] == 0x30 {
            throw Failure(reason: "number with a leading zero at byte \(digits)")
        }
        let text = Self.text(bytes.extracting(start..<at))
        guard let number = text.flatMap({ Int64($0) }), number >= 0, number < 1 << 53 else {
            throw Failure(reason: "the value of \"\(key)\" is not in 0...9007199254740991")
        }
        return number
    }

    private mutating func skipNull() -> Bool { skip("null") }

    /// Consumes `word` if the input continues with it.
    private mutating func skip(_ word: StaticString) -> Bool {
        let count = word.utf8CodeUnitCount
        guard bytes.count - at >= count else { return false }
        for index in 0..<count where bytes[at + index] != word.utf8Start[index] { return false }
        at += count
        return true
    }

    private mutating func string() throws(Failure) -> String {
        at += 1
        let start = at
        // Without escapes, the bytes are the string.
        while let byte = peek(), byte != 0x22, byte != 0x5C, byte >= 0x20 { at += 1 }
        if peek() == 0x22 {
            guard let text = Self.text(bytes.extracting(start..<at)) else { throw notUTF8(start) }
            at += 1
            return text
        }
        var content: [UInt8] = []
        bytes.extracting(start..<at).withUnsafeBufferPointer { content.append(contentsOf: $0) }
        while true {
            guard let byte = peek() else { throw Failure(reason: "unterminated string") }
            at += 1
            switch byte {
            case 0x22:
                guard let text = Self.text(content.span) else { throw notUTF8(start) }
                return text
            case 0x5C: try escape(into: &content)
            case 0..<0x20: throw Failure(reason: "unescaped control character at byte \(at - 1)")
            default: content.append(byte)
            }
        }
    }

    private mutating func escape(into content: inout [UInt8]) throws(Failure) {
        let start = at - 1
        let byte = peek()
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(byte ?? 0)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0C)
        case UInt8(ascii: "n"): content.append(0x0A)
        case UInt8(ascii: "r"): content.append(0x0D)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "u"):
            var value = UInt32(try codeUnit(start))
            if value & 0xFC00 == 0xD800, peek() == 0x5C, at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: "u") {
                at += 2
                let low = UInt32(try codeUnit(start))
                guard low & 0xFC00 == 0xDC00 else { throw surrogate(start) }
                value = 0x10000 + (value & 0x3FF) << 10 + (low & 0x3FF)
            }
            guard let scalar = Unicode.Scalar(value) else { throw surrogate(start) }
            content.append(contentsOf: String(Character(scalar)).utf8)
        default: throw Failure(reason: "unknown escape at byte \(start)")
        }
    }

    private mutating func codeUnit(_ start: Int) throws(Failure) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = peek().flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else {
                throw Failure(reason: "escape without four hexadecimal digits at byte \(start)")
            }
            value = value << 4 | UInt16(digit)
            at += 1
        }
        return value
    }

    // MARK: - Bytes

    private func peek() -> UInt8? {
        at < bytes.count ? bytes[at] : nil
    }

    private mutating func skipSpaces() {
        while let byte = peek(), byte == 0x20 || byte == 0x09 || byte == 0x0D || byte == 0x0A { at += 1 }
    }

    private static func text(_ bytes: Span<UInt8>) -> String? {
        bytes.withUnsafeBufferPointer { String(validating: $0, as: UTF8.self) }
    }

    // MARK: - Failures

    private func unexpected(_ expected: String) -> Failure {
        Failure(
            reason: at < bytes.count
                ? "expected \(expected) at byte \(at)" : "expected \(expected), but the input ends"
        )
    }

    private func wrongType(_ key: String, _ expected: String) -> Failure {
        Failure(reason: "the value of \"\(key)\" is not \(expected)")
    }

    private func notUTF8(_ start: Int) -> Failure {
        Failure(reason: "the string that starts at byte \(start) is not valid UTF-8")
    }

    private func surrogate(_ start: Int) -> Failure {
        Failure(reason: "unpaired surrogate escape at byte \(start)")
    }

    /// The first 100 bytes of a key, quoted and escaped for printing.
    static func quoted(_ key: String) -> String {
        var output: [UInt8] = [0x22]
        JSONString.appendEscaped(Array(key.utf8.prefix(100)).span, to: &output)
        return String(decoding: output + [0x22], as: UTF8.self)
    }
}
