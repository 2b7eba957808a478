// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import PlinthTestSupport
import Testing

/// The hand-off in a process that runs out of file descriptors.
@Suite("Hub streams without descriptors")
struct HubDescriptorTests {
    /// The probe's counts.
    private struct Counts: Equatable {
        var reactor = 0
        var eventLoop = 0
        var subscribers = 0
        var descriptors = 0

        init(port: Int) async throws {
            let client = try await RawClient.connect(port: port)
            let numbers = try await client.get("/counts").body.split(separator: " ").compactMap { Int($0) }
            try #require(numbers.count == 4)
            (reactor, eventLoop, subscribers, descriptors) = (numbers[0], numbers[1], numbers[2], numbers[3])
        }
    }

    /// Waits until no stream and at most `descriptors` descriptors are open.
    private func empty(port: Int, descriptors: Int = .max) async throws -> Counts {
        try await wait(for: "the end of all streams") {
            while true {
                let counts = try await Counts(port: port)
                if counts.subscribers == 0, counts.descriptors <= descriptors { return counts }
            }
        }
    }

    @Test(
        "Without a free descriptor, a stream stays on its event loop, with one warning; later ones are handed off",
        arguments: [true, false]
    )
    func descriptors(isWarm: Bool) async throws {
        let server = try LeakTests().probe(["hub", "60"])
        defer { server.kill() }
        let line = try await server.output(until: "port ")
        let port = try #require(
            line.split(separator: "\n").first { $0.hasPrefix("port ") }.flatMap { Int($0.dropFirst(5)) },
            "\(line)"
        )
        do {
            try await runOut(server, port: port, isWarm: isWarm)
        } catch {
            server.kill()
            let result = try await server.result()
            Issue.record("\(error); the probe: \(result.output.suffix(2000)) \(result.errors.suffix(2000))")
        }
    }

    private func runOut(_ server: ChildProcess, port: Int, isWarm: Bool) async throws {
        if isWarm { try await StreamClient(port: port, "/topics/a").raw.close() }
        let before = try await empty(port: port)
        var clients: [RawClient] = []
        for _ in 0..<100 {
            let client = try await RawClient.connect(port: port)
            try await client.send("GET /topics/a HTTP/1.1\r\nHost: test\r\n\r\n")
            clients.append(client)
        }
        let log = try await server.output(until: "began event-loop")
        #expect(log.components(separatedBy: "no descriptor is left").count == 2, "\(log)")
        for client in clients.prefix(20) { _ = try await client.read(until: "data: tick\n") }
        for client in clients { client.close() }
        // One of this test's connections may still be closing. A cold probe has no reactors yet.
        let between = try await empty(port: port, descriptors: before.descriptors + (isWarm ? 1 : 9))
        let last = try await StreamClient(port: port, "/topics/a")
        _ = try await last.events(1)
        let after = try await Counts(port: port)
        // Includes connections that were accepted only later.
        #expect(after.reactor > between.reactor, "\(between), \(after)")
        #expect(after.eventLoop == between.eventLoop)
        last.raw.close()
    }
}

#endif
