// SPDX-License-Identifier: Apache-2.0

/// Times as people write them on a command line.
enum TimeText {
    private static let units: [(name: Substring, milliseconds: Int)] = [
        ("ms", 1), ("", 1000), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    /// A number of seconds, or one with a unit, as in `250ms`, `90s`, `5m`, `12h`, `7d`; nil if it is none, or too long.
    static func duration(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let name = text[digits.endIndex...]
        guard let number = Int(digits), let unit = units.first(where: { $0.name == name }) else { return nil }
        let (milliseconds, overflow) = number.multipliedReportingOverflow(by: unit.milliseconds)
        return overflow ? nil : .milliseconds(milliseconds)
    }
}

extension Duration {
    /// In whole milliseconds, as streams and their parser have them; no more than an `Int64` holds.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (milliseconds, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        return overflow ? (seconds < 0 ? .min : .max) : milliseconds &+ attoseconds / 1_000_000_000_000_000
    }
}
