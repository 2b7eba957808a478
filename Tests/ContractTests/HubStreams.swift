// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Plinth
import PlinthHub
import PlinthServer
import PlinthTestSupport

/// The contract of a hub's stream, for every way to serve it.
enum HubStreams {
    private final class Ends: HubObserver {
        let recorder = Recorder<StreamEnd>()

        func streamBegan(_ stream: HubStream) {}
        func streamEnded(_ stream: HubStream, _ end: StreamEnd) { recorder.record(end) }
    }

    /// A served hub, and the recorded ends of its streams.
    private struct Served {
        let server: ContractServer
        let service: HubService
        let ends: Recorder<StreamEnd>

        var hub: Hub { service.hub }

        func publish(_ data: String, to topic: String = "a") async throws {
            _ = try await hub.publish(ServerSentEvent(data: data), to: Topic(topic))
        }

        func ended(_ end: StreamEnd) async throws {
            let found = try await ends.first()
            try must(found == [end], "\(found)")
        }
    }

    private static func served(
        _ way: Way,
        events: Int = .max,
        options: StreamOptions = StreamOptions(heartbeat: nil, retry: .seconds(2)...(.seconds(2))),
        check: (Served) async throws -> Void
    ) async throws {
        let ends = Ends()
        let history = MemoryHistory(total: HistoryLimits(events: events))
        let hub = try await Hub(history: history, options: options, observer: ends)
        let service = HubService(hub, configuration: .init(handOff: way.handOff, reactors: 1))
        let routes = try Routes(HubEndpoints(service).routes())
        try await ContractServer.run(way, routes.router, hub: service) { server in
            try await check(Served(server: server, service: service, ends: ends.recorder))
        }
    }

    private static let noServer = "there is no server"

