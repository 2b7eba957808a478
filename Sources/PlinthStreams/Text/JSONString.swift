// SPDX-License-Identifier: Apache-2.0

/// JSON strings (RFC 8259, section 7).
package enum JSONString {
    /// A JSON string, including the quotes; `null` for nil.
    package static func quoted(_ text: String?) -> String {
        guard let text else { return "null" }
        var output: [UInt8] = [UInt8(ascii: "\"")]
        appendEscaped(Array(text.utf8).span, to: &output)
        output.append(UInt8(ascii: "\""))
        return String(decoding: output, as: UTF8.self)
    }

    /// Appends `text` as the content of a JSON string, with invalid UTF-8 repaired.
    ///
    /// Also escapes characters that JSON allows but a terminal interprets: see ``TerminalText/isControl(_:)``. A JSON
    /// parser restores the original text.
    package static func appendEscaped(_ text: Span<UInt8>, to output: inout [UInt8]) {
        text.withUnsafeBytes { text in
            guard let start = text.baseAddress else { return }
            var at = 0
            while at < text.count {
                let plain = plainCount(UnsafeRawBufferPointer(start: start + at, count: text.count - at))
                if plain > 0 {
                    output.append(contentsOf: UnsafeRawBufferPointer(start: start + at, count: plain))
                    at += plain
                    if at == text.count { return }
                }
                let byte = text[at]
                if byte < 0x80 {
                    appendEscape(UInt32(byte), to: &output)
                    at += 1
                } else {
                    let (count, isValid) = sequence(UnsafeRawBufferPointer(rebasing: text[at...]))
                    if !isValid {
                        output.append(contentsOf: [0xEF, 0xBF, 0xBD])
                    } else if let control = control(UnsafeRawBufferPointer(rebasing: text[at..<(at + count)])) {
                        appendEscape(control, to: &output)
                    } else {
                        output.append(contentsOf: text[at..<(at + count)])
                    }
                    at += count
                }
            }
        }
    }

    /// The number of leading bytes that need no escape: ASCII except controls, quotes, backslashes and DEL.
    private static func plainCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let tops: UInt64 = 0x8080_8080_8080_8080
        var at = 0
        // Eight at a time: sets the top bit of each byte that is < 0x20, a quote, a backslash, DEL or not ASCII, and
        // perhaps of bytes after one. The byte loop rechecks them.
        while bytes.count - at >= 8 {
            let word = bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            let quotes = word ^ (ones &* 0x22)
            let backslashes = word ^ (ones &* 0x5C)
            let deletes = word ^ (ones &* 0x7F)
            let special =
                ((word &- ones &* 0x20) & ~word) | ((quotes &- ones) & ~quotes) | ((backslashes &- ones) & ~backslashes)
                | ((deletes &- ones) & ~deletes)
            if (special | word) & tops != 0 { break }
            at += 8
        }
        while at < bytes.count {
            let byte = bytes[at]
            if byte < 0x20 || byte >= 0x7F || byte == 0x22 || byte == 0x5C { break }
            at += 1
        }
        return at
    }

    /// Appends the escape of a scalar of the Basic Multilingual Plane.
    private static func appendEscape(_ scalar: UInt32, to output: inout [UInt8]) {
        output.append(0x5C)
        switch scalar {
        case 0x22: output.append(0x22)
        case 0x5C: output.append(0x5C)
        case 0x08: output.append(UInt8(ascii: "b"))
        case 0x09: output.append(UInt8(ascii: "t"))
        case 0x0A: output.append(UInt8(ascii: "n"))
        case 0x0C: output.append(UInt8(ascii: "f"))
        case 0x0D: output.append(UInt8(ascii: "r"))
        default:
            let digits: StaticString = "0123456789abcdef"
            output.append(UInt8(ascii: "u"))
            for shift: UInt32 in [12, 8, 4, 0] { output.append(digits.utf8Start[Int((scalar >> shift) & 15)]) }
        }
    }

    /// The scalar of a valid multibyte sequence if it is a control, nil otherwise; controls have two or three bytes.
    private static func control(_ bytes: UnsafeRawBufferPointer) -> UInt32? {
        guard bytes.count < 4 else { return nil }
        var scalar = UInt32(bytes[0]) & (bytes.count == 2 ? 0x1F : 0x0F)
        for byte in bytes.dropFirst() { scalar = scalar << 6 | UInt32(byte & 0x3F) }
        return TerminalText.isControl(scalar) ? scalar : nil
    }

    /// The length of the UTF-8 sequence at the start, or of the maximal invalid subpart, which the Encoding standard's
    /// decoder replaces with one U+FFFD.
    private static func sequence(_ bytes: UnsafeRawBufferPointer) -> (count: Int, isValid: Bool) {
        let first = bytes[0]
        // After some first bytes, the second has a narrower range (the Unicode standard, table 3-7).
        let (count, second): (Int, ClosedRange<UInt8>)
        switch first {
        case 0xC2...0xDF: (count, second) = (2, 0x80...0xBF)
        case 0xE0: (count, second) = (3, 0xA0...0xBF)
        case 0xED: (count, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (count, second) = (3, 0x80...0xBF)
        case 0xF0: (count, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: (count, second) = (4, 0x80...0xBF)
        case 0xF4: (count, second) = (4, 0x80...0x8F)
        default: return (1, false)
        }
        guard bytes.count > 1, second.contains(bytes[1]) else { return (1, false) }
        for at in 2..<max(count, 2) {
            guard bytes.count > at, bytes[at] & 0xC0 == 0x80 else { return (at, false) }
        }
        return (count, true)
    }
}
