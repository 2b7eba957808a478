// SPDX-License-Identifier: Apache-2.0

/// Text from elsewhere on its way to a terminal, which obeys control characters instead of showing them.
package enum TerminalText {
    /// The text with every control character replaced.
    ///
    /// The tab stays. Other C0 controls and DEL become the signs for them (U+2400 to U+2421); C1 controls, line and
    /// paragraph separators, and the embeddings, overrides and isolates of bidirectional text become U+FFFD. The result
    /// is one line, and is the same if it passes here again.
    ///
    /// - Parameters:
    ///   - text: The text.
    ///   - maximum: How many Unicode scalars are kept; "…" stands for the rest.
    /// - Returns: The text without them.
    package static func visible(_ text: some StringProtocol, upTo maximum: Int = .max) -> String {
        var result = ""
        var count = 0
        for scalar in text.unicodeScalars {
            guard count < maximum else { return result + "…" }
            count += 1
            switch scalar.value {
            case 0x09: result.unicodeScalars.append(scalar)
            case 0..<0x20: result.unicodeScalars.append(Unicode.Scalar(0x2400 + scalar.value) ?? "?")
            case 0x7F: result.unicodeScalars.append("\u{2421}")
            case let value where isControl(value): result.unicodeScalars.append("\u{FFFD}")
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Whether a terminal, or an editor that shows the output, may obey a scalar: a C0 or C1 control, DEL, a line or
    /// paragraph separator, or an explicit control of bidirectional text
    /// ([UAX 9](https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters), without the implicit marks,
    /// which reorder nothing by themselves).
    package static func isControl(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
