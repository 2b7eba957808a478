// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import PlinthStreams

/// Parses `Retry-After` (RFC 9110, section 10.2.3).
enum RetryAfter {
    /// The delay that the field gives in seconds or as a date.
    ///
    /// - Parameters:
    ///   - fields: The response's fields. A date is relative to the response's `Date`, if present, so the clocks of
    ///     server and client need not agree.
    ///   - now: Seconds since 1970 (UTC).
    /// - Returns: The delay, at least zero; nil if the field is missing or invalid.
    static func delay(in fields: HTTPFields, now: Int) -> Duration? {
        guard let value = fields[.retryAfter]?.trimmingSpaces else { return nil }
        if !value.isEmpty, value.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            // More than 12 digits exceed any limit.
            return .seconds(value.utf8.count > 12 ? 1 << 40 : Int64(value) ?? 0)
        }
        guard let date = HTTPDate(value) else { return nil }
        let from = fields[.date].flatMap { HTTPDate($0.trimmingSpaces) }?.secondsSince1970 ?? now
        return .seconds(max(date.secondsSince1970 - from, 0))
    }
}

extension String {
    /// Without leading and trailing spaces and tabs.
    fileprivate var trimmingSpaces: String {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" }
        let end = drop(while: isSpace).reversed().drop(while: isSpace)
        return String(end.reversed())
    }
}
