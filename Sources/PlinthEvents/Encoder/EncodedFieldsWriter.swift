// SPDX-License-Identifier: Apache-2.0

/// A destination for encoded bytes.
protocol EncodedFieldsWriter {
    /// Whether `count` more bytes can be written.
    func hasRoom(for count: Int) -> Bool

    /// Writes a line and its line feed; the caller has made room for both and the blank line.
    mutating func writeLine(_ prefix: EncodedFields.Prefix, _ value: UnsafeRawBufferPointer)

    /// Writes the line feed that ends a block; the caller has made room.
    mutating func writeBlankLine()
}

/// Writes into reserved or caller-provided memory.
///
/// Invariant: `position` is not past `end`. Before each line, the caller checks `hasRoom` or the total size.
@unsafe
struct MemoryWriter: EncodedFieldsWriter {
    private(set) var position: UnsafeMutableRawPointer
    private let end: UnsafeMutableRawPointer

    @inline(__always)
    init(_ start: UnsafeMutableRawPointer, end: UnsafeMutableRawPointer) {
        unsafe position = start
        unsafe self.end = end
    }

    @inline(__always)
    func hasRoom(for count: Int) -> Bool {
        unsafe count <= end - position
    }

    @inline(__always)
    mutating func writeLine(_ prefix: EncodedFields.Prefix, _ value: UnsafeRawBufferPointer) {
        // A whole word fits where the value or the blank line pads the prefix to 8 bytes: 7 bytes and a nonempty value,
        // or 6 and two line feeds.
        if prefix.count > 5 {
            unsafe position.storeBytes(of: prefix.word.littleEndian, as: UInt64.self)
        } else if prefix.count == 4 {
            unsafe position.storeBytes(of: UInt32(truncatingIfNeeded: prefix.word).littleEndian, as: UInt32.self)
        } else {
            unsafe position.storeBytes(of: UInt8(truncatingIfNeeded: prefix.word), as: UInt8.self)
        }
        unsafe position += prefix.count
        if let start = value.baseAddress {
            unsafe copy(start, count: value.count)
            unsafe position += value.count
        }
        unsafe position.storeBytes(of: 0x0A, as: UInt8.self)
        unsafe position += 1
    }

    /// Copies types and IDs without a call: overlapping words cover every length from 4 to 16.
    @inline(__always)
    private func copy(_ source: UnsafeRawPointer, count: Int) {
        if count > 16 || count < 4 {
            unsafe position.copyMemory(from: source, byteCount: count)
        } else if count >= 8 {
            let first = unsafe source.loadUnaligned(as: UInt64.self)
            let last = unsafe source.loadUnaligned(fromByteOffset: count &- 8, as: UInt64.self)
            unsafe position.storeBytes(of: first, as: UInt64.self)
            unsafe position.storeBytes(of: last, toByteOffset: count &- 8, as: UInt64.self)
        } else {
            let first = unsafe source.loadUnaligned(as: UInt32.self)
            let last = unsafe source.loadUnaligned(fromByteOffset: count &- 4, as: UInt32.self)
            unsafe position.storeBytes(of: first, as: UInt32.self)
            unsafe position.storeBytes(of: last, toByteOffset: count &- 4, as: UInt32.self)
        }
    }

    @inline(__always)
    mutating func writeBlankLine() {
        unsafe position.storeBytes(of: 0x0A, as: UInt8.self)
        unsafe position += 1
    }
}

/// Passes pieces to a function, for buffers that only support appending.
@unsafe
struct PieceWriter: EncodedFieldsWriter {
    let append: (UnsafeRawBufferPointer) -> Void

    func hasRoom(for count: Int) -> Bool { true }

    func writeLine(_ prefix: EncodedFields.Prefix, _ value: UnsafeRawBufferPointer) {
        unsafe withUnsafeBytes(of: prefix.word.littleEndian) {
            unsafe append(UnsafeRawBufferPointer(rebasing: $0[..<prefix.count]))
        }
        unsafe append(value)
        unsafe writeBlankLine()
    }

    func writeBlankLine() {
        unsafe withUnsafeBytes(of: 0x0A as UInt8) { unsafe append($0) }
    }
}
