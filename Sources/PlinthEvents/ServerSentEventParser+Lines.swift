// SPDX-License-Identifier: Apache-2.0

/// What one read brought and still lies in it, so that nothing is copied for an event that came in one piece.
///
/// Invariant: a part that is set here replaces the one in the parser's buffer. All pointers are into memory that
/// outlives the value: the read, or a line that was taken out of the parser; `keep` empties it before that ends.
@unsafe struct ReadParts {
    /// The only line of data so far.
    var data: UnsafeRawBufferPointer?
    var type: UnsafeRawBufferPointer?
    var id: UnsafeRawBufferPointer?
    var lastID: UnsafeRawBufferPointer?
}

extension ServerSentEventParser {
    typealias OnEvent = (
        _ type: UnsafeRawBufferPointer, _ data: UnsafeRawBufferPointer, _ lastID: UnsafeRawBufferPointer,
        _ hasID: Bool, _ retry: Int64
    ) -> Void
    typealias OnFields = (_ lastID: UnsafeRawBufferPointer, _ hasID: Bool, _ retry: Int64) -> Void

    /// Parses one read: finds the lines and hands on each.
    ///
    /// Lines end with CRLF, LF or CR:
    /// https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
    @inline(__always)
    mutating func run(
        _ bytes: UnsafeRawBufferPointer,
        event: OnEvent,
        comment: (UnsafeRawBufferPointer) -> Void,
        fields: OnFields
    ) throws(ServerSentEventParserError) {
        if let failure { throw failure }
        guard let base = bytes.baseAddress, bytes.count > 0 else { return }
        var at = unsafe base
        let end = unsafe base + bytes.count
        if markBytes < 3 { unsafe at = skipByteOrderMark(from: at, to: end) }
        if unsafe skipsLineFeed && at < end {
            skipsLineFeed = false
            if unsafe at.load(as: UInt8.self) == 0x0A { unsafe at += 1 }
        }

        var parts = unsafe ReadParts()
        if unsafe !line.isEmpty && at < end {
            let stop = unsafe LineScanner.lineEnd(from: at, to: end)
            let rest = unsafe UnsafeRawBufferPointer(start: at, count: stop - at)
            if line.count + rest.count > maximumLineSize { throw unsafe fail(.lineTooLong, at: lineOffset, parts) }
            unsafe line.append(rest, limit: maximumLineSize)
            if unsafe stop == end {
                unsafe at = end
            } else {
                unsafe at = afterLineEnd(stop, end: end)
                try unsafe endKeptLine(&parts, comment: comment)
            }
        }
        while unsafe at < end {
            let stop = unsafe LineScanner.lineEnd(from: at, to: end)
            if unsafe stop == end { break }
            let line = unsafe UnsafeRawBufferPointer(start: at, count: stop - at)
            if line.count == 0 {
                lines &+= 1
                unsafe dispatch(&parts, event: event, fields: fields)
            } else {
                try unsafe interpret(line, at: consumed + (at - base), &parts, comment: comment)
                lines &+= 1
            }
            unsafe at = afterLineEnd(stop, end: end)
        }
        unsafe keep(&parts)
        if unsafe at < end {
            let rest = unsafe UnsafeRawBufferPointer(start: at, count: end - at)
            lineOffset = unsafe consumed + (at - base)
            if rest.count > maximumLineSize { throw unsafe fail(.lineTooLong, at: lineOffset, parts) }
            unsafe line.append(rest, limit: maximumLineSize)
            if line.isLarge { hasLargeBuffer = true }
        }
        consumed += bytes.count
        if hasLargeBuffer { trim() }
    }

    // Skips CR, LF or CRLF. A CR at the end of the read ends its line at once; an LF in the next belongs to it.
    @inline(__always)
    private mutating func afterLineEnd(_ stop: UnsafeRawPointer, end: UnsafeRawPointer) -> UnsafeRawPointer {
        let next = unsafe stop + 1
        if unsafe stop.load(as: UInt8.self) == 0x0A { return unsafe next }
        if unsafe next == end {
            skipsLineFeed = true
            return unsafe next
        }
        return unsafe next.load(as: UInt8.self) == 0x0A ? next + 1 : next
    }

    /// "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark, if any": also if it comes in pieces.
    private mutating func skipByteOrderMark(from start: UnsafeRawPointer, to end: UnsafeRawPointer) -> UnsafeRawPointer
    {
        var at = unsafe start
        while unsafe at < end {
            let expected: UInt8 = markBytes == 0 ? 0xEF : markBytes == 1 ? 0xBB : 0xBF
            if unsafe at.load(as: UInt8.self) != expected {
                // No mark: what looked like one is the start of the first line.
                if markBytes > 0 { line.append(0xEF, limit: 2) }
                if markBytes > 1 { line.append(0xBB, limit: 2) }
                markBytes = 3
                break
            }
            markBytes += 1
            unsafe at += 1
            if markBytes == 3 { break }
        }
        return unsafe at
    }

    /// The line that came in several reads has ended.
    @inline(never)
    private mutating func endKeptLine(
        _ parts: inout ReadParts,
        comment: (UnsafeRawBufferPointer) -> Void
    ) throws(ServerSentEventParserError) {
        var whole = ParserBuffer()
        swap(&whole, &line)
        var failure: ServerSentEventParserError?
        unsafe whole.withBytes { bytes in
            do throws(ServerSentEventParserError) {
                try unsafe interpret(bytes, at: lineOffset, &parts, comment: comment)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        lines &+= 1
        if let value = unsafe parts.data, whole.isLarge {
            // A long first line of data is not copied: the buffers change places.
            let name = whole.count - value.count
            unsafe parts.data = nil
            swap(&data, &whole)
            data.drop(name)
            hasLargeBuffer = true
        }
        unsafe keep(&parts)
        whole.clear()
        line = whole
    }

    /// Copies what still lies in the read, which is about to end.
    @inline(__always)
    mutating func keep(_ parts: inout ReadParts) {
        if let value = unsafe parts.data { unsafe data.append(value, limit: maximumEventSize) }
        if let value = unsafe parts.type { unsafe type.set(value) }
        if let value = unsafe parts.id { unsafe id.set(value) }
        if let value = unsafe parts.lastID { unsafe lastID.set(value) }
        unsafe parts = ReadParts()
        if data.isLarge { hasLargeBuffer = true }
    }

    /// Gives memory back that a large line or event needed.
    @inline(never)
    private mutating func trim() {
        // The data of a long line took the line's buffer: the next long line needs it again.
        if line.isEmpty, data.isEmpty, data.capacity > line.capacity { swap(&line, &data) }
        line.trim()
        data.trim()
        type.trim()
        id.trim()
        lastID.trim()
        hasLargeBuffer = line.isLarge || data.isLarge || type.isLarge || id.isLarge || lastID.isLarge
    }

    /// Drops what is unfinished, and remembers the error.
    @inline(never)
    func failed(_ code: ServerSentEventParserError.Code, at offset: Int) -> ServerSentEventParserError {
        ServerSentEventParserError(
            code: code,
            limit: code == .lineTooLong ? maximumLineSize : maximumEventSize,
            byteOffset: offset,
            lineNumber: lines + 1
        )
    }

    @inline(never)
    mutating func fail(
        _ code: ServerSentEventParserError.Code,
        at offset: Int,
        _ parts: ReadParts
    ) -> ServerSentEventParserError {
        let error = failed(code, at: offset)
        if let value = unsafe parts.lastID { unsafe lastID.set(value) }
        reset()
        failure = error
        return error
    }
}
