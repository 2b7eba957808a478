// SPDX-License-Identifier: Apache-2.0

/// Where encoded bytes go.
protocol EncodedFieldsWriter {
    /// Whether so many more bytes can be written.
    func hasRoom(for count: Int) -> Bool

    /// Writes a line and its line feed; there is room for them and the blank line.
    mutating func writeLine(_ prefix: EncodedFields.Prefix, _ value: UnsafeRawBufferPointer)

    /// Writes the line feed that ends a block; there is room for it.
    mutating func writeBlankLine()
}

/// Writes into memory that was made ready or that someone provided.
///
/// Invariant: `position` is not past `end`. Each line needs `hasRoom`, or a count of the whole, beforehand.
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
        // A whole word where a value or the blank line makes up its length, so that it fits: 7 bytes and a value that
        // is not empty, 6 and two line feeds.
        if prefix.count > 5 {
            unsafe position.storeBytes(of: prefix.word.littleEndian, as: UInt64.self)
        } else if prefix.count == 4 {
            unsafe position.storeBytes(of: UInt32(truncatingIfNeeded: prefix.word).littleEndian, as: UInt32.self)
        } else {
            unsafe position.storeBytes(of: UInt8(truncatingIfNeeded: prefix.word), as: UInt8.self)
        }
        unsafe position += prefix.count
        if let start = value.baseAddress {
            unsafe position.copyMemory(from: start, byteCount: value.count)
            unsafe position += value.count
        }
        unsafe position.storeBytes(of: 0x0A, as: UInt8.self)
        unsafe position += 1
    }

    @inline(__always)
    mutating func writeBlankLine() {
        unsafe position.storeBytes(of: 0x0A, as: UInt8.self)
        unsafe position += 1
    }
}

/// Hands pieces on to a function, for buffers of which no more is known than that bytes can be appended.
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
