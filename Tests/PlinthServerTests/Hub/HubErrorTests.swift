// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import Testing

@testable import PlinthHub
@testable import PlinthServer

/// A hub's error codes and their documentation.
@Suite("Hub endpoints: errors")
struct HubErrorTests {
    /// A row of the table in the documentation.
    struct Row: Hashable {
        var code: String
        var status: Int
    }

    private static let form = "Content-Type: application/x-www-form-urlencoded\r\n"
    private static let stream = "Content-Type: text/event-stream\r\n"
    private static let json = "Content-Type: application/json\r\n"

    private static func producer(_ sequence: Int) -> String {
        "Producer-ID: p\r\nProducer-Epoch: 0\r\nProducer-Sequence: \(sequence)\r\n"
    }

    /// A request for each code that a request can cause: method, target, fields, body.
    static let requests: [(code: String, String, String, String, String?)] = [
        ("bad-topic", "POST", "/topics/a%00", "", "x"), ("bad-topic", "GET", "/topics/*", "", nil),
        ("bad-topic", "DELETE", "/topics/%7F", "", nil), ("bad-topic", "GET", "/topics?topic=", "", nil),
        ("bad-topic", "POST", "/topics", form, "topic=*"),
        ("bad-selector", "GET", "/topics", "", nil), ("bad-selector", "GET", "/topics?match=a*", "", nil),
        ("bad-selector", "POST", "/topics", form, "other=1"), ("bad-selector", "POST", "/topics", form, ""),
        ("bad-selector", "POST", "/topics?match=a", form, "topic=a"),
        ("bad-selector", "POST", "/topics?match=a&topic=b", "", "x"),
        ("bad-field", "POST", "/topics/a?retry=soon", "", "x"), ("bad-field", "POST", "/topics/a?type=a%0Ab", "", "x"),
        ("bad-field", "GET", "/status?top=many", "", nil), ("bad-field", "POST", "/topics/a", stream, "data: half"),
        ("bad-field", "POST", "/topics", form, "topic=%zz"),
        ("type-reserved", "POST", "/topics/a?type=gap", "", "x"),
        ("type-reserved", "POST", "/topics/a", stream, "event: gap\ndata\n\n"),
        ("not-found", "GET", "/nothing", "", nil), ("not-found", "POST", "/topics/", "", "x"),
        ("method-not-allowed", "PATCH", "/topics/a", "", "x"), ("method-not-allowed", "DELETE", "/topics", "", nil),
        ("method-not-allowed", "POST", "/status", "", "x"),
        ("bad-field", "POST", "/topics/a?end=no", "", "x"), ("bad-field", "GET", "/topics/a?wait=61", "", nil),
        ("bad-field", "GET", "/topics?topic=a&wait=soon", "", nil),
        ("bad-field", "POST", "/topics?topic=a&topic=b&end", "", "x"),
        ("bad-field", "POST", "/topics?topic=a&topic=b", stream, "data: x\n\n"),
        ("bad-field", "POST", "/topics?topic=a&topic=b", producer(0), "x"),
        ("bad-field", "POST", "/topics/a", "Producer-ID: p\r\n", "x"),
        ("bad-field", "POST", "/topics/a", "Producer-ID: p\r\nProducer-Epoch: 0\r\nProducer-Sequence: -1\r\n", "x"),
        ("bad-field", "POST", "/topics/a", producer(9_007_199_254_740_992), "x"),
        ("bad-field", "POST", "/topics/a", "Idempotency-Key: \(String(repeating: "k", count: 256))\r\n", "x"),
        ("bad-field", "POST", "/topics/a", stream + "Idempotency-Key: k\r\n", "data: x\n\n"),
        ("bad-field", "POST", "/topics/a", producer(0) + "Idempotency-Key: k\r\n", "x"),
        ("bad-field", "PUT", "/topics/a", json, "[]"), ("bad-field", "PUT", "/topics/a", json, #"{"events":-1}"#),
        ("bad-field", "PUT", "/topics/a", json, #"{"age":"soon"}"#),
        ("bad-field", "PUT", "/topics/a", json, #"{"x":1}"#),
        ("media-type", "PUT", "/topics/a", "", "{}"), ("length-required", "PUT", "/topics/a", json, nil),
        ("bad-topic", "PUT", "/topics/*", json, "{}"), ("type-reserved", "POST", "/topics/a?type=end", "", "x"),
        ("type-reserved", "POST", "/topics?topic=a&type=end", "", "x"),
        ("type-reserved", "POST", "/topics/a", stream, "event: end\ndata\n\n"),
        ("producer-unknown", "POST", "/topics/a", producer(1), "x"),
        ("not-acceptable", "POST", "/topics", form + "Accept: text/html\r\n", "topic=a"),
        ("length-required", "POST", "/topics/a", "", nil), ("length-required", "POST", "/topics", form, nil),
        ("too-large", "POST", "/topics/a", "", String(repeating: "x", count: 1001)),
        ("too-large", "POST", "/topics/a", stream, "data: \(String(repeating: "x", count: 1001))\n\n"),
        ("too-large", "POST", "/topics", form, String(repeating: "x", count: 65_537)),
        ("media-type", "POST", "/topics", "", "topic=a"),
        ("media-type", "POST", "/topics", "Content-Type: application/json\r\n", "{}"),
        ("host-foreign", "GET", "/status", "", nil),
        ("origin-foreign", "POST", "/topics/a", "Origin: http://evil.example\r\n", "x"),
    ]

    /// Codes that need more than a request; other tests cover them.
    static let others: Set<String> = [
        "bad-id", "unauthorized", "forbidden", "rate-limit", "timeout", "failed", "not-taken", "unavailable",
        "outcome-unknown", "topic-ended", "sequence-hole", "producer-fenced", "key-reused", "streams-limit",
        "token-malformed", "token-algorithm", "token-key", "token-signature", "token-expired", "token-early",
        "token-lifetime", "token-issuer", "token-audience", "token-claim", "token-revoked", "keys-unavailable",
        "revocation-off", "api-key",
    ]

    private static func table() throws -> [Row] {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { root.deleteLastPathComponent() }
        let file = root.appendingPathComponent("Sources/PlinthServer/PlinthServer.docc/HubOverHTTP.md")
        return try String(contentsOf: file, encoding: .utf8).split(separator: "\n").compactMap { line in
            let cells = line.split(separator: "|").map { $0.trimmingCharacters(in: .whitespaces) }
            guard cells.count == 3, let status = Int(cells[1]) else { return nil }
            return Row(code: cells[0].trimmingCharacters(in: ["`"]), status: status)
        }
    }

    @Test("The documentation lists all codes, and refused requests get the documented code and status")
    func documented() async throws {
        let rows = try Self.table()
        #expect(Set(rows.map(\.code)) == Set(HubErrorCode.allCases.map(\.rawValue)))
        #expect(rows.count == HubErrorCode.allCases.count)
        #expect(Set(Self.requests.map(\.code)).union(Self.others) == Set(rows.map(\.code)))
        let statuses = Dictionary(uniqueKeysWithValues: rows.map { ($0.code, $0.status) })
        try await withHub(maximumEventSize: 1000, interceptors: [.hubErrorResponses(), .loopbackFence()]) { hub in
            for (code, method, target, fields, body) in Self.requests {
                let host = code == "host-foreign" ? "evil.example" : "localhost"
                let response = try await hub.request(method, target, fields, body: body, host: host)
                #expect(response.status == statuses[code], "\(method) \(target): \(response)")
                let answer = try Answer(response)
                #expect(answer.code == code, "\(method) \(target): \(response.body)")
                #expect(answer.error?.isEmpty == false)
            }
            #expect(hub.streams.begun.values.isEmpty)
            #expect(try await hub.hub.status().published == 0)
        }
    }

    @Test("Errors that need more than a request have the documented statuses")
    func errors() async throws {
        let statuses = Dictionary(uniqueKeysWithValues: try Self.table().map { ($0.code, $0.status) })
        let history: [HistoryError.Code] = [
            .idReserved, .idNotAccepted, .topicEnded, .sequenceHole, .producerFenced, .keyReused, .quota, .notTaken,
            .outcomeUnknown,
        ]
        let statusErrors = [
            .unauthorized, .forbidden, .requestTimeout, .tooManyRequests, .internalServerError, .serviceUnavailable,
        ].map { HTTPError($0) }
        for error in history.map({ HistoryError($0, "") }) + [HTTPError.notTaken] as [any Error] + statusErrors {
            let answer = try #require(HubRefusal(error)).error
            #expect(answer.status.code == statuses[answer.jsonCode], "\(error)")
            #expect(Self.others.contains(answer.jsonCode), "\(error)")
        }
        #expect(HubRefusal(CancellationError()) == nil)
        #expect(HubRefusal(http: .notTaken).response.headers[.retryAfter] == "1")
    }

    @Test("A body that does not arrive in time is 408 with a code")
    func timeout() async throws {
        try await withHub(configure: { $0.bodyTimeout = .milliseconds(50) }) { hub in
            let client = try await hub.server.client()
            try await client.send("POST /topics/a HTTP/1.1\r\nHost: test\r\nContent-Length: 10\r\n\r\nabc")
            let response = try await client.response()
            #expect(response.status == 408)
            #expect(try Answer(response).code == "timeout")
        }
    }
}

#endif
