// SPDX-License-Identifier: Apache-2.0

/// The fields of one block as bytes, and how they are written.
///
/// Everything that is encoded passes through here. The bytes are borrowed: a value lives within one call.
@unsafe struct EncodedFields {
    /// Nil for no field.
    var type: UnsafeRawBufferPointer?
    var id: UnsafeRawBufferPointer?
    /// Milliseconds; negative for no field.
    var retry: Int64 = -1
    /// One field for each of its lines; nil for no field.
    var data: UnsafeRawBufferPointer?
    /// One comment line for each of its lines; nil for none.
    var comment: UnsafeRawBufferPointer?

    /// The exact size.
    var byteCount: Int {
        var count = 1
        if let type = unsafe type { count += 8 + type.count }
        if let id = unsafe id { count += 5 + id.count }
        if unsafe retry >= 0 { unsafe count += 8 + Self.digitCount(retry) }
        if let data = unsafe data { count += unsafe Self.size(ofLines: data, prefix: 6) }
        if let comment = unsafe comment { count += unsafe Self.size(ofLines: comment, prefix: 1) }
        return count
    }

    /// Writes all fields and the blank line.
    @inline(__always)
    func write(to writer: inout some EncodedFieldsWriter) {
        if let comment = unsafe comment {
            unsafe Self.forEachLine(comment) { line in
                writer.write(":")
                unsafe writer.write(line)
                writer.write("\n")
            }
        }
        if let type = unsafe type {
            writer.write("event: ")
            unsafe writer.write(type)
            writer.write("\n")
        }
        if let id = unsafe id {
            writer.write("id: ")
            unsafe writer.write(id)
            writer.write("\n")
        }
        if unsafe retry >= 0 { unsafe writeRetry(to: &writer) }
        if let data = unsafe data {
            unsafe Self.forEachLine(data) { line in
                writer.write("data: ")
                unsafe writer.write(line)
                writer.write("\n")
            }
        }
        writer.write("\n")
    }

    private func writeRetry(to writer: inout some EncodedFieldsWriter) {
        // 2^53 − 1 has 16 digits.
        var digits = SIMD16<UInt8>()
        var rest = unsafe retry
        var first = 16
        repeat {
            first -= 1
            digits[first] = UInt8(truncatingIfNeeded: 0x30 + rest % 10)
            rest /= 10
        } while rest > 0
        writer.write("retry: ")
        unsafe withUnsafeBytes(of: digits) { unsafe writer.write(UnsafeRawBufferPointer(rebasing: $0[first...])) }
        writer.write("\n")
    }

    private static func digitCount(_ number: Int64) -> Int {
        var count = 1
        var rest = number
        while rest > 9 {
            count += 1
            rest /= 10
        }
        return count
    }

    /// Calls `body` with each line of `text`: one more than it has line breaks, which are LF, CR and CRLF.
    @inline(__always)
    static func forEachLine(_ text: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Void) {
        guard var at = text.baseAddress else {
            return unsafe body(text)
        }
        let end = unsafe at + text.count
        while true {
            let stop = unsafe LineScanner.lineEnd(from: at, to: end)
            unsafe body(UnsafeRawBufferPointer(start: at, count: stop - at))
            if unsafe stop == end { return }
            let isCR = unsafe stop.load(as: UInt8.self) == 0x0D
            unsafe at = stop + 1
            if unsafe isCR && at < end && at.load(as: UInt8.self) == 0x0A { unsafe at += 1 }
        }
    }

    /// The size of `text` as lines of `prefix` more bytes and a line feed each.
    private static func size(ofLines text: UnsafeRawBufferPointer, prefix: Int) -> Int {
        var count = 0
        unsafe forEachLine(text) { line in count += prefix + line.count + 1 }
        return count
    }
}

/// Where encoded bytes go.
protocol EncodedFieldsWriter: ~Copyable {
    mutating func write(_ text: StaticString)
    mutating func write(_ bytes: UnsafeRawBufferPointer)
}

/// Writes into memory that someone provided, and never past its end.
@unsafe struct MemoryWriter: EncodedFieldsWriter {
    private var at: UnsafeMutableRawPointer
    private let end: UnsafeMutableRawPointer

    init(_ memory: UnsafeMutableRawBufferPointer, at start: UnsafeMutableRawPointer) {
        unsafe at = start
        unsafe end = start + memory.count
    }

    var position: UnsafeMutableRawPointer { unsafe at }

    @inline(__always)
    mutating func write(_ text: StaticString) {
        unsafe write(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    @inline(__always)
    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        precondition(unsafe bytes.count <= end - at, "the memory is smaller than encodedByteCount")
        guard let start = bytes.baseAddress else { return }
        unsafe at.copyMemory(from: start, byteCount: bytes.count)
        unsafe at += bytes.count
    }
}

/// Hands pieces on to a function, for buffers of which no more is known than that bytes can be appended.
@unsafe struct PieceWriter: EncodedFieldsWriter {
    let append: (UnsafeRawBufferPointer) -> Void

    func write(_ text: StaticString) {
        unsafe append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    func write(_ bytes: UnsafeRawBufferPointer) {
        unsafe append(bytes)
    }
}

extension EncodedFields {
    /// Appends to an array: one growth at most, then straight into its free space.
    @inline(__always)
    func append(to array: inout [UInt8]) {
        let count = unsafe byteCount
        #if compiler(>=6.3)
            array.append(addingCapacity: count) { span in
                unsafe span.withUnsafeMutableBufferPointer { free, initialized in
                    initialized += unsafe write(
                        into: UnsafeMutableRawBufferPointer(
                            rebasing: UnsafeMutableRawBufferPointer(free)[initialized...]
                        )
                    )
                }
            }
        #else
            array.reserveCapacity(array.count + count)
            unsafe writePieces { piece in unsafe array.append(contentsOf: piece) }
        #endif
    }

    /// Hands the pieces on.
    func writePieces(_ append: (UnsafeRawBufferPointer) -> Void) {
        unsafe withoutActuallyEscaping(append) { append in
            var writer = unsafe PieceWriter(append: append)
            unsafe write(to: &writer)
        }
    }

    /// Writes to memory and returns the number of bytes.
    @inline(__always)
    func write(into memory: UnsafeMutableRawBufferPointer) -> Int {
        guard let start = memory.baseAddress else {
            preconditionFailure("the memory is smaller than encodedByteCount")
        }
        var writer = unsafe MemoryWriter(memory, at: start)
        unsafe write(to: &writer)
        return unsafe writer.position - start
    }
}
