// SPDX-License-Identifier: Apache-2.0

/// Bytes that the parser keeps from one read to the next.
struct ParserBuffer: Sendable {
    /// A buffer that grew past this is given back when it is no longer needed.
    static let keptCapacity = 64 * 1024

    /// The reads after which a large buffer that is mostly empty is given back: often enough that memory follows the
    /// stream, and so seldom that a stream of large events does not allocate for each.
    static let idleReads = 64

    private(set) var bytes: [UInt8] = []
    /// Where the content starts: behind the field's name, in a line that became the data.
    private(set) var start = 0
    private var idle = 0

    var isEmpty: Bool { bytes.isEmpty }
    var count: Int { bytes.count - start }
    var capacity: Int { bytes.capacity }
    var isLarge: Bool { bytes.capacity > Self.keptCapacity }

    /// Appends, and doubles the capacity when it is used up, but not past `limit`: the content is never larger.
    @inline(__always)
    mutating func append(_ more: UnsafeRawBufferPointer, limit: Int) {
        let needed = bytes.count + more.count
        if needed > bytes.capacity { grow(to: needed, limit: limit) }
        unsafe bytes.append(contentsOf: more)
    }

    @inline(__always)
    mutating func append(_ byte: UInt8, limit: Int) {
        if bytes.count == bytes.capacity { grow(to: bytes.count + 1, limit: limit) }
        bytes.append(byte)
    }

    @inline(never)
    private mutating func grow(to needed: Int, limit: Int) {
        // `limit` is a whole event or line; a field's name may come before the content.
        bytes.reserveCapacity(max(needed, min(max(2 * bytes.capacity, 256), limit)))
    }

    @inline(__always)
    mutating func set(_ new: UnsafeRawBufferPointer) {
        clear()
        unsafe bytes.append(contentsOf: new)
    }

    @inline(__always)
    mutating func clear() {
        if !bytes.isEmpty { bytes.removeAll(keepingCapacity: true) }
        start = 0
    }

    /// Leaves out the first bytes of the content.
    mutating func drop(_ count: Int) {
        start += count
    }

    /// Called after each read while the buffer is large: gives the memory back after a while of little use.
    mutating func trim() {
        guard isLarge, bytes.count < bytes.capacity / 8 else {
            idle = 0
            return
        }
        idle += 1
        if idle >= Self.idleReads {
            var small: [UInt8] = []
            small.append(contentsOf: bytes)
            bytes = small
            idle = 0
        }
    }

    @inline(__always)
    func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        unsafe bytes.withUnsafeBytes { unsafe body(UnsafeRawBufferPointer(rebasing: $0[start...])) }
    }
}
