// SPDX-License-Identifier: Apache-2.0

/// An IP address; an IPv4-mapped IPv6 address (RFC 4291, section 2.5.5.2) is the IPv4 address.
package struct IPAddress: Sendable, Hashable, CustomStringConvertible {
    /// The address in network order; an IPv4 address is held as IPv4-mapped.
    package let bits: UInt128

    package init(bits: UInt128) {
        self.bits = bits
    }

    package init(ipv4: UInt32) {
        bits = Self.ipv4Prefix | UInt128(ipv4)
    }

    /// Parses an IPv4 address in dotted form without leading zeros, or an IPv6 address (RFC 4291, section 2.2).
    ///
    /// A zone, brackets and a port are not part of an address.
    package init?(_ text: some Collection<UInt8>) {
        // The longest form has 45 bytes: eight groups, the last two in dotted form.
        guard text.count <= 45 else { return nil }
        if text.contains(UInt8(ascii: ":")) {
            guard let bits = Self.ipv6(text) else { return nil }
            self.init(bits: bits)
        } else {
            guard let address = Self.ipv4(text) else { return nil }
            self.init(ipv4: address)
        }
    }

    package init?(_ text: String) {
        self.init(text.utf8)
    }

    package var isIPv4: Bool { bits >> 32 == Self.ipv4Prefix >> 32 }

    private static let ipv4Prefix: UInt128 = 0xFFFF << 32

    // MARK: - Parsing

    private static func ipv4(_ text: some Collection<UInt8>) -> UInt32? {
        var address: UInt32 = 0
        var octet: UInt32?
        var octets = 0
        for byte in text {
            if byte == UInt8(ascii: ".") {
                guard let complete = octet, octets < 3 else { return nil }
                address = address << 8 | complete
                octets += 1
                octet = nil
            } else {
                // Some parsers read a leading zero as octal.
                guard let digit = hexValue(byte), digit < 10, octet != 0 else { return nil }
                let value = (octet ?? 0) * 10 + digit
                guard value <= 255 else { return nil }
                octet = value
            }
        }
        guard octets == 3, let last = octet else { return nil }
        return address << 8 | last
    }

    private static func ipv6<Text: Collection<UInt8>>(_ text: Text) -> UInt128? {
        let colon = UInt8(ascii: ":")
        // The groups before `::`, and those after it.
        var (head, tail) = (UInt128(0), UInt128(0))
        var (headCount, tailCount) = (0, 0)
        var rest = text[...]
        var hasGap = rest.starts(with: [colon, colon])
        if hasGap { rest = rest.dropFirst(2) }
        while !rest.isEmpty {
            let group = rest.prefix { $0 != colon }
            rest = rest[group.endIndex...]
            let (value, count): (UInt32, Int)
            if group.contains(UInt8(ascii: ".")) {
                guard rest.isEmpty, let address = ipv4(group) else { return nil }
                (value, count) = (address, 2)
            } else {
                guard let number = hexNumber(group) else { return nil }
                (value, count) = (number, 1)
            }
            if hasGap {
                tail = tail << (16 * count) | UInt128(value)
                tailCount += count
            } else {
                head = head << (16 * count) | UInt128(value)
                headCount += count
            }
            guard headCount + tailCount <= 8 else { return nil }
            guard let separator = rest.popFirst() else { break }
            if rest.first == separator {
                guard !hasGap else { return nil }
                hasGap = true
                rest = rest.dropFirst()
            } else if rest.isEmpty {
                return nil
            }
        }
        guard hasGap ? headCount + tailCount < 8 : headCount == 8 else { return nil }
        return head << (16 * (8 - headCount)) | tail
    }

    /// One to four hexadecimal digits.
    private static func hexNumber(_ digits: some Collection<UInt8>) -> UInt32? {
        guard (1...4).contains(digits.count) else { return nil }
        var number: UInt32 = 0
        for byte in digits {
            guard let digit = hexValue(byte) else { return nil }
            number = number << 4 | digit
        }
        return number
    }

    private static func hexValue(_ byte: UInt8) -> UInt32? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(byte - UInt8(ascii: "0"))
        case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt32(byte - UInt8(ascii: "a") + 10)
        case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt32(byte - UInt8(ascii: "A") + 10)
        default: nil
        }
    }

    // MARK: - Text

    /// The address in its canonical form (RFC 5952).
    package var description: String {
        if isIPv4 {
            return stride(from: 24, through: 0, by: -8).map { "\(UInt8(truncatingIfNeeded: bits >> $0))" }
                .joined(separator: ".")
        }
        let groups = stride(from: 112, through: 0, by: -16).map { UInt16(truncatingIfNeeded: bits >> $0) }
        func text(_ groups: some Sequence<UInt16>) -> String {
            groups.map { String($0, radix: 16) }.joined(separator: ":")
        }
        // The first of the longest runs of two or more zeros.
        var gap = 0..<0
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 {
                start = index + 1
            } else if index + 1 - start > max(gap.count, 1) {
                gap = start..<index + 1
            }
        }
        guard !gap.isEmpty else { return text(groups) }
        return text(groups[..<gap.lowerBound]) + "::" + text(groups[gap.upperBound...])
    }
}
