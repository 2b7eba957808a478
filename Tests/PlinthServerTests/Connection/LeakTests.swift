// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import Testing

/// What clients leave behind, and what happens without descriptors for more of them.
///
/// Both run in a separate process, `Tests/Probes/ServerProbe`.
@Suite("Leaks and limits")
struct LeakTests {
    /// The probe is in the build folder of the tests.
    func probe(_ arguments: [String]) throws -> ChildProcess {
        try ChildProcess(Product.path("ServerProbe"), arguments)
    }

    @Test("20,000 clients that leave by FIN or RST leave nothing behind")
    func cycles() async throws {
        let result = try await probe(["cycles", "20000"]).result(within: .seconds(240))
        var left: [String: Int] = [:]
        for line in result.output.split(separator: "\n") {
            let words = line.split(separator: " ")
            if words.count == 2 { left[String(words[0])] = Int(words[1]) }
        }
        #expect(result.output.contains("failed 0"), "\(result.output)")
        #expect(left["activities"] == 0)
        #expect(left["streams"] == 0)
        #expect(left["closures"] == 0)
        #expect(abs(left["descriptors"] ?? 99) <= 2)
        // A leak of 100 bytes per client would exceed this.
        #expect((left["kilobytes"] ?? .max) < 1500, "\(result.output)")
    }

    @Test("Without descriptors, accepting pauses, logs a warning, and resumes")
    func descriptors() async throws {
        let server = try probe(["serve", "40"])
        defer { server.kill() }
        let line = try await server.output(until: "port ")
        let port = try #require(
            line.split(separator: "\n").first { $0.hasPrefix("port ") }.flatMap { Int($0.dropFirst(5)) },
            "\(line)"
        )
        var clients: [RawClient] = []
        for _ in 0..<80 {
            let client = try await RawClient.connect(port: port)
            try await client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            clients.append(client)
        }
        _ = try await clients[0].read(until: "data: one\n\n")
        _ = try await server.output(until: "not accepting connections")
        // Accepted clients are served; waiting ones are accepted when others have left.
        for client in clients.prefix(70) { client.close() }
        _ = try await clients[79].read(until: "data: one\n\n")
        for client in clients { client.close() }
        let last = try await RawClient.connect(port: port)
        #expect(try await last.get("/text").body == "text")
    }
}

#endif
