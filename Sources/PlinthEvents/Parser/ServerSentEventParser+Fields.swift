// SPDX-License-Identifier: Apache-2.0

extension ServerSentEventParser {
    /// Interprets a nonempty line and returns whether it is a comment.
    ///
    /// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    @usableFromInline
    @inline(never)
    mutating func interpret(
        _ line: UnsafeRawBufferPointer,
        at offset: Int,
        _ block: inout ParserBlock
    ) throws(ServerSentEventParserError) -> Bool {
        let count = line.count
        if count > maximumLineSize { throw unsafe fail(.lineTooLong, at: offset, block) }
        if unsafe Self.isData(line) {
            try unsafe addData(Self.value(of: line, from: 5), at: offset, &block)
            return false
        }
        // "If the line starts with a U+003A COLON character (:): Ignore the line."
        if unsafe line[0] == 0x3A { return true }
        // "Collect the characters on the line before the first U+003A COLON character (:)", or the whole line.
        let name = unsafe Self.nameLength(line)
        let value =
            unsafe name < count
            ? Self.value(of: line, from: name + 1) : UnsafeRawBufferPointer(rebasing: line[count...])
        // "Process the field". Names are compared by bytes, without case folding.
        switch name {
        case 2 where unsafe line[0] == 0x69 && line[1] == 0x64:
            // "id": "If the field value does not contain U+0000 NULL, then set the last event ID buffer to the value."
            if unsafe Self.containsNull(value) { break }
            try unsafe grow(by: value.count - block.id.count, at: offset, &block)
            unsafe block.id = value
            unsafe block.hasID = true
        case 4 where unsafe Self.equal(line, "data"):
            try unsafe addData(value, at: offset, &block)
        case 5 where unsafe Self.equal(line, "event"):
            // "Set the event type buffer to the field value."
            try unsafe grow(by: value.count - block.type.count, at: offset, &block)
            unsafe block.type = value
        case 5 where unsafe Self.equal(line, "retry"):
            unsafe setRetry(value, &block)
        default:
            // "Otherwise: The field is ignored."
            break
        }
        return false
    }

    // "Append the field value to the data buffer, then append a single U+000A LINE FEED (LF) character". Here the LF
    // precedes each line but the first, so that none has to be removed at the end.
    private mutating func addData(
        _ value: UnsafeRawBufferPointer,
        at offset: Int,
        _ block: inout ParserBlock
    ) throws(ServerSentEventParserError) {
        if unsafe block.data == nil && !hasData {
            try unsafe grow(by: value.count, at: offset, &block)
            unsafe block.data = value
            return
        }
        try unsafe grow(by: value.count + 1, at: offset, &block)
        if let first = unsafe block.data {
            unsafe data.append(first, limit: maximumEventSize)
            unsafe block.data = nil
            hasData = true
        }
        unsafe data.appendLine(value, limit: maximumEventSize)
    }

    /// Clears the data after dispatching an event of several lines.
    @usableFromInline
    mutating func endData() {
        if data.isLarge { hasLargeBuffer = true }
        data.clear()
        hasData = false
    }

    /// "If the field value consists of only ASCII digits, then interpret the field value as an integer in base ten".
    ///
    /// Clamps larger values to 2^53 − 1, and ignores an empty one.
    private mutating func setRetry(_ value: UnsafeRawBufferPointer, _ block: inout ParserBlock) {
        if unsafe value.isEmpty { return }
        var time: Int64 = 0
        for at in 0..<value.count {
            let byte = unsafe value[at]
            guard byte >= 0x30, byte <= 0x39 else { return }
            // At most 2^53 − 1 before each step, so `time * 10` cannot overflow.
            time = min(time * 10 + Int64(byte - 0x30), ServerSentEvent.maximumRetry)
        }
        unsafe block.retry = time
        reconnection = time
    }

    /// Adds to the size of the event, and fails above the limit.
    @inline(__always)
    private mutating func grow(
        by more: Int,
        at offset: Int,
        _ block: inout ParserBlock
    ) throws(ServerSentEventParserError) {
        unsafe block.size += more
        if unsafe block.size > maximumEventSize { throw unsafe fail(.eventTooLarge, at: offset, block) }
    }

    // MARK: - Bytes

    @inline(__always)
    private static func nameLength(_ line: UnsafeRawBufferPointer) -> Int {
        var at = 0
        // Known names have at most five bytes; other fields are ignored.
        let end = min(line.count, 6)
        while at < end, unsafe line[at] != 0x3A { at += 1 }
        return at == 6 ? line.count : at
    }

    @inline(__always)
    private static func containsNull(_ value: UnsafeRawBufferPointer) -> Bool {
        for at in 0..<value.count where unsafe value[at] == 0 { return true }
        return false
    }

    /// Whether the line, which is at least as long, starts with `text`.
    @inline(__always)
    private static func equal(_ line: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        for at in 0..<text.utf8CodeUnitCount where unsafe line[at] != text.utf8Start[at] { return false }
        return true
    }
}
