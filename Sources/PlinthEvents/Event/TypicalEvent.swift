// SPDX-License-Identifier: Apache-2.0

/// The fast path for typical events: a short type and ID and no reconnection time.
///
/// Scans the data for line breaks while copying it, and rewrites it line by line if there may be one.
enum TypicalEvent {
    /// The maximum number of bytes around the data: a 16-byte type and 8, a 16-byte ID and 5, and 8 for the data field.
    private static var frameCount: Int { 16 + 8 + 16 + 5 + 8 }

    /// Appends an event, unless the type or ID is too long.
    ///
    /// - Parameters:
    ///   - type: The type.
    ///   - data: The data.
    ///   - id: The ID.
    ///   - isChecked: Whether type and ID are validated. If not, also refuses an empty type, and a type or ID with a
    ///     byte below 0x0E (which may be forbidden).
    ///   - array: The array to append to.
    /// - Returns: False if nothing was appended.
    @inline(__always)
    static func append(type: String?, data: String, id: String?, isChecked: Bool, to array: inout [UInt8]) -> Bool {
        #if compiler(>=6.3)
        guard let type = ShortString(type, isChecked: isChecked), isChecked || type.count != 0,
            let id = ShortString(id, isChecked: isChecked)
        else { return false }
        unsafe data.withBytes { unsafe append(type: type, id: id, data: $0, to: &array) }
        return true
        #else
        return false
        #endif
    }

    #if compiler(>=6.3)
    @inline(__always)
    private static func append(
        type: ShortString,
        id: ShortString,
        data: UnsafeRawBufferPointer,
        to array: inout [UInt8]
    ) {
        // With room for lines that average 64 bytes.
        let room = data.count + frameCount + 7 * (data.count / 64 + 4)
        var remaining = -1
        array.append(addingCapacity: room) { span in
            unsafe span.withUnsafeMutableBufferPointer { free, initialized in
                // Never nil: the array has reserved the room.
                guard let start = UnsafeMutableRawPointer(free.baseAddress) else { return }
                unsafe (initialized, remaining) = write(type: type, id: id, data: data, to: start, room: room)
            }
        }
        if remaining >= 0 {
            unsafe EncodedFields(text: UnsafeRawBufferPointer(rebasing: data.suffix(remaining))).append(to: &array)
        }
    }
    #endif

    /// Writes an event and returns its size, and the number of bytes of data for whose lines there was no room; −1 for
    /// none.
    ///
    /// - Precondition: `room` is more than `data.count + frameCount`.
    @inline(never)
    private static func write(
        type: ShortString,
        id: ShortString,
        data: UnsafeRawBufferPointer,
        to start: UnsafeMutableRawPointer,
        room: Int
    ) -> (count: Int, remaining: Int) {
        // Invariant: `at` has advanced at most 24 bytes after the type and 45 after the ID. So whole words and vectors
        // end within `data.count + frameCount` bytes, less than the room, as do the data and two line feeds.
        var at = unsafe start
        unsafe type.write(EncodedFields.Prefix.type, to: &at)
        unsafe id.write(EncodedFields.Prefix.id, to: &at)
        unsafe at.storeBytes(of: EncodedFields.Prefix.data.word.littleEndian, as: UInt64.self)
        if unsafe copyIfPlain(data, to: at + 6) {
            unsafe at += data.count &+ 6
            unsafe at.storeBytes(of: 0x0A0A, as: UInt16.self)
            return unsafe (at + 2 - start, -1)
        }
        return unsafe writeLines(data, from: at, to: start + room, after: start)
    }

    @inline(never)
    private static func writeLines(
        _ data: UnsafeRawBufferPointer,
        from position: UnsafeMutableRawPointer,
        to end: UnsafeMutableRawPointer,
        after start: UnsafeMutableRawPointer
    ) -> (count: Int, remaining: Int) {
        let (position, rest) = unsafe EncodedFields.writeData(data, from: position, to: end)
        return unsafe (position - start, rest?.count ?? -1)
    }

    /// Copies bytes and returns whether none is below 0x0E; if false, the copy may be incomplete.
    ///
    /// Words and vectors overlap instead of passing the last byte.
    @inline(__always)
    private static func copyIfPlain(_ bytes: UnsafeRawBufferPointer, to target: UnsafeMutableRawPointer) -> Bool {
        let count = bytes.count
        guard let start = bytes.baseAddress, count > 0 else { return true }
        if count >= 16 {
            let last = count &- 16
            var lowest = unsafe copy(SIMD16<UInt8>.self, from: start, at: last, to: target)
            var at = 0
            repeat {
                // Most data with line breaks has one in the first 512 bytes.
                let end = min(at &+ 512, last)
                while at < end {
                    let next = unsafe copy(SIMD16<UInt8>.self, from: start, at: at, to: target)
                    // One instruction; `pointwiseMin` and comparisons with a scalar compile to calls and loops.
                    lowest.replace(with: next, where: next .< lowest)
                    at &+= 16
                }
                let words = unsafe unsafeBitCast(lowest, to: SIMD2<UInt64>.self)
                guard (low(words[0]) | low(words[1])) & LineScanner.tops == 0 else { return false }
            } while at < last
            return true
        }
        if count >= 8 {
            let first = unsafe copy(UInt64.self, from: start, at: 0, to: target)
            let last = unsafe copy(UInt64.self, from: start, at: count &- 8, to: target)
            return (low(first) | low(last)) & LineScanner.tops == 0
        }
        if count >= 4 {
            let first = unsafe copy(UInt32.self, from: start, at: 0, to: target)
            let last = unsafe copy(UInt32.self, from: start, at: count &- 4, to: target)
            return low(UInt64(first) &<< 32 | UInt64(last)) & LineScanner.tops == 0
        }
        // The first, middle and last of up to three bytes.
        let first = unsafe copy(UInt8.self, from: start, at: 0, to: target)
        let middle = unsafe copy(UInt8.self, from: start, at: count &>> 1, to: target)
        let last = unsafe copy(UInt8.self, from: start, at: count &- 1, to: target)
        return min(first, middle, last) >= 0x0E
    }

    /// Copies a value at an offset and returns it.
    @inline(__always)
    private static func copy<T: BitwiseCopyable>(
        _: T.Type,
        from source: UnsafeRawPointer,
        at offset: Int,
        to target: UnsafeMutableRawPointer
    ) -> T {
        let value = unsafe source.loadUnaligned(fromByteOffset: offset, as: T.self)
        unsafe target.storeBytes(of: value, toByteOffset: offset, as: T.self)
        return value
    }

    /// The top bit of each byte below 0x0E, and perhaps of bytes above one (``LineScanner``).
    @inline(__always)
    private static func low(_ word: UInt64) -> UInt64 { (word &- LineScanner.limit) & ~word }
}
