// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import PlinthHub
import Testing

/// Walks through the tables of `docs/answers.md`.
@Suite("Hub endpoints: the table of answers")
struct HubAnswersTests {
    struct Row: Sendable {
        var line: Int
        /// The method, the target, and fields.
        var request: [String]
        /// Nil for a request without a body.
        var sent: String?
        var status: String
        var fields: String
        var body: String?
    }

    struct Section: Sendable, CustomTestStringConvertible {
        var title: String
        var rows: [Row]

        var testDescription: String { title }
    }

    static let sections: [Section] = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let text = try? String(contentsOf: root.appendingPathComponent("docs/answers.md"), encoding: .utf8)
        var sections: [Section] = []
        for (number, line) in (text ?? "").components(separatedBy: "\n").enumerated() {
            if line.hasPrefix("## ") { sections.append(Section(title: String(line.dropFirst(3)), rows: [])) }
            let cells = line.components(separatedBy: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 7, Int(cells[3]) != nil, !sections.isEmpty else { continue }
            let sent = cells[2] == "(empty)" ? "" : code(cells[2]).first
            sections[sections.count - 1].rows.append(
                Row(
                    line: number + 1,
                    request: code(cells[1]),
                    sent: sent?.replacingOccurrences(of: "↵", with: "\n"),
                    status: cells[3],
                    fields: cells[4],
                    body: code(cells[5]).first?.replacingOccurrences(of: "↵", with: "\n")
                )
            )
        }
        return sections
    }()

    /// The code spans of a cell.
    private static func code(_ cell: String) -> [String] {
        cell.components(separatedBy: "`").enumerated().filter { $0.offset % 2 == 1 }.map(\.element)
    }

    @Test("The table has rows for every kind of request")
    func table() {
        let rows = Self.sections.flatMap(\.rows)
        #expect(rows.count > 120)
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE"] {
            #expect(rows.contains { $0.request.first?.hasPrefix("\(method) ") ?? false }, "\(method)")
        }
    }

    @Test(
        "Each row is answered as the table says",
        arguments: sections,
        ["--http1.1", "--http2-prior-knowledge"]
    )
    func answers(section: Section, version: String) async throws {
        try await withHub { hub in
            let token = String(hub.hub.mark().description.prefix { $0 != "-" })
            for row in section.rows { try await check(row, version, token, hub) }
        }
    }

    private func check(_ row: Row, _ version: String, _ token: String, _ hub: HubServer) async throws {
        func real(_ text: String) -> String {
            var text = text
            for mark in ["E-"] { text = text.replacingOccurrences(of: mark, with: "\(token)-") }
            return text
        }
        let parts = row.request[0].split(separator: " ", maxSplits: 1).map(String.init)
        var arguments = ["-sgi", "-m", "600", version]
        arguments += parts[0] == "HEAD" ? ["-I"] : ["-X", parts[0]]
        for field in row.request.dropFirst() { arguments += ["-H", real(field)] }
        if !row.request.dropFirst().contains(where: { $0.hasPrefix("Content-Type") }) {
            arguments += ["-H", "Content-Type:"]
        }
        if let sent = row.sent { arguments += ["--data-binary", real(sent)] }
        arguments.append("http://127.0.0.1:\(hub.port)" + real(parts[1]))
        let result = try await ChildProcess.run("curl", arguments)
        let place = "docs/answers.md, line \(row.line), \(version)"
        #expect(result.status == 0, "\(place): \(result.errors)")
        let answer = result.output.components(separatedBy: "\r\n\r\n")
        let head = RawResponse(head: answer[0])
        #expect(
            head.statusLine.split(separator: " ").dropFirst().first.map(String.init) == row.status,
            "\(place): \(result.output)"
        )
        for field in row.fields.components(separatedBy: ", `").flatMap({ $0.components(separatedBy: ", ~") }) {
            let text = field.trimmingCharacters(in: CharacterSet(charactersIn: "`~ "))
            if field.hasSuffix("~~") {
                #expect(head[text] == nil, "\(place): \(text)")
            } else if let colon = text.firstIndex(of: ":") {
                let value = text[text.index(after: colon)...].trimmingCharacters(in: .whitespaces)
                #expect(head[String(text[..<colon])] == real(value), "\(place)")
            }
        }
        guard parts[0] != "HEAD", let expected = row.body else { return }
        var body = answer.dropFirst().joined(separator: "\r\n\r\n")
        body = body.replacing(/retry: [0-9]+/, with: "retry: R")
        body = body.replacing(/"error":"(?:[^"\\]|\\.)*",/, with: "")
        if expected.hasPrefix("{"), body.hasSuffix("\n") { body.removeLast() }
        #expect(body == real(expected), "\(place)")
    }
}

#endif
