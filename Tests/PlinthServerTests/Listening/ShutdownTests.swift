// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth
import PlinthServer
import PlinthTestSupport
import ServiceLifecycle
import Testing

/// How a connector stops.
@Suite("Shutdown")
struct ShutdownTests {
    @Test("Shutdown ends every stream cleanly, on every kind of connection")
    func streamsEnd() async throws {
        let ends = Recorder<StreamEnd>()
        let stream = Interceptor.eventStream("stream", onDisconnect: { ends.record($0) }) { events, _ in
            await events.send("one")
            try await untilCancelled()
        }
        let identity = try await Certificates.shared.identity()
        try await withServer(
            [routes(["/": stream])],
            configure: {
                $0.addresses = [.tcp(port: 0), .tls(port: 0, identity: identity)]
            }
        ) { server in
            let secure = "https://127.0.0.1:\(server.addresses[1].port ?? 0)/"
            let plain = "http://127.0.0.1:\(server.port)/"
            let curls = try [
                ["--http1.0", plain], ["--http1.1", plain], ["--http2-prior-knowledge", plain], ["--http1.1", secure],
                ["--http2", secure],
            ].map { try ChildProcess("curl", ["-skN"] + $0) }
            for curl in curls { _ = try await curl.output(until: "data: one\n\n") }
            try await server.shutDown()
            for curl in curls { #expect(try await curl.result().status == 0) }
            #expect(ends.values == Array(repeating: .serverDraining, count: 5))
        }
    }

    @Test("A running request finishes with Connection: close, and no connection is accepted")
    func requestsFinish() async throws {
        let started = Recorder<Void>()
        let gate = Recorder<Void>()
        let slow = Interceptor.handler("slow") { _ in
            started.record()
            try await gate.first()
            return .text("done")
        }
        try await withServer([slow]) { server in
            let client = try await server.requesting("/")
            let curl = try ChildProcess("curl", ["-s", "--http2-prior-knowledge", "http://127.0.0.1:\(server.port)/"])
            try await started.first(2)
            let stop = Task { try await server.shutDown() }
            // The listener closes first, which shows that the shutdown has begun.
            try await wait(for: "a refused connection") {
                while (try? await server.client()) != nil { await Task.yield() }
            }
            gate.record()
            let response = try await client.response()
            #expect(response.body == "done")
            #expect(response["Connection"] == "close")
            #expect(try await client.readToEnd().isEmpty)
            let result = try await curl.result()
            #expect(result.output == "done")
            #expect(result.status == 0)
            client.close()
            try await stop.value
        }
    }

    @Test("Idle connections are closed at once, with and without TLS")
    func idleConnections() async throws {
        let identity = try await Certificates.shared.identity()
        try await withServer(
            [answering("x")],
            configure: {
                $0.addresses = [.tcp(port: 0), .tls(port: 0, identity: identity)]
                $0.shutdownTimeout = .seconds(600)
            }
        ) { server in
            let silent = try await server.client()
            let used = try await server.client()
            #expect(try await used.get("/").body == "x")
            // A connection after its TLS handshake, before its first request.
            let port = server.addresses[1].port ?? 0
            let openssl = try ChildProcess(
                "openssl",
                ["s_client", "-connect", "127.0.0.1:\(port)", "-alpn", "http/1.1"]
            )
            _ = try await openssl.output(until: "Verify return code")
            try await server.shutDown()
            #expect(try await silent.readToEnd().isEmpty)
            #expect(try await used.readToEnd().isEmpty)
        }
    }

    @Test("A handler that ignores cancellation is left behind, with a warning")
    func leavesBehind() async throws {
        let started = Recorder<Void>()
        let gate = Recorder<Void>()
        let log = LogRecord()
        let deaf = Interceptor.handler("deaf") { _ in
            started.record()
            // An unstructured task, which cancellation does not reach.
            await Task { _ = try? await gate.first(within: .seconds(600)) }.value
            return .text("late")
        }
        try await withServer(
            [deaf],
            logger: log.logger,
            configure: {
                $0.shutdownTimeout = .zero
                $0.cancellationTimeout = .zero
            },
            isIdleAfterwards: false
        ) { server in
            let client = try await server.requesting("/")
            try await started.first()
            await server.services.triggerGracefulShutdown()
            try await wait(for: "the end of the connector") { try await server.run.value }
            #expect(log.lines.contains { $0.level == .warning && $0.metadata["activities"] != nil })
            client.close()
            gate.record()
            try await server.isIdle()
        }
    }

    @Test("A request that exceeds the shutdown timeout is cancelled and its connection closed")
    func timesOut() async throws {
        let started = Recorder<Void>()
        let cancelled = Recorder<Void>()
        let stuck = Interceptor.handler("stuck") { _ in
            started.record()
            do {
                try await untilCancelled()
            } catch {
                cancelled.record()
                throw error
            }
            return .text("never")
        }
        try await withServer([stuck], configure: { $0.shutdownTimeout = .milliseconds(300) }) { server in
            let client = try await server.requesting("/")
            let curl = try ChildProcess("curl", ["-s", "--http2-prior-knowledge", "http://127.0.0.1:\(server.port)/"])
            try await started.first(2)
            try await server.shutDown()
            try await cancelled.first(2)
            #expect(try await client.readToEnd().isEmpty)
            #expect(try await curl.result().status != 0)
        }
    }

    @Test("Cancellation closes everything at once")
    func cancellation() async throws {
        let ends = Recorder<StreamEnd>()
        let stream = Interceptor.eventStream("stream", onDisconnect: { ends.record($0) }) { events, _ in
            await events.send("one")
            try await untilCancelled()
        }
        let started = Recorder<Void>()
        let stuck = Interceptor.handler("stuck") { _ in
            started.record()
            try await untilCancelled()
            return .text("never")
        }
        let connector = Connector(
            Chain([routes(["/events": stream, "/stuck": stuck])]),
            configuration: ConnectorConfiguration(addresses: [.tcp(port: 0)], shutdownTimeout: .seconds(600))
        )
        let run = Task { try await connector.run() }
        let port = try await connector.listeningAddresses()[0].port ?? 0
        let events = try await RawClient.connect(port: port)
        try await events.send("GET /events HTTP/1.1\r\nHost: test\r\n\r\n")
        _ = try await events.read(until: "data: one\n\n")
        let request = try await RawClient.connect(port: port)
        try await request.send("GET /stuck HTTP/1.1\r\nHost: test\r\n\r\n")
        try await started.first()
        let idle = try await RawClient.connect(port: port)
        run.cancel()
        _ = try? await wait(for: "the end") { try await run.value }
        #expect(connector.activityCount == 0)
        for client in [events, request, idle] { _ = try await client.readAll() }
        #expect(ends.values.count == 1)
    }

    @Test("A half-received request is awaited and answered")
    func halfReceived() async throws {
        try await withServer([answering("x")], configure: { $0.headTimeout = patience }) { server in
            let client = try await server.client()
            try await client.send("GET / HTTP/1.1\r\nHo")
            let beginning = try await server.client()
            try await beginning.send("P")
            // Both have been read once later connections are answered on every event loop.
            for _ in 0..<(2 * System.coreCount) {
                let later = try await server.client()
                #expect(try await later.get("/").body == "x")
                later.close()
            }
            let stop = Task { try await server.shutDown() }
            try await wait(for: "a refused connection") {
                while (try? await server.client()) != nil { await Task.yield() }
            }
            try await client.send("st: test\r\n\r\n")
            try await beginning.send("UT / HTTP/1.1\r\nHost: test\r\n\r\n")
            for client in [client, beginning] {
                let response = try await client.response()
                #expect(response.body == "x")
                #expect(response["Connection"] == "close")
                client.close()
            }
            try await stop.value
        }
    }
}

#endif
