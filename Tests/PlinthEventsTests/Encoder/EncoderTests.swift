// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import Testing

@Suite("The encoder")
struct EncoderTests {
    static func encoded(_ event: ServerSentEvent) -> String {
        var bytes: [UInt8] = []
        event.encode(into: &bytes)
        return String(decoding: bytes, as: UTF8.self)
    }

    static let cases: [(event: ServerSentEvent, text: String)] = [
        (.init(data: ""), "data: \n\n"),
        (.init(data: "a"), "data: a\n\n"),
        (.init(data: " a "), "data:  a \n\n"),
        (.init(data: "a\nb"), "data: a\ndata: b\n\n"),
        (.init(data: "a\n"), "data: a\ndata: \n\n"),
        (.init(data: "\na"), "data: \ndata: a\n\n"),
        (.init(data: "\n"), "data: \ndata: \n\n"),
        (.init(data: "a\rb"), "data: a\ndata: b\n\n"),
        (.init(data: "a\r\nb"), "data: a\ndata: b\n\n"),
        (.init(data: "a\n\rb"), "data: a\ndata: \ndata: b\n\n"),
        (.init(data: "a\r\r\n\n"), "data: a\ndata: \ndata: \ndata: \n\n"),
        (.init(type: "t", data: "a"), "event: t\ndata: a\n\n"),
        (.init(data: "a", id: "1"), "id: 1\ndata: a\n\n"),
        (.init(data: "a", id: ""), "id: \ndata: a\n\n"),
        (.init(data: "a", id: " 1"), "id:  1\ndata: a\n\n"),
        (.init(data: "a", retry: .zero), "retry: 0\ndata: a\n\n"),
        (
            .init(type: "t", data: "a", id: "1", retry: .milliseconds(9_007_199_254_740_991)),
            "event: t\nid: 1\nretry: 9007199254740991\ndata: a\n\n"
        ),
        (.init(data: "a\u{2028}b\u{85}c\u{0B}d\u{0C}e\tf"), "data: a\u{2028}b\u{85}c\u{0B}d\u{0C}e\tf\n\n"),
        (.init(data: "x\n\nid: 2\ndata: y"), "data: x\ndata: \ndata: id: 2\ndata: data: y\n\n"),
    ]

    @Test("Each part is written as its field", arguments: cases)
    func fields(_ event: ServerSentEvent, _ text: String) {
        #expect(Self.encoded(event) == text)
        #expect(event.encodedByteCount == text.utf8.count)
    }

    @Test("Arrays, other collections and memory receive the same bytes", arguments: cases)
    func targets(_ event: ServerSentEvent, _ text: String) {
        let before: [UInt8] = [1, 2, 3]
        var array = before
        event.encode(into: &array)
        #expect(array == before + Array(text.utf8))

        var contiguous = ContiguousArray(before)
        event.encode(into: &contiguous)
        #expect(Array(contiguous) == array)

        var slice = before[1...]
        event.encode(into: &slice)
        #expect(slice.elementsEqual(array[1...]))

        let count = event.encodedByteCount
        let memory = [UInt8](unsafeUninitializedCapacity: count) { memory, written in
            written = event.encode(into: UnsafeMutableRawBufferPointer(memory))
        }
        #expect(memory == Array(text.utf8))
    }

    @Test("Strings encode like the event built from them", arguments: cases)
    func strings(_ event: ServerSentEvent, _ text: String) throws {
        var array: [UInt8] = [1]
        try ServerSentEvent.encode(
            type: event.type,
            data: event.data,
            id: event.id,
            retry: event.retry,
            into: &array
        )
        #expect(array == [1] + Array(text.utf8))
    }

    @Test("Data given as bytes encodes like a string", arguments: cases)
    func bytes(_ event: ServerSentEvent, _ text: String) throws {
        guard event.retry == nil else { return }
        let type = try event.type.map { type throws(ServerSentEventError) in try ServerSentEvent.EventType(type) }
        let id = try event.id.map { id throws(ServerSentEventError) in try ServerSentEvent.ID(id) }
        var array: [UInt8] = []
        ServerSentEvent.encode(type: type, utf8: Array(event.data.utf8).span, id: id, into: &array)
        #expect(array == Array(text.utf8))
    }

    @Test("Borrowed events and blocks are forwarded unchanged", arguments: cases)
    func views(_ event: ServerSentEvent, _ text: String) throws {
        let stream = Array("id: 0\n\n\(text)retry: 5\nid: \n\nretry: 6\n\n".utf8)
        let expected = Array("id: 0\n\n\(text)id: \nretry: 5\n\nretry: 6\n\n".utf8)
        for reads in [[stream], stream.map { [$0] }] {
            var parser = ServerSentEventParser()
            var passed: [UInt8] = []
            for read in reads {
                try parser.parseBorrowed(
                    read,
                    event: { view in view.encode(into: &passed) },
                    fields: { view in view.encode(into: &passed) }
                )
            }
            #expect(passed == expected)
        }
    }

