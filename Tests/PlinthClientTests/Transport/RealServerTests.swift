// SPDX-License-Identifier: Apache-2.0

#if os(Linux) && Client

import PlinthTestSupport
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import PlinthClient
import Testing

/// An event source against servers that people run, through a proxy that is restarted while events are published.
@Suite("against real servers", .serialized)
struct RealServerTests {
    /// How many events are published, two hundred a second.
    private static let count = 1000

    /// Publishes numbers, each an event, and calls something in between.
    private func publish(to url: String, _ body: (Int) async throws -> Void) async throws {
        let start = ContinuousClock.now
        for number in 1...Self.count {
            var request = HTTPClientRequest(url: url)
            request.method = .POST
            request.body = .bytes(ByteBuffer(string: "\(number)"))
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
            _ = try await response.body.collect(upTo: 1 << 16)
            let code = response.status.code
            #expect((200..<300).contains(code))
            try await body(number)
            // Two hundred a second: the pace is what this is about.
            try await Task.sleep(until: start + .milliseconds(5) * number)
        }
    }

    /// Reads through a proxy that is restarted three times, and looks whether every event came once, in order.
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
        // While nginx begins it may answer that its upstream is not there.
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
                    try await Task.sleep(for: .milliseconds(20))
                }
            }
            try await proxy.restart()
        }
        let isEvent: @Sendable (String) -> Bool = { $0.hasPrefix("message: ") }
        try await wait(for: "all events, beside \(reader.lines.values.suffix(3))") {
            while reader.lines.values.count(where: isEvent) < Self.count {
                // How many openings and retries come between is not known, so that no count of lines can be waited for.
                try await Task.sleep(for: .milliseconds(20))
            }
        }
        reader.cancel()
        #expect(reader.lines.values.filter(isEvent) == (1...Self.count).map { "message: \($0)" })
        #expect(reader.lines.values.count { $0 == "open" } >= 4)
    }

    @Test("Plinth's hub: nothing is lost or comes twice when the proxy in front of it is restarted")
    func hub() async throws {
        // The source is to be back before the proxy is restarted again.
        let options = ["--port", "0", "--log-level", "error", "--retry", "20ms"]
        let hub = try ChildProcess(try Product.path("plinth"), ["serve"] + options)
        defer { hub.terminate() }
        let line = try await hub.output(until: "\n")
        let port = try #require(line.split(separator: ":").last.flatMap { Int($0.trimmingCharacters(in: .newlines)) })
        try await resumes(from: port, subscribe: "/topics/a", publish: "/topics/a")
    }

    @Test("Plinth's hub: the largest events that it takes are read with the defaults, whatever their line ends")
    func largestEvents() async throws {
        let hub = try ChildProcess(try Product.path("plinth"), ["serve", "--port", "0", "--log-level", "error"])
        defer { hub.terminate() }
        let line = try await hub.output(until: "\n")
        let port = try #require(line.split(separator: ":").last.flatMap { Int($0.trimmingCharacters(in: .newlines)) })
        let url = "http://127.0.0.1:\(port)/topics"
        let maximum = 1 << 20
        let type = String(repeating: "e", count: 2000)
        for (number, unit) in ["x", "\n", "\r", "\r\n", "é", "\0", "\u{FEFF}"].enumerated() {
            // Each line end is a line more on the wire.
            let body = String(repeating: unit, count: maximum / unit.utf8.count)
            let topic = String(repeating: "t", count: 1000) + "\(number)"
            var request = HTTPClientRequest(url: "\(url)/\(topic)?type=\(type)")
            request.method = .POST
            request.headers.add(name: "Content-Type", value: "text/plain")
            request.body = .bytes(ByteBuffer(string: body))
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(10))
            #expect((200..<300).contains(response.status.code))
            // The ID with the topic in it is that of streams of several topics.
            for path in ["/\(topic)?last-event-id=earliest", "?match=\(topic)&last-event-id=earliest"] {
                var iterator = EventSource(url + path).makeAsyncIterator()
                let event = try #require(try await iterator.next())
                #expect(event.type == type)
                #expect(event.data.utf8.elementsEqual(Self.normalised(body)), "\(unit.debugDescription)")
            }
        }
    }

    /// A text's bytes with each line end, of any kind, as LF.
    private static func normalised(_ text: String) -> [UInt8] {
        var result: [UInt8] = []
        var last: UInt8 = 0
        for byte in text.utf8 {
            if byte != 0x0A || last != 0x0D { result.append(byte == 0x0D ? 0x0A : byte) }
            last = byte
        }
        return result
    }

    @Test("nchan: nothing is lost or comes twice when the proxy in front of it is restarted")
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
