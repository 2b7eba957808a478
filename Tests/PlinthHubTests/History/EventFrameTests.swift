// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Testing

@testable import PlinthHub

@Suite("Event frames")
struct EventFrameTests {
    /// Sizes of data around those at which a chunk's size gains a digit, and many between.
    static let sizes =
        Array(0...40) + Array(220...270) + Array(4060...4110) + Array(65_500...65_550) + [
            100, 1000, 10_000, 99_999, 100_000,
        ]

    private static func entry(_ data: String, id: String = "1-1", topic name: String = "a") throws -> HistoryEntry {
        HistoryEntry(
            try event(data, name),
            position: Position(1),
            id: eventID(id),
            time: MonotonicTime(nanoseconds: 0)
        )
    }

    @Test("A frame of any size is a chunk whose body is the bare event")
    func framing() throws {
        var digits: Set<Int> = []
        for size in Self.sizes {
            let data = String(repeating: "x", count: size)
            let frame = try Self.entry(data).frame
            let body = "data: \(data)\nid: 1-1\n\n"
            let chunk = String(body.utf8.count, radix: 16) + "\r\n" + body + "\r\n"
            digits.insert(String(body.utf8.count, radix: 16).count)
            #expect(Array(frame.bytes[frame.bare]) == Array(body.utf8), "size \(size)")
            #expect(Array(frame.bytes[frame.chunked]) == Array(chunk.utf8), "size \(size)")
            #expect(frame.range(isChunked: true) == frame.chunked)
            #expect(frame.range(isChunked: false) == frame.bare)
            var decoder = ChunkDecoder()
            #expect(try decoder.decode(Array(frame.bytes[frame.chunked])) == Array(body.utf8), "size \(size)")
        }
        #expect(digits == [2, 3, 4, 5])
    }

    @Test(
        "The chunk's size is correct around each change of its number of digits",
        arguments: [16, 256, 4096, 65_536]
    )
    func boundaries(size: Int) throws {
        for size in [size - 1, size, size + 1] {
            // A block of exactly that size, including its blank line.
            let text = Array(repeating: 0x78 as UInt8, count: size - 2) + [0x0A, 0x0A]
            let frame = EventFrame(text: text)
            let expected = Array((String(size, radix: 16) + "\r\n").utf8) + text + [0x0D, 0x0A]
            #expect(Array(frame.bytes[frame.chunked]) == expected)
            #expect(Array(frame.bytes[frame.bare]) == text)
        }
    }

    @Test("Each field has its own line, and the ID is the last")
    func fields() throws {
        let event = ServerSentEvent(type: "order", data: "a\r\nb\n", id: "not this", retry: .seconds(2))
        let new = NewEvent(event, topics: [try topic("t")])
        let entry = HistoryEntry(new, position: Position(7), id: eventID("1-7"), time: MonotonicTime(nanoseconds: 0))
        var parser = ServerSentEventParser()
        var parsed: [ServerSentEvent] = []
        try parser.parse(Array(entry.frame.bytes[entry.frame.bare])) { parsed.append($0) }
        let expected = ServerSentEvent(type: "order", data: "a\nb\n", id: "1-7", retry: .seconds(2))
        #expect(parsed == [expected])
        #expect(entry.event == expected)
        let text = String(decoding: entry.frame.bytes[entry.frame.bare], as: UTF8.self)
        #expect(text.hasSuffix("\nid: 1-7\n\n"))
        #expect(!text.contains("not this"))
    }

    @Test(
        "A frame with its topic adds only a tab and the topic after the ID",
        arguments: [1, 12, 230, 4080, 70_000]
    )
    func withTopic(size: Int) throws {
        let data = String(repeating: "x", count: size)
        let name = "häuser/7 und/8"
        let new = try event(data, name, "second")
        let entry = HistoryEntry(new, position: Position(1), id: eventID("1-1"), time: MonotonicTime(nanoseconds: 0))
        let frame = entry.frame(naming: entry.topics[0])
        let body = "data: \(data)\nid: 1-1\t\(name)\n\n"
        let chunk = String(body.utf8.count, radix: 16) + "\r\n" + body + "\r\n"
        #expect(Array(frame.bytes[frame.bare]) == Array(body.utf8))
        #expect(Array(frame.bytes[frame.chunked]) == Array(chunk.utf8))
        // The other form is unchanged.
        #expect(Array(entry.frame.bytes[entry.frame.bare]) == Array("data: \(data)\nid: 1-1\n\n".utf8))
    }

    @Test("A frame of text contains that text")
    func text() {
        let frame = EventFrame(text: Array("retry: 500\n\n".utf8))
        #expect(String(decoding: frame.bytes[frame.bare], as: UTF8.self) == "retry: 500\n\n")
        #expect(String(decoding: frame.bytes[frame.chunked], as: UTF8.self) == "c\r\nretry: 500\n\n\r\n")
    }