    static let table = ContractTable(
        rows: [
            ContractRow("the head has the status and fields of an event stream") { way in
                try await served(way) { served in
                    let client = try await served.server.client("/topics/a")
                    let (status, fields) = try await client.head()
                    try must(status == 200, "\(status)")
                    try must(fields["content-type"] == "text/event-stream; charset=UTF-8", "\(fields)")
                    try must(fields["cache-control"] == "no-cache, no-transform", "\(fields)")
                    client.leave()
                }
            },
            ContractRow("it opens at once with a comment and a reconnection time") { way in
                try await served(way) { served in
                    let client = try await served.server.client("/topics/a")
                    let body = try await client.body(until: "retry: 2000\n")
                    try must(body.hasPrefix(":\n"), body)
                    client.leave()
                }
            },
            ContractRow("events held and published later arrive once each, in order") { way in
                try await served(way) { served in
                    for number in 0..<50 { try await served.publish("\(number)") }
                    let client = try await served.server.client("/topics/a", lastEventID: "earliest")
                    for number in 50..<100 { try await served.publish("\(number)") }
                    let body = try await client.body(until: "data: 99\n")
                    let data = body.split(separator: "\n").filter { $0.hasPrefix("data: ") }
                    try must(data == (0..<100).map { "data: \($0)" }, "\(data)")
                    client.leave()
                }
            },
            ContractRow("large events arrive whole, even beside a stalled client") { way in
                let data = String(repeating: "x", count: 1_000_000)
                try await served(way) { served in
                    let stalled = try await served.server.client("/topics/a")
                    _ = try await stalled.body(until: ":\n")
                    stalled.stall()
                    let client = try await served.server.client("/topics/a", lastEventID: "earliest")
                    _ = try await client.body(until: ":\n")
                    for _ in 0..<8 { try await served.publish(data) }
                    try await served.publish("last")
                    let body = try await client.body(until: "data: last\n")
                    let lines = body.split(separator: "\n").filter { $0.hasPrefix("data: x") }
                    try must(lines.count == 8 && lines.allSatisfy { $0.utf8.count == 1_000_006 }, "\(lines.count)")
                    try must(served.hub.subscriberCount == 2, "\(served.hub.subscriberCount) subscribers")
                    client.leave()
                    stalled.leave()
                }
            },
            ContractRow("it resumes after the client's last event ID") { way in
                try await served(way) { served in
                    try await served.publish("one")
                    let id = try await served.hub.publish(ServerSentEvent(data: "two"), to: Topic("a"))
                    try await served.publish("three")
                    let client = try await served.server.client("/topics/a", lastEventID: id.description)
                    let body = try await client.body(until: "data: three\n")
                    try must(!body.contains("data: two") && !body.contains("event: gap"), body)
                    client.leave()
                }
            },
            ContractRow("a gap event precedes the events held if older ones are missing") { way in
                try await served(way, events: 3) { served in
                    let id = try await served.hub.publish(ServerSentEvent(data: "one"), to: Topic("a"))
                    for number in 2...9 { try await served.publish("\(number)") }
                    let client = try await served.server.client("/topics/a", lastEventID: id.description)
                    let body = try await client.body(until: "data: 9\n")
                    let lines = body.split(separator: "\n").filter { $0.hasPrefix("event: ") || $0.hasPrefix("data: ") }
                    try must(lines.first == "event: gap" && lines.count == 5, body)
                    try must(lines.dropFirst(2).elementsEqual(["data: 7", "data: 8", "data: 9"]), body)
                    client.leave()
                }
            },
            ContractRow("with the gap policy `close`, a gap completes it") { way in
                let options = StreamOptions(heartbeat: nil, gapPolicy: .close)
                try await served(way, events: 3, options: options) { served in
                    let id = try await served.hub.publish(ServerSentEvent(data: "one"), to: Topic("a"))
                    for number in 2...9 { try await served.publish("\(number)") }
                    let client = try await served.server.client("/topics/a", lastEventID: id.description)
                    let (body, isComplete) = try await client.end()
                    try must(isComplete && !body.contains("data: "), body)
                    try await served.ended(.lagged)
                }
            },
            ContractRow("with several topics, each event's ID has its topic appended") { way in
                try await served(way) { served in
                    try await served.publish("1", to: "a")
                    try await served.publish("2", to: "b/c")
                    let client = try await served.server.client("/topics?topic=a&match=b/*", lastEventID: "earliest")
                    let body = try await client.body(until: "\tb/c\n")
                    try must(body.contains("\ta\n"), body)
                    client.leave()
                }
            },
            ContractRow("heartbeats are comments, or events without an ID") { way in
                let comments = StreamOptions(heartbeat: .milliseconds(20))
                try await served(way, options: comments) { served in
                    let client = try await served.server.client("/topics/a")
                    _ = try await client.body(until: "\n:\n:\n")
                    client.leave()
                }
                let events = StreamOptions(heartbeat: .milliseconds(20), heartbeatEvent: "beat")
                try await served(way, options: events) { served in
                    let client = try await served.server.client("/topics/a")
                    // The exact bytes, twice: no ID.
                    var beat: [UInt8] = []
                    ServerSentEvent(type: "beat", data: "").encode(into: &beat)
                    let text = String(decoding: beat, as: UTF8.self)
                    _ = try await client.body(until: text + text)
                    client.leave()
                }
            },
            ContractRow("it is completed at its maximum age") { way in
                let options = StreamOptions(heartbeat: nil, maximumAge: .milliseconds(100))
                try await served(way, options: options) { served in
                    let client = try await served.server.client("/topics/a")
                    let isComplete = try await client.end().isComplete
                    try must(isComplete, "an incomplete body")
                    try await served.ended(.expired)
                }
            },
            ContractRow("a client that leaves is reported once, and no longer counted") { way in
                try await served(way) { served in
                    let client = try await served.server.client("/topics/a")
                    _ = try await client.body(until: ":\n")
                    client.leave()
                    try await served.ended(.clientClosed)
                    try must(served.hub.subscriberCount == 0, "\(served.hub.subscriberCount) subscribers")
                }
            },
            ContractRow("`endStreams` completes it", except: [.process: noServer]) { way in
                try await served(way) { served in
                    let client = try await served.server.client("/topics/a", lastEventID: "earliest")
                    // A client may see the opening before `endStreams` reaches the stream, but not an event.
                    try await served.publish("one")
                    _ = try await client.body(until: "data: one\n")
                    served.service.endStreams { _ in true }
                    let isComplete = try await client.end().isComplete
                    try must(isComplete, "an incomplete body")
                    try await served.ended(.ended)
                }
            },
            ContractRow("a shutdown completes it, after a reconnection time", except: [.process: noServer]) {
                way in
                try await served(way) { served in
                    try await served.publish("one")
                    let client = try await served.server.client("/topics/a", lastEventID: "earliest")
                    _ = try await client.body(until: "data: one\n")
                    try await served.server.shutDown()
                    let (body, isComplete) = try await client.end()
                    try must(isComplete && body.hasSuffix("retry: 2000\n\n"), body)
                    try await served.ended(.serverDraining)
                }
            },
        ],
        ways: Way.ofHubs
    )
}

#endif
