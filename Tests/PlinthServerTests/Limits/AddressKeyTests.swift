// SPDX-License-Identifier: Apache-2.0

#if Server

import Testing

@testable import PlinthServer

@Suite("Address keys")
struct AddressKeyTests {
    @Test(
        "An IPv6 address counts by its first 64 bits",
        arguments: [
            ("2001:db8::1", "2001:db8:0:0:ffff::", true), ("2001:db8::1", "2001:db8:0:1::1", false),
            ("::1", "::2", true),
            ("fe80::1", "fe80::1", true),
        ]
    )
    func halves(one: String, other: String, areSame: Bool) throws {
        let (one, other) = (try #require(AddressKey(one)), try #require(AddressKey(other)))
        #expect((one == other) == areSame)
    }

    @Test("An IPv4 address counts as a whole, also if it is written as IPv4-mapped")
    func ipv4() throws {
        let key = try #require(AddressKey("192.0.2.1"))
        #expect(key == AddressKey("::ffff:192.0.2.1"))
        #expect(key != AddressKey("192.0.2.2"))
        // The IPv6 addresses whose first half is zero, too.
        for other in ["::1", "::192.0.2.1", "::fffe:192.0.2.1"] { #expect(key != AddressKey(other)) }
    }

    @Test("A key has 16 bytes, and other text has none")
    func size() {
        #expect(MemoryLayout<AddressKey>.size == 16)
        for text in ["", "unix", "/run/plinth.socket", "fe80::1%eth0"] { #expect(AddressKey(text) == nil) }
    }
}

#endif
