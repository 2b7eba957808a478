// SPDX-License-Identifier: Apache-2.0

/// Locates the first JSON syntax error (RFC 8259) in a text, for error messages.
///
/// It does not recurse: it keeps one flag per open array or object, so nesting depth cannot overflow the stack.
struct JSONSyntax {
    private enum Expectation {
        case value, valueOrEnd, key, keyOrEnd, colon, commaOrEnd, nothing
    }

    private let bytes: [UInt8]
    private var index = 0
    /// The open containers: true for an object, false for an array.
    private var open: [Bool] = []
    private var expectation = Expectation.value

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// The line and column of the first invalid byte, both starting at 1, columns in bytes; nil if the text is valid.
    static func firstError(in bytes: [UInt8]) -> (line: Int, column: Int)? {
        var syntax = JSONSyntax(bytes)
        guard !syntax.scan() else { return nil }
        let before = bytes[..<min(syntax.index, bytes.count)]
        let lines = before.count { $0 == UInt8(ascii: "\n") }
        let start = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        return (lines + 1, before.count - start + 1)
    }

    private var byte: UInt8? { index < bytes.count ? bytes[index] : nil }

    private mutating func scan() -> Bool {
        while true {
            while let byte, [0x20, 0x09, 0x0A, 0x0D].contains(byte) { index += 1 }
            guard let byte else { return expectation == .nothing }
            switch (expectation, byte) {
            case (.value, UInt8(ascii: "{")), (.valueOrEnd, UInt8(ascii: "{")):
                open.append(true)
                index += 1
                expectation = .keyOrEnd
            case (.value, UInt8(ascii: "[")), (.valueOrEnd, UInt8(ascii: "[")):
                open.append(false)
                index += 1
                expectation = .valueOrEnd
            case (.valueOrEnd, UInt8(ascii: "]")), (.keyOrEnd, UInt8(ascii: "}")):
                close()
            case (.value, _), (.valueOrEnd, _):
                guard scanScalar(byte) else { return false }
                expectation = open.isEmpty ? .nothing : .commaOrEnd
            case (.key, UInt8(ascii: "\"")), (.keyOrEnd, UInt8(ascii: "\"")):
                guard scanString() else { return false }
                expectation = .colon
            case (.colon, UInt8(ascii: ":")):
                index += 1
                expectation = .value
            case (.commaOrEnd, UInt8(ascii: ",")):
                index += 1
                expectation = open.last == true ? .key : .value
            case (.commaOrEnd, UInt8(ascii: "}")) where open.last == true,
                (.commaOrEnd, UInt8(ascii: "]")) where open.last == false:
                close()
            default:
                return false
            }
        }
    }

    private mutating func close() {
        index += 1
        open.removeLast()
        expectation = open.isEmpty ? .nothing : .commaOrEnd
    }

    private mutating func scanScalar(_ first: UInt8) -> Bool {
        switch first {
        case UInt8(ascii: "\""): scanString()
        case UInt8(ascii: "t"): scanWord("true")
        case UInt8(ascii: "f"): scanWord("false")
        case UInt8(ascii: "n"): scanWord("null")
        default: scanNumber()
        }
    }

    private mutating func scanWord(_ word: String) -> Bool {
        for expected in word.utf8 {
            guard byte == expected else { return false }
            index += 1
        }
        return true
    }

    private mutating func scanString() -> Bool {
        index += 1
        while let byte, byte >= 0x20 {
            index += 1
            if byte == UInt8(ascii: "\"") { return true }
            guard byte == UInt8(ascii: "\\") else { continue }
            guard let escaped = self.byte, "\"\\/bfnrtu".utf8.contains(escaped) else { return false }
            index += 1
            guard escaped == UInt8(ascii: "u") else { continue }
            for _ in 0..<4 {
                guard let digit = self.byte, PercentEncoding.hexValue(of: digit) != nil else { return false }
                index += 1
            }
        }
        return false
    }

    private mutating func scanNumber() -> Bool {
        if byte == UInt8(ascii: "-") { index += 1 }
        if byte == UInt8(ascii: "0") {
            index += 1
        } else {
            guard scanDigits() else { return false }
        }
        if byte == UInt8(ascii: ".") {
            index += 1
            guard scanDigits() else { return false }
        }
        if byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E") {
            index += 1
            if byte == UInt8(ascii: "+") || byte == UInt8(ascii: "-") { index += 1 }
            guard scanDigits() else { return false }
        }
        return true
    }

    private mutating func scanDigits() -> Bool {
        let start = index
        while let byte, (0x30...0x39).contains(byte) { index += 1 }
        return index > start
    }
}
