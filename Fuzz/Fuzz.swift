// SPDX-License-Identifier: Apache-2.0

// A libFuzzer target, compiled together with the sources of PlinthEvents: see run.sh.
//
// The first bytes of an input choose the limits, the splits and whether to encode; the rest is the stream. Checks:
// - nothing traps, and no memory is accessed out of bounds or after free (AddressSanitizer)
// - a stream yields the same events, comments, IDs and errors whole, byte by byte and split at random
// - events with strings equal those of borrowed bytes
// - no event exceeds its limit
// - an encoded event is read back unchanged, and has exactly encodedByteCount bytes

/// The entry point that libFuzzer calls with each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let start, count >= 4 else { return 0 }
    let input = Array(unsafe UnsafeBufferPointer(start: start, count: count))
    let limits = input[0]
    var cuts = UInt32(input[1]) << 8 | UInt32(input[2]) | 1 << 16
    let isEncoding = input[3] & 1 == 1
    let bytes = Array(input[4...])

    var parser = ServerSentEventParser(
        lastEventID: limits & 1 == 1 ? "earlier" : "",
        maximumLineSize: limits & 2 == 2 ? Int(limits) + 1 : .max,
        maximumEventSize: limits & 4 == 4 ? Int(limits) + 1 : .max
    )
    let whole = record([bytes], parser)
    check(whole == record(bytes.map { [$0] }, parser), "parsing byte by byte differs")

    var reads: [[UInt8]] = []
    var rest = bytes[...]
    while !rest.isEmpty {
        // A linear congruential generator: the input determines the splits, so a failure is reproducible.
        cuts = cuts &* 1_664_525 &+ 1_013_904_223
        let size = Int(cuts >> 16) % (cuts & 0x100 == 0 ? 17 : 257)
        reads.append(Array(rest.prefix(size)))
        rest = rest.dropFirst(size)
    }
    check(whole == record(reads, parser), "parsing random splits differs")

    var owned: [ServerSentEvent] = []
    for read in reads {
        guard (try? parser.parse(read, { owned.append($0) })) != nil else { break }
    }
    check(owned == whole.events, "strings differ from borrowed bytes")

    var lent: [ServerSentEvent] = []
    var lender = ServerSentEventParser(
        lastEventID: limits & 1 == 1 ? "earlier" : "",
        maximumLineSize: parser.maximumLineSize,
        maximumEventSize: parser.maximumEventSize
    )
    let error: ServerSentEventParserError? = unsafe bytes.withUnsafeBytes { memory in
        do throws(ServerSentEventParserError) {
            try unsafe lender.parse(memory) { lent.append($0) }
            return nil
        } catch {
            return error
        }
    }
    check(lent == owned && error == whole.error, "memory differs from an array")
    for event in owned where parser.maximumEventSize < 256 {
        // A repaired byte becomes three bytes.
        let size = event.data.utf8.count + (event.id ?? "").utf8.count + (event.type ?? "").utf8.count
        check(size <= 3 * parser.maximumEventSize, "an event exceeds the limit")
    }

    var encoded: [UInt8] = []
    for event in owned {
        let before = encoded.count
        event.encode(into: &encoded)
        check(encoded.count - before == event.encodedByteCount, "encodedByteCount is wrong")
    }
    check(record([encoded], ServerSentEventParser()).events == owned, "a parsed event does not round-trip")

    if isEncoding { encode(bytes) }
    return 0
}

/// Encodes an event of arbitrary strings, and a comment.
private func encode(_ bytes: [UInt8]) {
    let parts = bytes.split(separator: 0xFE, maxSplits: 2, omittingEmptySubsequences: false)
    let strings = parts.map { String(decoding: $0, as: UTF8.self) }
    let type = strings.count > 1 ? strings[1] : nil
    let id = strings.count > 2 ? strings[2] : nil
    if let event = try? ServerSentEvent(type: type, data: strings[0], id: id) {
        let memory = [UInt8](unsafeUninitializedCapacity: event.encodedByteCount) { memory, count in
            count = unsafe event.encode(into: UnsafeMutableRawBufferPointer(memory))
        }
        var pieces: ContiguousArray<UInt8> = []
        event.encode(into: &pieces)
        check(Array(pieces) == memory, "pieces differ from memory")
        var expected = event
        expected.data = normalized(event.data)
        check(record([memory], ServerSentEventParser()).events == [expected], "an encoded event does not round-trip")
    } else {
        let isWrong =
            (type.map { $0.isEmpty || $0.utf8.contains { $0 == 10 || $0 == 13 } } ?? false)
            || (id.map { $0.utf8.contains { $0 == 10 || $0 == 13 || $0 == 0 } } ?? false)
        check(isWrong, "a valid event was rejected")
    }
    var comment: [UInt8] = []
    EventStreamBlock.comment(strings[0]).encode(into: &comment)
    let read = record([comment], ServerSentEventParser())
    check(read.events.isEmpty && read.comments.joined(separator: "\n") == normalized(strings[0]), "a comment broke out")
}

private func normalized(_ text: String) -> String {
    var bytes: [UInt8] = []
    var afterCR = false
    for byte in text.utf8 {
        if byte == 10 && afterCR {
            afterCR = false
            continue
        }
        afterCR = byte == 13
        bytes.append(afterCR ? 10 : byte)
    }
    return String(decoding: bytes, as: UTF8.self)
}

private struct Record: Equatable {
    var events: [ServerSentEvent] = []
    var lastEventIDs: [[UInt8]] = []
    var comments: [String] = []
    var fields: [ServerSentEvent] = []
    var lastEventID = ""
    var reconnectionTime: Duration?
    var error: ServerSentEventParserError?
}

private func record(_ reads: [[UInt8]], _ parser: ServerSentEventParser) -> Record {
    var parser = parser
    var record = Record()
    for read in reads {
        do throws(ServerSentEventParserError) {
            try parser.parseBorrowed(
                read,
                event: { view in
                    record.events.append(ServerSentEvent(view))
                    record.lastEventIDs.append(unsafe view.lastEventID.withUnsafeBytes { unsafe Array($0) })
                },
                comment: { text in
                    record.comments.append(unsafe text.withUnsafeBytes { unsafe String(decoding: $0, as: UTF8.self) })
                },
                fields: { view in record.fields.append(ServerSentEvent(view)) }
            )
        } catch {
            record.error = error
            break
        }
    }
    record.lastEventID = parser.lastEventID
    record.reconnectionTime = parser.reconnectionTime
    return record
}

private func check(_ isTrue: Bool, _ message: String) {
    // A crash is how the fuzzer learns of a finding, and keeps its input.
    if !isTrue { fatalError(message) }
}
