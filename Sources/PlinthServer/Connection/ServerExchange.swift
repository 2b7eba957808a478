// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth

/// What the task of a request asks of the connection. Each call hops to the connection's event loop.
protocol ConnectionCommands: Sendable {
    /// Writes the head of a response; the body follows piece by piece, or the stream starts.
    func begin(_ response: Response, length: Int?, route: RouteIdentity?) async throws
    /// Writes a piece of the body, and waits while the client is not keeping up.
    func write(_ bytes: [UInt8]) async throws
    /// Ends the response that was begun.
    func end()
    /// Writes a whole response at once.
    func respond(_ response: Response, _ bytes: [UInt8])
    /// Cuts the connection off: what was written is not the whole response.
    func abort()
}

/// One request on a server's connection: runs the chain, then brings the response to the client.
struct ServerExchange: Exchange {
    let commands: any ConnectionCommands
    let server: ServerContext

    func sendHead(_ response: Response, for request: Request) async throws {
        switch response.body.storage {
        case .bytes(let bytes): try await commands.begin(response, length: bytes.count, route: request.route)
        case .writer(let length, _): try await commands.begin(response, length: length, route: request.route)
        case .file(let file): try await commands.begin(response, length: try OpenedFile(file).length, route: request.route)
        case .eventStream: try await commands.begin(response, length: nil, route: request.route)
        }
    }

    /// Runs a request from its head to the end of its response.
    func run(_ request: Request) async {
        let outcome = await server.chain.execute(request, on: self)
        let response = outcome.response
        do {
            switch response.body.storage {
            case .bytes(let bytes):
                if outcome.isHeadSent {
                    try await commands.write(bytes)
                    commands.end()
                } else {
                    commands.respond(response, bytes)
                }
            case .file(let file):
                try await send(file, response, outcome, request)
            case .writer(let length, let write):
                if !outcome.isHeadSent { try await begin(response, length, outcome) }
                if request.method != .head { try await write(BodyWriter(commands.write)) }
                commands.end()
            case .eventStream(let stream):
                if !outcome.isHeadSent {
                    do {
                        try await begin(response, nil, outcome)
                    } catch {
                        stream.abandon(.clientClosed)
                        throw error
                    }
                }
                // The stream goes on by itself.
                if request.method == .head {
                    stream.abandon(.clientClosed)
                    commands.end()
                }
            }
        } catch {
            if !(error is CancellationError), !(error is ConnectionGone) {
                request.logger.error(
                    "the body of a response broke off",
                    metadata: ["request-id": "\(request.id)", "error": "\(error)"]
                )
            }
            commands.abort()
        }
    }

    private func begin(_ response: Response, _ length: Int?, _ outcome: Chain.Outcome) async throws {
        try await commands.begin(response, length: length, route: outcome.request.route)
    }

    private func send(
        _ body: FileBody,
        _ response: Response,
        _ outcome: Chain.Outcome,
        _ request: Request
    ) async throws {
        let file: OpenedFile
        do {
            file = try OpenedFile(body)
        } catch where !outcome.isHeadSent {
            request.logger.error(
                "a response's file cannot be sent",
                metadata: ["request-id": "\(request.id)", "error": "\(error)"]
            )
            let failed = HTTPError(.internalServerError).response
            if case .bytes(let bytes) = failed.body.storage { commands.respond(failed, bytes) }
            return
        }
        if !outcome.isHeadSent { try await begin(response, file.length, outcome) }
        if request.method != .head {
            while let piece = try await file.next(on: server.threadPool) { try await commands.write(piece) }
        }
        commands.end()
    }
}

/// The connection was closed before the response was written.
struct ConnectionGone: Error {}

#endif
