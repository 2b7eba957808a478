// SPDX-License-Identifier: Apache-2.0

// The server of the streams and hub benchmarks, written manually with Hummingbird: a task and a response writer per
// stream.
//   GET /scoped, /topics/bench     writes events from an AsyncStream
//   GET /ticker                    writes an event of 100 bytes per second, with an ID
//   POST /publish, /topics/bench   sends the body as an event to every stream
//   GET /answer                    is a small JSON answer
// Arguments: the port, and the seconds after which it exits; then, for TLS with HTTP/1.1 and HTTP/2 by ALPN, the paths
// of a certificate and its key.

import Hummingbird
import HummingbirdCore
import HummingbirdHTTP2
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL
import Synchronization

/// The streams that receive published events.
final class Registry: Sendable {
    private struct State {
        var next = 0
        var continuations: [Int: AsyncStream<String>.Continuation] = [:]
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

    func publish(_ text: String) {
        let continuations = state.withLock { Array($0.continuations.values) }
        for continuation in continuations { continuation.yield(text) }
    }
}

let registry = Registry()
let filler = String(repeating: "x", count: 100)
let headers: HTTPFields = [.contentType: "text/event-stream", .cacheControl: "no-cache"]

let router = Router()
for path in ["scoped", "topics/bench"] as [RouterPath] {
    router.get(path) { _, _ in
        Response(
            status: .ok,
            headers: headers,
            body: .init { writer in
                // Sends the head before the first event. Subscribed first, so a client with the head misses nothing.
                let events = registry.events()
                try await writer.write(ByteBuffer(string: ":\n\n"))
                for await text in events {
                    try await writer.write(ByteBuffer(string: "data: \(text)\n\n"))
                }
                try await writer.finish(nil)
            }
        )
    }
}
router.get("ticker") { _, _ in
    Response(
        status: .ok,
        headers: headers,
        body: .init { writer in
            var number = 0
            while true {
                number += 1
                try await writer.write(ByteBuffer(string: "id: \(number)\ndata: \(filler)\n\n"))
                // The ticker's interval.
                try await Task.sleep(for: .seconds(1))
            }
        }
    )
}
for path in ["publish", "topics/bench"] as [RouterPath] {
    router.post(path) { request, _ in
        let body = try await request.body.collect(upTo: 1 << 20)
        registry.publish(String(buffer: body))
        return Response(status: .noContent)
    }
}

/// A small JSON answer.
struct Item: ResponseEncodable {
    var id = 1
    var name = "a name of some length"
    var isOpen = true
}
router.get("answer") { _, _ in Item() }

let arguments = CommandLine.arguments
let port = arguments.count > 1 ? Int(arguments[1]) ?? 8932 : 8932
let seconds = arguments.count > 2 ? Int(arguments[2]) ?? 600 : 600
var logger = Logger(label: "bench")
logger.logLevel = .critical

let server: HTTPServerBuilder
if arguments.count > 4 {
    let chain = try NIOSSLCertificate.fromPEMFile(arguments[3]).map { NIOSSLCertificateSource.certificate($0) }
    let key = try NIOSSLPrivateKey(file: arguments[4], format: .pem)
    server = try .http2Upgrade(
        tlsConfiguration: .makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key))
    )
} else {
    server = .http1()
}
let app = Application(
    router: router,
    server: server,
    configuration: .init(address: .hostname("127.0.0.1", port: port), backlog: 4096),
    logger: logger
)
try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await app.runService() }
    // Exits even if its parent does not stop it.
    group.addTask { try await Task.sleep(for: .seconds(seconds)) }
    try await group.next()
    group.cancelAll()
}