    @Test("Strings that an event rejects are rejected, and nothing is appended")
    func refusedStrings() throws {
        let wrong: [(type: String?, id: String?, retry: Duration?, code: ServerSentEventError.Code)] = [
            ("", nil, nil, .invalidType), ("a\n", nil, nil, .invalidType), ("abcdefgh\r", "1", nil, .invalidType),
            ("a", "1\n", nil, .invalidID), (nil, "0123456789abcdef\0", nil, .invalidID), (nil, "\r", nil, .invalidID),
            (nil, nil, .microseconds(1), .invalidRetry),
        ]
        for (type, id, retry, code) in wrong {
            var array: [UInt8] = []
            let error = #expect(throws: ServerSentEventError.self) {
                try ServerSentEvent.encode(type: type, data: "a", id: id, retry: retry, into: &array)
            }
            #expect(error?.code == code)
            #expect(array.isEmpty)
            let built = #expect(throws: ServerSentEventError.self) {
                try ServerSentEvent(type: type, data: "a", id: id, retry: retry)
            }
            #expect(built == error)
        }
        // Low bytes that are allowed.
        var array: [UInt8] = []
        try ServerSentEvent.encode(type: "\0\t", data: "a", id: "\u{1}\u{B}", into: &array)
        #expect(String(decoding: array, as: UTF8.self) == "event: \0\t\nid: \u{1}\u{B}\ndata: a\n\n")
    }

    @Test("A forbidden byte is found at every offset of a type and an ID", arguments: 1..<40)
    func forbiddenPlaces(_ count: Int) {
        for place in 0..<count {
            for byte in ["\n", "\r", "\0"] {
                let text =
                    String(repeating: "a", count: place) + byte + String(repeating: "é", count: count - place - 1)
                let id = #expect(throws: ServerSentEventError.self) { try ServerSentEvent(data: "x", id: text) }
                #expect(id?.byteOffset == place)
                guard byte != "\0" else { continue }
                let type = #expect(throws: ServerSentEventError.self) { try ServerSentEvent(type: text, data: "x") }
                #expect(type?.byteOffset == place)
            }
        }
    }

    @Test("Encoding writes exactly encodedByteCount bytes", arguments: cases)
    func exactMemory(_ event: ServerSentEvent, _ text: String) {
        let count = event.encodedByteCount
        var memory = [UInt8](repeating: 0xAA, count: count + 16)
        let written = memory.withUnsafeMutableBytes {
            event.encode(into: UnsafeMutableRawBufferPointer(rebasing: $0[..<count]))
        }
        #expect(written == count)
        #expect(memory[count...].allSatisfy { $0 == 0xAA })
    }

    @Test("Encoding into memory that is too small traps")
    func tooSmall() async {
        await #expect(processExitsWith: .failure) {
            let event = ServerSentEvent(type: "a", data: "bcd\nefg", id: "1")
            var memory = [UInt8](repeating: 0, count: event.encodedByteCount - 1)
            _ = memory.withUnsafeMutableBytes { event.encode(into: $0) }
        }
        await #expect(processExitsWith: .failure) {
            _ = ServerSentEvent(data: "").encode(into: UnsafeMutableRawBufferPointer(start: nil, count: 0))
        }
    }

    @Test("Data of only line breaks is encoded", arguments: [1, 63, 64, 65, 1000, 100_000])
    func manyLines(_ count: Int) {
        let event = ServerSentEvent(data: String(repeating: "\n", count: count))
        let text = String(repeating: "data: \n", count: count + 1) + "\n"
        #expect(Self.encoded(event) == text)
        #expect(event.encodedByteCount == text.utf8.count)
    }

    @Test("A line break at any offset of a long line is read back", arguments: ["\n", "\r", "\r\n", "\t"])
    func positions(_ lineBreak: String) {
        for count in 0..<200 {
            let data = String(repeating: "a", count: count) + lineBreak + String(repeating: "b", count: 7)
            let read = lineBreak == "\t" ? data : data.replacing(lineBreak, with: "\n")
            let outcome = Outcome.borrowed([Array(Self.encoded(.init(data: data)).utf8)])
            #expect(outcome.events == [.init(data: read)])
        }
    }

    @Test("Parts of every length are encoded", arguments: 0..<40)
    func lengths(_ count: Int) throws {
        func text(_ count: Int) -> String { String(decoding: (0..<count).map { UInt8(0x21 + $0 % 90) }, as: UTF8.self) }
        for other in [0, 1, 3, 4, 7, 8, 9, 15, 16, 17, 36] {
            for data in [0, 1, 15, 16, 17, 31, 33, 100, 511, 512, 513, 1000] {
                let (type, id, data) = (text(count), text(other), text(data))
                let expected = "id: \(id)\ndata: \(data)\n\n"
                // After other bytes, which are kept.
                var bytes: [UInt8] = [0x3A, 0x0A]
                if count > 0 {
                    try ServerSentEvent(type: type, data: data, id: id).encode(into: &bytes)
                    #expect(bytes.elementsEqual(":\nevent: \(type)\n\(expected)".utf8))
                    bytes.removeLast(bytes.count - 2)
                    try ServerSentEvent.encode(type: type, data: data, id: id, into: &bytes)
                    #expect(bytes.elementsEqual(":\nevent: \(type)\n\(expected)".utf8))
                } else {
                    try ServerSentEvent.encode(data: data, id: id, into: &bytes)
                    #expect(bytes.elementsEqual(":\n\(expected)".utf8))
                }
            }
        }
    }

    @Test("A line break is found at every offset of data of every length", arguments: ["\n", "\r", "\t"])
    func breaks(_ lineBreak: String) {
        for count in 0..<70 {
            for place in 0...count {
                let (head, tail) = (String(repeating: "a", count: place), String(repeating: "ö", count: count - place))
                let event = ServerSentEvent(type: "t", data: head + lineBreak + tail, id: "1")
                let data = lineBreak == "\t" ? "data: \(head)\t\(tail)" : "data: \(head)\ndata: \(tail)"
                #expect(Self.encoded(event) == "event: t\nid: 1\n\(data)\n\n")
            }
        }
    }

    @Test("A line break late in long data is found", arguments: [500, 513, 528, 544, 1000, 1056])
    func lateBreaks(_ count: Int) {
        for place in max(0, count - 560)...count {
            let (head, tail) = (String(repeating: "a", count: place), String(repeating: "b", count: count - place))
            #expect(Self.encoded(.init(data: "\(head)\n\(tail)")) == "data: \(head)\ndata: \(tail)\n\n")
        }
    }

    @Test("Any number of short lines is encoded", arguments: ["", "a", "some words"])
    func shortLines(_ line: String) {
        for count in 1...150 {
            let data = Array(repeating: line, count: count).joined(separator: "\n")
            let text = String(repeating: "data: \(line)\n", count: count)
            #expect(Self.encoded(.init(type: "t", data: data)) == "event: t\n\(text)\n")
        }
    }

    @Test("Data cannot inject a field", arguments: ["\n", "\r", "\r\n", "\n\n", "\r\r", "\n\r", "\r\n\r\n"])
    func injection(_ lineBreak: String) {
        for field in ["event: evil", "id: 666", "retry: 1", ":", "data: forged", ""] {
            let event = ServerSentEvent(type: "t", data: "a\(lineBreak)\(field)\(lineBreak)b", id: "1")
            let outcome = Outcome.borrowed([Array(Self.encoded(event).utf8)])
            #expect(outcome.events.count == 1)
            #expect(outcome.events.first?.type == "t")
            #expect(outcome.lastEventID == "1")
            #expect(outcome.reconnectionTime == nil)
            #expect(outcome.comments.isEmpty)
        }
    }

    @Test(
        "A comment is written only as comment lines",
        arguments: [
            ("", ":\n"), (" hi", ": hi\n"), ("a\nb", ":a\n:b\n"), ("a\r\n\r", ":a\n:\n:\n"),
            ("x\ndata: forged\n\n", ":x\n:data: forged\n:\n:\n"),
        ]
    )
    func comments(_ text: String, _ encoded: String) {
        var bytes: [UInt8] = []
        let block = EventStreamBlock.comment(text)
        block.encode(into: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == encoded)
        #expect(block.encodedByteCount == bytes.count)
        let outcome = Outcome.borrowed([bytes])
        #expect(outcome.events.isEmpty)
        #expect(
            outcome.comments.joined(separator: "\n") == text.replacing("\r\n", with: "\n").replacing("\r", with: "\n")
        )
    }

    @Test("A reconnection time or an ID alone dispatches nothing")
    func blocks() throws {
        var bytes: [UInt8] = []
        try EventStreamBlock.retry(.seconds(5)).encode(into: &bytes)
        EventStreamBlock.lastEventID("7").encode(into: &bytes)
        EventStreamBlock.event(.init(data: "a")).encode(into: &bytes)
        EventStreamBlock.lastEventID("").encode(into: &bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == "retry: 5000\n\nid: 7\n\ndata: a\n\nid: \n\n")
        let outcome = Outcome.borrowed([bytes])
        #expect(
            outcome.parts == [
                .fields(id: nil, retry: .seconds(5)), .fields(id: "7", retry: nil),
                .event(.init(data: "a"), lastEventID: "7"), .fields(id: "", retry: nil),
            ]
        )
        #expect(outcome.lastEventID == "")
        #expect(outcome.reconnectionTime == .seconds(5))
    }

    @Test("Arrays, other collections and memory receive the same bytes of a block")
    func blockTargets() throws {
        let blocks: [EventStreamBlock] = [
            .comment("a\nb"), try .retry(.milliseconds(1)), .lastEventID("x"), .event(.init(type: "t", data: "a\nb")),
        ]
        for block in blocks {
            var array: [UInt8] = []
            block.encode(into: &array)
            var contiguous: ContiguousArray<UInt8> = []
            block.encode(into: &contiguous)
            #expect(Array(contiguous) == array)
            let memory = [UInt8](unsafeUninitializedCapacity: block.encodedByteCount) { memory, written in
                written = block.encode(into: UnsafeMutableRawBufferPointer(memory))
            }
            #expect(memory == array)
        }
    }
}
