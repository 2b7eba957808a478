// SPDX-License-Identifier: Apache-2.0

// The server for the socket fuzzer (Tests/FaultTests):
//
//     fault-probe CERTIFICATE KEY FILE SOCKET automatic|event-loops pool|loops
//
// Serves a hub and application streams on a plain port, on a TLS port and on a Unix socket, prints the ports, and runs
// until SIGTERM. Deadlines are short, so that stalled clients reach them. Logs warnings and errors to standard error.
// `/counts` reports what is open: anything left after a round of clients is a leak.

#if Server

import Foundation
import Logging
import Plinth
import PlinthHub
import PlinthServer
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The application's open streams, by number.
final class OpenStreams: Sendable {
    private struct State {
        var last = 0
        var channels: [Int: EventChannel] = [:]
    }

    private let state = Mutex(State())
    /// The number of ready functions that have not returned.
    let running = Atomic<Int>(0)

    var count: Int { state.withLock { $0.channels.count } }
    var all: [EventChannel] { state.withLock { Array($0.channels.values) } }

    func nextNumber() -> Int {
        state.withLock { state in
            state.last += 1
            return state.last
        }
    }

    /// Adds a stream unless it is closed: ``remove(_:)`` may already have been called for it.
    func add(_ events: EventChannel, as number: Int) {
        state.withLock { state in
            if !events.isClosed { state.channels[number] = events }
        }
    }

    func remove(_ number: Int) {
        state.withLock { $0.channels[number] = nil }
    }
}

let scoped = OpenStreams()
/// Streams that stay open after their ready function; a task sends to them.
let kept = OpenStreams()

/// A stream that is counted as open from its ready function to its end.
func stream(
    _ name: String,
    options: EventStreamOptions = EventStreamOptions(writeTimeout: .seconds(2)),
    among streams: OpenStreams = scoped,
    lifetime: EventStream.Lifetime = .scoped,
    _ ready: @escaping @Sendable (EventChannel) async throws -> Void
) -> Interceptor {
    Interceptor(
        name,
        enter: { context in
            let number = streams.nextNumber()
            try await context.startEventStream(
                options: options,
                lifetime: lifetime,
                onDisconnect: { _ in streams.remove(number) }
            ) { events in
                streams.running.add(1, ordering: .relaxed)
                defer { streams.running.subtract(1, ordering: .relaxed) }
                streams.add(events, as: number)
                try await ready(events)
            }
        }
    )
}

let counter = stream("counter") { events in
    for number in 1...10 {
        guard await events.send(.init(type: "counter", data: "\(number)")) else { return }
        try await Task.sleep(for: .milliseconds(20))
    }
}

/// Sends as fast as the client reads.
let flood = stream("flood") { events in
    let data = String(repeating: "x", count: 4096)
    while await events.send(.init(data: data)) {}
}

/// Sends no head before the first event.
let late = stream("late", options: EventStreamOptions(opens: .withFirstEvent, writeTimeout: .seconds(2))) { events in
    try await Task.sleep(for: .milliseconds(50))
    await events.send("late")
    try await Task.sleep(for: .seconds(1))
}

let keeping = stream(
    "kept",
    options: EventStreamOptions(buffer: .dropOldest(10), writeTimeout: .seconds(2)),
    among: kept,
    lifetime: .open
) { _ in }

func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

/// The counts of what is open; the connection and the request for the counts are two of the activities.
func countsResponse(_ connector: Connector?, _ hub: Hub) -> Response {
    let counts: [(String, Int)] = [
        ("activities", connector?.activityCount ?? -1), ("streams", scoped.count), ("kept", kept.count),
        ("closures", scoped.running.load(ordering: .relaxed) + kept.running.load(ordering: .relaxed)),
        ("subscribers", hub.subscriberCount),
    ]
    return .text(counts.map { "\($0.0) \($0.1)\n" }.joined())
}

func run(
    _ identity: TLSIdentity,
    file: String,
    socket: String,
    handOff: HubService.Configuration.HandOff,
    onLoops: Bool
)
    async throws
{
    var logger = Logger(label: "probe") { StreamLogHandler.standardError(label: $0) }
    logger.logLevel = .warning
    let hub = try await Hub(options: StreamOptions(writeTimeout: .seconds(2)))
    let service = HubService(
        hub,
        configuration: .init(handOff: handOff, shutdownTimeout: .seconds(3)),
        logger: logger
    )
    let connector = Box<Connector>()
    let routes =
        HubEndpoints(service).routes() + [
            Route.get("/counter", counter),
            Route.get("/flood", flood),
            Route.get("/late", late),
            Route.get("/kept", keeping),
            Route.get("/text", name: "text") { _ in .text("text") },
            Route.get("/file", name: "file") { _ in Response(body: .file(path: file)) },
            Route.post("/upload", name: "upload") { .text("\(try await $0.body.collect(upTo: 256 * 1024).count)") },
            Route.get("/counts", name: "counts") { _ in countsResponse(connector.value, hub) },
        ]
    let made = Connector(
        try Chain.default(Routes(routes)),
        configuration: ConnectorConfiguration(
            addresses: [.tcp(port: 0), .tls(port: 0, identity: identity), .unix(path: socket)],
            maximumHeadSize: 16 * 1024,
            maximumBodySize: 1 << 20,
            headTimeout: .seconds(2),
            bodyTimeout: .seconds(2),
            idleTimeout: .seconds(20),
            writeTimeout: .seconds(2),
            shutdownTimeout: .seconds(3),
            runsRequestsOnEventLoops: onLoops
        ),
        logger: logger
    )
    connector.set(made)
    let ticking = Task {
        while !Task.isCancelled {
            for events in kept.all { events.offer("tick") }
            // Sets the rate.
            try await Task.sleep(for: .milliseconds(20))
        }
    }
    async let running: Void = made.runService(alongside: [service])
    let addresses = try await made.listeningAddresses()
    say("plain \(addresses[0].port ?? 0)")
    say("tls \(addresses[1].port ?? 0)")
    try await running
    ticking.cancel()
}

/// Gives route handlers the connector, which is created after them.
final class Box<Value: Sendable>: Sendable {
    private let state = Mutex<Value?>(nil)

    var value: Value? { state.withLock { $0 } }

    func set(_ value: Value) {
        state.withLock { $0 = value }
    }
}

let arguments = CommandLine.arguments
guard arguments.count == 7 else {
    say("usage: fault-probe CERTIFICATE KEY FILE SOCKET automatic|event-loops pool|loops")
    exit(64)
}
try await run(
    TLSIdentity(certificateChain: arguments[1], privateKey: arguments[2]),
    file: arguments[3],
    socket: arguments[4],
    handOff: arguments[5] == "event-loops" ? .never : .automatic,
    onLoops: arguments[6] == "loops"
)

#else
print("this probe requires the Server trait")
#endif
