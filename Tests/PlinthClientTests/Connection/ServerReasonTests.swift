// SPDX-License-Identifier: Apache-2.0

import HTTPTypes
import PlinthTestSupport
import Testing

@testable import PlinthClient

/// The reasons that servers give for refusals.
@Suite("Server reasons")
struct ServerReasonTests {
    private func reason(_ body: String, _ type: String? = "application/json") -> String? {
        var fields = HTTPFields()
        fields[.contentType] = type
        return ServerReason(Array(body.utf8), fields)?.description
    }

    @Test(
        "The reason is the error of a JSON object, with its code",
        arguments: [
            (#"{"error":"no"}"#, "no"), (#"{"code":"x-y","error":"no."}"#, "no (x-y)"),
            (#"{"error":{"message":"no","code":"c","type":"t"}}"#, "no (c)"), (#"{"error":"no","code":7}"#, "no (7)"),
            (#"{"title":"Forbidden","detail":"not you","status":403}"#, "not you"), (#"{"title":"No"}"#, "No"),
            (#"{"message":"no"}"#, "no"), (#"{"error":"","title":"No"}"#, "No"), (#"{"error":"no","code":null}"#, "no"),
            (#"{"error":7}"#, "7"), (#"{"error":"no","code":{}}"#, "no"), (#"{"error":"no","code":""}"#, "no"),
        ]
    )
    func json(_ body: String, _ expected: String) {
        #expect(reason(body) == expected)
        #expect(reason(body, "application/problem+json; charset=utf-8") == expected)
    }

    @Test(
        "JSON without an error has no reason",
        arguments: [
            "", "{", "[]", "null", "{}", "7", #"{"error":[]}"#, #"{"error":" "}"#, #"{"error":"no"#,
        ]
    )
    func nothing(_ body: String) {
        #expect(reason(body) == nil)
    }

    @Test("Plain text is the reason; other types, and a missing one, are ignored")
    func types() {
        #expect(reason(" gateway\r\n trouble. \n", "text/plain") == "gateway trouble")
        #expect(reason("<h1>no</h1>", "text/html") == nil)
        #expect(reason("no", nil) == nil)
        for (type, isLookedFor) in [("text/plain", true), ("application/json", true), ("text/html", false)] {
            var head = EventSourceResponseHead(status: 403, headerFields: [.contentType: type])
            #expect(ServerReason.isLookedFor(in: head) == isLookedFor)
            head.headerFields[.contentEncoding] = "gzip"
            #expect(!ServerReason.isLookedFor(in: head))
            #expect(!ServerReason.isLookedFor(in: .init(status: 200, headerFields: [.contentType: type])))
        }
    }

    @Test("A reason has no control characters, one line, and at most 300 characters")
    func cleaned() {
        let text = "a\u{1B}[31mb\u{7}c\u{9B}d\u{7F}e\u{202E}f\u{2028}g\u{85}h\u{0}i\tj\r\nk"
        #expect(
            reason(text, "text/plain")
                == "a\u{FFFD}[31mb\u{FFFD}c\u{FFFD}d\u{FFFD}e\u{FFFD}f g h\u{FFFD}i j k"
        )
        #expect(reason(String(repeating: "é", count: 301), "text/plain") == String(repeating: "é", count: 300) + "…")
        #expect(reason(String(repeating: "é", count: 300), "text/plain") == String(repeating: "é", count: 300))
    }

    @Test("Random bytes yield printable text or nothing")
    func random() {
        let seed: UInt64 = 40
        var generator = SeededGenerator(seed: seed)
        for _ in 0..<2000 {
            let bytes = (0..<Int.random(in: 0..<64, using: &generator)).map { _ in
                UInt8.random(in: 0...255, using: &generator)
            }
            for type in ["text/plain", "application/json"] {
                let text = ServerReason(bytes, [.contentType: type])?.text ?? ""
                #expect(
                    text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F..<0xA0).contains($0.value) },
                    "seed \(seed)"
                )
            }
        }
    }
}
