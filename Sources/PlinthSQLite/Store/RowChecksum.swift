// SPDX-License-Identifier: Apache-2.0

#if SQLite
/// A checksum of a row, which finds damage: 64 bits, over numbers and strings of bytes.
///
/// A word changes the state by a bijection, so that a change within eight bytes is always found; other changes are
/// missed once in 2^64.
struct RowChecksum {
    private(set) var value: UInt64 = 0x9E37_79B9_7F4A_7C15

    mutating func add(_ number: UInt64) {
        let mixed = (value ^ number) &* 0xFF51_AFD7_ED55_8CCD
        value = (mixed ^ (mixed >> 32)) &* 0xC4CE_B9FE_1A85_EC53
    }

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        add(UInt64(bytes.count))
        var index = 0
        while index + 8 <= bytes.count {
            add(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)))
            index += 8
        }
        guard index < bytes.count else { return }
        var rest: UInt64 = 0
        for byte in bytes[index...] { rest = rest << 8 | UInt64(byte) }
        add(rest)
    }

    mutating func add(_ bytes: [UInt8]) { bytes.withUnsafeBytes { add($0) } }

    /// The checksum of strings, then numbers.
    static func of(_ strings: [[UInt8]], _ numbers: [UInt64]) -> UInt64 {
        var checksum = RowChecksum()
        for string in strings { checksum.add(string) }
        for number in numbers { checksum.add(number) }
        return checksum.value
    }
}
#endif
