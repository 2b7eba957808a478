// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import PlinthTestSupport
import Testing

@Suite("IP addresses")
struct IPAddressTests {
    /// An address as it may be written, and its canonical form.
    static let writings = [
        ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("192.0.2.10", "192.0.2.10"),
        ("::", "::"), ("::1", "::1"), ("1::", "1::"), ("2001:DB8::00aF", "2001:db8::af"),
        ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:0:0:2:3:0:0:4", "1::2:3:0:0:4"),
        ("::ffff:192.0.2.1", "192.0.2.1"), ("::FFFF:c000:201", "192.0.2.1"),
        ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"),
        ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"),
        ("0000:0000:0000:0000:0000:ffff:255.255.255.255", "255.255.255.255"),
    ]

    @Test("An address is parsed, and written in its canonical form", arguments: writings)
    func valid(text: String, canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
        #expect(address.isIPv4 == !canonical.contains(":"))
    }

    @Test(
        "Anything else is not an address",
        arguments: [
            "", ".", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.04", "1..2.3", ".1.2.3", "1.2.3.",
            "1.2.3.4 ",
            "+1.2.3.4", "1.2.3.4:80", "1.2.3.a", "99999999999999999999.1.1.1", ":", ":::", "1:", ":1", "1:2", "1::2::3",
            "1:::2",
            "12345::", "g::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4::5:6:7:8", "::1:2:3:4:5:6:7:8", "[::1]",
            "fe80::1%eth0", "::1.2.3", "::1.2.3.4:5", "1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4", "::1/64", "localhost",
            "１.2.3.4",
        ]
    )
    func invalid(text: String) {
        #expect(IPAddress(text) == nil)
    }

    @Test("A random address is read back from its text; random text never traps")
    func random() {
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<2_000 {
            // Zeros in runs, as real addresses have them.
            var bits = UInt128.random(in: 0 ... .max, using: &generator)
            for shift in stride(from: 0, to: 128, by: 16) where Bool.random(using: &generator) {
                bits &= ~(0xFFFF << UInt128(shift))
            }
            let address = IPAddress(bits: bits)
            #expect(IPAddress(address.description) == address, "\(address)")
        }
        let alphabet = Array("0123456789abfF:.::%/ ".utf8)
        for _ in 0..<20_000 {
            let count = Int.random(in: 0...50, using: &generator)
            let text = (0..<count).map { _ in alphabet.randomElement(using: &generator) ?? 0 }
            if let address = IPAddress(text) { #expect(IPAddress(address.description) == address) }
        }
    }
}
