// SPDX-License-Identifier: Apache-2.0

import HTTPTypes

/// The time that a `Retry-After` field asks for (RFC 9110, section 10.2.3).
enum RetryAfter {
    /// The time until the field's date, or its seconds.
    ///
    /// - Parameters:
    ///   - fields: The response's fields. Its own `Date`, if there is one, is the time from which a date counts, so that
    ///     the clocks of server and client need not agree.
    ///   - now: Seconds since the beginning of 1970, UTC.
    /// - Returns: The time, at least zero; nil if there is no such field, or it cannot be read.
    static func delay(in fields: HTTPFields, now: Int) -> Duration? {
        guard let value = fields[.retryAfter]?.trimmingSpaces else { return nil }
        if !value.isEmpty, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            // More digits than that are more than any limit.
            return .seconds(value.utf8.count > 12 ? 1 << 40 : Int64(value) ?? 0)
        }
        guard let date = seconds(ofDate: value) else { return nil }
        let from = fields[.date].flatMap { seconds(ofDate: $0.trimmingSpaces) } ?? now
        return .seconds(max(date - from, 0))
    }

    /// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`; nil for other forms.
    private static func seconds(ofDate text: String) -> Int? {
        let parts = text.split(separator: " ")
        guard parts.count == 6, parts[5] == "GMT", let day = Int(parts[1]), let year = Int(parts[3]),
            let month = months.firstIndex(of: String(parts[2])), (1...31).contains(day), (1...9999).contains(year)
        else { return nil }
        let time = parts[4].split(separator: ":").compactMap { Int($0) }
        guard time.count == 3, (0..<24).contains(time[0]), (0..<60).contains(time[1]), (0...60).contains(time[2])
        else { return nil }
        // Days by H. Hinnant, "chrono-Compatible Low-Level Date Algorithms": years begin in March.
        let number = month + 1
        let y = number <= 2 ? year - 1 : year
        let dayOfYear = (153 * (number > 2 ? number - 3 : number + 9) + 2) / 5 + day - 1
        let days = y * 365 + y / 4 - y / 100 + y / 400 + dayOfYear - 719_468
        return days * 86_400 + time[0] * 3_600 + time[1] * 60 + time[2]
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]
}

extension String {
    /// Without the spaces and tabs around it.
    fileprivate var trimmingSpaces: String {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        let end = drop(while: isSpace).reversed().drop(while: isSpace)
        return String(end.reversed())
    }
}
