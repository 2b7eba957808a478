// SPDX-License-Identifier: Apache-2.0

/// Finds the end of a line, where a parser spends most of its time.
///
/// Scans eight bytes per word: `(w − 0x0E…) & ~w & 0x80…` sets the top bit of each byte below 0x0E and, through the
/// borrow, perhaps of bytes above one. This finds CR and LF in one pass, but also tabs, so each candidate is checked.
/// Vectors of words scan 32 or 64 bytes at once. Compared with two calls of `memchr`, for LF and CR: twice as fast for
/// lines of 10 to 100 bytes, equal at 300, and 44 GB/s against 56 for lines of 10 kB; and it needs no import.
/// (Comparing vectors of bytes compiles to a loop over the lanes.)
@usableFromInline
enum LineScanner {
    @inlinable static var limit: UInt64 { 0x0E0E_0E0E_0E0E_0E0E }
    @inlinable static var tops: UInt64 { 0x8080_8080_8080_8080 }

    /// The first CR or LF of `start..<end`, or `end`.
    ///
    /// Never reads outside `start..<end`: each step checks that its width remains.
    @inlinable
    @inline(__always)
    static func lineEnd(from start: UnsafeRawPointer, to end: UnsafeRawPointer) -> UnsafeRawPointer {
        var at = unsafe start
        if unsafe end - at >= 32 {
            // Most lines end within eight steps.
            for _ in 0..<8 {
                guard unsafe end - at >= 32 else { break }
                if let found = unsafe firstOf32(at) { return unsafe found }
                unsafe at += 32
            }
            return unsafe at < end ? longLine(from: at, to: end) : end
        }
        while unsafe end - at >= 8 {
            let word = unsafe at.loadUnaligned(as: UInt64.self)
            if let found = unsafe candidate(in: (word &- limit) & ~word & tops, at: at) { return unsafe found }
            unsafe at += 8
        }
        while unsafe at < end {
            let byte = unsafe at.load(as: UInt8.self)
            if byte == 0x0A || byte == 0x0D { return unsafe at }
            unsafe at += 1
        }
        return unsafe at
    }

    /// Continues in steps of 64 bytes; the last step overlaps the previous one.
    ///
    /// Precondition: the 32 bytes before `end` are readable, and those before `start` contain no CR or LF.
    @usableFromInline
    @inline(never)
    static func longLine(from start: UnsafeRawPointer, to end: UnsafeRawPointer) -> UnsafeRawPointer {
        var at = unsafe start
        let limits = SIMD8<UInt64>(repeating: limit)
        while unsafe end - at >= 64 {
            let words = unsafe at.loadUnaligned(as: SIMD8<UInt64>.self)
            let low = (words &- limits) & ~words
            let half = low.lowHalf | low.highHalf
            let any = half.lowHalf | half.highHalf
            if (any[0] | any[1]) & tops != 0 {
                for lane in 0..<8 {
                    if let found = unsafe candidate(in: low[lane] & tops, at: at + lane &* 8) { return unsafe found }
                }
            }
            unsafe at += 64
        }
        if unsafe end - at >= 32 {
            if let found = unsafe firstOf32(at) { return unsafe found }
            unsafe at += 32
        }
        return unsafe at < end ? firstOf32(end - 32) ?? end : end
    }

    @inlinable
    @inline(__always)
    static func firstOf32(_ at: UnsafeRawPointer) -> UnsafeRawPointer? {
        let words = unsafe at.loadUnaligned(as: SIMD4<UInt64>.self)
        let low = (words &- SIMD4(repeating: limit)) & ~words
        let any = low.lowHalf | low.highHalf
        if (any[0] | any[1]) & tops != 0 {
            for lane in 0..<4 {
                if let found = unsafe candidate(in: low[lane] & tops, at: at + lane &* 8) { return unsafe found }
            }
        }
        return nil
    }

    /// The first CR or LF among the bytes of a word whose top bits are set in `mask`.
    @inlinable
    @inline(__always)
    static func candidate(in mask: UInt64, at word: UnsafeRawPointer) -> UnsafeRawPointer? {
        var mask = UInt64(littleEndian: mask)
        while mask != 0 {
            let byte = unsafe word + mask.trailingZeroBitCount &>> 3
            let value = unsafe byte.load(as: UInt8.self)
            if value == 0x0A || value == 0x0D { return unsafe byte }
            mask &= mask &- 1
        }
        return nil
    }

