// SPDX-License-Identifier: Apache-2.0

#if Server

import Testing

/// One guarantee of the contract.
struct ContractRow: Sendable {
    let name: String
    /// The ways that it does not apply to, and why.
    var exceptions: [Way: String] = [:]
    let check: @Sendable (Way) async throws -> Void

    init(
        _ name: String,
        except exceptions: [Way: String] = [:],
        _ check: @escaping @Sendable (Way) async throws -> Void
    ) {
        self.name = name
        self.exceptions = exceptions
        self.check = check
    }
}

/// The rows and ways of one kind of stream.
struct ContractTable: Sendable {
    let rows: [ContractRow]
    let ways: [Way]

    /// Checks every cell, four at a time, and records an issue for each that fails.
    ///
    /// - Returns: The table in Markdown.
    func check() async -> String {
        let found = await withTaskGroup(of: (String, String).self) { group in
            var waiting = rows.flatMap { row in ways.map { (row, $0) } }[...]
            for (row, way) in waiting.prefix(4) {
                group.addTask { ("\(row.name) \(way)", await Self.check(row, way)) }
            }
            waiting = waiting.dropFirst(4)
            var found: [String: String] = [:]
            for await (cell, mark) in group {
                found[cell] = mark
                guard let (row, way) = waiting.popFirst() else { continue }
                group.addTask { ("\(row.name) \(way)", await Self.check(row, way)) }
            }
            return found
        }
        var lines = ["| | " + ways.map(\.rawValue).joined(separator: " | ") + " |"]
        lines.append("|---" + String(repeating: "|---", count: ways.count) + "|")
        for row in rows {
            lines.append(
                "| \(row.name) | " + ways.map { found["\(row.name) \($0)"] ?? "?" }.joined(separator: " | ") + " |"
            )
        }
        let reasons = rows.flatMap { row in
            ways.compactMap { way in row.exceptions[way].map { "- \(row.name), \(way.rawValue): \($0)" } }
        }
        return (lines + (reasons.isEmpty ? [] : [""] + reasons)).joined(separator: "\n") + "\n"
    }

    private static func check(_ row: ContractRow, _ way: Way) async -> String {
        if row.exceptions[way] != nil { return "–" }
        do {
            try await row.check(way)
            return "yes"
        } catch {
            Issue.record("\(row.name), \(way.rawValue): \(error)")
            return "NO"
        }
    }
}

/// A violation of the contract.
struct Breach: Error, CustomStringConvertible {
    let description: String
}

/// Throws unless a condition holds, which fails the cell of the table.
func must(_ holds: Bool, _ found: @autoclosure () -> String, line: Int = #line) throws {
    guard holds else { throw Breach(description: "line \(line): found \(found())") }
}

#endif
