// SPDX-License-Identifier: Apache-2.0

import PlinthEvents
import PlinthTestSupport
import Testing

@Suite("Random input")
struct RandomTests {
    static let seed: UInt64 = 20_261_121

    static let pieces: [String] = [
        "a", "bc", "0123456789abcdef", " ", "\t", ":", "data: ", "\n", "\r", "\r\n", "\n\n", "é", "e\u{301}", "漢", "🎉",
        "\u{2028}", "\u{FEFF}", "\u{85}", "\0", String(repeating: "x", count: 40),
    ]

    static func text(_ generator: inout SeededGenerator, without forbidden: String = "", upTo count: Int = 8) -> String
    {
        var text = ""
        for _ in 0..<Int.random(in: 0...count, using: &generator) {
            let piece = pieces[Int.random(in: 0..<pieces.count, using: &generator)]
            if !piece.unicodeScalars.contains(where: { forbidden.unicodeScalars.contains($0) }) { text += piece }
        }
        return text
    }

    static func event(_ generator: inout SeededGenerator) throws -> ServerSentEvent {
        let type = text(&generator, without: "\r\n", upTo: 3)
        return try ServerSentEvent(
            type: type.isEmpty ? nil : type,
            data: text(&generator),
            id: Bool.random(using: &generator) ? text(&generator, without: "\r\n\0", upTo: 3) : nil,
            retry: Int.random(in: 0..<8, using: &generator) == 0
                ? .milliseconds(Int64.random(in: 0...9_007_199_254_740_991, using: &generator)) : nil
        )
    }

    /// The text with each line break as a line feed, as a parser reads it back.
    static func normalized(_ text: String) -> String {
        var scalars = String.UnicodeScalarView()
        var afterCR = false
        for scalar in text.unicodeScalars {
            if scalar == "\n" && afterCR {
                afterCR = false
                continue
            }
            afterCR = scalar == "\r"
            scalars.append(afterCR ? "\n" : scalar)
        }
        return String(scalars)
    }

    @Test("120,000 random events are read back as encoded")
    func roundTrip() throws {
        print("seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed)
        var parser = ServerSentEventParser()
        var bytes: [UInt8] = []
        for _ in 0..<1200 {
            var expected: [ServerSentEvent] = []
            bytes.removeAll(keepingCapacity: true)
            for _ in 0..<100 {
                var event = try Self.event(&generator)
                let before = bytes.count
                event.encode(into: &bytes)
                #expect(event.encodedByteCount == bytes.count - before)
                event.data = Self.normalized(event.data)
                expected.append(event)
            }
            var events: [ServerSentEvent] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...2000, using: &generator)
                try parser.parse(rest.prefix(count)) { events.append($0) }
                rest = rest.dropFirst(count)
            }
            #expect(events == expected)
        }
    }

    @Test("Random bytes parse the same whole, byte by byte, in random reads and by the standard's algorithm")
    func garbage() {
        print("seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed)
        let atoms: [[UInt8]] = [
            Array("data".utf8), Array("data: ".utf8), Array("event:".utf8), Array("id: ".utf8), Array("retry:".utf8),
            Array(":".utf8), [0x20], [0x0A], [0x0D], [0x0D, 0x0A], [0x0A, 0x0A], [0xEF, 0xBB, 0xBF], [0xEF, 0xBB], [0],
            [0xFF], [0xE2, 0x82], Array("é".utf8), Array("12".utf8), Array(repeating: 0x61, count: 40),
        ]
        for _ in 0..<4000 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0...40, using: &generator) {
                if Int.random(in: 0..<10, using: &generator) == 0 {
                    bytes.append(UInt8.random(in: 0...255, using: &generator))
                } else {
                    bytes += atoms[Int.random(in: 0..<atoms.count, using: &generator)]
                }
            }
            var reads: [[UInt8]] = []
            var rest = bytes[...]
            while !rest.isEmpty {
                let count = Int.random(in: 0...20, using: &generator)
                reads.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
            }
            let whole = Outcome.borrowed([bytes])
            #expect(whole == Outcome.reference(bytes), "\(bytes)")
            #expect(whole == Outcome.borrowed(bytes.map { [$0] }), "\(bytes)")
            #expect(whole == Outcome.borrowed(reads), "\(reads)")
            #expect(whole.events == Outcome.owned(reads), "\(reads)")
        }
    }

    @Test("Random limits hold, and the error does not depend on how the stream is split")
    func limits() {
        print("seed \(Self.seed)")
        var generator = SeededGenerator(seed: Self.seed)
        for _ in 0..<3000 {
            let parser = ServerSentEventParser(
                maximumLineSize: Int.random(in: 1...30, using: &generator),
                maximumEventSize: Int.random(in: 1...30, using: &generator)
            )
            var bytes: [UInt8] = []
            for _ in 0..<20 { bytes += Array(Self.text(&generator, upTo: 2).utf8) + [0x0A] }
            let whole = Outcome.borrowed([bytes], parser: parser)
            #expect(whole == Outcome.borrowed(bytes.map { [$0] }, parser: parser))
            for event in whole.events {
                #expect(event.data.utf8.count + (event.id ?? "").utf8.count <= parser.maximumEventSize)
            }
        }
    }
}

extension Outcome {
    /// The standard's algorithm, literally and slowly, on the whole stream: decodes, splits into lines, interprets.
    static func reference(_ bytes: [UInt8]) -> Outcome {
        var outcome = Outcome()
        var scalars = Array(String(decoding: bytes, as: UTF8.self).unicodeScalars)
        if scalars.first == "\u{FEFF}" { scalars.removeFirst() }
        var lines: [String] = []
        var line = String.UnicodeScalarView()
        var at = 0
        while at < scalars.count {
            if scalars[at] == "\r" || scalars[at] == "\n" {
                if scalars[at] == "\r", at + 1 < scalars.count, scalars[at + 1] == "\n" { at += 1 }
                lines.append(String(line))
                line.removeAll()
            } else {
                line.append(scalars[at])
            }
            at += 1
        }
        var data = ""
        var type = ""
        var id: String?
        var retry: Duration?
        for line in lines {
            let scalars = line.unicodeScalars
            if scalars.isEmpty {
                if let id { outcome.lastEventID = id }
                if !data.isEmpty {
                    data.unicodeScalars.removeLast()
                    let event = try? ServerSentEvent(type: type.isEmpty ? nil : type, data: data, id: id, retry: retry)
                    if let event { outcome.parts.append(.event(event, lastEventID: outcome.lastEventID)) }
                } else if id != nil || retry != nil {
                    outcome.parts.append(.fields(id: id, retry: retry))
                }
                (data, type, id, retry) = ("", "", nil, nil)
                continue
            }
            let colon = scalars.firstIndex(of: ":") ?? scalars.endIndex
            let name = String(scalars[..<colon])
            var value = scalars[colon...].dropFirst()
            if name.isEmpty {
                outcome.parts.append(.comment(String(value)))
                continue
            }
            if value.first == " " { value = value.dropFirst() }
            switch name {
            case "data": data += String(value) + "\u{A}"
            case "event": type = String(value)
            case "id" where !value.contains("\0"): id = String(value)
            case "retry" where !value.isEmpty && value.allSatisfy { ("0"..."9").contains($0) }:
                retry = .milliseconds(
                    Int64(String(value)).map { min($0, 9_007_199_254_740_991) } ?? 9_007_199_254_740_991
                )
                outcome.reconnectionTime = retry
            default: break
            }
        }
        return outcome
    }
}
