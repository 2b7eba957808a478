// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Testing

@testable import PlinthHub

@Suite("Pending entries")
struct PendingEntriesTests {
    private static func entry(_ number: UInt64, bytes: Int = 1) throws -> HistoryEntry {
        HistoryEntry(
            try event(String(repeating: "x", count: bytes), "a"),
            position: Position(number),
            id: eventID("1-\(number)")
        )
    }

    @Test("Entries are taken once, in order")
    func order() throws {
        var pending = PendingEntries()
        #expect(pending.isEmpty)
        pending.add([try Self.entry(1), try Self.entry(2)])
        pending.add([])
        pending.add([try Self.entry(3)])
        #expect(!pending.isEmpty)
        let (skipped, entries) = pending.take()
        #expect(skipped == nil)
        #expect(entries.map(\.position.number) == [1, 2, 3])
        #expect(pending.isEmpty)
        #expect(pending.take().entries.isEmpty)
    }

    @Test("Beyond the limit all entries are dropped, and the last position is kept")
    func bound() throws {
        var pending = PendingEntries()
        let third = PendingEntries.maximumSize / 3
        for number in 1...4 as ClosedRange<UInt64> { pending.add([try Self.entry(number, bytes: third)]) }
        pending.add([try Self.entry(5, bytes: third)])
        #expect(!pending.isEmpty)
        let (skipped, entries) = pending.take()
        #expect(skipped == Position(3))
        #expect(entries.map(\.position.number) == [4, 5])
        #expect(pending.isEmpty)
    }

    @Test("A single batch is kept whatever its size")
    func large() throws {
        var pending = PendingEntries()
        pending.add([try Self.entry(1, bytes: PendingEntries.maximumSize * 2)])
        let (skipped, entries) = pending.take()
        #expect(skipped == nil)
        #expect(entries.count == 1)
    }
}
