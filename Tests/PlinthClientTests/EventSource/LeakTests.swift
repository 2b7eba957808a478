// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Client

import PlinthTestSupport
import Foundation
import PlinthClient
import Testing

/// What is left when connections have come and gone, seen in a process of its own, where nothing else is about.
@Suite("leaks")
struct LeakTests {
    @Test("5,000 reconnects leave one socket, and no memory or task behind", .timeLimit(.minutes(3)))
    func reconnects() async throws {
        let server = try ScriptedServer([.head, .send("retry: 0\nid: 1\ndata: a\n\n")])
        let probe = try ChildProcess(try Product.path("client-leak-probe"), [server.url, "5000"])
        let result = try await probe.result(within: .seconds(150))
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        let counts = try JSONDecoder().decode([String: Int].self, from: Data(result.output.utf8))
        #expect(counts["connections"] == 5000)
        // The connection that was open when it was counted.
        #expect(counts["sockets"].map { (0...1).contains($0) } == true, "\(result.output)")
        #expect(counts["bodies"].map { (0...1).contains($0) } == true, "\(result.output)")
        // Of megabytes that a leak of a kilobyte for each connection would cost.
        #expect(counts["kilobytes"].map { $0 < 2500 } == true, "\(result.output)")
    }
}

#endif
