// SPDX-License-Identifier: Apache-2.0

import PlinthCLI
import Testing

@Suite("Lines on their way to a hub")
struct EventLinesTests {
    private func batch(
        _ form: EventLines.Form,
        _ pieces: [[UInt8]],
        type: String? = nil,
        maximum: Int = .max
    ) -> (batch: EventLines.Batch, error: String?) {
        var lines = EventLines(form, type: type, maximumLineSize: maximum)
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

    @Test("text, split anywhere, is an event for each line")
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

    @Test("a carriage return within a line cannot start another field")
    func injection() {
        let (batch, error) = batch(.text, [Array("a\revent: b\n".utf8)])
        #expect(error == nil)
        #expect(text(batch) == "data: a\ndata: event: b\n\n")
        #expect(batch.count == 1)
    }

    @Test("JSON, split anywhere, keeps types and the last ID, and counts events alone")
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

    @Test("what is wrong is said with its line, and what was before it is kept")
    func errors() {
        let invalid = batch(.text, [Array("1\n2\n".utf8) + [0xFF, 0x0A, 0x33]])
        #expect(invalid.error == "line 3: it is not UTF-8, and an event is text")
        #expect(invalid.batch.lines == [1, 2])
        let long = batch(.text, [Array("123\n12".utf8), Array("34".utf8)], maximum: 3)
        #expect(long.error == "line 2: it is longer than 3 bytes")
        #expect(long.batch.count == 1)
        #expect(batch(.json, [Array("{}".utf8)]).error?.hasPrefix("line 1: none of the keys") == true)
        #expect(batch(.json, [Array("{\"data\":\"a\"}\n[1]\n".utf8)]).error == "line 2: it is not a JSON object")
    }
}
