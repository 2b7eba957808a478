// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import PlinthCLI

@Suite("What a misspelt name was meant to be")
struct ClosestNameTests {
    private let names = ["port", "host", "historyBytes", "historyEvents", "tlsKey"]

    @Test(
        "letters that are missing, added or exchanged, and another way to divide words",
        arguments: [
            ("prot", "port"), ("hsot", "host"), ("historyByte", "historyBytes"), ("history_bytes", "historyBytes"),
            ("HISTORY-EVENTS", "historyEvents"), ("histryEvnts", "historyEvents"), ("tlsKeys", "tlsKey"),
        ]
    )
    func closest(name: String, meant: String) {
        #expect(ClosestName.closest(to: name, in: names) == meant)
    }

    @Test("names that are like none, and endless ones, are like none")
    func none() {
        for name in ["", "colour", "x", String(repeating: "port", count: 10_000)] {
            #expect(ClosestName.closest(to: name, in: names) == nil)
        }
    }
}
