// SPDX-License-Identifier: Apache-2.0

/// Bytes that the parser keeps from one read to the next.
@usableFromInline
struct ParserBuffer: Sendable {
    /// A buffer that grew past this is given back when it is no longer needed.
    static let keptCapacity = 64 * 1024

    /// The reads after which a large buffer that is mostly empty is given back: often enough that memory follows the
    /// stream, and so seldom that a stream of large events does not allocate for each.
    static let idleReads = 64

    @usableFromInline var bytes: [UInt8] = []
    private var idle = 0

    @usableFromInline init() {}

    @inlinable var isEmpty: Bool { bytes.isEmpty }
    @inlinable var count: Int { bytes.count }
    var isLarge: Bool { bytes.capacity > Self.keptCapacity }

    /// Appends, and doubles the capacity when it is used up, but not past `limit`: the content is never larger.
    mutating func append(_ more: UnsafeRawBufferPointer, limit: Int) {
        let needed = bytes.count + more.count
        if needed > bytes.capacity { grow(to: needed, limit: limit) }
        unsafe bytes.append(contentsOf: more)
    }

    mutating func append(_ byte: UInt8, limit: Int) {
        if bytes.count == bytes.capacity { grow(to: bytes.count + 1, limit: limit) }
        bytes.append(byte)
    }

    @inline(never)
    private mutating func grow(to needed: Int, limit: Int) {
        bytes.reserveCapacity(max(needed, min(max(2 * bytes.capacity, 256), limit)))
    }

    @inline(__always)
    mutating func clear() {
        if !bytes.isEmpty { bytes.removeAll(keepingCapacity: true) }
    }

    /// Called after each read while a buffer is large: gives the memory back after a while of little use.
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

    @inlinable
    @inline(__always)
    func withBytes<E>(_ body: (UnsafeRawBufferPointer) throws(E) -> Void) throws(E) {
        try unsafe bytes.span.withUnsafeBytes { (bytes) throws(E) in try unsafe body(bytes) }
    }
}

/// The type and ID of an unfinished event and the last event ID, one after the other.
///
/// They lie together since they are borrowed together, for the whole of a read. What has changed by its end goes into
/// `spare`, while the old ones are still borrowed, and the two change places: nothing is allocated.
@usableFromInline
struct ParserFields: Sendable {
    @usableFromInline var buffer = ParserBuffer()
    @usableFromInline var typeCount = 0
    @usableFromInline var idCount = 0
    private var spare = ParserBuffer()

    @usableFromInline init() {}

    var isLarge: Bool { buffer.isLarge || spare.isLarge }

    var lastEventID: String {
        String(decoding: buffer.bytes[(typeCount + idCount)...], as: UTF8.self)
    }

    mutating func setSpare(type: UnsafeRawBufferPointer, id: UnsafeRawBufferPointer, lastID: UnsafeRawBufferPointer) {
        spare.clear()
        unsafe spare.append(type, limit: .max)
        unsafe spare.append(id, limit: .max)
        unsafe spare.append(lastID, limit: .max)
        typeCount = type.count
        idCount = id.count
    }

    mutating func takeSpare() {
        swap(&buffer, &spare)
    }

    mutating func trim() {
        spare.clear()
        buffer.trim()
        spare.trim()
    }
}