    /// Whether there are at least 64 bytes and all are ASCII.
    static func isASCII(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress, bytes.count >= 64 else { return false }
        // The last step overlaps the previous one.
        var all = unsafe start.loadUnaligned(fromByteOffset: bytes.count &- 64, as: SIMD8<UInt64>.self)
        var at = 0
        while at &+ 64 <= bytes.count {
            // Checks for non-ASCII bytes once per KiB.
            let end = min(at &+ 1024, bytes.count)
            while at &+ 64 <= end {
                unsafe all |= start.loadUnaligned(fromByteOffset: at, as: SIMD8<UInt64>.self)
                at &+= 64
            }
            let half = all.lowHalf | all.highHalf
            let quarter = half.lowHalf | half.highHalf
            if (quarter[0] | quarter[1]) & tops != 0 { return false }
        }
        return true
    }

    /// Whether any byte is below 0x0E (which includes CR, LF and NUL).
    @inline(__always)
    static func hasLowByte(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let start = bytes.baseAddress else { return false }
        let count = bytes.count
        if count < 4 {
            for at in 0..<count where unsafe bytes[at] < 0x0E { return true }
            return false
        }
        // Overlapping words cover every length: two of four bytes, or several of eight.
        if count < 8 {
            let first = unsafe UInt64(start.loadUnaligned(as: UInt32.self))
            let last = unsafe UInt64(start.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self))
            let word = first << 32 | last
            return (word &- limit) & ~word & tops != 0
        }
        var low: UInt64 = 0
        var at = 0
        while at < count &- 8 {
            let word = unsafe start.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            low |= (word &- limit) & ~word
            at &+= 8
        }
        let word = unsafe start.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
        low |= (word &- limit) & ~word
        return low & tops != 0
    }

    /// Copies the bytes before the first CR or LF of `start..<end` and returns its position, or `end`.
    ///
    /// Scanning and copying in one pass reads a long line once. `target` must have room for all of `start..<end`: up to
    /// 63 bytes past the end of the line are written too.
    static func copyLine(
        from start: UnsafeRawPointer,
        to end: UnsafeRawPointer,
        into target: UnsafeMutableRawPointer
    ) -> UnsafeRawPointer {
        var at = unsafe start
        let limits = SIMD8<UInt64>(repeating: limit)
        while unsafe end - at >= 64 {
            let words = unsafe at.loadUnaligned(as: SIMD8<UInt64>.self)
            unsafe (target + (at - start)).storeBytes(of: words, as: SIMD8<UInt64>.self)
            let low = (words &- limits) & ~words
            let half = low.lowHalf | low.highHalf
            let any = half.lowHalf | half.highHalf
            if (any[0] | any[1]) & tops != 0 {
                for lane in 0..<8 {
                    if let found = unsafe candidate(in: low[lane] & tops, at: at + lane &* 8) { return unsafe found }
                }
            }
            unsafe at += 64
        }
        let stop = unsafe lineEnd(from: at, to: end)
        unsafe (target + (at - start)).copyMemory(from: at, byteCount: stop - at)
        return unsafe stop
    }

    /// Copies bytes between regions that do not overlap.
    ///
    /// From a few kilobytes on, `memcpy` is four times slower on some processors for certain relative alignments of
    /// source and target, which occur with reads.
    @inline(__always)
    static func copy(from source: UnsafeRawPointer, count: Int, to target: UnsafeMutableRawPointer) {
        if count < 4096 {
            unsafe target.copyMemory(from: source, byteCount: count)
        } else {
            unsafe copyMuch(from: source, count: count, to: target)
        }
    }

    @inline(never)
    private static func copyMuch(from source: UnsafeRawPointer, count: Int, to target: UnsafeMutableRawPointer) {
        var at = 0
        while count - at >= 64 {
            let words = unsafe source.loadUnaligned(fromByteOffset: at, as: SIMD8<UInt64>.self)
            unsafe (target + at).storeBytes(of: words, as: SIMD8<UInt64>.self)
            at += 64
        }
        unsafe (target + at).copyMemory(from: source + at, byteCount: count - at)
    }
}
