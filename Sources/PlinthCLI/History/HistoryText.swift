// SPDX-License-Identifier: Apache-2.0

#if Command && SQLite
import Foundation
import PlinthSQLite

/// Numbers as text.
enum HistoryText {
    /// A number with its noun: `1 event`, `2 events`.
    static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

    /// Bytes in the largest unit of which there is at least one: `703.0 MiB`.
    static func bytes(_ number: Int) -> String {
        var value = Double(number)
        var units = ["bytes", "KiB", "MiB", "GiB", "TiB"][...]
        while value >= 1024, units.count > 1 {
            value /= 1024
            units.removeFirst()
        }
        let unit = units.first ?? ""
        return unit == "bytes" ? count(number, "byte") : "\(tenths(value)) \(unit)"
    }

    /// A time since 1970 in ISO 8601: `2026-11-28T06:25:11Z`.
    static func time(_ time: Duration) -> String {
        Date(timeIntervalSince1970: TimeInterval(time.components.seconds)).formatted(.iso8601)
    }

    private static func tenths(_ value: Double) -> String {
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}

extension SQLiteHistoryFile.Report {
    /// The report on a file, line by line.
    func lines(_ path: String) -> [String] {
        guard !isWhole else {
            let parts = [
                HistoryText.count(endedTopics, "ended topic"), HistoryText.count(producers, "producer"),
                HistoryText.count(keys, "key"),
            ]
            let events = "\(HistoryText.count(events, "event")) of \(HistoryText.count(topics, "topic"))"
            return ["\(path) is whole: \(events), \(parts.joined(separator: ", "))"]
        }
        var lines = ["\(path) is damaged:"]
        var kinds: [SQLiteHistoryFile.Problem.Kind] = []
        for problem in problems where !kinds.contains(problem.kind) { kinds.append(problem.kind) }
        for kind in kinds {
            let listed = problems.filter { $0.kind == kind }
            lines += listed.map { "  \($0)" }
            let rest = counts[kind, default: 0] - listed.count
            if rest > 0 { lines.append("  \(kind): and \(rest) more") }
        }
        return lines
    }
}
#endif
