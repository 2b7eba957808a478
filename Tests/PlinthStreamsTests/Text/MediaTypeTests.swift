// SPDX-License-Identifier: Apache-2.0

import PlinthStreams
import Testing

@Suite("Media types")
struct MediaTypeTests {
    @Test(
        "type and subtype are read in lower case, and the first charset without its quotes",
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
        "what is no media type is none",
        arguments: ["", "text", "/", "text/", "a/b/c", "te xt/plain", "tëxt/plain", ";"]
    )
    func none(value: String) {
        #expect(MediaType(value) == nil)
    }

    @Test("forms, JSON and event streams are told apart")
    func kinds() {
        #expect(MediaType(nil) == nil)
        #expect(MediaType("application/x-www-form-urlencoded;charset=utf-8")?.isForm == true)
        #expect(MediaType("application/json")?.isJSON == true)
        #expect(MediaType("application/vnd.a+json")?.isJSON == true)
        #expect(MediaType("text/x+json")?.isJSON == false)
        #expect(MediaType("text/event-stream")?.isEventStream == true)
    }
}
