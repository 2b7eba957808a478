// SPDX-License-Identifier: Apache-2.0

/// Durations in command-line notation.
package enum TimeText {
    private static let units: [(name: Substring, milliseconds: Int)] = [
        ("ms", 1), ("", 1000), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// Parses a number of seconds, or a number with a unit: `250ms`, `90s`, `5m`, `12h`, `7d`.
    ///
    /// Nil if `text` is malformed or the milliseconds overflow an `Int`.
    package static func duration(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let name = text[digits.endIndex...]
        guard let number = Int(digits), let unit = units.first(where: { $0.name == name }) else { return nil }
        let (milliseconds, overflow) = number.multipliedReportingOverflow(by: unit.milliseconds)
        return overflow ? nil : .milliseconds(milliseconds)
    }
}

extension Duration {
    /// Whole milliseconds, the unit of `retry`; clamped to `Int64`.
    package var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (milliseconds, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return overflow ? (seconds < 0 ? .min : .max) : milliseconds &+ attoseconds / 1_000_000_000_000_000
    }
}
