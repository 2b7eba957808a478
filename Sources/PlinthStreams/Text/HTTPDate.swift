// SPDX-License-Identifier: Apache-2.0

/// An HTTP date (RFC 9110, section 5.6.7), with a resolution of one second.
public struct HTTPDate: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Seconds since 1970-01-01 00:00:00 UTC.
    public let secondsSince1970: Int

    /// Creates a date from seconds since 1970-01-01 00:00:00 UTC, clamped to the years 1 to 9999.
    public init(secondsSince1970: Int) {
        self.secondsSince1970 = min(max(secondsSince1970, -62_135_596_800), 253_402_300_799)
    }

    /// Parses a date in the preferred form, `Sun, 06 Nov 1994 08:49:37 GMT`; nil for anything else.
    ///
    /// Does not parse the two obsolete forms: ignoring a condition with an invalid date is always correct.
    public init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 29, bytes[3] == UInt8(ascii: ","), bytes.suffix(4).elementsEqual(" GMT".utf8),
            let day = Self.number(bytes[5..<7]), let year = Self.number(bytes[12..<16]),
            let hour = Self.number(bytes[17..<19]), let minute = Self.number(bytes[20..<22]),
            let second = Self.number(bytes[23..<25]),
            let month = Self.months.firstIndex(where: { $0.utf8.elementsEqual(bytes[8..<11]) }),
            (1...31).contains(day), hour < 24, minute < 60, second <= 60, year >= 1
        else { return nil }
        self.init(
            secondsSince1970: Self.days(year: year, month: month + 1, day: day) * 86_400 + hour * 3_600 + minute * 60
                + second
        )
        // Weekday and separators are correct if the description is the same; a leap second is not checked.
        guard second == 60 || description == text else { return nil }
    }

    /// Whether the first date is earlier.
    public static func < (lhs: HTTPDate, rhs: HTTPDate) -> Bool {
        lhs.secondsSince1970 < rhs.secondsSince1970
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    public var description: String {
        let day = (secondsSince1970 - (secondsSince1970 < 0 ? 86_399 : 0)) / 86_400
        let second = secondsSince1970 - day * 86_400
        let date = Self.date(day: day)
        // 1 January 1970 was a Thursday.
        let weekday = Self.weekdays[((day + 4) % 7 + 7) % 7]
        return "\(weekday), \(Self.two(date.day)) \(Self.months[date.month - 1]) \(Self.two(date.year / 100))"
            + "\(Self.two(date.year % 100)) \(Self.two(second / 3_600)):\(Self.two(second / 60 % 60)):"
            + "\(Self.two(second % 60)) GMT"
    }

    private static let weekdays = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"]
    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private static func two(_ number: Int) -> String {
        number < 10 ? "0\(number)" : "\(number)"
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int? {
        digits.allSatisfy { (0x30...0x39).contains($0) } ? Int(String(decoding: digits, as: UTF8.self)) : nil
    }

    // From H. Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March, so that the leap day is the
    // last of its year, and repeat every 400 years (146,097 days). All years here are positive.

    private static func days(year: Int, month: Int, day: Int) -> Int {
        let y = month <= 2 ? year - 1 : year
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return y * 365 + y / 4 - y / 100 + y / 400 + dayOfYear - 719_468
    }

    private static func date(day: Int) -> (year: Int, month: Int, day: Int) {
        let z = day + 719_468
        let era = z / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }
}
