// SPDX-License-Identifier: Apache-2.0

// The servers of the streams benchmark as one writes them by hand with Hummingbird, a task and a response writer for
// each stream:
//   GET /scoped    takes events from an AsyncStream and writes them
//   GET /ticker    writes an event of 100 bytes a second, with an ID
//   POST /publish  the body becomes an event of every stream
// Arguments: the port, and the seconds after which it ends by itself.

import Hummingbird
import Logging
import NIOCore
import Synchronization

/// Everyone who gets what is published.
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
router.get("scoped") { _, _ in
    Response(
        status: .ok,
        headers: headers,
        body: .init { writer in
            // Without this the head is not sent before the first event.
            try await writer.write(ByteBuffer(string: ":\n\n"))
            for await text in registry.events() {
                try await writer.write(ByteBuffer(string: "data: \(text)\n\n"))
            }
            try await writer.finish(nil)
        }
    )
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
                try await Task.sleep(for: .seconds(1))
            }
        }
    )
}
router.post("publish") { request, _ in
    let body = try await request.body.collect(upTo: 1 << 20)
    registry.publish(String(buffer: body))
    return Response(status: .noContent)
}

let port = CommandLine.arguments.count > 1 ? Int(CommandLine.arguments[1]) ?? 8932 : 8932
let seconds = CommandLine.arguments.count > 2 ? Int(CommandLine.arguments[2]) ?? 600 : 600
var logger = Logger(label: "bench")
logger.logLevel = .warning
let app = Application(
    router: router,
    configuration: .init(address: .hostname("127.0.0.1", port: port), backlog: 4096),
    logger: logger
)
try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await app.runService() }
    group.addTask { try await Task.sleep(for: .seconds(seconds)) }
    try await group.next()
    group.cancelAll()
}
