// SPDX-License-Identifier: Apache-2.0

// The beginning and the end of a read: what the parser keeps between reads.

extension ServerSentEventParser {
    /// Begins a read: consumes the rest of the kept line, if there is one.
    ///
    /// Returns nil if the read is consumed and there is nothing left to parse.
    @usableFromInline
    mutating func begin(_ bytes: UnsafeRawBufferPointer) throws(ServerSentEventParserError) -> ReadStart? {
        if let failure { throw failure }
        guard let base = bytes.baseAddress, bytes.count > 0 else { return nil }
        var at = unsafe base
        let end = unsafe base + bytes.count
        if !isReady { unsafe at = prepare(from: at, to: end) }
        guard !line.isEmpty else {
            if unsafe at < end { return unsafe ReadStart(base: base, at: at, end: end) }
            consumed += bytes.count
            return nil
        }
        guard let stop = unsafe line.appendLine(from: at, to: end, limit: maximumLineSize) else {
            throw unsafe fail(.lineTooLong, at: lineOffset, nil)
        }
        if line.isLarge { hasLargeBuffer = true }
        if unsafe stop == end {
            consumed += bytes.count
            if hasLargeBuffer { trim() }
            return nil
        }
        unsafe at = stop + 1
        if unsafe stop.load(as: UInt8.self) == 0x0D {
            if unsafe at == end {
                skipsLineFeed = true
                isReady = false
            } else if unsafe at.load(as: UInt8.self) == 0x0A {
                unsafe at += 1
            }
        }
        return unsafe ReadStart(base: base, at: at, end: end)
    }

    /// Skips a byte order mark at the start of the stream, and the LF of a split CRLF.
    private mutating func prepare(from start: UnsafeRawPointer, to end: UnsafeRawPointer) -> UnsafeRawPointer {
        var at = unsafe start
        // "The UTF-8 decode algorithm strips one leading UTF-8 Byte Order Mark (BOM), if any", even if it is split.
        while unsafe markBytes < 3 && at < end {
            let expected: UInt8 = markBytes == 0 ? 0xEF : markBytes == 1 ? 0xBB : 0xBF
            if unsafe at.load(as: UInt8.self) != expected {
                // Not a mark: its first bytes start the first line.
                if markBytes > 0 { line.append(0xEF, limit: 2) }
                if markBytes > 1 { line.append(0xBB, limit: 2) }
                markBytes = 3
                break
            }
            markBytes += 1
            unsafe at += 1
        }
        if unsafe skipsLineFeed && at < end {
            skipsLineFeed = false
            if unsafe at.load(as: UInt8.self) == 0x0A { unsafe at += 1 }
        }
        isReady = markBytes == 3 && !skipsLineFeed
        return unsafe at
    }

    /// Ends a read: copies unfinished parts out of it and `keptLine`, then stores the unfinished line in `keptLine`.
    @usableFromInline
    @inline(never)
    mutating func finish(
        _ start: ReadStart,
        at: UnsafeRawPointer,
        _ block: ParserBlock,
        line keptLine: inout ParserBuffer,
        fields kept: UnsafeRawBufferPointer
    ) throws(ServerSentEventParserError) {
        if let value = unsafe block.data {
            unsafe data.append(value, limit: maximumEventSize)
            hasData = true
            if data.isLarge { hasLargeBuffer = true }
        }
        hasID = unsafe block.hasID
        retry = unsafe block.retry
        eventSize = unsafe block.size
        hasNewFields = unsafe !fields.isUnchanged(in: block, kept)
        if hasNewFields { unsafe fields.setSpare(type: block.type, id: block.id, lastID: block.lastID) }
        keptLine.clear()
        let rest = unsafe UnsafeRawBufferPointer(start: at, count: start.end - at)
        if rest.count > 0 {
            lineOffset = unsafe consumed + (at - start.base)
            if rest.count > maximumLineSize { throw unsafe fail(.lineTooLong, at: lineOffset, block) }
            unsafe keptLine.append(rest, limit: maximumLineSize)
            if keptLine.isLarge { hasLargeBuffer = true }
        }
        consumed += unsafe start.end - start.base
    }

    /// Moves the buffers back into the parser after the read.
    @usableFromInline
    mutating func putBack(line keptLine: inout ParserBuffer, fields keptFields: inout ParserBuffer) {
        // An error has dropped everything.
        if failure != nil { return }
        swap(&line, &keptLine)
        swap(&fields.buffer, &keptFields)
        if hasNewFields {
            hasNewFields = false
            fields.takeSpare()
            if fields.isLarge { hasLargeBuffer = true }
        }
        if hasLargeBuffer { trim() }
    }

    /// Releases memory that a large line or event needed.
    @inline(never)
    private mutating func trim() {
        line.trim()
        data.trim()
        fields.trim()
        hasLargeBuffer = line.isLarge || data.isLarge || fields.isLarge
    }

    /// Fails the parser: drops unfinished parts and stores the error.
    @usableFromInline
    @inline(never)
    mutating func fail(
        _ code: ServerSentEventParserError.Code,
        at offset: Int,
        _ block: ParserBlock?
    ) -> ServerSentEventParserError {
        let error = ServerSentEventParserError(
            code: code,
            limit: code == .lineTooLong ? maximumLineSize : maximumEventSize,
            byteOffset: offset,
            lineNumber: lines + 1
        )
        if let block = unsafe block {
            let none = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
            unsafe fields.setSpare(type: none, id: none, lastID: block.lastID)
            fields.takeSpare()
        }
        reset()
        failure = error
        return error
    }
}
