// SPDX-License-Identifier: Apache-2.0

import Plinth
import PlinthTesting
import Testing

/// Formats names and values in order.
private func list(_ parameters: FormParameters) -> Response {
    .text(parameters.map { "[\($0.name)|\($0.value)]" }.joined())
}

@Suite("Query parameters")
struct QueryParameterTests {
    let chain = Chain([.queryParameters(limit: 3), .handler("list") { list($0.queryParameters) }])

    @Test(
        "A query is decoded once, in order",
        arguments: [
            ("/", ""), ("/?", ""), ("/?a=1&b=%20+", "[a|1][b|  ]"), ("/?a=1&a=2", "[a|1][a|2]"), ("/?a", "[a|]"),
            ("/?a=b=c", "[a|b=c]"), ("/?=x", "[|x]"), ("/?&&a=1&", "[a|1]"), ("/?%C3%A9=%2525", "[é|%25]"),
            ("/?a=?b", "[a|?b]"), ("/?a=%00", "[a|\u{0}]"), ("/?a%3Db=%26", "[a=b|&]"),
        ]
    )
    func decoding(target: String, expected: String) async throws {
        #expect(try await chain.response(for: .get(target)).body == expected)
    }

    @Test(
        "A malformed query is answered with 400 and the position of the error",
        arguments: [
            ("/?a=%", "parameter 1"), ("/?a=1&b=%4", "parameter 2"), ("/?a=1&%zz=1", "parameter 2"),
            ("/?a=1&b=%FF", "parameter 2"), ("/?a&b&c&d", "more than 3"),
        ]
    )
    func malformed(target: String, mentions text: String) async throws {
        let response = try await chain.response(for: .get(target))
        #expect(response.status == .badRequest)
        #expect(response.body.contains(text))
    }

    @Test("The first value and all values of a name are available, also without the interceptor")
    func access() {
        let parameters = Request.get("/?a=1&b=2&a=3&c=%zz").queryParameters
        #expect(parameters["a"] == "1")
        #expect(parameters.all("a") == ["1", "3"])
        #expect(parameters["c"] == nil)
        #expect(parameters.count == 3)
    }
}

@Suite("Body parameters")
struct BodyParameterTests {
    struct Order: Decodable { var id: Int; var items: [String] }

    let chain = Chain([
        .bodyParameters(limit: 100, count: 3),
        .handler("handler") { request in
            let body = try await request.body.collect(upTo: 1_000)
            if request.headers[.contentType]?.contains("json") == true {
                return .text("\(try await request.decode(Order.self))")
            }
            return .text("\(body.count) " + request.formParameters.map { "[\($0.name)|\($0.value)]" }.joined())
        },
    ])

    private func post(_ type: String?, _ body: String) async throws -> TestResponse {
        var headers: HTTPFields = [:]
        headers[.contentType] = type
        return try await chain.response(for: .post("/", headers: headers, body: body))
    }

    @Test("A form is decoded, and the body can be read again")
    func form() async throws {
        let type = "Application/X-WWW-Form-URLEncoded ; charset=utf-8"
        #expect(try await post(type, "a=1&b=%20+").body == "10 [a|1][b|  ]")
        #expect(try await post(type, "a=%zz").status == .badRequest)
        #expect(try await post(type, "a&b&c&d").status == .badRequest)
    }

    @Test("A body that is not a form is not read", arguments: ["text/plain", nil, "multipart/form-data", ";", ""])
    func others(type: String?) async throws {
        #expect(try await post(type, "a=1").body == "3 ")
        #expect(try await post(type, String(repeating: "x", count: 200)).body == "200 ")
    }

    @Test("A body above the limit is answered with 413, with or without Content-Length")
    func tooLong() async throws {
        let type = "application/x-www-form-urlencoded"
        #expect(try await post(type, String(repeating: "x", count: 101)).status == .contentTooLarge)
        #expect(try await post(type, String(repeating: "x", count: 100)).status == .ok)
        var request = Request.post("/", headers: [.contentType: type, .contentLength: "101"])
        request.body = RequestBody(next: {
            Issue.record("read a body whose Content-Length exceeds the limit")
            return nil
        })
        #expect(try await chain.response(for: request).status == .contentTooLarge)
    }

    @Test("JSON is decoded")
    func json() async throws {
        #expect(try await post("application/json", #"{"id":1,"items":["a"]}"#).body == #"Order(id: 1, items: ["a"])"#)
        #expect(try await post("application/vnd.x+json; v=1", #"{"id":1,"items":[]}"#).status == .ok)
    }

    @Test(
        "A body that is not JSON is answered with 400, line and column",
        arguments: [
            ("", 1, 1), ("{", 1, 2), ("[1,", 1, 4), ("{\n \"id\": x}", 2, 8), ("[1] 2", 1, 5), ("[01]", 1, 3),
            ("\"\\x\"", 1, 3), ("[\"a\nb\"]", 1, 4), ("[1,]", 1, 4), ("{\"a\":1,}", 1, 8), ("{\"a\" 1}", 1, 6),
            ("tru", 1, 4),
            ("-", 1, 2), ("1.", 1, 3), ("1e", 1, 3), ("[}", 1, 2), ("\"\\u12g4\"", 1, 6), ("\"", 1, 2),
        ]
    )
    func syntax(text: String, line: Int, column: Int) async throws {
        let response = try await post("application/json", text)
        #expect(response.status == .badRequest)
        #expect(response.body == "the body is not JSON: line \(line), column \(column)\n")
    }

