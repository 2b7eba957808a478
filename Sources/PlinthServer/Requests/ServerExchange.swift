// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth

/// One request on a server's connection: runs the chain, then sends the response.
final class ServerExchange: Exchange {
    private let handler: NIOLoopBound<RequestHandler>
    private let eventLoop: any EventLoop
    /// Identifies the request on its connection.
    private let number: UInt64
    private let server: ServerContext

    /// Creates the exchange of the request that a handler has begun, on its event loop.
    init(_ handler: RequestHandler, number: UInt64) {
        self.handler = NIOLoopBound(handler, eventLoop: handler.loop.eventLoop)
        self.eventLoop = handler.loop.eventLoop
        self.number = number
        self.server = handler.server
    }

    func sendHead(_ response: Response, for request: Request) async throws {
        switch response.body.storage {
        case .bytes(let bytes): try await begin(response, bytes.count, request.route)
        case .writer(let length, _): try await begin(response, length, request.route)
        case .file(let file): try await begin(response, try OpenedFile(file).length, request.route)
        case .eventStream, .handedOff: try await begin(response, nil, request.route)
        }
    }

    /// A larger body is written in pieces of this size, each once the client has taken the one before.
    ///
    /// Otherwise bytes that the socket does not take would be held twice, and the progress of a slow client would not
    /// show.
    private static let pieceSize = 64 * 1024

    /// Runs the stages up to the first that has to wait, and sends a response that needs no waiting, on the event loop.
    ///
    /// - Returns: What is left, for ``run(_:_:)``; nil if nothing is.
    func runNow(_ request: Request) -> Rest? {
        var run = server.chain.start(request, on: self)
        guard run.isOver else { return .stages(run) }
        let outcome = run.outcome()
        return sendNow(outcome, of: request) ? nil : .response(outcome)
    }

    /// What is left of a request.
    enum Rest: Sendable {
        case stages(ChainRun)
        case response(Chain.Outcome)
    }

    /// Runs a request that counts as an activity to the end of its response.
    ///
    /// - Parameters:
    ///   - request: The request.
    ///   - rest: What ``runNow(_:)`` left; nil if it was not called.
    func run(_ request: Request, _ rest: Rest?) async {
        defer { server.activities.leave() }
        await DrainSignal.$current.withValue(server.drain) {
            switch rest {
            case .stages(let run): await send(await server.chain.finish(run), of: request)
            case .response(let outcome): await send(outcome, of: request)
            case nil: await send(await server.chain.execute(request, on: self), of: request)
            }
        }
    }

    private func sendNow(_ outcome: Chain.Outcome, of request: Request) -> Bool {
        let response = outcome.response
        guard !outcome.isHeadSent, response.status.code >= 200 else { return false }
        let hasBody = request.method != .head && !response.forbidsBody
        switch response.body.storage {
        case .bytes(let bytes) where bytes.count <= Self.pieceSize || !hasBody:
            handler.value.respond(response, bytes, number)
        case .eventStream(let stream) where hasBody:
            do {
                try handler.value.begin(response, length: nil, route: outcome.request.route, number)
            } catch {
                stream.abandon(.clientClosed)
                handler.value.abort(number)
            }
        case .handedOff where hasBody:
            handOff(response, outcome)
        default:
            return false
        }
        return true
    }

