// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth

/// Runs the commands of a request's task on the event loop of its connection.
struct HandlerCommands: ConnectionCommands {
    let eventLoop: any EventLoop
    let handler: NIOLoopBound<RequestHandler>
    /// The request that asks.
    let number: UInt64

    func begin(_ response: Response, length: Int?, route: RouteIdentity?) async throws {
        if eventLoop.inEventLoop {
            return try handler.value.begin(response, length: length, route: route, number)
        }
        try await eventLoop.submit {
            try handler.value.begin(response, length: length, route: route, number)
        }.get()
    }

    func handOff(_ response: Response, route: RouteIdentity?) {
        perform {
            // It fails only if the connection is gone; then there is nothing to serve.
            try? handler.value.begin(response, length: nil, route: route, number)
        }
    }

    func write(_ bytes: [UInt8]) async throws {
        try await withCheckedThrowingContinuation { continuation in
            perform { handler.value.write(bytes, number, continuation) }
        }
    }

    func end() {
        perform { handler.value.end(number) }
    }

    func respond(_ response: Response, _ bytes: [UInt8]) {
        perform { handler.value.respond(response, bytes, number) }
    }

    func abort() {
        perform { handler.value.abort(number) }
    }

    /// Performs a command now, on the event loop.
    private func perform(_ command: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { command() } else { eventLoop.execute(command) }
    }
}

#endif
