// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import Testing

@Suite("Media types")
struct MediaTypeTests {
    @Test(
        "Type and subtype are lowercased, and the first charset loses its quotes",
        arguments: [
            ("text/event-stream", "text/event-stream", nil),
            (" Text/Event-Stream ; a=b;Charset=\"UTF-8\"; charset=latin1", "text/event-stream", "utf-8"),
            ("application/problem+json(comment)", "application/problem+json", nil),
        ] as [(String, String, String?)]
    )
    func reads(value: String, essence: String, charset: String?) {
        let type = MediaType(value)
        #expect(type?.essence == essence)
        #expect(type?.charset == charset)
    }

    @Test(
        "An invalid media type is nil",
        arguments: ["", "text", "/", "text/", "a/b/c", "te xt/plain", "tëxt/plain", ";"]
    )
    func none(value: String) {
        #expect(MediaType(value) == nil)
    }

    @Test("Forms, JSON and event streams are distinguished")
    func kinds() {
        #expect(MediaType(nil) == nil)
        #expect(MediaType("application/x-www-form-urlencoded;charset=utf-8")?.isForm == true)
        #expect(MediaType("application/json")?.isJSON == true)
        #expect(MediaType("application/vnd.a+json")?.isJSON == true)
        #expect(MediaType("text/x+json")?.isJSON == false)
        #expect(MediaType("text/event-stream")?.isEventStream == true)
    }
}
