// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Client

import PlinthTestSupport
import Foundation
import PlinthClient
import Testing

/// Resources left after many connections, measured in a separate process where nothing else runs.
@Suite("Leaks")
struct LeakTests {
    @Test("5,000 reconnects leave one socket, and leak no memory or task", .timeLimit(.minutes(3)))
    func reconnects() async throws {
        let server = try ScriptedServer([.head, .send("retry: 0\nid: 1\ndata: a\n\n")])
        let probe = try ChildProcess(try Product.path("client-leak-probe"), [server.url, "5000"])
        let result = try await probe.result(within: .seconds(150))
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        let counts = try JSONDecoder().decode([String: Int].self, from: Data(result.output.utf8))
        #expect(counts["connections"] == 5000)
        // The connection that may be open while counting.
        #expect(counts["sockets"].map { (0...1).contains($0) } == true, "\(result.output)")
        #expect(counts["bodies"].map { (0...1).contains($0) } == true, "\(result.output)")
        // A leak of 1 KiB per connection would exceed it.
        #expect(counts["kilobytes"].map { $0 < 2500 } == true, "\(result.output)")
    }
}

#endif
