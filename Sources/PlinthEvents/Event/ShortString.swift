// SPDX-License-Identifier: Apache-2.0

/// A type or ID of at most 16 bytes that is validated or has no byte below 0x0E (which excludes CR, LF and NUL).
struct ShortString {
    /// The bytes, padded with zeros.
    private let bytes: SIMD2<UInt64>

    /// The number of bytes; −1 for no string.
    let count: Int

    @inline(__always)
    private init(_ bytes: SIMD2<UInt64>, count: Int) {
        self.bytes = bytes
        self.count = count
    }

    /// Nil if the string is longer than 16 bytes or, unless checked, has a byte below 0x0E.
    @inline(__always)
    init?(_ string: String?, isChecked: Bool) {
        guard let string else {
            self.init(SIMD2(), count: -1)
            return
        }
        guard let short = unsafe string.withBytes({ unsafe ShortString(bytes: $0, isChecked: isChecked) }) else {
            return nil
        }
        self = short
    }

    @inline(__always)
    private init?(bytes: UnsafeRawBufferPointer, isChecked: Bool) {
        let count = bytes.count
        guard count > 0, let start = bytes.baseAddress else {
            self.init(SIMD2(), count: 0)
            return
        }
        // Overlapping words, so that no read is out of bounds.
        if count >= 8 {
            guard count <= 16 else { return nil }
            let head = unsafe UInt64(littleEndian: start.loadUnaligned(as: UInt64.self))
            let tail = unsafe UInt64(littleEndian: start.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self))
            let low = (head &- LineScanner.limit) & ~head | (tail &- LineScanner.limit) & ~tail
            guard isChecked || low & LineScanner.tops == 0 else { return nil }
            let rest = count == 8 ? 0 : tail &>> (UInt64(truncatingIfNeeded: 16 &- count) &* 8)
            self.init(SIMD2(head.littleEndian, rest.littleEndian), count: count)
        } else if count >= 4 {
            let head = unsafe UInt64(UInt32(littleEndian: start.loadUnaligned(as: UInt32.self)))
            let last = unsafe start.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            let tail = UInt64(UInt32(littleEndian: last))
            let both = head | tail &<< 32
            guard isChecked || (both &- LineScanner.limit) & ~both & LineScanner.tops == 0 else { return nil }
            let word = head | tail &<< (UInt64(truncatingIfNeeded: count &- 4) &* 8)
            self.init(SIMD2(word.littleEndian, 0), count: count)
        } else {
            var word: UInt64 = 0
            for at in 0..<count {
                let byte = unsafe bytes[at]
                guard isChecked || byte >= 0x0E else { return nil }
                word |= UInt64(byte) &<< (UInt64(truncatingIfNeeded: at) &* 8)
            }
            self.init(SIMD2(word.littleEndian, 0), count: count)
        }
    }

    /// Writes a field and its line feed, zeroing up to 16 bytes after the name; writes nothing for no string.
    ///
    /// - Parameters:
    ///   - prefix: The name, the colon and the space.
    ///   - at: Where to write, with room for the prefix, 16 bytes and a line feed. Moved past the line feed.
    @inline(__always)
    func write(_ prefix: EncodedFields.Prefix, to at: inout UnsafeMutableRawPointer) {
        guard count >= 0 else { return }
        unsafe at.storeBytes(of: prefix.word.littleEndian, as: UInt64.self)
        unsafe at.storeBytes(of: bytes, toByteOffset: prefix.count, as: SIMD2<UInt64>.self)
        unsafe at.storeBytes(of: 0x0A, toByteOffset: prefix.count &+ count, as: UInt8.self)
        unsafe at += prefix.count &+ count &+ 1
    }
}
