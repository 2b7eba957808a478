// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import PlinthStreams

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
        guard let date = HTTPDate(value) else { return nil }
        let from = fields[.date].flatMap { HTTPDate($0.trimmingSpaces) }?.secondsSince1970 ?? now
        return .seconds(max(date.secondsSince1970 - from, 0))
    }
}

extension String {
    /// Without the spaces and tabs around it.
    fileprivate var trimmingSpaces: String {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        let end = drop(while: isSpace).reversed().drop(while: isSpace)
        return String(end.reversed())
    }
}
