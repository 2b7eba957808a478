// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import Testing

@Suite("Text for a terminal")
struct TerminalTextTests {
    @Test("Of all scalars, exactly the controls except tab are replaced, and replacing is idempotent")
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

    @Test("A long text is truncated with an ellipsis")
    func cut() {
        #expect(TerminalText.visible("abc", upTo: 3) == "abc")
        #expect(TerminalText.visible("abcd", upTo: 3) == "abc…")
    }

    @Test("A log line stays one line, whatever a client sent")
    func log() {
        let line = "info plinth: path=/\u{1B}[2J\r\nfake line [PlinthServer] request"
        #expect(!TerminalText.visible(line).unicodeScalars.contains { TerminalText.isControl($0.value) })
    }
}
