// SPDX-License-Identifier: Apache-2.0

/// The fields of one block as borrowed bytes, and their encoding; `TypicalEvent` is the faster path for most events.
///
/// The bytes are valid for one call, so a value must not outlive it.
@unsafe
struct EncodedFields {
    /// Nil for none.
    var type: UnsafeRawBufferPointer?
    var id: UnsafeRawBufferPointer?
    /// Milliseconds; negative for none.
    var retry: Int64 = -1
    /// The lines of data or of a comment; nil for none.
    var text: UnsafeRawBufferPointer?
    /// The start of each line of `text`.
    var prefix = Prefix.data

    /// A line's start: the first `count` bytes of `word` in memory.
    struct Prefix {
        let word: UInt64
        let count: Int

        static var type: Prefix { Prefix(word: 0x00_20_3A_74_6E_65_76_65, count: 7) }  // "event: "
        static var id: Prefix { Prefix(word: 0x00_00_00_00_20_3A_64_69, count: 4) }  // "id: "
        static var retry: Prefix { Prefix(word: 0x00_20_3A_79_72_74_65_72, count: 7) }  // "retry: "
        static var data: Prefix { Prefix(word: 0x00_00_20_3A_61_74_61_64, count: 6) }  // "data: "
        static var comment: Prefix { Prefix(word: 0x00_00_00_00_00_00_00_3A, count: 1) }  // ":"
    }

    /// False for a comment, which ends with its last line.
    @inline(__always)
    private var endsWithBlankLine: Bool { unsafe prefix.count != 1 }

    /// The exact encoded size in bytes.
    var byteCount: Int {
        guard let text = unsafe text else { return unsafe headCount + 1 }
        var count = unsafe headCount + (endsWithBlankLine ? 1 : 0)
        unsafe Self.forEachLine(text) { line in
            unsafe count += prefix.count + line.count + 1
            return true
        }
        return count
    }

    /// The exact encoded size of the fields other than the text.
    @inline(__always)
    private var headCount: Int {
        var count = 0
        if let type = unsafe type { count += type.count + 8 }
        if let id = unsafe id { count += id.count + 5 }
        if unsafe retry >= 0 { count += unsafe Self.digitCount(retry) + 8 }
        return count
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

    // MARK: - Writing

    /// Appends to an array, directly into its free space; nearly always grows the array once at most.
    ///
    /// Counting the lines first would take as long as writing them. Instead, reserves room for lines that average 64
    /// bytes, and more if needed.
    @inline(never)
    func append(to array: inout [UInt8]) {
        #if compiler(>=6.3)
        var rest = unsafe text
        var head = unsafe headCount
        repeat {
            let count = unsafe rest?.count ?? 0
            // Room for at least one line, however long, and the blank line.
            let room = head + count + 7 * (count / 64 + 4) + 8
            array.append(addingCapacity: room) { span in
                unsafe span.withUnsafeMutableBufferPointer { free, initialized in
                    // Never nil: the array has reserved the room.
                    guard let start = UnsafeMutableRawPointer(free.baseAddress) else { return }
                    var writer = unsafe MemoryWriter(start, end: start + room)
                    if head > 0 { unsafe writeHead(to: &writer) }
                    unsafe rest = writeText(rest, to: &writer)
                    initialized = unsafe writer.position - start
                }
            }
            head = 0
        } while unsafe rest != nil
        #else
        unsafe writePieces { piece in unsafe array.append(contentsOf: piece) }
        #endif
    }

    /// Writes the lines of data and the blank line while there is room, and returns their end and the remaining lines.
    @inline(__always)
    static func writeData(
        _ data: UnsafeRawBufferPointer,
        from start: UnsafeMutableRawPointer,
        to end: UnsafeMutableRawPointer
    ) -> (end: UnsafeMutableRawPointer, rest: UnsafeRawBufferPointer?) {
        var writer = unsafe MemoryWriter(start, end: end)
        let rest = unsafe EncodedFields().writeText(data, to: &writer)
        return unsafe (writer.position, rest)
    }

    /// Writes to memory and returns the number of bytes written.
    @inline(never)
    func write(into memory: UnsafeMutableRawBufferPointer) -> Int {
        guard let start = memory.baseAddress, unsafe memory.count > headCount else { unsafe Self.tooSmall() }
        var writer = unsafe MemoryWriter(start, end: start + memory.count)
        unsafe writeHead(to: &writer)
        if unsafe writeText(text, to: &writer) != nil { unsafe Self.tooSmall() }
        return unsafe writer.position - start
    }

    private static func tooSmall() -> Never {
        preconditionFailure("The memory is smaller than the event's encodedByteCount.")
    }

    /// Passes the encoded bytes to `append`, piece by piece.
    func writePieces(_ append: (UnsafeRawBufferPointer) -> Void) {
        unsafe withoutActuallyEscaping(append) { append in
            var writer = unsafe PieceWriter(append: append)
            unsafe writeHead(to: &writer)
            _ = unsafe writeText(text, to: &writer)
        }
    }

    /// Writes type, ID and reconnection time; the caller has made room.
    @inline(__always)
    private func writeHead(to writer: inout some EncodedFieldsWriter) {
        if let type = unsafe type {
            unsafe writer.writeLine(.type, type)
        }
        if let id = unsafe id {
            unsafe writer.writeLine(.id, id)
        }
        if unsafe retry >= 0 { unsafe writeRetry(to: &writer) }
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
        unsafe withUnsafeBytes(of: digits) {
            unsafe writer.writeLine(.retry, UnsafeRawBufferPointer(rebasing: $0[first...]))
        }
    }

    /// Writes the lines of `text` and the blank line while there is room; returns the remaining lines, or nil.
    @inline(__always)
    private func writeText(
        _ text: UnsafeRawBufferPointer?,
        to writer: inout some EncodedFieldsWriter
    ) -> UnsafeRawBufferPointer? {
        var rest: UnsafeRawBufferPointer?
        if let text = unsafe text {
            let prefix = unsafe self.prefix
            unsafe Self.forEachLine(text) { line in
                // Includes the line feed and, except after comments, the blank line.
                guard unsafe writer.hasRoom(for: prefix.count + line.count + (endsWithBlankLine ? 2 : 1)) else {
                    let start = unsafe line.baseAddress.map { unsafe $0 - (text.baseAddress ?? $0) } ?? 0
                    unsafe rest = UnsafeRawBufferPointer(rebasing: text[start...])
                    return false
                }
                unsafe writer.writeLine(prefix, line)
                return true
            }
        }
        if unsafe rest == nil && endsWithBlankLine { writer.writeBlankLine() }
        return unsafe rest
    }

    /// Calls `body` with each line of `text` (one more than its LF, CR and CRLF) while it returns true.
    @inline(__always)
    private static func forEachLine(_ text: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer) -> Bool) {
        guard var at = text.baseAddress else {
            _ = unsafe body(text)
            return
        }
        let end = unsafe at + text.count
        while true {
            let stop = unsafe LineScanner.lineEnd(from: at, to: end)
            guard unsafe body(UnsafeRawBufferPointer(start: at, count: stop - at)), unsafe stop < end else { return }
            let isCR = unsafe stop.load(as: UInt8.self) == 0x0D
            unsafe at = stop + 1
            if unsafe isCR && at < end && at.load(as: UInt8.self) == 0x0A { unsafe at += 1 }
        }
    }
}
