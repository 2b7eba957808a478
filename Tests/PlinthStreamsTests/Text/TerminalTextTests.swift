// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import Testing

@Suite("Text on its way to a terminal")
struct TerminalTextTests {
    @Test("of all scalars only controls are replaced, nothing that a terminal obeys is left, and twice is once")
    func scalars() {
        for value: UInt32 in 0...0x10FFFF {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let text = String(Character(scalar))
            let visible = TerminalText.visible(text)
            guard visible != text || TerminalText.isControl(value) else { continue }
            #expect(TerminalText.isControl(value) || value == 0x09)
            #expect(visible.unicodeScalars.allSatisfy { $0 == "\t" || !TerminalText.isControl($0.value) })
            #expect(TerminalText.visible(visible) == visible)
        }
        #expect(TerminalText.visible("\u{1B}[31m\u{9B}\u{202E}\u{7F}\n\t") == "␛[31m\u{FFFD}\u{FFFD}␡␊\t")
    }

    @Test("a long text is cut, which is shown")
    func cut() {
        #expect(TerminalText.visible("abc", upTo: 3) == "abc")
        #expect(TerminalText.visible("abcd", upTo: 3) == "abc…")
    }

    @Test("a line of the log is one line, whatever a client sent")
    func log() {
        let line = "info plinth: path=/\u{1B}[2J\r\nfake line [PlinthServer] request"
        #expect(!TerminalText.visible(line).unicodeScalars.contains { TerminalText.isControl($0.value) })
    }
}
