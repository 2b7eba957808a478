// SPDX-License-Identifier: Apache-2.0

// The loop over lines is inlined into the client's module with its closures, as are the two most common kinds of line:
// the first line of data, and the blank line. For events of 50 bytes, this takes a third of the time of a call per
// event. Rare cases are calls.

extension ServerSentEventParser {
    /// Parses one read line by line.
    ///
    /// Lines end with CRLF, LF or CR:
    /// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
    @inlinable
    @inline(__always)
    mutating func run(
        _ bytes: UnsafeRawBufferPointer,
        event: (
            _ type: UnsafeRawBufferPointer, _ data: UnsafeRawBufferPointer, _ lastID: UnsafeRawBufferPointer,
            _ hasID: Bool, _ retry: Int64
        ) -> Void,
        comment: (UnsafeRawBufferPointer) -> Void,
        fields: (_ lastID: UnsafeRawBufferPointer, _ hasID: Bool, _ retry: Int64) -> Void
    ) throws(ServerSentEventParserError) {
        guard let start = try unsafe begin(bytes) else { return }
        let base = unsafe start.base
        let end = unsafe start.end

        // Moved out of the parser while the block points into them.
        var keptLine = ParserBuffer()
        var keptFields = ParserBuffer()
        swap(&keptLine, &line)
        swap(&keptFields, &self.fields.buffer)
        defer { putBack(line: &keptLine, fields: &keptFields) }

        var block = unsafe ParserBlock(self, kept: keptFields.bytes)
        if !keptLine.isEmpty {
            let line = unsafe keptLine.bytes
            if try unsafe interpret(line, at: lineOffset, &block) {
                unsafe comment(UnsafeRawBufferPointer(rebasing: line[1...]))
            }
            lines &+= 1
        }
        var at = unsafe start.at
        while unsafe at < end {
            let stop: UnsafeRawPointer
            if unsafe at.load(as: UInt8.self) == 0x0A {
                unsafe stop = at
            } else {
                unsafe stop = LineScanner.lineEnd(from: at, to: end)
                if unsafe stop == end { break }
            }
            let count = unsafe stop - at
            if count == 0 {
                // "If the line is empty (a blank line): Dispatch the event".
                // https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage
                // 1. "Set the last event ID string of the event source to the value of the last event ID
                // buffer." Also without data. That buffer is `id`. Unlike in the standard, it is emptied here, so that
                // an event knows whether the ID is its own.
                if unsafe block.hasID { unsafe block.lastID = block.id }
                if let data = unsafe block.data ?? (hasData ? self.data.bytes : nil) {
                    unsafe event(block.type, data, block.lastID, block.hasID, block.retry)
                    if hasData { endData() }
                } else if unsafe block.hasID || block.retry >= 0 {
                    // 2. "If the data buffer is an empty string, set the data buffer and the event type buffer
                    // to the empty string and return."
                    unsafe fields(block.lastID, block.hasID, block.retry)
                }
                // 7. "Set the data buffer and the event type buffer to the empty string."
                unsafe block.data = nil
                unsafe block.type = UnsafeRawBufferPointer(start: nil, count: 0)
                unsafe block.id = UnsafeRawBufferPointer(start: nil, count: 0)
                unsafe block.hasID = false
                unsafe block.retry = -1
                unsafe block.size = 0
            } else {
                let line = unsafe UnsafeRawBufferPointer(start: at, count: count)
                if unsafe count <= maximumLineSize && Self.isData(line) && block.data == nil && !hasData {
                    // The first line of data.
                    let value = unsafe Self.value(of: line, from: 5)
                    unsafe block.data = value
                    unsafe block.size += value.count
                    if unsafe block.size > maximumEventSize {
                        throw unsafe fail(.eventTooLarge, at: consumed + (at - base), block)
                    }
                } else if try unsafe interpret(line, at: consumed + (at - base), &block) {
                    unsafe comment(UnsafeRawBufferPointer(rebasing: line[1...]))
                }
            }
            lines &+= 1
            // CRLF is one line end. A CR at the end of the read ends its line at once; an LF at the start of the
            // next read belongs to it.
            let next = unsafe stop + 1
            if unsafe stop.load(as: UInt8.self) == 0x0A {
                unsafe at = next
            } else if unsafe next == end {
                skipsLineFeed = true
                isReady = false
                unsafe at = next
            } else {
                unsafe at = next.load(as: UInt8.self) == 0x0A ? next + 1 : next
            }
        }
        try unsafe finish(start, at: at, block, line: &keptLine, fields: keptFields.bytes)
    }

    /// "data:" at the start of a line.
    @inlinable
    @inline(__always)
    static func isData(_ line: UnsafeRawBufferPointer) -> Bool {
        // Checks the length before reading. The literal is "data" as a word in memory.
        unsafe line.count >= 5 && line.loadUnaligned(as: UInt32.self) == UInt32(littleEndian: 0x6174_6164)
            && line[4] == 0x3A
    }

    /// The value from `start`: "If value starts with a U+0020 SPACE character, remove it from value." Only one.
    @inlinable
    @inline(__always)
    static func value(of line: UnsafeRawBufferPointer, from start: Int) -> UnsafeRawBufferPointer {
        let first = unsafe start < line.count && line[start] == 0x20 ? start &+ 1 : start
        return unsafe UnsafeRawBufferPointer(rebasing: line[first...])
    }
}

/// A read, and where its first unparsed line begins.
@unsafe
@usableFromInline
struct ReadStart {
    @usableFromInline let base: UnsafeRawPointer
    @usableFromInline let at: UnsafeRawPointer
    @usableFromInline let end: UnsafeRawPointer

    init(base: UnsafeRawPointer, at: UnsafeRawPointer, end: UnsafeRawPointer) {
        unsafe self.base = base
        unsafe self.at = at
        unsafe self.end = end
    }
}
