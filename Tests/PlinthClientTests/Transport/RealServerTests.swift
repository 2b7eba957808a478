// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Client

import PlinthTestSupport
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import PlinthClient
import Testing

/// An event source against production servers, through a proxy that restarts while events are published.
@Suite("Real servers", .serialized)
struct RealServerTests {
    /// The number of events published, at 200 per second.
    private static let count = 1000
    /// Only so that a server that hangs fails the test.
    private static let timeout = TimeAmount.minutes(10)

    /// Publishes the numbers as events, and calls the closure after each.
    private func publish(to url: String, _ body: (Int) async throws -> Void) async throws {
        let start = ContinuousClock.now
        for number in 1...Self.count {
            var request = HTTPClientRequest(url: url)
            request.method = .POST
            request.body = .bytes(ByteBuffer(string: "\(number)"))
            let response = try await HTTPClient.shared.execute(request, timeout: Self.timeout)
            _ = try await response.body.collect(upTo: 1 << 16)
            let code = response.status.code
            #expect((200..<300).contains(code))
            try await body(number)
            // 200 per second: the test depends on this pace.
            try await Task.sleep(until: start + .milliseconds(5) * number)
        }
    }

    /// Reads through a proxy that is restarted 3 times, and expects every event once and in order.
    private func resumes(from port: Int, subscribe: String, publish path: String) async throws {
        let proxy = try await Nginx(
            """
            location / {
                proxy_pass http://127.0.0.1:\(port); proxy_http_version 1.1; proxy_set_header Connection '';
                proxy_buffering off;
            }
            """
        )
        var configuration = EventSourceConfiguration()
        configuration.reconnectionTime = .milliseconds(20)
        configuration.backoff = .none
        // While nginx starts, it may answer that its upstream is unavailable.
        configuration.retryableStatuses = EventSourceConfiguration.transientStatuses
        let source = EventSource("http://127.0.0.1:\(proxy.port)\(subscribe)", configuration: configuration)
        let reader = Reader(source)
        try await reader.lines.first(1)
        var restarts = 0
        try await publish(to: "http://127.0.0.1:\(port)\(path)") { number in
            guard [200, 500, 800].contains(number) else { return }
            restarts += 1
            let opens = restarts
            try await wait(for: "the source to be open again") {
                while reader.lines.values.count(where: { $0 == "open" }) < opens {
                    // As below: the number of lines before it is unknown.
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            try await proxy.restart()
        }
        let isEvent: @Sendable (String) -> Bool = { $0.hasPrefix("message: ") }
        try await wait(for: "all events, after \(reader.lines.values.suffix(3))") {
            while reader.lines.values.count(where: isEvent) < Self.count {
                // The number of openings and retries is unknown, so it cannot wait for a count of lines.
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        reader.cancel()
        #expect(reader.lines.values.filter(isEvent) == (1...Self.count).map { "message: \($0)" })
        #expect(reader.lines.values.count { $0 == "open" } >= 4)
    }

    @Test("Plinth's hub: no event is lost or duplicated when the proxy in front restarts")
    func hub() async throws {
        // The source must reconnect before the proxy restarts again.
        let options = ["--port", "0", "--log-level", "error", "--retry", "20ms"]
        let hub = try ChildProcess(try Product.path("plinth"), ["serve"] + options)
        defer { hub.terminate() }
        let line = try await hub.output(until: "\n")
        let port = try #require(line.split(separator: ":").last.flatMap { Int($0.trimmingCharacters(in: .newlines)) })
        try await resumes(from: port, subscribe: "/topics/a", publish: "/topics/a")
    }

    @Test("Plinth's hub: its largest events are read with the defaults, whatever their line ends")
    func largestEvents() async throws {
        let hub = try ChildProcess(try Product.path("plinth"), ["serve", "--port", "0", "--log-level", "error"])
        defer { hub.terminate() }
        let line = try await hub.output(until: "\n")
        let port = try #require(line.split(separator: ":").last.flatMap { Int($0.trimmingCharacters(in: .newlines)) })
        let url = "http://127.0.0.1:\(port)/topics"
        let maximum = 1 << 20
        let type = String(repeating: "e", count: 2000)
        for (number, unit) in ["x", "\n", "\r", "\r\n", "é", "\0", "\u{FEFF}"].enumerated() {
            // Each line end adds a line on the wire.
            let body = String(repeating: unit, count: maximum / unit.utf8.count)
            let topic = String(repeating: "t", count: 1000) + "\(number)"
            var request = HTTPClientRequest(url: "\(url)/\(topic)?type=\(type)")
            request.method = .POST
            request.headers.add(name: "Content-Type", value: "text/plain")
            request.body = .bytes(ByteBuffer(string: body))
            let response = try await HTTPClient.shared.execute(request, timeout: Self.timeout)
            #expect((200..<300).contains(response.status.code))
            // Streams of several topics have the topic in the ID.
            for path in ["/\(topic)?last-event-id=earliest", "?match=\(topic)&last-event-id=earliest"] {
                var iterator = EventSource(url + path).makeAsyncIterator()
                let event = try #require(try await iterator.next())
                #expect(event.type == type)
                #expect(event.data.utf8.elementsEqual(Self.normalised(body)), "\(unit.debugDescription)")
            }
        }
    }

    @Test("Plinth's hub: its gaps, topics and IDs are read, and a state is followed across a gap")
    func hubUpdates() async throws {
        let options = ["--port", "0", "--log-level", "error", "--retry", "20ms", "--topic-events", "3"]
        let hub = try ChildProcess(try Product.path("plinth"), ["serve"] + options)
        defer { hub.terminate() }
        let line = try await hub.output(until: "\n")
        let port = try #require(line.split(separator: ":").last.flatMap { Int($0.trimmingCharacters(in: .newlines)) })
        let url = "http://127.0.0.1:\(port)/topics"
        // Of the first topic only the last three events are held.
        let ids = Recorder<String>()
        for number in 1...5 { ids.record(try await Self.publish("\(number)", to: "\(url)/a")) }
        let other = try await Self.publish("other", to: "\(url)/b")
        let published = ids.values

        var configuration = EventSourceConfiguration()
        configuration.lastEventID = published[0]
        let several = EventSource("\(url)?match=*", configuration: configuration)
        var updates = several.hubUpdates.makeAsyncIterator()
        guard case .gap(let gap)? = try await updates.next() else {
            Issue.record("The first update should be a gap")
            return
        }
        #expect(gap.requested == published[0] && gap.oldest == published[2])
        let expected = zip(["3", "4", "5"], published[2...]).map {
            EventSource.Event(data: $0, lastEventID: $1, topic: "a")
        }
        for event in expected + [EventSource.Event(data: "other", lastEventID: other, topic: "b")] {
            #expect(try await updates.next() == .event(event))
        }

        configuration.backoff = .none
        let reads = Recorder<Int>()
        let state = EventSource("\(url)/a", configuration: configuration).following {
            // The first mark is too old.
            let isFirst = reads.values.isEmpty
            reads.record(1)
            if isFirst { return ("old", mark: published[0]) }
            return ("new", mark: other)
        }
        var iterator = state.makeAsyncIterator()
        #expect(try await iterator.next() == .state("old"))
        #expect(try await iterator.next() == .state("new"))
        let last = try await Self.publish("6", to: "\(url)/a")
        #expect(try await iterator.next() == .event(.init(data: "6", lastEventID: last)))
    }

    @Test("Plinth's hub: a state is followed from its mark to the end of its topic, and several topics to their ends")
    func hubEnds() async throws {
        let options = ["--port", "0", "--log-level", "error", "--retry", "20ms"]
        let hub = try ChildProcess(try Product.path("plinth"), ["serve"] + options)
        defer { hub.terminate() }
        let line = try await hub.output(until: "\n")
        let port = try #require(line.split(separator: ":").last.flatMap { Int($0.trimmingCharacters(in: .newlines)) })
        let url = "http://127.0.0.1:\(port)/topics"
        var configuration = EventSourceConfiguration()
        configuration.backoff = .none

        _ = try await Self.publish("in the state", to: "\(url)/a")
        let source = EventSource("\(url)/a", configuration: configuration)
        let state = source.following {
            var request = HTTPClientRequest(url: "\(url)/a")
            request.method = .HEAD
            let response = try await HTTPClient.shared.execute(request, timeout: Self.timeout)
            let mark = response.headers.first(name: "Last-Event-ID") ?? ""
            // Part of the state, and after the mark.
            _ = try await Self.publish("between", to: "\(url)/a")
            return ("state", mark: mark)
        }
        var iterator = state.makeAsyncIterator()
        #expect(try await iterator.next() == .state("state"))
        guard case .event(let event)? = try await iterator.next() else {
            Issue.record("The event after the mark should follow")
            return
        }
        #expect(event.data == "between")
        _ = try await Self.publish("last", to: "\(url)/a?end")
        guard case .event(let last)? = try await iterator.next() else {
            Issue.record("The last event should follow")
            return
        }
        #expect(last.data == "last")
        #expect(try await iterator.next() == .end(topic: "a"))
        #expect(try await iterator.next() == nil)
        #expect(source.readyState == .closed(.ended))

        let several = EventSource("\(url)?topic=a&topic=b", configuration: configuration)
        var updates = several.hubUpdates.makeAsyncIterator()
        #expect(try await updates.next() == .end(topic: "a"))
        let id = try await Self.publish("b", to: "\(url)/b")
        #expect(try await updates.next() == .event(.init(data: "b", lastEventID: id, topic: "b")))
        _ = try await Self.publish("", to: "\(url)/b?end")
        #expect(try await updates.next() == .end(topic: "b"))
        #expect(try await updates.next() == nil)
        #expect(several.readyState == .closed(.noContent))
    }

    /// Publishes an event, and returns its ID.
    private static func publish(_ data: String, to url: String) async throws -> String {
        struct Answer: Decodable {
            var id: String
        }
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "text/plain")
        request.body = .bytes(ByteBuffer(string: data))
        let response = try await HTTPClient.shared.execute(request, timeout: Self.timeout)
        let body = try await response.body.collect(upTo: 1 << 16)
        return try JSONDecoder().decode(Answer.self, from: Data(body.readableBytesView)).id
    }

    /// The bytes of a text with every kind of line end as LF.
    private static func normalised(_ text: String) -> [UInt8] {
        var result: [UInt8] = []
        var last: UInt8 = 0
        for byte in text.utf8 {
            if byte != 0x0A || last != 0x0D { result.append(byte == 0x0D ? 0x0A : byte) }
            last = byte
        }
        return result
    }

    @Test("nchan: no event is lost or duplicated when the proxy in front restarts")
    func nchan() async throws {
        let server = try await Nginx(
            """
            location = /sub {
                nchan_subscriber eventsource; nchan_channel_id a; nchan_subscriber_first_message oldest;
            }
            location = /pub {
                nchan_publisher; nchan_channel_id a; nchan_message_buffer_length 5000; nchan_message_timeout 5m;
            }
            """,
            http: "nchan_shared_memory_size 32M;",
            module: Nginx.nchanModule
        )
        try await resumes(from: server.port, subscribe: "/sub", publish: "/pub")
    }
}

#endif
