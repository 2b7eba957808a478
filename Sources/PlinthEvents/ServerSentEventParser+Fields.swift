// SPDX-License-Identifier: Apache-2.0

extension ServerSentEventParser {
    /// Interprets a line that is not empty.
    ///
    /// https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    @inline(__always)
    mutating func interpret(
        _ line: UnsafeRawBufferPointer,
        at offset: Int,
        _ parts: inout ReadParts,
        comment: (UnsafeRawBufferPointer) -> Void
    ) throws(ServerSentEventParserError) {
        let count = line.count
        if count > maximumLineSize { throw unsafe fail(.lineTooLong, at: offset, parts) }
        // "data:", first since it is nearly every line. The length is checked before the bytes are read.
        if count >= 5, unsafe line.loadUnaligned(as: UInt32.self) == Self.dataName, unsafe line[4] == 0x3A {
            return try unsafe addData(Self.value(of: line, from: 5), at: offset, &parts)
        }
        // "If the line starts with a U+003A COLON character (:): Ignore the line."
        if unsafe line[0] == 0x3A {
            return unsafe comment(UnsafeRawBufferPointer(rebasing: line[1...]))
        }
        // "Collect the characters on the line before the first U+003A COLON character (:)", or the whole line.
        let name = unsafe Self.nameLength(line)
        let value =
            unsafe name < count
            ? Self.value(of: line, from: name + 1) : UnsafeRawBufferPointer(rebasing: line[count...])
        try unsafe field(UnsafeRawBufferPointer(rebasing: line[..<name]), value, at: offset, &parts)
    }

    // "Process the field": its name decides. Names are compared by bytes; there is no case folding.
    @inline(__always)
    private mutating func field(
        _ name: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        at offset: Int,
        _ parts: inout ReadParts
    ) throws(ServerSentEventParserError) {
        if unsafe Self.equal(name, "id") {
            // "If the field value does not contain U+0000 NULL, then set the last event ID buffer to the field value."
            if unsafe value.contains(0) { return }
            let old = unsafe hasID ? parts.id?.count ?? id.count : 0
            try unsafe count(value.count - old, at: offset, parts)
            unsafe parts.id = value
            hasID = true
        } else if unsafe Self.equal(name, "event") {
            // "Set the event type buffer to the field value."
            try unsafe count(value.count - (parts.type?.count ?? type.count), at: offset, parts)
            unsafe parts.type = value
        } else if unsafe Self.equal(name, "data") {
            try unsafe addData(value, at: offset, &parts)
        } else if unsafe Self.equal(name, "retry") {
            unsafe setRetry(value)
        }
        // "Otherwise: The field is ignored."
    }

    // "Append the field value to the data buffer, then append a single U+000A LINE FEED (LF) character". The LF is
    // written before each line but the first, so that none has to be removed at the end.
    @inline(__always)
    private mutating func addData(
        _ value: UnsafeRawBufferPointer,
        at offset: Int,
        _ parts: inout ReadParts
    ) throws(ServerSentEventParserError) {
        if !hasData {
            try unsafe count(value.count, at: offset, parts)
            hasData = true
            unsafe parts.data = value
            return
        }
        try unsafe count(value.count + 1, at: offset, parts)
        if let first = unsafe parts.data {
            unsafe data.append(first, limit: maximumEventSize)
            unsafe parts.data = nil
        }
        data.append(0x0A, limit: maximumEventSize)
        unsafe data.append(value, limit: maximumEventSize)
    }

    /// "If the field value consists of only ASCII digits, then interpret the field value as an integer in base ten".
    ///
    /// Above 2^53 − 1 the largest time is taken, which no client waits for either. An empty value is ignored.
    private mutating func setRetry(_ value: UnsafeRawBufferPointer) {
        if unsafe value.isEmpty { return }
        var time: Int64 = 0
        for at in 0..<value.count {
            let byte = unsafe value[at]
            guard byte >= 0x30, byte <= 0x39 else { return }
            // At most 2^53 − 1 before each step, so that ten times that fits.
            time = min(time * 10 + Int64(byte - 0x30), ServerSentEvent.maximumRetry)
        }
        retry = time
        reconnection = time
    }

    /// "If the line is empty (a blank line): Dispatch the event".
    ///
    /// https://html.spec.whatwg.org/multipage/server-sent-events.html#dispatchMessage
    @inline(__always)
    mutating func dispatch(_ parts: inout ReadParts, event: OnEvent, fields: OnFields) {
        // 1. "Set the last event ID string of the event source to the value of the last event ID buffer." Also without
        // data. Other than in the standard's text, the buffer lives on in `lastID`, so that an ID outlives its event.
        if hasID {
            if let value = unsafe parts.id {
                unsafe parts.lastID = value
                unsafe parts.id = nil
            } else {
                swap(&lastID, &id)
                unsafe parts.lastID = nil
            }
        }
        // 2. "If the data buffer is an empty string, set the data buffer and the event type buffer to the empty string
        // and return."
        if hasData {
            unsafe data.withBytes { keptData in
                unsafe type.withBytes { keptType in
                    unsafe lastID.withBytes { keptID in
                        unsafe event(
                            parts.type ?? keptType,
                            parts.data ?? keptData,
                            parts.lastID ?? keptID,
                            hasID,
                            retry
                        )
                    }
                }
            }
        } else if hasID || retry >= 0 {
            unsafe lastID.withBytes { keptID in unsafe fields(parts.lastID ?? keptID, hasID, retry) }
        }
        // 7. "Set the data buffer and the event type buffer to the empty string."
        unsafe parts.data = nil
        unsafe parts.type = nil
        data.clear()
        type.clear()
        hasData = false
        hasID = false
        retry = -1
        eventSize = 0
    }

    /// Counts bytes of the event.
    @inline(__always)
    private mutating func count(_ more: Int, at offset: Int, _ parts: ReadParts) throws(ServerSentEventParserError) {
        eventSize += more
        if eventSize > maximumEventSize { throw unsafe fail(.eventTooLarge, at: offset, parts) }
    }

    // MARK: - Bytes

    /// "data" as a word in memory.
    private static let dataName = UInt32(littleEndian: 0x6174_6164)

    /// The value from `start`: "If value starts with a U+0020 SPACE character, remove it from value." One, not more.
    @inline(__always)
    private static func value(of line: UnsafeRawBufferPointer, from start: Int) -> UnsafeRawBufferPointer {
        let first = unsafe start < line.count && line[start] == 0x20 ? start + 1 : start
        return unsafe UnsafeRawBufferPointer(rebasing: line[first...])
    }

    @inline(__always)
    private static func nameLength(_ line: UnsafeRawBufferPointer) -> Int {
        var at = 0
        // A name that is known has five bytes at most; of others the value does not matter.
        let end = min(line.count, 6)
        while at < end, unsafe line[at] != 0x3A { at += 1 }
        return at == 6 ? line.count : at
    }

    @inline(__always)
    private static func equal(_ name: UnsafeRawBufferPointer, _ text: StaticString) -> Bool {
        guard name.count == text.utf8CodeUnitCount else { return false }
        for at in 0..<name.count where unsafe name[at] != text.utf8Start[at] { return false }
        return true
    }
}
