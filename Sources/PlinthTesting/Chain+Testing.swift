// SPDX-License-Identifier: Apache-2.0

public import Plinth
import Synchronization

extension Chain {
    /// Runs a request through all stages, without a socket, and collects the response body.
    ///
    /// ```swift
    /// let response = try await chain.response(for: .get("/users/7"))
    /// #expect(response.status == .ok)
    /// ```
    ///
    /// An event stream is not collected: it stays open, and ``TestResponse/eventStream`` reads it. For a specific clock
    /// or a stalled client, use ``eventStream(for:clock:stalled:timeout:)``.
    ///
    /// - Parameter request: The request.
    /// - Returns: The response.
    /// - Throws: The error of a body writer; over a socket the response would be truncated. ``TestResponseError`` if a
    ///   file cannot be read.
    public func response(for request: Request) async throws -> TestResponse {
        let connection = TestConnection(clock: ManualClock())
        let outcome = await execute(request, on: connection)
        let sent = connection.sentEarly
        // The client received the early head; later changes have no effect.
        let response = sent ?? outcome.response
        let omitsBody =
            request.method == .head || response.status == .noContent || response.status == .notModified
        let body = try await Self.collect(response.body, omitsBody: omitsBody)
        return TestResponse(
            status: response.status,
            headers: response.headers,
            bytes: omitsBody ? [] : body.bytes,
            contentLength: body.length,
            isHeadSentEarly: sent != nil,
            route: outcome.request.route,
            eventStream: connection.finish(outcome, of: request)
        )
    }

    /// Runs a request through all stages without producing the body: writers are not called, files not opened.
    ///
    /// It does only what a connector does between reading a request and writing its response. Use it for benchmarks of
    /// a chain, and for tests that check only the head.
    public func unsentResponse(for request: Request) async -> Response {
        await execute(request, on: SilentExchange.shared).response
    }

    private static func collect(_ body: ResponseBody, omitsBody: Bool) async throws -> (bytes: [UInt8], length: Int?) {
        switch body.storage {
        case .bytes(let bytes):
            return (bytes, bytes.count)
        case .file(let file):
            guard let bytes = Files.read(file.path, range: file.range) else {
                throw TestResponseError(description: "the body's file \(file.path) cannot be read")
            }
            return (bytes, bytes.count)
        case .writer(let length, let write):
            guard !omitsBody else { return ([], length) }
            let written = Mutex<[UInt8]>([])
            try await write(BodyWriter { bytes in written.withLock { $0 += bytes } })
            return (written.withLock { $0 }, length)
        case .eventStream, .handedOff:
            // Read by the test's client.
            return ([], nil)
        }
    }
}

/// An exchange that discards the head.
private final class SilentExchange: Exchange {
    static let shared = SilentExchange()

    func sendHead(_ response: Response, for request: Request) async throws {}
}
