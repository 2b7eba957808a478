// SPDX-License-Identifier: Apache-2.0

/// Untrusted text for a terminal, which would interpret control characters instead of displaying them.
package enum TerminalText {
    /// Replaces control characters, except tabs.
    ///
    /// Other C0 controls and DEL become their control pictures (U+2400 to U+2421). C1 controls, line and paragraph
    /// separators, and bidirectional embeddings, overrides and isolates become U+FFFD. The result is one line. The
    /// function is idempotent.
    ///
    /// - Parameters:
    ///   - text: The text.
    ///   - maximum: The maximum number of Unicode scalars to keep; "…" replaces the rest.
    /// - Returns: The text without control characters.
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

    /// Whether a terminal or an editor may interpret a scalar: a C0 or C1 control, DEL, a line or paragraph separator,
    /// or an explicit bidirectional control
    /// ([UAX 9](https://www.unicode.org/reports/tr9/#Directional_Formatting_Characters), except the implicit marks,
    /// which reorder nothing by themselves).
    package static func isControl(_ scalar: UInt32) -> Bool {
        switch scalar {
        case 0..<0x20, 0x7F..<0xA0, 0x2028...0x202E, 0x2066...0x2069: true
        default: false
        }
    }
}
