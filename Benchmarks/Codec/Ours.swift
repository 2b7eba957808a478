// SPDX-License-Identifier: Apache-2.0

// Our codecs for the codec benchmark: run.sh replaces the benchmark's stub with this file.
#if OURS
import CodecBench
import PlinthEvents

/// Events with strings.
struct OurParser: ParserUnderTest {
    private var parser = ServerSentEventParser()
    static func chunk(_ bytes: UnsafeRawBufferPointer) -> [UInt8] { Array(bytes) }
    mutating func parse(_ chunk: [UInt8], into sink: Sink) {
        do {
            guard !sink.recording else { return try record(chunk, in: sink) }
            try parser.parse(chunk) { event in sink.event(type: event.type, data: event.data, id: event.id) }
        } catch {
            // The workloads are valid: otherwise the benchmark is at fault.
            fatalError("\(error)")
        }
    }

    /// For `probe`, which needs the last event ID as of each event: converts borrowed events to strings.
    private mutating func record(_ chunk: [UInt8], in sink: Sink) throws {
        try parser.parseBorrowed(
            chunk,
            event: { view in
                let event = ServerSentEvent(view)
                let id = view.lastEventID.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
                sink.event(type: event.type, data: event.data, id: id)
            }
        )
        report(parser, in: sink)
    }
}

/// Events as borrowed bytes.
///
/// Counts in local variables rather than in the sink: exclusivity checks of its properties take twice as long as the
/// parser.
struct OurBorrowingParser: ParserUnderTest {
    private var parser = ServerSentEventParser()
    private var used = 0
    static func chunk(_ bytes: UnsafeRawBufferPointer) -> [UInt8] { Array(bytes) }
    mutating func parse(_ chunk: [UInt8], into sink: Sink) {
        do {
            if sink.recording { return try record(chunk, in: sink) }
            var events = 0
            var bytes = 0
            try parser.parseBorrowed(chunk.span) { event in
                events &+= 1
                bytes &+= event.data.count
                // Reads the same bytes as the floor.
                if !event.data.isEmpty { used &+= Int(event.data[event.data.count - 1]) }
                used &+= event.type.count &+ event.lastEventID.count
            }
            sink.events &+= events
            sink.dataBytes &+= bytes
        } catch {
            // The workloads are valid: otherwise the benchmark is at fault.
            fatalError("\(error)")
        }
    }

    private mutating func record(_ chunk: [UInt8], in sink: Sink) throws {
        try parser.parseBorrowed(chunk.span) { event in
            event.type.withUnsafeBytes { type in
                event.data.withUnsafeBytes { data in
                    event.lastEventID.withUnsafeBytes { id in sink.event(type: type, data: data, id: id) }
                }
            }
        }
        report(parser, in: sink)
    }
}

/// Reports the last event ID and the reconnection time, for `probe`.
private func report(_ parser: ServerSentEventParser, in sink: Sink) {
    sink.lastID = parser.lastEventID
    sink.retry = parser.reconnectionTime.map { Int($0 / .milliseconds(1)) }
}

struct OurEncoder: EncoderUnderTest {
    private var buffer: [UInt8] = []
    mutating func encode(type: String, id: String, data: String) -> Int {
        buffer.removeAll(keepingCapacity: true)
        do {
            try ServerSentEvent(type: type, data: data, id: id).encode(into: &buffer)
        } catch {
            // The workloads are valid: otherwise the benchmark is at fault.
            fatalError("\(error)")
        }
        return buffer.count
    }
    var last: [UInt8] { buffer }
}

/// The same without building the event.
struct OurDirectEncoder: EncoderUnderTest {
    private var buffer: [UInt8] = []
    mutating func encode(type: String, id: String, data: String) -> Int {
        buffer.removeAll(keepingCapacity: true)
        do {
            try ServerSentEvent.encode(type: type, data: data, id: id, into: &buffer)
        } catch {
            // The workloads are valid: otherwise the benchmark is at fault.
            fatalError("\(error)")
        }
        return buffer.count
    }
    var last: [UInt8] { buffer }
}

/// The same with events that were built before: only encoding is timed.
struct OurBuiltEncoder: PullingEncoderUnderTest {
    static func encode(_ input: EncoderInput, done: (Int, () -> [UInt8]) -> Void) async throws {
        var events: [ServerSentEvent] = []
        var buffer: [UInt8] = []
        var seconds = 0.0
        while let (type, id, data) = input.next() {
            events.append(try ServerSentEvent(type: type, data: data, id: id))
            if events.count == 1024 { seconds += encode(&events, into: &buffer, done: done) }
        }
        seconds += encode(&events, into: &buffer, done: done)
        input.elapsed = seconds
    }

    /// Encodes and removes the events, and returns the CPU time.
    @inline(never)
    private static func encode(
        _ events: inout [ServerSentEvent],
        into buffer: inout [UInt8],
        done: (Int, () -> [UInt8]) -> Void
    ) -> Double {
        guard !events.isEmpty else { return 0 }
        let start = cpuSeconds()
        var count = 0
        for event in events {
            buffer.removeAll(keepingCapacity: true)
            event.encode(into: &buffer)
            count &+= buffer.count
        }
        let end = cpuSeconds()
        done(count) { buffer }
        events.removeAll(keepingCapacity: true)
        return end - start
    }
}

let ours: [Codec] = [
    .parser("ours", OurParser.self),
    .parser("ours-borrowed", OurBorrowingParser.self),
    .encoder("ours", OurEncoder.self),
    .encoder("ours-direct", OurDirectEncoder.self),
    .encoder("ours-built", pulling: OurBuiltEncoder.self),
]
#else
import CodecBench

let ours: [Codec] = []
#endif