    @Test("A gap is an event with JSON data, whatever the IDs contain")
    func gap() throws {
        let gap = HubGap(requested: eventID(#"a"\b"#), oldest: eventID("é\u{2028}"), through: nil)
        #expect(gap.data == #"{"requested":"a\"\\b","oldest":"é\u2028","through":null}"#)
        let frame = gap.frame(type: "gap", id: eventID("1-5"))
        #expect(
            String(decoding: frame.bytes[frame.bare], as: UTF8.self)
                == "event: gap\ndata: \(gap.data)\nid: 1-5\n\n"
        )
        let untyped = gap.frame(type: "not\na type", id: eventID("1-5"))
        #expect(String(decoding: untyped.bytes[untyped.bare], as: UTF8.self) == "data: \(gap.data)\nid: 1-5\n\n")
    }

    // MARK: - Runs

    @Test("Subscribers share a frame with its topic within a round, and it is released afterwards")
    func sharing() throws {
        var run = FrameRun()
        let entry = try Self.entry("x")
        func address() -> UnsafeRawPointer? {
            run.begin(StreamForm(isChunked: true, namesTopic: true))
            run.append(entry, for: nil)
            return run.withBytes { $0.baseAddress }
        }
        let first = address()
        #expect(address() == first)
        weak var kept: HistoryEntry?
        do {
            let other = try Self.entry("y")
            kept = other
            run.begin(StreamForm(isChunked: true, namesTopic: true))
            run.append(other, for: nil)
        }
        #expect(kept != nil)
        run.forget()
        #expect(kept == nil)
    }

    @Test("An entry returns the ID in its frame", arguments: ["1", "1-1", String(repeating: "i", count: 256)])
    func id(text: String) throws {
        let entry = try Self.entry("data", id: text)
        #expect(entry.id == eventID(text))
        #expect(entry.event.id == text)
        #expect(entry.event(naming: entry.topics[0]).id == "\(text)\ta")
    }

    @Test(
        "A frame has no more capacity than its event needs",
        arguments: ["x", "a\nb\r\nc", "\n\n\n\n"]
    )
    func room(line: String) throws {
        for count in [1, 10, 100, 1000] {
            let entry = try Self.entry(String(repeating: line, count: count), id: "1z141z3-123456")
            let bytes = entry.frame.bytes
            #expect(bytes.capacity - bytes.count < 72, "room for \(bytes.capacity) bytes, \(bytes.count) in use")
        }
    }

    @Test("A run contains the bytes of its frames and can be cut at any byte", arguments: [1, 2, 3])
    func cuts(count: Int) throws {
        for isChunked in [true, false] {
            var run = FrameRun()
            run.begin(StreamForm(isChunked: isChunked, namesTopic: false))
            var bytes: [UInt8] = []
            var ends: [Int] = []
            for number in 1...count {
                let new = try event(String(repeating: "x", count: number), "a")
                // Positions need not be consecutive.
                let position = Position(UInt64(number * 10))
                let entry = HistoryEntry(
                    new,
                    position: position,
                    id: eventID("1-\(number)"),
                    time: MonotonicTime(nanoseconds: 0)
                )
                run.append(entry, for: nil)
                bytes += entry.frame.bytes[entry.frame.range(isChunked: isChunked)]
                ends.append(bytes.count)
            }
            #expect(run.withBytes { Array($0) } == bytes)
            #expect(run.count == bytes.count)
            #expect(run.frames == count)
            #expect(run.firstPosition == 10)
            #expect(run.lastPosition == UInt64(count * 10))
            for taken in 0...bytes.count {
                let cut = run.cut(taken)
                let begun = ends.firstIndex { taken <= $0 }.map { taken == 0 ? 0 : $0 + 1 } ?? count
                #expect(cut.frames == begun, "\(taken) of \(bytes.count)")
                #expect(cut.position == (begun == 0 ? 9 : UInt64(begun * 10)), "\(taken) of \(bytes.count)")
                let end = begun == 0 ? 0 : ends[begun - 1]
                #expect(
                    Array(cut.bytes[cut.rest]) == Array(bytes[taken..<max(end, taken)]),
                    "\(taken) of \(bytes.count)"
                )
            }
            run.begin(StreamForm(isChunked: isChunked, namesTopic: false))
            #expect(run.isEmpty)
            #expect(run.count == 0)
            #expect(run.withBytes { $0.count } == 0)
        }
    }

    @Test("A new event reserves the memory of its frame and no more", arguments: [0, 10, 100, 1000, 100_000])
    func reserves(size: Int) throws {
        let event = NewEvent(ServerSentEvent(data: String(repeating: "x", count: size)), topics: [try topic("a")])
        let frame = EventFrame(fields: event.encoded, id: Array("12345678-12345678901".utf8))
        // The allocator rounds to 16 bytes, and from 128 KiB on to pages.
        let slack = size < 10_000 ? 32 : 4096
        #expect(event.encoded.capacity <= frame.bytes.count + slack)
        #expect(frame.bytes.capacity <= frame.bytes.count + slack)
    }
}
