// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Plinth
import PlinthServer
import Testing

/// Widely used programs: curl as a client, nginx as a proxy.
@Suite("Real peers")
struct PeerTests {
    static let counter = Interceptor.eventStream("counter") { events, _ in
        for number in 1...20 {
            await events.send(try ServerSentEvent(type: "counter", data: "\(number)", id: "\(number)"))
        }
    }

    /// An endless stream that records its end.
    private func endless(_ ends: Recorder<StreamEnd>) -> Interceptor {
        .eventStream("endless", onDisconnect: { ends.record($0) }) { events, _ in
            await events.send("first")
            try await untilCancelled()
        }
    }

    @Test("curl gets the same events over every version of HTTP")
    func sameEvents() async throws {
        let identity = try await Certificates.shared.identity()
        try await withServer(
            [routes(["/": Self.counter])],
            configure: {
                $0.addresses = [.tcp(port: 0), .tls(port: 0, identity: identity)]
            }
        ) { server in
            let plain = "http://127.0.0.1:\(server.port)/"
            let secure = "https://127.0.0.1:\(server.addresses[1].port ?? 0)/"
            var bodies: [String] = []
            for (arguments, version) in [
                (["--http1.0", plain], "HTTP/1.0 200"), (["--http1.1", plain], "HTTP/1.1 200"),
                (["--http2-prior-knowledge", plain], "HTTP/2 200"), (["--http1.0", secure], "HTTP/1.0 200"),
                (["--http1.1", secure], "HTTP/1.1 200"), (["--http2", secure], "HTTP/2 200"),
                (["--http2", plain], "HTTP/1.1 200"),
            ] {
                let result = try await ChildProcess.run("curl", ["-skNi", "-m", "600"] + arguments)
                #expect(result.status == 0, "\(arguments): \(result.errors)")
                let parts = result.output.split(separator: "\r\n\r\n", maxSplits: 1)
                let head = RawResponse(head: String(parts.first ?? ""))
                #expect(head.statusLine.hasPrefix(version))
                #expect(head["Content-Type"] == "text/event-stream; charset=UTF-8")
                #expect(head["X-Accel-Buffering"] == "no")
                #expect(head["Connection"] == (version.hasPrefix("HTTP/2") ? nil : "close"))
                bodies.append(parts.count > 1 ? String(parts[1]) : "")
            }
            #expect(bodies[0].components(separatedBy: "event: counter").count == 21)
            #expect(Set(bodies).count == 1)
        }
    }

    @Test("HTTP/2 carries bodies in both directions")
    func bodiesOverHTTP2() async throws {
        let file = try TemporaryFolder.shared.path("upload")
        try Data(repeating: 65, count: 1_000_000).write(to: URL(fileURLWithPath: file))
        let table = routes([
            "/echo": RequestBodyTests.echo,
            "/large": .handler("large") { _ in Response(body: .bytes([UInt8](repeating: 66, count: 3_000_000))) },
            "/none": .handler("none") { _ in Response(status: .noContent) },
        ])
        try await withServer([table]) { server in
            let url = "http://127.0.0.1:\(server.port)"
            let options = ["-s", "-m", "600", "--http2-prior-knowledge"]
            let echo = try await ChildProcess.run("curl", options + ["--data-binary", "@\(file)", url + "/echo"])
            #expect(echo.output == "1000000 AAAAAAAAAAAAAAAAAAAA")
            // No unread upload: this curl spins forever if the response arrives before it has sent everything (curl
            // issue 7821). `HTTP2Tests` covers that with raw frames.
            let large = try await ChildProcess.run("curl", options + [url + "/large"])
            #expect(large.output.utf8.count == 3_000_000)
            let slow = try await ChildProcess.run("curl", options + ["--limit-rate", "1M", url + "/large"])
            #expect(slow.output.utf8.count == 3_000_000)
            let head = try await ChildProcess.run("curl", options + ["-I", url + "/large"])
            #expect(RawResponse(head: head.output)["Content-Length"] == "3000000")
            let none = try await ChildProcess.run("curl", options + ["-i", url + "/none"])
            #expect(none.output.hasPrefix("HTTP/2 204"))
        }
    }

    @Test("A body that is too large is 413 over HTTP/2")
    func tooLargeOverHTTP2() async throws {
        let file = try TemporaryFolder.shared.path("large-upload")
        try Data(repeating: 65, count: 100_000).write(to: URL(fileURLWithPath: file))
        try await withServer([RequestBodyTests.echo], configure: { $0.maximumBodySize = 1000 }) { server in
            let curl = try await ChildProcess.run(
                "curl",
                [
                    "-s", "-m", "600", "-w", "%{http_code}", "--http2-prior-knowledge", "--data-binary", "@\(file)",
                    "http://127.0.0.1:\(server.port)/",
                ]
            )
            #expect(curl.output.hasSuffix("413"), "\(curl.errors)")
        }
    }

    // MARK: - nginx

    /// Runs nginx in front of a port, with its defaults: HTTP/1.0 to the server, and buffering.
    private func withProxy(to port: Int, more: String = "", _ body: (Int) async throws -> Void) async throws {
        let nginx = try await Nginx("location / { proxy_pass http://127.0.0.1:\(port); \(more) }")
        try await body(nginx.port)
        try await nginx.stop()
    }

    @Test(
        "nginx forwards the first event at once, and notices that its client leaves",
        arguments: [
            "", "proxy_http_version 1.1; proxy_set_header Connection '';",
        ]
    )
    func nginx(more: String) async throws {
        let ends = Recorder<StreamEnd>()
        try await withServer([routes(["/": endless(ends), "/counter": Self.counter])]) { server in
            try await withProxy(to: server.port, more: more) { port in
                let client = try await RawClient.connect(port: port)
                try await client.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                // The stream is open and silent: nginx did not hold the event back.
                let head = try await client.read(until: "data: first\n\n")
                #expect(head.hasPrefix("HTTP/1.1 200"))
                client.close()
                #expect(try await ends.first() == [.clientClosed])
                let counter = try await RawClient.connect(port: port)
                try await counter.send("GET /counter HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                let body = try await counter.readToEnd()
                #expect(body.components(separatedBy: "event: counter").count == 21)
            }
        }
        #expect(ends.values.count == 1)
    }
}

#endif
