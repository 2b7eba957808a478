// SPDX-License-Identifier: Apache-2.0

#if os(Linux)

import PlinthHub
import Testing

@testable import PlinthReactor

@Suite("Socket table")
struct SocketTableTests {
    @Test("The tag of a removed socket does not match a reused slot")
    func generations() {
        let table = SocketTable()
        // The table never closes: any descriptor will do.
        let first = table.insert(StreamSocket(descriptor: 1000), { _ in }, at: 3)
        #expect(table[first]?.descriptor == 1000)
        #expect(table.remove(3)?.socket.descriptor == 1000)
        #expect(table.remove(3)?.socket.descriptor == nil)
        #expect(table[first] == nil)
        let second = table.insert(StreamSocket(descriptor: 1001), { _ in }, at: 3)
        #expect(table[first] == nil)
        #expect(table[second]?.descriptor == 1001)
        #expect(table[StreamTag(slot: 4, generation: 1)] == nil)
    }

    @Test("A tag survives the round trip through the kernel", arguments: [false, true])
    func tags(isLingering: Bool) {
        for slot in [0, 1, 70_000, Int(Int32.max)] {
            for generation in [0, 1, UInt32.max - 1] {
                let tag = StreamTag(slot: slot, generation: generation, isLingering: isLingering)
                #expect(StreamTag(rawValue: tag.rawValue) == tag)
                #expect(tag.rawValue != Poller.wakeTag)
            }
        }
    }
}

#endif
