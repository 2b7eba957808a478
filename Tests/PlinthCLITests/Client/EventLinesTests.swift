// SPDX-License-Identifier: Apache-2.0

import PlinthCLI
import Testing

@Suite("EventLines")
struct EventLinesTests {
    private func batch(
        _ form: EventLines.Form,
        _ pieces: [[UInt8]],
        type: String? = nil,
        maximum: Int = .max,
        invalid: EventLines.Invalid = .fail
    ) -> (batch: EventLines.Batch, error: String?) {
        var lines = EventLines(form, type: type, maximumLineSize: maximum, invalid: invalid)
        var batch = EventLines.Batch()
        do throws(EventJSONError) {
            for piece in pieces { try lines.append(piece, to: &batch) }
            try lines.finish(&batch)
        } catch {
            return (batch, error.description)
        }
        return (batch, nil)
    }

    private func text(_ batch: EventLines.Batch) -> String { String(decoding: batch.bytes, as: UTF8.self) }

    @Test("Text, split anywhere, becomes one event per line")
    func text() {
        let input = Array("one\ntwo\r\n\nfour é".utf8)
        for split in 0...input.count {
            let (batch, error) = batch(.text, [Array(input[..<split]), Array(input[split...])])
            #expect(error == nil)
            #expect(text(batch) == "data: one\n\ndata: two\n\ndata: \n\ndata: four é\n\n")
            #expect(batch.count == 4)
            #expect(batch.lines == [1, 2, 3, 4])
            #expect(batch.lastID == nil)
        }
    }

    @Test("A carriage return within a line cannot start another field")
    func injection() {
        let (batch, error) = batch(.text, [Array("a\revent: b\n".utf8)])
        #expect(error == nil)
        #expect(text(batch) == "data: a\ndata: event: b\n\n")
        #expect(batch.count == 1)
    }

