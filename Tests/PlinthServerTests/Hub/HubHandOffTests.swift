// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import PlinthHub
import PlinthServer
import Synchronization
import Testing

extension Held {
    /// More events of 10 kB than fit in the buffers between a server and a stalled client; the kernel holds less of a
    /// reactor's.
    fileprivate var plenty: Int { self == .reactor ? 300 : 900 }
}

/// Draws consecutive numbers, starting after a range's lower bound.
private final class Draws: Sendable {
    private let count = Atomic<Int64>(0)

    func next(_ range: ClosedRange<Int64>) -> Int64 {
        range.lowerBound + count.add(1, ordering: .relaxed).newValue
    }
}

/// Streams on a reactor and on event loops: a client must not be able to tell them apart.
@Suite("Hub streams on the reactor and on event loops")
struct HubHandOffTests {
    private static let ten = String(repeating: "0123456789", count: 1000)

    /// Publishes numbered events of 10 kB in process.
    private func publishLarge(_ hub: HubServer, _ numbers: ClosedRange<Int>) async throws {
        let topic = try Topic("a")
        for number in numbers {
            try await hub.hub.publish(ServerSentEvent(data: "\(number) \(Self.ten)"), to: topic)
        }
    }

    private func number(_ event: ServerSentEvent) -> Int { Int(event.data.prefix { $0 != " " }) ?? -1 }

