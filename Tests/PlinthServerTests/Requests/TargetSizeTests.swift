// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOHTTP1
import Plinth
import Testing

@testable import PlinthServer

@Suite("Size of a target")
struct TargetSizeTests {
    @Test("A target beyond its limit is 414, and counted; the longest one is answered")
    func limit() async throws {
        let counts = RefusalRecord()
        let connection = try await TestingConnection(
            Chain([answering("x")]),
            configuration: ConnectorConfiguration(maximumTargetSize: 40),
            limitMetrics: LimitMetrics(factory: counts)
        )
        try await connection.receive("GET /\(String(repeating: "y", count: 39)) HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try await connection.written(until: "\r\n\r\nx").hasPrefix("HTTP/1.1 200"))
        try await connection.receive("GET /\(String(repeating: "y", count: 40)) HTTP/1.1\r\nHost: a\r\n\r\n")
        let answer = try await connection.written(until: "40 bytes")
        #expect(answer.hasPrefix("HTTP/1.1 414 URI Too Long\r\n"))
        #expect(counts.refusals == ["target-size": 1])
        try await connection.isClosed()
    }

    @Test("A target that is too long is refused before anything else is checked")
    func order() {
        var connection = RecordedConnection()
        let target = "/" + String(repeating: "y", count: RecordedConnection.limits.maximumTargetSize)
        connection.machine.received(
            .head(HTTPRequestHead(version: .http1_1, method: .GET, uri: target)),
            now: connection.now
        )
        connection.endOfRequest()
        #expect(connection.recorded.first == "refused by target-size")
        #expect(connection.recorded.contains("head 414"))
        #expect(connection.phaseName == "ending")
    }
}

#endif
