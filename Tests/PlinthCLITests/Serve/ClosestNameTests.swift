// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import PlinthCLI

@Suite("ClosestName")
struct ClosestNameTests {
    private let names = ["port", "host", "historyBytes", "historyEvents", "tlsKey"]

    @Test(
        "Missing, added and transposed letters, case and separators still match",
        arguments: [
            ("prot", "port"), ("hsot", "host"), ("historyByte", "historyBytes"), ("history_bytes", "historyBytes"),
            ("HISTORY-EVENTS", "historyEvents"), ("histryEvnts", "historyEvents"), ("tlsKeys", "tlsKey"),
        ]
    )
    func closest(name: String, meant: String) {
        #expect(ClosestName.closest(to: name, in: names) == meant)
    }

    @Test("Dissimilar and very long names match none")
    func none() {
        for name in ["", "colour", "x", String(repeating: "port", count: 10_000)] {
            #expect(ClosestName.closest(to: name, in: names) == nil)
        }
    }
}
