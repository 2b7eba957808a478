// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import PlinthHub

@Suite("History reads")
struct HistoryReadsTests {
    private static func requests(_ slots: Range<Int>) -> [Distributor.ReadRequest] {
        slots.map {
            Distributor.ReadRequest(
                slot: $0,
                generation: 1,
                number: 0,
                position: nil,
                start: nil,
                selection: Selection([.all])
            )
        }
    }

    @Test("At most 64 reads begin at once, and the others follow in order")
    func limit() throws {
        var reads = HistoryReads()
        reads.add(Self.requests(0..<3000))
        var begun: [Int] = []
        while let request = reads.begin(isAwaited: { _ in true }) { begun.append(request.slot) }
        #expect(begun == Array(0..<HistoryReads.limit))
        while begun.count < 3000 {
            reads.didAnswer(10)
            let before = begun.count
            while let request = reads.begin(isAwaited: { _ in true }) { begun.append(request.slot) }
            #expect(begun.count == min(before + 10, 3000))
        }
        #expect(begun == Array(0..<3000))
        #expect(reads.begin(isAwaited: { _ in true }) == nil)
    }

    @Test("Reads that no subscriber awaits are skipped")
    func notAwaited() throws {
        var reads = HistoryReads()
        reads.add(Self.requests(0..<200))
        var begun: [Int] = []
        while let request = reads.begin(isAwaited: { $0.slot.isMultiple(of: 50) }) { begun.append(request.slot) }
        #expect(begun == [0, 50, 100, 150])
        #expect(!reads.hasNext)
    }
}
