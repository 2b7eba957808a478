// SPDX-License-Identifier: Apache-2.0

/// The event data of `plinth bench`: a number, the send time in nanoseconds, and padding.
enum BenchEvent {
    static func text(_ number: Int, at nanoseconds: Int64, size: Int) -> String {
        let head = "\(number) \(nanoseconds) "
        return head + String(repeating: "x", count: max(0, size - head.utf8.count))
    }

    /// Parses the number and the send time in nanoseconds; nil if `data` has another format.
    static func read(_ data: Span<UInt8>) -> (number: Int, sent: Int64)? {
        var at = 0
        guard let number = digits(data, &at), let sent = digits(data, &at), let number = Int(exactly: number) else {
            return nil
        }
        return (number, sent)
    }

    /// Parses a number of at most 18 digits and the space after it.
    private static func digits(_ data: Span<UInt8>, _ at: inout Int) -> Int64? {
        let start = at
        var value: Int64 = 0
        while at < data.count, at - start < 18, case let digit = data[at], digit >= 0x30, digit <= 0x39 {
            value = value * 10 + Int64(digit - 0x30)
            at += 1
        }
        guard at > start, at < data.count, data[at] == 0x20 else { return nil }
        at += 1
        return value
    }
}

/// Nanoseconds since a process-wide start.
enum MonotonicNanoseconds {
    private static let start = ContinuousClock.now

    static var now: Int64 {
        let (seconds, attoseconds) = (ContinuousClock.now - start).components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