    private func send(_ outcome: Chain.Outcome, of request: Request) async {
        var response = outcome.response
        if !outcome.isHeadSent, response.status.code < 200 {
            request.logger.error(
                "a response with an interim status is no answer",
                metadata: ["request-id": "\(request.id)", "status": "\(response.status)"]
            )
            response.body.eventStream?.abandon(.applicationFailed)
            response = HTTPError(.internalServerError).response
        }
        let hasBody = request.method != .head && !response.forbidsBody
        do {
            switch response.body.storage {
            case .bytes(let bytes):
                if !outcome.isHeadSent, bytes.count <= Self.pieceSize || !hasBody {
                    respond(response, bytes)
                } else {
                    if !outcome.isHeadSent { try await begin(response, bytes.count, outcome.request.route) }
                    if hasBody { try await write(bytes) }
                    end()
                }
            case .file(let file):
                try await send(file, response, outcome, request, hasBody: hasBody)
            case .writer(let length, let write):
                if !outcome.isHeadSent { try await begin(response, length, outcome.request.route) }
                if hasBody { try await write(BodyWriter { try await self.write($0) }) }
                end()
            case .eventStream(let stream):
                if !outcome.isHeadSent {
                    do {
                        try await begin(response, nil, outcome.request.route)
                    } catch {
                        stream.abandon(.clientClosed)
                        throw error
                    }
                }
                // With a body, the stream continues on its own.
                if !hasBody {
                    stream.abandon(.applicationClosed)
                    end()
                }
            case .handedOff:
                if !outcome.isHeadSent {
                    if hasBody { return perform { [response] in self.handOff(response, outcome) } }
                    try await begin(response, nil, outcome.request.route)
                }
                if !hasBody { end() }
            }
        } catch {
            if !(error is CancellationError) {
                request.logger.error(
                    "the body of a response broke off",
                    metadata: ["request-id": "\(request.id)", "error": "\(error)"]
                )
            }
            perform { self.handler.value.abort(self.number) }
        }
    }

    private func send(
        _ body: FileBody,
        _ response: Response,
        _ outcome: Chain.Outcome,
        _ request: Request,
        hasBody: Bool
    ) async throws {
        let file: OpenedFile
        do {
            file = try OpenedFile(body)
        } catch  where !outcome.isHeadSent {
            request.logger.error(
                "a response's file cannot be sent",
                metadata: ["request-id": "\(request.id)", "error": "\(error)"]
            )
            let failed = HTTPError(.internalServerError).response
            if case .bytes(let bytes) = failed.body.storage { respond(failed, bytes) }
            return
        }
        if !outcome.isHeadSent { try await begin(response, file.length, outcome.request.route) }
        if hasBody {
            while let piece = try await file.next(on: server.threadPool) { try await write(piece) }
        }
        end()
    }

    // MARK: - On the event loop, from the request's task or in its place

    /// Writes the head of a response; the body follows piece by piece, or the stream starts.
    private func begin(_ response: Response, _ length: Int?, _ route: RouteIdentity?) async throws {
        if eventLoop.inEventLoop {
            return try handler.value.begin(response, length: length, route: route, number)
        }
        try await eventLoop.submit {
            try self.handler.value.begin(response, length: length, route: route, self.number)
        }.get()
    }

    /// Writes the head of a response whose body something else sends, on the event loop.
    ///
    /// A task does not wait for it, since it has nothing left to do.
    private func handOff(_ response: Response, _ outcome: Chain.Outcome) {
        // It fails only if the connection is gone; then there is nothing to serve.
        try? handler.value.begin(response, length: nil, route: outcome.request.route, number)
    }

    /// Writes a part of the body piece by piece, each once the client keeps up.
    private func write(_ bytes: [UInt8]) async throws {
        for start in stride(from: 0, to: max(1, bytes.count), by: Self.pieceSize) {
            let isWhole = bytes.count <= Self.pieceSize
            let piece = isWhole ? bytes : Array(bytes[start..<min(start + Self.pieceSize, bytes.count)])
            try await withCheckedThrowingContinuation { continuation in
                perform { self.handler.value.write(piece, self.number, continuation) }
            }
        }
    }

    /// Ends the response that was begun.
    private func end() {
        perform { self.handler.value.end(self.number) }
    }

    /// Writes a whole response at once.
    private func respond(_ response: Response, _ bytes: [UInt8]) {
        perform { self.handler.value.respond(response, bytes, self.number) }
    }

    private func perform(_ command: @escaping @Sendable () -> Void) {
        if eventLoop.inEventLoop { command() } else { eventLoop.execute(command) }
    }
}

#endif
