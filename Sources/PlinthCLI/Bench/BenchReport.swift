// SPDX-License-Identifier: Apache-2.0

/// The figures of a run of `plinth bench`.
struct BenchReport {
    let subscribers: Int
    let published: Int
    let publishFailures: Int
    let expected: Int
    let received: Int
    let duplicated: Int
    let outOfOrder: Int
    /// Streams that could not be opened, or ended early.
    let broken: Int
    let rate: Double
    let seconds: Double
    let opening: Double
    /// In microseconds, ascending.
    let latencies: [UInt32]
    let acknowledgements: [UInt32]

    var lost: Int { max(0, expected - (received - duplicated)) }
    var isClean: Bool { lost == 0 && duplicated == 0 && outOfOrder == 0 && broken == 0 && publishFailures == 0 }

    /// The smallest value that at least the fraction `part` of the values does not exceed; 0 if `sorted` is empty.
    static func percentile(_ part: Double, of sorted: [UInt32]) -> UInt32 {
        guard !sorted.isEmpty else { return 0 }
        return sorted[min(sorted.count - 1, max(0, Int((Double(sorted.count) * part).rounded(.up)) - 1))]
    }

    private static let parts = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)]

    var lines: [String] {
        func times(_ sorted: [UInt32]) -> String {
            Self.parts.map { "\($0.0) \(Self.milliseconds(Self.percentile($0.1, of: sorted)))" }
                .joined(separator: "  ")
        }
        var lines = [
            "subscribers    \(subscribers), opened in \(Self.decimal(opening, 1)) s",
            "published      \(published) events in \(Self.decimal(seconds, 1)) s, "
                + "\(Self.decimal(Double(published) / max(seconds, 0.001), 1))/s"
                + (rate > 0 ? " (target \(Self.decimal(rate, 1)))" : ""),
            "delivered      \(received) of \(expected), \(Self.decimal(Double(received) / max(seconds, 0.001), 0))/s",
            "latency ms     \(times(latencies))",
            "acknowledged   \(times(acknowledgements))",
            "lost \(lost)  duplicated \(duplicated)  out of order \(outOfOrder)  broken streams \(broken)",
        ]
        if publishFailures > 0 { lines.append("\(publishFailures) events were not acknowledged") }
        return lines
    }

    var json: String {
        func times(_ sorted: [UInt32]) -> String {
            "{" + Self.parts.map { "\"\($0.0)\":\(Self.percentile($0.1, of: sorted))" }.joined(separator: ",") + "}"
        }
        return "{\"subscribers\":\(subscribers),\"connect_s\":\(Self.decimal(opening, 3)),\"published\":\(published),"
            + "\"expected\":\(expected),\"got\":\(received),\"lost\":\(lost),\"duplicated\":\(duplicated),"
            + "\"out_of_order\":\(outOfOrder),\"broken\":\(broken),\"publish_errors\":\(publishFailures),"
            + "\"wall_s\":\(Self.decimal(seconds, 3)),\"latency_us\":\(times(latencies)),"
            + "\"ack_us\":\(times(acknowledgements))}"
    }

    private static func milliseconds(_ microseconds: UInt32) -> String {
        decimal(Double(microseconds) / 1000, 2)
    }

    static func decimal(_ value: Double, _ digits: Int) -> String {
        var scale = 1
        for _ in 0..<digits { scale *= 10 }
        guard value.isFinite, abs(value) < 1e15 else { return "?" }
        let whole = Int((abs(value) * Double(scale)).rounded())
        let fraction = String(whole % scale)
        let sign = value < 0 && whole > 0 ? "-" : ""
        if digits == 0 { return "\(sign)\(whole)" }
        return "\(sign)\(whole / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}