    @Test("JSON, split anywhere, keeps types and the last ID, and counts events only")
    func json() {
        let input = Array(
            (#"{"type":"e","data":"1","id":"x"}"# + "\n\n" + #"{"comment":"c"}"# + "\n"
                + #"{"type":"message","data":"2","id":null,"retry":7}"# + "\n" + #"{"id":"y"}"# + "\n").utf8
        )
        for split in 0...input.count {
            let (batch, error) = batch(.json, [Array(input[..<split]), Array(input[split...])], type: "t")
            #expect(error == nil)
            #expect(text(batch).contains("event: e\ndata: 1\n"))
            #expect(text(batch).contains("event: t\n"))
            #expect(text(batch).contains("retry: 7\n"))
            #expect(!text(batch).contains("id"))
            #expect(batch.count == 2)
            #expect(batch.lines == [1, 4])
            #expect(batch.lastID == "y")
        }
    }

    @Test("An error has its line number, and earlier events are kept")
    func errors() {
        let invalid = batch(.text, [Array("1\n2\n".utf8) + [0xFF, 0x0A, 0x33]])
        #expect(invalid.error == "line 3: not valid UTF-8")
        #expect(invalid.batch.lines == [1, 2])
        let long = batch(.text, [Array("123\n12".utf8), Array("34".utf8)], maximum: 3)
        #expect(long.error == "line 2: longer than 3 bytes")
        #expect(long.batch.count == 1)
        #expect(batch(.json, [Array("{}".utf8)]).error?.hasPrefix("line 1: none of the keys") == true)
        #expect(batch(.json, [Array("{\"data\":\"a\"}\n[1]\n".utf8)]).error == "line 2: not a JSON object")
    }

    @Test("Invalid lines, split anywhere, are skipped or repaired with their number")
    func invalid() {
        let input = Array("a\n\u{1}é".utf8) + [0xC3, 0x0A] + Array("éééé\n123456789\n\nz".utf8)
        for split in 0...input.count {
            let pieces = [Array(input[..<split]), Array(input[split...])]
            let (skipped, error) = batch(.text, pieces, maximum: 7, invalid: .skip)
            #expect(error == nil)
            #expect(text(skipped) == "data: a\n\ndata: \n\ndata: z\n\n")
            #expect(skipped.lines == [1, 5, 6] && skipped.skipped == 3)
            #expect(skipped.notes.map { $0.prefix { $0 != ":" } } == ["line 2", "line 3", "line 4"])
            let (mended, failure) = batch(.text, pieces, maximum: 7, invalid: .replace)
            #expect(failure == nil)
            let data = ["a", "\u{1}é\u{FFFD}", "ééé", "1234567", "", "z"]
            #expect(text(mended) == data.map { "data: \($0)\n\n" }.joined())
            #expect(mended.notes.map { $0.prefix { $0 != ":" } } == ["line 3", "line 4"] && mended.skipped == 0)
        }
    }

    @Test("In JSON invalid UTF-8 is repaired, and a line without an event is skipped or an error")
    func invalidJSON() {
        let broken = Array(#"{"data":"a"#.utf8) + [0xFF] + Array("\"}\n".utf8)
        #expect(text(batch(.json, [broken], invalid: .replace).batch) == "data: a\u{FFFD}\n\n")
        let mixed = Array("{\"data\":\"1\",\"id\":\"x\"}\n[]\n".utf8) + broken + Array("{\"data\":\"2\"}\n".utf8)
        let skipped = batch(.json, [mixed], invalid: .skip)
        #expect(skipped.error == nil && skipped.batch.lines == [1, 4] && skipped.batch.skipped == 2)
        #expect(skipped.batch.events.map(\.id) == ["x", "x"])
        #expect(batch(.json, [mixed], invalid: .replace).error == "line 2: not a JSON object")
        #expect(batch(.json, [broken], maximum: 5, invalid: .replace).error == "line 1: longer than 5 bytes")
    }

    @Test("An endless line buffers at most the maximum line size and is noted once")
    func endless() throws {
        for (invalid, kept) in [(EventLines.Invalid.skip, 0), (.replace, 1000)] {
            var lines = EventLines(.text, maximumLineSize: 1000, invalid: invalid)
            var batch = EventLines.Batch()
            for _ in 0..<1000 { try lines.append(Array(repeating: 0x61, count: 10_000), to: &batch) }
            #expect(lines.keptByteCount == kept)
            #expect(batch.notes.count == 1)
            try lines.append(Array("\nnext\n".utf8), to: &batch)
            #expect(text(batch).hasSuffix("data: next\n\n") && batch.lines.last == 2)
        }
    }

    @Test("A batch removes its first events and returns the ID to resume after")
    func batches() throws {
        var lines = EventLines(.json)
        var batch = EventLines.Batch()
        var later = EventLines.Batch()
        let first = "{\"data\":\"1\"}\n{\"data\":\"2\",\"id\":\"b\"}\n{\"data\":\"3\"}\n"
        try lines.append(Array(first.utf8), to: &batch)
        try lines.append(Array("{\"data\":\"4\",\"id\":\"d\"}\n{\"id\":\"e\"}\n".utf8), to: &later)
        batch.append(later)
        #expect(batch.lastID == "e" && batch.lines == [1, 2, 3, 4])
        #expect((0...5).map { batch.lastID(ofFirst: $0) } == [nil, nil, "b", "b", "d", "d"])
        for (count, rest) in [(0, "1234"), (1, "234"), (2, "4"), (5, "4"), (1, "")] {
            batch.removeFirst(count)
            #expect(text(batch) == rest.map { "data: \($0)\n\n" }.joined())
            #expect(batch.count == rest.count)
        }
    }

    @Test("An event has an ID of its own besides the last one of the batch, and an empty ID is none")
    func ownIDs() throws {
        var lines = EventLines(.json)
        var batch = EventLines.Batch()
        let input = #"{"data":"1","id":"a"}"# + "\n" + #"{"data":"2"}"# + "\n" + #"{"data":"3","id":""}"# + "\n"
        try lines.append(Array(input.utf8), to: &batch)
        #expect(batch.events.map(\.ownID) == ["a", nil, nil])
        #expect(batch.events.map(\.id) == ["a", "a", ""])
        let first = batch.prefix(2)
        #expect(text(first) == "data: 1\n\ndata: 2\n\n" && first.lines == [1, 2])
        #expect(text(batch.prefix(9)).isEmpty && batch.prefix(0).count == 0)
    }

    @Test("Numbered lines have their number as ID, and the first ones can be ignored, split anywhere")
    func numberedLines() throws {
        let input = Array("1\n\u{FFFD}long\n3\n4".utf8)
        for split in 0...input.count {
            var lines = EventLines(.text, maximumLineSize: 1, numbersLines: true, skippedLines: 2)
            var batch = EventLines.Batch()
            try lines.append(Array(input[..<split]), to: &batch)
            try lines.append(Array(input[split...]), to: &batch)
            try lines.finish(&batch)
            #expect(text(batch) == "data: 3\n\ndata: 4\n\n")
            #expect(batch.events.map(\.ownID) == ["3", "4"] && batch.lastID == "4")
        }
    }
}
