// SPDX-License-Identifier: Apache-2.0

/// Bytes that the parser keeps from one read to the next.
///
/// The parser's block points into it during a read. An array lends its memory only to a closure, and the loop over
/// lines took twice as long in a closure, so the buffer allocates its own. Copies of the parser share the memory and
/// replace it before writing (copy on write), hence the unchecked `Sendable`.
///
/// Invariant: `start` is that of `memory`. The compiler does not know it: code that releases the memory must mark its
/// last use.
@safe
@usableFromInline
struct ParserBuffer: @unchecked Sendable {
    /// A buffer larger than this is released when it is no longer needed.
    static let keptCapacity = 64 * 1024

    /// The number of reads after which a large, mostly empty buffer is released: low enough for memory to follow the
    /// stream, high enough that a stream of large events does not allocate for each.
    static let idleReads = 64

    @safe
    private final class Memory {
        let start: UnsafeMutableRawPointer

        init(capacity: Int) {
            unsafe start = .allocate(byteCount: capacity, alignment: 16)
        }

        deinit {
            unsafe start.deallocate()
        }
    }

    private var memory: Memory?
    private(set) var capacity = 0
    /// The number of reads that used little of the buffer, and the count after the last read.
    private var idle = 0
    private var lastCount = 0
    /// The content is the first `count` bytes of `memory`.
    @usableFromInline private(set) var count = 0
    private var start: UnsafeMutableRawPointer?

    @usableFromInline init() {}

    @inlinable var isEmpty: Bool { count == 0 }
    var isLarge: Bool { capacity > Self.keptCapacity }

    /// The content, valid until the buffer is mutated or destroyed.
    @usableFromInline
    var bytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: start, count: count)
    }

    /// The memory after the content, at least `space` bytes.
    ///
    /// Doubles the capacity when it is exhausted, but not past `limit`: the content is never larger.
    @inline(__always)
    private mutating func free(_ space: Int, limit: Int) -> UnsafeMutableRawPointer {
        if space > capacity - count || !isKnownUniquelyReferenced(&memory) { replace(space: space, limit: limit) }
        // Never nil here: `replace` has allocated memory.
        return unsafe start.unsafelyUnwrapped + count
    }

    @inline(never)
    private mutating func replace(space: Int, limit: Int) {
        let needed = count + space
        move(to: needed <= capacity ? capacity : max(needed, min(max(2 * capacity, 256), limit)))
    }

    private mutating func move(to newCapacity: Int) {
        let old = memory
        let new = Memory(capacity: newCapacity)
        if let start = unsafe start { unsafe LineScanner.copy(from: start, count: count, to: new.start) }
        // `start` points into `old`, which the compiler may otherwise release before the copy.
        withExtendedLifetime(old) {}
        memory = new
        unsafe start = new.start
        capacity = newCapacity
    }

    mutating func append(_ more: UnsafeRawBufferPointer, limit: Int) {
        guard let source = more.baseAddress, more.count > 0 else { return }
        unsafe LineScanner.copy(from: source, count: more.count, to: free(more.count, limit: limit))
        count += more.count
    }

    mutating func append(_ byte: UInt8, limit: Int) {
        unsafe free(1, limit: limit).storeBytes(of: byte, as: UInt8.self)
        count += 1
    }

    /// Appends LF and a line.
    mutating func appendLine(_ line: UnsafeRawBufferPointer, limit: Int) {
        let target = unsafe free(line.count + 1, limit: limit)
        unsafe target.storeBytes(of: 0x0A, as: UInt8.self)
        if let source = line.baseAddress { unsafe (target + 1).copyMemory(from: source, byteCount: line.count) }
        count += line.count + 1
    }

    /// Appends up to the first CR or LF and returns its position, or `end`; appends nothing and returns nil if the
    /// content would exceed `limit` bytes.
    mutating func appendLine(
        from source: UnsafeRawPointer,
        to end: UnsafeRawPointer,
        limit: Int
    ) -> UnsafeRawPointer? {
        let most = unsafe end - source
        if most <= limit - count {
            let stop = unsafe LineScanner.copyLine(from: source, to: end, into: free(most, limit: limit))
            count += unsafe stop - source
            return unsafe stop
        }
        // Near the limit, finds the end of the line first.
        let stop = unsafe LineScanner.lineEnd(from: source, to: end)
        if unsafe stop - source > limit - count { return nil }
        unsafe append(UnsafeRawBufferPointer(start: source, count: stop - source), limit: limit)
        return unsafe stop
    }

    mutating func clear() {
        count = 0
    }

    /// Called after each read while a buffer is large: releases memory after 64 reads that used under an eighth of it.
    ///
    /// Reads in which the content grows do not count.
    mutating func trim() {
        guard isLarge else { return }
        if count >= capacity / 8 {
            idle = 0
        } else if count <= lastCount {
            idle += 1
            if idle >= Self.idleReads {
                idle = 0
                if count == 0 { self = ParserBuffer() } else { move(to: count) }
            }
        }
        lastCount = count
    }
}
