// SPDX-License-Identifier: Apache-2.0

// Prints what a client leaks, as one JSON object:
//
//     client-leak-probe URL COUNT       connects COUNT times to a server that ends each stream

#if os(Linux) && Client

import Foundation
import Glibc
import PlinthClient
import Synchronization

/// Counts the response bodies that are still alive.
final class CountingTransport: EventSourceTransport {
    static let bodies = Atomic<Int>(0)

    @concurrent func send(_ request: EventSourceRequest) async throws -> EventSourceResponse {
        var response = try await AsyncHTTPClientTransport.shared.send(request)
        response.body = Body(response.body)
        return response
    }

    private final class Body: EventSourceResponseBody {
        private var body: any EventSourceResponseBody

        init(_ body: any EventSourceResponseBody) {
            self.body = body
            CountingTransport.bodies.add(1, ordering: .relaxed)
        }

        deinit {
            CountingTransport.bodies.subtract(1, ordering: .relaxed)
        }

        @concurrent func next(_ use: (Span<UInt8>) -> Void) async throws -> Bool {
            try await body.next(use)
        }
    }
}

func openSockets() -> Int {
    let folder = "/proc/self/fd"
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let targets = names.compactMap { try? FileManager.default.destinationOfSymbolicLink(atPath: folder + "/" + $0) }
    return targets.count { $0.hasPrefix("socket:") }
}

func residentKilobytes() -> Int {
    let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ").dropFirst()
        .first
    return (pages.flatMap { Int($0) } ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) / 1024
}

guard CommandLine.arguments.count == 3, let count = Int(CommandLine.arguments[2]), count > 0 else {
    print("usage: client-leak-probe URL COUNT")
    exit(64)
}
var configuration = EventSourceConfiguration()
configuration.backoff = .none
let source = EventSource(CommandLine.arguments[1], configuration: configuration, transport: CountingTransport())
var connections = 0
var settled = 0
for try await message in source.messages {
    guard case .opened = message else { continue }
    connections += 1
    // Memory that the first tenth of the connections allocates is reused.
    if connections == max(count / 10, 1) { settled = residentKilobytes() }
    if connections == count { break }
}
// Leaving the loop closes the last connection on its event loop, without a notification, so this polls.
let deadline = ContinuousClock.now + .seconds(5)
while openSockets() > 0 || CountingTransport.bodies.load(ordering: .relaxed) > 0, ContinuousClock.now < deadline {
    try await Task.sleep(for: .milliseconds(10))
}
print(
    """
    {"connections":\(connections),"sockets":\(openSockets()),\
    "bodies":\(CountingTransport.bodies.load(ordering: .relaxed)),"kilobytes":\(residentKilobytes() - settled)}
    """
)

#endif