    @Test(
        "Fifty subscribers get every event, in order, with the ID that its publisher received",
        arguments: Held.allCases
    )
    func inOrder(held: Held) async throws {
        try await withHub(held.configuration) { hub in
            var clients: [StreamClient] = []
            for number in 0..<50 {
                let target = ["/topics/a", "/topics?topic=a", "/topics?match=*"][number % 3]
                clients.append(try await hub.subscribe(target, version: number % 10 == 9 ? "1.0" : "1.1"))
            }
            let publisher = try await hub.server.client()
            var ids: [String] = []
            for number in 0..<100 {
                let body = "\(number)"
                try await publisher.send(
                    "POST /topics/a HTTP/1.1\r\nHost: test\r\nContent-Length: \(body.count)\r\n\r\n\(body)"
                )
                ids.append(try #require(try Answer(try await publisher.response()).id))
            }
            for client in clients {
                let events = try await client.events(100)
                #expect(events.map(\.data) == (0..<100).map { "\($0)" })
                #expect(events.map { String(($0.id ?? "").prefix { $0 != "\t" }) } == ids)
                client.raw.close()
            }
            publisher.close()
            #expect(hub.streams.begun.values == Array(repeating: held.transport, count: 50))
            #expect(try await hub.hasEnded(50) == Array(repeating: .clientClosed, count: 50))
        }
    }

    @Test(
        "A client that leaves is noticed at once, however it leaves",
        arguments: Held.allCases,
        ["FIN", "RST", "half-close"]
    )
    func leaves(held: Held, how: String) async throws {
        try await withHub(held.configuration) { hub in
            let stays = try await hub.subscribe("/topics/a")
            let client = try await hub.subscribe("/topics/a")
            try await hub.post("/topics/a", "x")
            _ = try await client.events(1)
            switch how {
            case "FIN": client.raw.close()
            case "RST": client.raw.reset()
            default: client.raw.shutdownWrite()
            }
            #expect(try await hub.hasEnded(1) == [.clientClosed])
            if how == "half-close" { _ = try await client.raw.readAll() }
            #expect(hub.hub.subscriberCount == 1)
            try await hub.post("/topics/a", "y")
            #expect(try await stays.events(2).map(\.data) == ["x", "y"])
            stays.raw.close()
        }
    }

    @Test("Clients that leave during the hand-off end their streams", arguments: Held.allCases)
    func leavesAtOnce(held: Held) async throws {
        try await withHub(held.configuration) { hub in
            let request = Array("GET /topics/a?last-event-id=earliest HTTP/1.1\r\nHost: test\r\n\r\n".utf8)
            try await publishLarge(hub, 1...20)
            for number in 0..<200 {
                let client = try await hub.server.client()
                client.sendNow(request)
                switch number % 4 {
                case 0: client.reset()
                case 1: client.close()
                case 2: client.shutdownWrite()
                default: _ = try await client.read(until: "\r\n\r\n")
                }
                if number % 3 == 0 { client.reset() }
            }
            try await hub.server.isIdle()
            let begun = hub.streams.begun.values.count
            let ends = try await hub.hasEnded(begun)
            #expect(ends.allSatisfy { $0 == .clientClosed }, "\(Set(ends))")
            #expect(hub.hub.subscriberCount == 0)
        }
    }

    @Test(
        "Input after the request affects no stream",
        arguments: Held.allCases,
        ["GET /topics/b HTTP/1.1\r\nHost: test\r\n\r\n", "GET /partial HTT", "\u{0}\u{1}not HTTP at all\r\n\r\n"]
    )
    func pipelined(held: Held, behind: String) async throws {
        try await withHub(held.configuration) { hub in
            let client = try await StreamClient(port: hub.port, "/topics/a", behind: behind)
            try await hub.post("/topics/a", "1")
            _ = try await client.events(1)
            _ = try await client.raw.sendWhatFits([UInt8](repeating: 65, count: 500_000), within: 2)
            try await hub.post("/topics/b", "of another topic")
            try await hub.post("/topics/a", "2")
            #expect(try await client.events(2).map(\.data) == ["1", "2"])
            #expect(!client.text.contains("HTTP/1.1"))
            client.raw.close()
        }
    }

    @Test("HTTP/1.0 gets events without chunks; the close ends the body", arguments: Held.allCases)
    func closeDelimited(held: Held) async throws {
        try await withHub(held.configuration) { hub in
            let client = try await hub.subscribe("/topics/a?last-event-id=earliest", version: "1.0")
            #expect(client.head.statusLine == "HTTP/1.0 200 OK")
            #expect(client.head["Transfer-Encoding"] == nil)
            #expect(client.head[all: "Connection"] == ["close"])
            let id = try await hub.post("/topics/a?type=t", "x\ny")
            _ = try await client.events(1)
            #expect(client.text.hasPrefix(":\n"))
            #expect(client.text.hasSuffix("\n\nevent: t\ndata: x\ndata: y\nid: \(id)\n\n"))
            let stop = Task { try await hub.server.shutDown() }
            #expect(try await client.end().count == 1)
            client.raw.close()
            try await stop.value
            #expect(hub.streams.ends.values == [.serverDraining])
        }
    }

    @Test("Each event is one chunk", arguments: Held.allCases)
    func exactBytes(held: Held) async throws {
        try await withHub(held.configuration, random: { $0.lowerBound }) { hub in
            let client = try await hub.server.requesting("/topics/a?last-event-id=earliest")
            let head = RawResponse(head: try await client.read(until: "\r\n\r\n"))
            #expect(head["Transfer-Encoding"] == "chunked")
            #expect(head[all: "Connection"] == ["close"])
            let opening = try await client.read(until: "retry: 2000\n\n\r\n").split(separator: "\r\n")
            #expect(opening.count == 2)
            #expect(opening.first.flatMap { Int($0, radix: 16) } == opening.last?.utf8.count)
            #expect(opening.last?.hasPrefix(":\n") == true)
            let id = try await hub.post("/topics/a", "x")
            let block = "data: x\nid: \(id)\n\n"
            #expect(try await client.read(until: "\n\n\r\n") == "\(String(block.count, radix: 16))\r\n\(block)\r\n")
            client.close()
        }
    }

    // MARK: - Slow readers

    @Test("A stalled reader delays no other, and later gets everything that history holds", arguments: Held.allCases)
    func stalls(held: Held) async throws {
        try await withHub(held.configuration) { hub in
            let stalled = try await hub.subscribe("/topics/a", receiveBuffer: 65536)
            var others: [StreamClient] = []
            for _ in 0..<4 { others.append(try await hub.subscribe("/topics/a")) }
            try await publishLarge(hub, 1...held.plenty)
            for other in others {
                #expect(try await other.events(held.plenty).map(number) == Array(1...held.plenty))
                other.raw.close()
            }
            #expect(try await stalled.events(held.plenty).map(number) == Array(1...held.plenty))
            try await publishLarge(hub, held.plenty + 1...held.plenty + 1)
            #expect(try await stalled.events(held.plenty + 1).last.map(number) == held.plenty + 1)
            stalled.raw.close()
        }
    }

    @Test(
        "A reader that stalls for longer than history holds gets a gap event, and no event twice",
        arguments: Held.allCases
    )
    func stallsTooLong(held: Held) async throws {
        try await withHub(held.configuration, history: MemoryHistory(topic: HistoryLimits(events: 20))) { hub in
            let stalled = try await hub.subscribe("/topics/a", receiveBuffer: 65536)
            let other = try await hub.subscribe("/topics/a?last-event-id=earliest")
            // One at a time, so that the other reader stays live.
            for number in 1...held.plenty {
                try await publishLarge(hub, number...number)
                if number % 10 == 0 { _ = try await other.events(number) }
            }
            let events = try await stalled.events { self.number($0) == held.plenty }
            var last = 0
            var gaps = 0
            var isTold = false
            for event in events {
                if event.type == "gap" {
                    gaps += 1
                    isTold = true
                } else {
                    let next = number(event)
                    #expect(next == last + 1 || (isTold && next > last), "\(next) after \(last)")
                    last = next
                    isTold = false
                }
            }
            #expect(last == held.plenty)
            #expect(gaps > 0)
            #expect(events.count < held.plenty)
            #expect(try await other.events(held.plenty).map(number) == Array(1...held.plenty))
            stalled.raw.close()
            other.raw.close()
        }
    }

    @Test("With a write timeout, a stalled reader is closed; others are not", arguments: Held.allCases)
    func timesOut(held: Held) async throws {
        try await withHub(held.configuration, options: StreamOptions(writeTimeout: .seconds(10))) { hub in
            let stalled = try await hub.subscribe("/topics/a", receiveBuffer: 65536)
            let other = try await hub.subscribe("/topics/a")
            async let events = other.events(held.plenty)
            try await publishLarge(hub, 1...held.plenty)
            #expect(try await events.count == held.plenty)
            #expect(try await hub.hasEnded(1) == [.timedOut])
            try await publishLarge(hub, held.plenty + 1...held.plenty + 1)
            #expect(try await other.events(held.plenty + 1).last.map(number) == held.plenty + 1)
            _ = try await stalled.raw.readAll()
            other.raw.close()
        }
    }

    @Test("An idle stream gets comments at the heartbeat interval", arguments: Held.allCases)
    func heartbeats(held: Held) async throws {
        try await withHub(held.configuration, options: StreamOptions(heartbeat: .milliseconds(40))) { hub in
            let start = ContinuousClock.now
            let client = try await hub.subscribe("/topics/a")
            let old = try await hub.subscribe("/topics/a?last-event-id=earliest", version: "1.0")
            try await client.text(containing: ":\n:\n:\n:\n:\n")
            #expect(ContinuousClock.now - start >= .milliseconds(5 * 35))
            try await old.text(containing: ":\n:\n:\n:\n:\n")
            try await hub.post("/topics/a", "x")
            #expect(try await client.events(1).map(\.data) == ["x"])
            client.raw.close()
            old.raw.close()
        }
    }

    @Test("Heartbeats can be events, which do not change the last event ID", arguments: Held.allCases)
    func heartbeatEvents(held: Held) async throws {
        let options = StreamOptions(heartbeat: .milliseconds(40), heartbeatEvent: "still-here")
        try await withHub(held.configuration, options: options) { hub in
            let clients = [
                try await hub.subscribe("/topics/a?last-event-id=earliest"),
                try await hub.subscribe("/topics?match=**&last-event-id=earliest", version: "1.0"),
            ]
            let id = try await hub.post("/topics/a", "x")
            for client in clients {
                let seen = try await client.events { $0.data == "x" }.count
                let events = try await client.events(seen + 3)
                for event in events where event.data != "x" {
                    #expect(event.type == "still-here")
                    #expect(event.data == "")
                }
                #expect(client.lastEventID.hasPrefix(id))
                client.raw.close()
            }
            let forged = try await hub.request("POST", "/topics/a?type=still-here", body: "")
            #expect(try Answer(forged).code == "type-reserved")
        }
    }

    @Test("Before the hub ends a stream, it sends a newly drawn reconnection time", arguments: Held.allCases)
    func drainsApart(held: Held) async throws {
        let draws = Draws()
        let options = StreamOptions(heartbeat: nil, retry: .milliseconds(1000)...(.milliseconds(9000)))
        // Each stream draws once on opening and once on ending.
        try await withHub(held.configuration, options: options, random: { draws.next($0) }) { hub in
            var clients: [StreamClient] = []
            for number in 1...20 {
                let client = try await hub.subscribe("/topics/a")
                try await client.text(containing: "id: ")
                #expect(client.reconnectionTime == .milliseconds(1000 + number))
                clients.append(client)
            }
            // An event sets the same time for all of them.
            try await hub.post("/topics/a?retry=200", "x")
            for client in clients {
                _ = try await client.events(1)
                #expect(client.reconnectionTime == .milliseconds(200))
            }
            let stop = Task { try await hub.server.shutDown() }
            var times: Set<Duration> = []
            for client in clients {
                #expect(try await client.end().count == 1)
                #expect(client.isComplete)
                times.insert(try #require(client.reconnectionTime))
                client.raw.close()
            }
            try await stop.value
            #expect(times == Set((21...40).map { .milliseconds(1000 + $0) }))
        }
    }

    // MARK: - The end

    @Test(
        "A shutdown ends two hundred streams with the last chunk, and then the service returns",
        arguments: Held.allCases
    )
    func shutsDown(held: Held) async throws {
        try await withHub(held.configuration) { hub in
            var clients: [StreamClient] = []
            for _ in 0..<200 { clients.append(try await hub.subscribe("/topics/a")) }
            try await hub.post("/topics/a", "last")
            let stop = Task { try await hub.server.shutDown() }
            for client in clients {
                #expect(try await client.end().map(\.data) == ["last"])
                #expect(client.isComplete)
                client.raw.close()
            }
            try await stop.value
            #expect(hub.streams.ends.values == Array(repeating: .serverDraining, count: 200))
            #expect(hub.hub.subscriberCount == 0)
        }
    }

    @Test("A shutdown does not wait for a stalled reader beyond its timeout", arguments: Held.allCases)
    func shutsDownStalled(held: Held) async throws {
        var configuration = held.configuration
        configuration.shutdownTimeout = .milliseconds(500)
        try await withHub(configuration, configure: { $0.shutdownTimeout = .milliseconds(500) }) { hub in
            let stalled = try await hub.subscribe("/topics/a", receiveBuffer: 65536)
            let other = try await hub.subscribe("/topics/a")
            try await publishLarge(hub, 1...held.plenty)
            _ = try await other.events(held.plenty)
            let stop = Task { try await hub.server.shutDown() }
            try await other.end()
            #expect(other.isComplete)
            other.raw.close()
            try await stop.value
            #expect(hub.streams.ends.values.count == 2)
            _ = try await stalled.raw.readAll()
        }
    }

    // MARK: - Every version of HTTP

    @Test(
        "curl gets the same stream over every version of HTTP, and its end at a shutdown",
        arguments: Held.allCases
    )
    func curl(held: Held) async throws {
        let identity = try await Certificates.shared.identity()
        try await withHub(
            held.configuration,
            options: StreamOptions(heartbeat: nil),
            random: { $0.lowerBound },
            configure: { $0.addresses = [.tcp(port: 0), .tls(port: 0, identity: identity)] }
        ) { hub in
            let plain = "http://127.0.0.1:\(hub.port)"
            let secure = "https://127.0.0.1:\(hub.server.addresses[1].port ?? 0)"
            let target = "/topics?match=**&last-event-id=earliest"
            let curls = try [
                ["--http1.0", plain + target], ["--http1.1", plain + target],
                ["--http2-prior-knowledge", plain + target], ["--http1.0", secure + target],
                ["--http1.1", secure + target], ["--http2", secure + target],
            ].map { try ChildProcess("curl", ["-skN", "-m", "600"] + $0) }
            for number in 0..<200 { try await hub.post("/topics/t\(number % 7)", "\(number)\n\(number)") }
            try await publishLarge(hub, 1...30)
            try await hub.post("/topics/end", "last")
            var bodies: [String] = []
            for curl in curls { bodies.append(try await curl.output(until: "data: last\n")) }
            let events = bodies.map { $0.components(separatedBy: "\ndata: last\n")[0] }
            #expect(Set(events).count == 1)
            #expect(events[0].components(separatedBy: "\ndata: ").count == 1 + 400 + 30)
            let kinds = hub.streams.begun.values
            #expect(kinds.filter { $0 == .reactor }.count == (held == .reactor ? 2 : 0))
            #expect(kinds.count == 6)
            try await hub.server.shutDown()
            for curl in curls { #expect(try await curl.result().status == 0) }
            #expect(hub.streams.ends.values == Array(repeating: .serverDraining, count: 6))
        }
    }

    @Test("A curl that leaves is noticed over TLS and HTTP/2", arguments: ["--http2-prior-knowledge", "tls1", "tls2"])
    func curlLeaves(how: String) async throws {
        let identity = try await Certificates.shared.identity()
        try await withHub(configure: { $0.addresses = [.tcp(port: 0), .tls(port: 0, identity: identity)] }) { hub in
            let isSecure = how.hasPrefix("tls")
            let option = isSecure ? (how == "tls1" ? "--http1.1" : "--http2") : how
            let port = hub.server.addresses[isSecure ? 1 : 0].port ?? 0
            let curl = try ChildProcess(
                "curl",
                ["-skN", option, "\(isSecure ? "https" : "http")://127.0.0.1:\(port)/topics/a"]
            )
            _ = try await curl.output(until: ":\n")
            curl.kill()
            #expect(try await hub.hasEnded(1) == [.clientClosed])
            #expect(hub.streams.begun.values == [.eventLoop])
        }
    }
}

#endif
