// SPDX-License-Identifier: Apache-2.0

// Tests that need their own process: process limits, and its memory and descriptors without other activity.
//
//     ServerProbe serve 40          listens with at most 40 descriptors, prints its port, runs until killed
//     ServerProbe cycles 20000      connects and disconnects 20000 clients, prints what remains
//     ServerProbe hub 60            serves a hub with at most 60 descriptors, an event every 20 ms, runs until killed

#if os(Linux) && Server

import Foundation
import Glibc
import Logging
import Plinth
import PlinthHub
import PlinthServer
import Synchronization

/// Counts of streams that opened, streams that ended, and ready functions that returned.
final class Counts: Sendable {
    let opened = Atomic<Int>(0)
    let ended = Atomic<Int>(0)
    let returned = Atomic<Int>(0)
}

func openDescriptors() -> Int {
    (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? -1
}

func residentKilobytes() -> Int {
    let pages = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8))?.split(separator: " ").dropFirst()
        .first
    return (pages.flatMap { Int($0) } ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) / 1024
}

/// A client that connects, requests the stream, reads the first event, and leaves.
func visit(port: Int, resets: Bool) -> Bool {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(UInt16(port)).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    let connected = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard connected == 0 else { return false }
    let request = Array("GET / HTTP/1.1\r\nHost: probe\r\n\r\n".utf8)
    guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else { return false }
    var seen: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1024)
    let mark = Array("data: one\n\n".utf8)
    while seen.firstRange(of: mark) == nil {
        let count = recv(descriptor, &buffer, buffer.count, 0)
        guard count > 0 else { return false }
        seen += buffer[..<count]
    }
    if resets {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }
    return true
}

/// Runs `count` visits on four threads, and returns the number of failures.
func visits(_ count: Int, port: Int) async -> Int {
    let failures = Counts()
    let lanes = 4
    await withTaskGroup(of: Void.self) { group in
        for _ in 0..<lanes {
            group.addTask {
                await withCheckedContinuation { continuation in
                    Thread.detachNewThread {
                        for number in 0..<count / lanes where !visit(port: port, resets: number % 2 == 0) {
                            failures.ended.add(1, ordering: .relaxed)
                        }
                        continuation.resume()
                    }
                }
            }
        }
    }
    return failures.ended.load(ordering: .relaxed)
}

/// Waits until the task is cancelled.
@Sendable func forever() async {
    let (stream, continuation) = AsyncStream<Void>.makeStream()
    for await _ in stream {}
    continuation.finish()
}

/// Writes a line without buffering.
func say(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
}

/// Counts a hub's streams, and prints the first that stays on its event loop.
final class StreamCounts: HubObserver {
    let reactor = Atomic<Int>(0)
    let eventLoop = Atomic<Int>(0)

    func streamBegan(_ stream: HubStream) {
        if stream.transport == .reactor {
            reactor.add(1, ordering: .relaxed)
        } else if eventLoop.add(1, ordering: .relaxed).oldValue == 0 {
            say("began \(stream.transport.description)")
        }
    }

    func streamEnded(_ stream: HubStream, _ end: StreamEnd) {}
}

/// Sets the descriptor limit; exits on failure.
func limitDescriptors(_ number: Int) {
    var limit = rlimit(rlim_cur: rlim_t(number), rlim_max: rlim_t(number))
    guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { exit(71) }
}

/// Serves a hub that allows more streams than the descriptor limit.
func serveHub(_ descriptors: Int) async throws {
    limitDescriptors(descriptors)
    let counts = StreamCounts()
    let hub = try await Hub(observer: counts)
    let logger = Logger(label: "probe") { StreamLogHandler.standardOutput(label: $0) }
    let service = HubService(hub, configuration: .init(maximumStreams: 10_000), logger: logger)
    let routes =
        HubEndpoints(service).routes() + [
            Route.get("/counts", name: "counts") { _ in
                let begun = (counts.reactor.load(ordering: .relaxed), counts.eventLoop.load(ordering: .relaxed))
                return .text("\(begun.0) \(begun.1) \(hub.subscriberCount) \(openDescriptors())")
            }
        ]
    // Logs only the hub's lines: the test stops reading at some point, and a full pipe would block the server.
    let connector = Connector(
        Chain.default(try Routes(routes)),
        configuration: ConnectorConfiguration(addresses: [.tcp(port: 0)]),
        logger: Logger(label: "probe") { _ in SwiftLogNoOpLogHandler() }
    )
    async let running: Void = connector.runService(alongside: [service])
    async let publishing: Void = {
        let topic = try Topic("a")
        while true {
            try await hub.publish(ServerSentEvent(data: "tick"), to: topic)
            // Sets the rate: leaves time for other tasks.
            try await Task.sleep(for: .milliseconds(20))
        }
    }()
    say("port \(try await connector.listeningAddresses()[0].port ?? 0)")
    try await running
    try await publishing
}

let arguments = CommandLine.arguments
guard arguments.count == 3, let number = Int(arguments[2]) else {
    say("usage: ServerProbe serve DESCRIPTORS | cycles COUNT | hub DESCRIPTORS")
    exit(64)
}
if arguments[1] == "hub" {
    try await serveHub(number)
    exit(0)
}
let counts = Counts()
let stream = Interceptor.eventStream("stream", onDisconnect: { _ in counts.ended.add(1, ordering: .relaxed) }) {
    events,
    _ in
    counts.opened.add(1, ordering: .relaxed)
    defer { counts.returned.add(1, ordering: .relaxed) }
    await events.send("one")
    // Not a sleep: its timer outlives cancellation and would look like a leak.
    await forever()
}
let text = Interceptor(
    "text",
    enter: { context in
        if context.request.path == "/text" { context.response = .text("text") }
    }
)

if arguments[1] == "serve" {
    limitDescriptors(number)
}
let connector = Connector(
    Chain([text, stream]),
    configuration: ConnectorConfiguration(addresses: [.tcp(port: 0)]),
    logger: Logger(label: "probe") { StreamLogHandler.standardOutput(label: $0) }
)
let run = Task { try await connector.run() }
let port = try await connector.listeningAddresses()[0].port ?? 0

if arguments[1] == "serve" {
    say("port \(port)")
    try await run.value
} else {
    // Warm-up: the first clients grow pools, arenas and timer wheels, which are kept.
    var failures = await visits(max(400, number / 4), port: port)
    await connector.waitUntilIdle()
    let before = (descriptors: openDescriptors(), memory: residentKilobytes())
    let start = ContinuousClock.now
    failures += await visits(number, port: port)
    await connector.waitUntilIdle()
    say("cycles \(number) in \(ContinuousClock.now - start), failed \(failures)")
    say("activities \(connector.activityCount)")
    say("streams \(counts.opened.load(ordering: .relaxed) - counts.ended.load(ordering: .relaxed))")
    say("closures \(counts.opened.load(ordering: .relaxed) - counts.returned.load(ordering: .relaxed))")
    say("descriptors \(openDescriptors() - before.descriptors)")
    say("kilobytes \(residentKilobytes() - before.memory)")
    run.cancel()
}

#else
print("this probe requires Linux and the Server trait")
#endif
