// SPDX-License-Identifier: Apache-2.0

#if SQLite
/// Writes numbers and strings of bytes into a column.
struct ByteWriter {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

    /// Writes a number in groups of 7 bits, the lowest first (LEB128).
    mutating func write(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    /// Writes a string with its length.
    mutating func write(_ string: some Collection<UInt8>) {
        write(UInt64(string.count))
        bytes.append(contentsOf: string)
    }
}

/// Reads what a ``ByteWriter`` wrote; nil where the bytes are damaged.
struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    private var index = 0

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { index == bytes.count }

    mutating func number() -> UInt64? {
        var number: UInt64 = 0
        var shift: UInt64 = 0
        while index < bytes.count, shift < 64 {
            let byte = bytes[index]
            index += 1
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
            shift += 7
        }
        return nil
    }

    mutating func string() -> UnsafeRawBufferPointer? {
        guard let count = number(), count <= UInt64(bytes.count - index) else { return nil }
        let end = index + Int(count)
        defer { index = end }
        return UnsafeRawBufferPointer(rebasing: bytes[index..<end])
    }
}
#endif
