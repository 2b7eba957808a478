// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Testing

/// One contract for every way to serve a stream; `docs/contract.md` has the tables.
@Suite("The contract of a stream")
struct ContractTests {
    @Test("An application's stream keeps the contract in every way to serve it")
    func applications() async throws {
        try check(await ApplicationStreams.table.check())
    }

    @Test("A hub's stream keeps the contract in every way to serve it")
    func hubs() async throws {
        try check(await HubStreams.table.check())
    }

    /// Prints a table, and checks that the documentation contains it.
    private func check(_ table: String) throws {
        print(table)
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        let documented = try String(contentsOf: url.appendingPathComponent("docs/contract.md"), encoding: .utf8)
        #expect(documented.contains(table), "docs/contract.md has a different table; replace it with the one above")
    }
}

#endif
