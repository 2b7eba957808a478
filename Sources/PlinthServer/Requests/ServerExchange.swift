// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOCore
import Plinth

/// What the task of a request can request from its connection.
///
/// Each call hops to the connection's event loop.
protocol ConnectionCommands: Sendable {
    /// Writes the head of a response; the body follows piece by piece, or the stream starts.
    func begin(_ response: Response, length: Int?, route: RouteIdentity?) async throws
    /// Writes the head of a response whose body something else sends.
    ///
    /// Does not wait, since the request's task has nothing left to do.
    func handOff(_ response: Response, route: RouteIdentity?)
    /// Writes a piece of the body, and waits while the client does not keep up.
    func write(_ bytes: [UInt8]) async throws
    /// Ends the response that was begun.
    func end()
    /// Writes a whole response at once.
    func respond(_ response: Response, _ bytes: [UInt8])
    /// Closes the connection, so that the client does not take the response for complete.
    func abort()
}

/// One request on a server's connection: runs the chain, then sends the response.
struct ServerExchange: Exchange {
    let commands: any ConnectionCommands
    let server: ServerContext

    func sendHead(_ response: Response, for request: Request) async throws {
        switch response.body.storage {
        case .bytes(let bytes): try await commands.begin(response, length: bytes.count, route: request.route)
        case .writer(let length, _): try await commands.begin(response, length: length, route: request.route)
        case .file(let file):
            try await commands.begin(response, length: try OpenedFile(file).length, route: request.route)
        case .eventStream, .handedOff: try await commands.begin(response, length: nil, route: request.route)
        }
    }

    /// A larger body is written in pieces of this size, each once the client has taken the one before.
    ///
    /// Otherwise bytes that the socket does not take would be held twice, and the progress of a slow client would not
    /// show.
    private static let pieceSize = 64 * 1024

    /// Runs a request, which counts as an activity already, from its head to the end of its response.
    func run(_ request: Request) async {
        defer { server.activities.leave() }
        let outcome = await server.chain.execute(request, on: self)
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
                    commands.respond(response, bytes)
                } else {
                    if !outcome.isHeadSent { try await begin(response, bytes.count, outcome) }
                    if hasBody { try await write(bytes) }
                    commands.end()
                }
            case .file(let file):
                try await send(file, response, outcome, request, hasBody: hasBody)
            case .writer(let length, let write):
                if !outcome.isHeadSent { try await begin(response, length, outcome) }
                if hasBody { try await write(BodyWriter(self.write)) }
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
                // With a body, the stream continues on its own.
                if !hasBody {
                    stream.abandon(.applicationClosed)
                    commands.end()
                }
            case .handedOff:
                if !outcome.isHeadSent {
                    if hasBody { return commands.handOff(response, route: outcome.request.route) }
                    try await begin(response, nil, outcome)
                }
                if !hasBody { commands.end() }
            }
        } catch {
            if !(error is CancellationError) {
                request.logger.error(
                    "the body of a response broke off",
                    metadata: ["request-id": "\(request.id)", "error": "\(error)"]
                )
            }
            commands.abort()
        }
    }

    private func write(_ bytes: [UInt8]) async throws {
        guard bytes.count > Self.pieceSize else { return try await commands.write(bytes) }
        for start in stride(from: 0, to: bytes.count, by: Self.pieceSize) {
            try await commands.write(Array(bytes[start..<min(start + Self.pieceSize, bytes.count)]))
        }
    }

    private func begin(_ response: Response, _ length: Int?, _ outcome: Chain.Outcome) async throws {
        try await commands.begin(response, length: length, route: outcome.request.route)
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
            if case .bytes(let bytes) = failed.body.storage { commands.respond(failed, bytes) }
            return
        }
        if !outcome.isHeadSent { try await begin(response, file.length, outcome) }
        if hasBody {
            while let piece = try await file.next(on: server.threadPool) { try await commands.write(piece) }
        }
        commands.end()
    }
}

#endif
