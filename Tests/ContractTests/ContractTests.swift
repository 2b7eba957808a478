// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Testing

/// One contract of a stream, in every way to serve one; the tables stand in `docs/contract.md`.
@Suite("The contract of a stream")
struct ContractTests {
    @Test("of an application holds in every way to serve it")
    func applications() async throws {
        try check(await ApplicationStreams.table.check())
    }

    @Test("of a hub holds in every way to serve it")
    func hubs() async throws {
        try check(await HubStreams.table.check())
    }

    /// Prints a table, and looks whether it is what the documentation has.
    private func check(_ table: String) throws {
        print(table)
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        let documented = try String(contentsOf: url.appendingPathComponent("docs/contract.md"), encoding: .utf8)
        #expect(documented.contains(table), "docs/contract.md has another table; put the one above into it")
    }
}

#endif
