// SPDX-License-Identifier: Apache-2.0

// The server of the streams benchmark, with Plinth. Every path except /publish is an event stream:
//   GET /scoped    a closure per stream sends events from an AsyncStream
//   GET /open      keeps the channel; the publisher offers to every channel
//   GET /ticker    a closure per stream sends an event of 100 bytes per second, with an ID, and sleeps on the stream's timer
//   GET /sleeper   the same with Task.sleep
//   POST /publish  sends the body as an event to every stream
// Arguments: the port, and the seconds after which it exits; then, for requests in place of streams, `answers` or
// `answers-in-place`: GET /answer is a small JSON answer through the default stack, on the thread pool or the event loops.

import Foundation
import Plinth
import PlinthServer
import Synchronization

/// The streams that receive published events.
final class Registry: Sendable {
    private struct State {
        var next = 0
        var continuations: [Int: AsyncStream<String>.Continuation] = [:]
        var channels: [ObjectIdentifier: EventChannel] = [:]
    }

    private let state = Mutex(State())

    func events() -> AsyncStream<String> {
        AsyncStream(bufferingPolicy: .bufferingNewest(64)) { continuation in
            let number = state.withLock { state in
                state.next += 1
                state.continuations[state.next] = continuation
                return state.next
            }
            continuation.onTermination = { _ in self.state.withLock { $0.continuations[number] = nil } }
        }
    }

    func add(_ channel: EventChannel) {
        state.withLock { $0.channels[ObjectIdentifier(channel)] = channel }
    }

    func removeClosed() {
        state.withLock { state in state.channels = state.channels.filter { !$0.value.isClosed } }
    }

    func publish(_ text: String) {
        let (continuations, channels) = state.withLock { (Array($0.continuations.values), Array($0.channels.values)) }
        for continuation in continuations { continuation.yield(text) }
        // Created once: each channel keeps a reference to it.
        let event = ServerSentEvent(data: text)
        for channel in channels { channel.offer(event) }
    }
}

let registry = Registry()
let filler = String(repeating: "x", count: 100)

let scoped = Interceptor.eventStream("scoped") { events, context in
    for await text in registry.events() {
        guard await events.send(text) else { return }
    }
}
let open = Interceptor(
    "open",
    enter: { context in
        try await context.startEventStream(onDisconnect: { _ in registry.removeClosed() }) { registry.add($0) }
    }
)
let ticker = Interceptor.eventStream("ticker") { events, context in
    var number = 0
    while true {
        number += 1
        let event = try ServerSentEvent(type: nil, data: filler, id: String(number))
        guard await events.send(event) else { return }
        try await events.sleep(for: .seconds(1))
    }
}
let sleeper = Interceptor.eventStream("sleeper") { events, context in
    var number = 0
    while true {
        number += 1
        let event = try ServerSentEvent(type: nil, data: filler, id: String(number))
        guard await events.send(event) else { return }
        // The ticker's interval.
        try await Task.sleep(for: .seconds(1))
    }
}
let publish = Interceptor.handler("publish") { request in
    registry.publish(String(decoding: try await request.body.collect(upTo: 1 << 20), as: UTF8.self))
    return Response(status: .noContent)
}
let byPath = Interceptor(
    "by-path",
    enter: { context in
        switch context.request.path {
        case "/scoped": context.enqueue(scoped)
        case "/open": context.enqueue(open)
        case "/ticker": context.enqueue(ticker)
        case "/sleeper": context.enqueue(sleeper)
        case "/publish": context.enqueue(publish)
        default: break
        }
    }
)

/// A small JSON answer, as Hummingbird's server sends it.
struct Item: Encodable {
    var id = 1
    var name = "a name of some length"
    var isOpen = true
}
let routes = try Routes {
    Route.get("/answer") { _ in
        Response(
            headers: [.contentType: "application/json; charset=utf-8"],
            body: .bytes(Array(try JSONEncoder().encode(Item())))
        )
    }
}

let port = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 8931 : 8931
let seconds = CommandLine.arguments.count > 2 ? Int(CommandLine.arguments[2]) ?? 600 : 600
let kind = CommandLine.arguments.count > 3 ? CommandLine.arguments[3] : "streams"
var logger = Logger(label: "bench")
logger.logLevel = .warning
let connector = Connector(
    kind == "streams" ? Chain([byPath]) : Chain.default(routes),
    configuration: ConnectorConfiguration(
        addresses: [.tcp(port: port)],
        backlog: 4096,
        runsRequestsOnEventLoops: kind == "answers-in-place"
    ),
    logger: logger
)
try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await connector.runService() }
    // Exits even if its parent does not stop it.
    group.addTask { try await Task.sleep(for: .seconds(seconds)) }
    try await group.next()
    group.cancelAll()
}
