// SPDX-License-Identifier: Apache-2.0

/// A type or ID of at most 16 bytes, none of them below 0x0E (which excludes CR, LF and NUL).
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

    /// Nil if the string is longer than 16 bytes or has a byte below 0x0E.
    @inline(__always)
    init?(_ string: String?) {
        guard let string else {
            self.init(SIMD2(), count: -1)
            return
        }
        guard let short = unsafe string.withBytes({ unsafe ShortString(bytes: $0) }) else { return nil }
        self = short
    }

    @inline(__always)
    private init?(bytes: UnsafeRawBufferPointer) {
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
            guard low & LineScanner.tops == 0 else { return nil }
            let rest = count == 8 ? 0 : tail &>> (UInt64(truncatingIfNeeded: 16 &- count) &* 8)
            self.init(SIMD2(head.littleEndian, rest.littleEndian), count: count)
        } else if count >= 4 {
            let head = unsafe UInt64(UInt32(littleEndian: start.loadUnaligned(as: UInt32.self)))
            let last = unsafe start.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            let tail = UInt64(UInt32(littleEndian: last))
            let both = head | tail &<< 32
            guard (both &- LineScanner.limit) & ~both & LineScanner.tops == 0 else { return nil }
            let word = head | tail &<< (UInt64(truncatingIfNeeded: count &- 4) &* 8)
            self.init(SIMD2(word.littleEndian, 0), count: count)
        } else {
            var word: UInt64 = 0
            for at in 0..<count {
                let byte = unsafe bytes[at]
                guard byte >= 0x0E else { return nil }
                word |= UInt64(byte) &<< (UInt64(truncatingIfNeeded: at) &* 8)
            }
            self.init(SIMD2(word.littleEndian, 0), count: count)
        }
    }

    /// Writes a field and its line feed, zeroing up to 16 bytes after the name; writes nothing for no string.
    ///
    /// - Parameters:
    ///   - name: The name, the colon and the space.
    ///   - nameCount: Their number of bytes, at most 8.
    ///   - at: Where to write, with room for the name, 16 bytes and a line feed. Moved past the line feed.
    @inline(__always)
    func write(_ name: UInt64, _ nameCount: Int, to at: inout UnsafeMutableRawPointer) {
        guard count >= 0 else { return }
        unsafe at.storeBytes(of: name.littleEndian, as: UInt64.self)
        unsafe at.storeBytes(of: bytes, toByteOffset: nameCount, as: SIMD2<UInt64>.self)
        unsafe at.storeBytes(of: 0x0A, toByteOffset: nameCount &+ count, as: UInt8.self)
        unsafe at += nameCount &+ count &+ 1
    }
}

/// The fast path for typical events: a short type and ID, one short line of data and no reconnection time.
///
/// Scans the data for line breaks while copying it, and rewrites it line by line if there may be one.
enum SmallEvent {
    /// The maximum number of bytes of data.
    ///
    /// For longer data, scanning first and then copying is faster.
    private static var maximumCount: Int { 512 }

    /// The maximum number of bytes around the data: a 16-byte type and 8, a 16-byte ID and 5, and 8 for the data field.
    private static var frameCount: Int { 16 + 8 + 16 + 5 + 8 }

    /// Appends an event and returns true; appends nothing and returns false if a part is too large, the type is empty,
    /// the type or ID has a byte below 0x0E (which may be forbidden), or the data has many lines.
    @inline(__always)
    static func append(type: String?, data: String, id: String?, to array: inout [UInt8]) -> Bool {
        guard let type = ShortString(type), type.count != 0, let id = ShortString(id) else { return false }
        return unsafe data.withBytes { unsafe append(type: type, id: id, data: $0, to: &array) }
    }

    @inline(never)
    private static func append(
        type: ShortString,
        id: ShortString,
        data: UnsafeRawBufferPointer,
        to array: inout [UInt8]
    ) -> Bool {
        #if compiler(>=6.3)
        let count = data.count
        guard count <= maximumCount else { return false }
        var isWritten = false
        // With room for a few more lines.
        let room = count &+ frameCount &+ 7 &* (count / 64 &+ 4)
        array.append(addingCapacity: room) { span in
            unsafe span.withUnsafeMutableBufferPointer { free, initialized in
                // Never nil: the array has reserved the room.
                guard let start = UnsafeMutableRawPointer(free.baseAddress) else { return }
                // Invariant: `at` has advanced at most 24 bytes after the type and 45 after the ID. So whole words and
                // vectors end within `count + frameCount` bytes, less than the room, as do the data and two line feeds.
                var at = unsafe start
                unsafe type.write(0x00_20_3A_74_6E_65_76_65, 7, to: &at)
                unsafe id.write(0x00_00_00_00_20_3A_64_69, 4, to: &at)
                unsafe at.storeBytes(of: (0x00_00_20_3A_61_74_61_64 as UInt64).littleEndian, as: UInt64.self)
                if unsafe copyIfPlain(data, to: at + 6) {
                    unsafe at += count &+ 6
                    unsafe at.storeBytes(of: 0x0A0A, as: UInt16.self)
                    initialized = unsafe at + 2 - start
                    isWritten = true
                } else if let end = unsafe EncodedFields.writeData(data, from: at, to: start + room) {
                    initialized = unsafe end - start
                    isWritten = true
                }
            }
        }
        return isWritten
        #else
        return false
        #endif
    }

    /// Copies bytes and returns whether none is below 0x0E; if false, the copy may be incomplete.
    @inline(__always)
    private static func copyIfPlain(_ bytes: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer) -> Bool {
        guard let start = bytes.baseAddress else { return true }
        let count = bytes.count
        if count < 16 {
            for at in 0..<count {
                let byte = unsafe bytes[at]
                if byte < 0x0E { return false }
                unsafe target.storeBytes(of: byte, toByteOffset: at, as: UInt8.self)
            }
            return true
        }
        // The last step overlaps the previous one.
        let last = count &- 16
        var low = SIMD2<UInt64>()
        var at = 0
        while at < last {
            unsafe low |= copy16(start + at, to: target + at)
            at &+= 16
        }
        unsafe low |= copy16(start + last, to: target + last)
        return (low[0] | low[1]) & LineScanner.tops == 0
    }

    /// Copies 16 bytes; if any is below 0x0E, the top bit of a byte of the result is set.
    @inline(__always)
    private static func copy16(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer) -> SIMD2<UInt64> {
        let words = unsafe source.loadUnaligned(as: SIMD2<UInt64>.self)
        unsafe target.storeBytes(of: words, as: SIMD2<UInt64>.self)
        return (words &- SIMD2(repeating: LineScanner.limit)) & ~words
    }
}
