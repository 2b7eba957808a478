// SPDX-License-Identifier: Apache-2.0

/// Reads a line of JSON (RFC 8259) that holds an object of strings and whole numbers.
///
/// By hand, since the readers at hand take the last of two equal keys and do not tell where an error is.
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

    /// The object of the line; nil for a blank one.
    static func object(_ bytes: Span<UInt8>) throws(Failure) -> EventObject? {
        var line = JSONLine(bytes)
        line.skipSpaces()
        if line.at == bytes.count { return nil }
        return try line.object()
    }

    private mutating func object() throws(Failure) -> EventObject {
        guard peek() == UInt8(ascii: "{") else { throw Failure(reason: "it is not a JSON object") }
        at += 1
        var object = EventObject()
        var keys: Set<String> = []
        skipSpaces()
        if peek() == UInt8(ascii: "}") {
            at += 1
        } else {
            while true {
                skipSpaces()
                guard peek() == UInt8(ascii: "\"") else { throw unexpected("a key in quotes") }
                let key = try string()
                guard keys.insert(key).inserted else {
                    throw Failure(reason: "the key \(Self.quoted(key)) is there twice")
                }
                skipSpaces()
                guard peek() == UInt8(ascii: ":") else { throw unexpected("a colon") }
                at += 1
                skipSpaces()
                switch key {
                case "type": object.type = try optionalString(key)
                case "data": object.data = try optionalString(key)
                case "id": object.id = try optionalString(key)
                case "comment": object.comment = try optionalString(key)
                case "retry": object.retry = try optionalNumber(key)
                default:
                    throw Failure(
                        reason: "the key \(Self.quoted(key)) is unknown; known are type, data, id, retry and comment"
                    )
                }
                skipSpaces()
                if peek() == UInt8(ascii: "}") {
                    at += 1
                    break
                }
                guard peek() == UInt8(ascii: ",") else { throw unexpected("a comma or the end of the object") }
                at += 1
            }
        }
        skipSpaces()
        guard at == bytes.count else { throw unexpected("the end of the line") }
        return object
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
            throw Failure(reason: "a number has a leading zero at byte \(digits)")
        }
        let text = Self.text(bytes.extracting(start..<at))
        guard let number = text.flatMap({ Int64($0) }), number >= 0, number < 1 << 53 else {
            throw Failure(reason: "the value of \"\(key)\" is not in 0...9007199254740991")
        }
        return number
    }

    private mutating func skipNull() -> Bool {
        guard bytes.count - at >= 4, bytes[at] == UInt8(ascii: "n"), bytes[at + 1] == UInt8(ascii: "u"),
            bytes[at + 2] == UInt8(ascii: "l"), bytes[at + 3] == UInt8(ascii: "l")
        else { return false }
        at += 4
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
            guard let byte = peek() else { throw Failure(reason: "a string has no end") }
            at += 1
            switch byte {
            case 0x22:
                guard let text = Self.text(content.span) else { throw notUTF8(start) }
                return text
            case 0x5C: try escape(into: &content)
            case 0..<0x20: throw Failure(reason: "a control character is not escaped at byte \(at - 1)")
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
        default: throw Failure(reason: "an escape is unknown at byte \(start)")
        }
    }

    private mutating func codeUnit(_ start: Int) throws(Failure) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let digit = peek().flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }) else {
                throw Failure(reason: "an escape has not four hexadecimal digits at byte \(start)")
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
        Failure(reason: at < bytes.count ? "\(expected) is missing at byte \(at)" : "\(expected) is missing at its end")
    }

    private func wrongType(_ key: String, _ expected: String) -> Failure {
        Failure(reason: "the value of \"\(key)\" is not \(expected)")
    }

    private func notUTF8(_ start: Int) -> Failure {
        Failure(reason: "the string that starts at byte \(start) is not UTF-8")
    }

    private func surrogate(_ start: Int) -> Failure {
        Failure(reason: "an escape is half of a surrogate pair at byte \(start)")
    }

    /// A key as it can be printed, whatever it holds.
    private static func quoted(_ key: String) -> String {
        var output: [UInt8] = [0x22]
        JSONString.appendEscaped(Array(key.utf8.prefix(100)).span, to: &output)
        return String(decoding: output + [0x22], as: UTF8.self)
    }
}