    @Test(
        "JSON of another shape is answered with 400, path and reason",
        arguments: [
            (#"{"items":[]}"#, "\"id\" is missing at the top level"), (#"{"id":"x","items":[]}"#, "at .id"),
            (#"{"id":1,"items":["a",2]}"#, "at .items[1]"), ("[]", "at the top level"), ("null", "at the top level"),
        ]
    )
    func shape(text: String, mentions place: String) async throws {
        let response = try await post("application/json", text)
        #expect(response.status == .badRequest)
        #expect(response.body.contains(place))
    }

    @Test("Deep nesting is answered with 400 and does not crash")
    func deep() async throws {
        let chain = Chain([.handler("h") { .text("\(try await $0.decode([String].self))") }])
        let request = Request.post(
            "/",
            headers: [.contentType: "application/json"],
            body: String(repeating: "[", count: 200_000)
        )
        #expect(try await chain.response(for: request).status == .badRequest)
    }

    @Test("Decoding requires a JSON content type")
    func mediaType() async throws {
        let chain = Chain([.handler("h") { .text("\(try await $0.decode([Int].self))") }])
        #expect(try await chain.response(for: .post("/", body: "[1]")).status == .unsupportedMediaType)
    }
}

@Suite("Last event ID")
struct LastEventIDTests {
    @Test(
        "The header precedes the query parameter, which is decoded once",
        arguments: [
            ("/", nil, nil), ("/?last-event-id=7", nil, "7"), ("/?last-event-id=7", "8", "8"), ("/", "é", "é"),
            ("/?last-event-id=a%252Fb", nil, "a%2Fb"), ("/?last-event-id=a+b%2B", nil, "a b+"),
            ("/?last-event-id=", nil, nil), ("/?last-event-id=%zz", nil, nil), ("/?last-event-id=%FF", nil, nil),
            ("/?last-event-id=%00", nil, nil), ("/?last-event-id=a%0Ab", nil, nil), ("/?x=1&last-event-id=7", nil, "7"),
        ] as [(String, String?, String?)]
    )
    func sources(target: String, header: String?, expected: String?) {
        var request = Request.get(target)
        request.head.headerFields[.lastEventID] = header
        #expect(request.lastEventID == expected)
    }

    @Test(
        "The query parameter is accepted in every spelling that servers and polyfills use",
        arguments: [
            "last-event-id", "lastEventId", "lastEventID", "Last-Event-ID", "Last-Event-Id", "last_event_id",
            "lasteventid",
            "LAST_EVENT_ID", "last%2Devent%2Did",
        ]
    )
    func spellings(name: String) {
        #expect(Request.get("/?\(name)=7").lastEventID == "7")
        #expect(Request.get("/?a=1&\(name)=a%2Fb&b=2").lastEventID == "a/b")
    }

    @Test(
        "A similar name is another parameter",
        arguments: [
            "last-event", "last-event-ids", "last.event.id", "event-id", "last-event-id%5B%5D", "la%C5%BFt-event-id",
            "last-event-id%00", "last-event-id-----------------------", "xlast-event-id", "last%20event%20id",
        ]
    )
    func otherNames(name: String) {
        #expect(Request.get("/?\(name)=7").lastEventID == nil)
        #expect(Request.get("/?last-event-id=1&\(name)=7").lastEventID == "1")
    }

    @Test(
        "The last non-empty parameter applies, since polyfills append the newest",
        arguments: [
            ("/?last-event-id=1&lastEventId=2", "2"), ("/?lastEventId=2&last-event-id=1", "1"),
            ("/?last-event-id=1&last-event-id=2", "2"), ("/?last-event-id=1&lastEventId=", "1"),
            ("/?lastEventId=&last_event_id=&Last-Event-ID=3", "3"),
        ]
    )
    func several(target: String, expected: String) {
        #expect(Request.get(target).lastEventID == expected)
        var request = Request.get(target)
        request.head.headerFields[.lastEventID] = "header"
        #expect(request.lastEventID == "header")
    }

    @Test("An ID that no event can have is distinguished from none")
    func malformed() {
        #expect(Request.get("/").resumePoint() == .none)
        #expect(Request.get("/?last-event-id=").resumePoint() == .none)
        #expect(Request.get("/?last-event-id=1").resumePoint() == .after("1"))
        for text in ["%00", "a%0Ab", "a%0D"] {
            #expect(Request.get("/?last-event-id=\(text)").resumePoint() == .malformed, "\(text)")
        }
        var request = Request.get("/?last-event-id=1")
        request.head.headerFields.append(HTTPField(name: .lastEventID, value: [0x61, 0xFF]))
        #expect(request.resumePoint() == .malformed)
        request.head.headerFields[.lastEventID] = ""
        #expect(request.resumePoint() == .none)
    }

    @Test("A header that is not UTF-8 yields no last event ID")
    func invalid() {
        var request = Request.get("/")
        request.head.headerFields.append(HTTPField(name: .lastEventID, value: [0x61, 0xFF]))
        #expect(request.lastEventID == nil)
    }
}
