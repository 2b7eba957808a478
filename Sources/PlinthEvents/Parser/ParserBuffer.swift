// SPDX-License-Identifier: Apache-2.0

/// Bytes that the parser keeps from one read to the next.
///
/// Memory of its own and not an array, for the parser's block points into it for the whole of a read, and what an array
/// lends is lent to a closure: the loop over lines in a closure took twice the time. The memory belongs to an object
/// that copies of the parser share. One that is shared is replaced before it is written, hence the unchecked `Sendable`.
///
/// Invariant: `start` is that of `memory`. The compiler does not know it; where a memory is let go, its last use has
/// to be marked.
@safe
@usableFromInline
struct ParserBuffer: @unchecked Sendable {
    /// A buffer that grew past this is given back when it is no longer needed.
    static let keptCapacity = 64 * 1024

    /// The reads after which a large buffer that is mostly empty is given back: often enough that memory follows the
    /// stream, and so seldom that a stream of large events does not allocate for each.
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
    /// Reads of little use, and the content at the last one.
    private var idle = 0
    private var lastCount = 0
    /// The content lies in the first `count` bytes of `memory`.
    @usableFromInline private(set) var count = 0
    private var start: UnsafeMutableRawPointer?

    @usableFromInline init() {}

    @inlinable var isEmpty: Bool { count == 0 }
    var isLarge: Bool { capacity > Self.keptCapacity }

    /// The content: valid until the buffer is changed or ends.
    @usableFromInline
    var bytes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(start: start, count: count)
    }

    /// The memory after the content, at least `space` bytes of it, all of which `added` then makes content.
    ///
    /// Doubles the capacity when it is used up, but not past `limit`: the content is never larger.
    @inline(__always)
    private mutating func free(_ space: Int, limit: Int) -> UnsafeMutableRawPointer {
        if space > capacity - count || !isKnownUniquelyReferenced(&memory) { replace(space: space, limit: limit) }
        // Not nil: there is a memory now.
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
        // The compiler does not know that `start` points into `old`, and may release it before its last use in sight.
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

    /// Appends up to the first CR or LF and returns where that is, or `end`; nil if more than `limit` bytes would be
    /// the content, and nothing is appended.
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
        // Near the limit, the end of the line decides.
        let stop = unsafe LineScanner.lineEnd(from: source, to: end)
        if unsafe stop - source > limit - count { return nil }
        unsafe append(UnsafeRawBufferPointer(start: source, count: stop - source), limit: limit)
        return unsafe stop
    }

    mutating func clear() {
        count = 0
    }

    /// Called after each read while a buffer is large: gives the memory back after a while of little use.
    ///
    /// A content that grows is on its way, and does not count as little.
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
