// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import PlinthClient
import PlinthStreams
import Synchronization

/// One request and its response, with a timeout and a bound on the response's body.
final class HTTPExchange: Sendable {
    /// A response.
    struct Answer: Sendable {
        let status: HTTPResponseStatus
        /// The value of the `Location` field.
        let location: String?
        /// The first 64 KiB of the body.
        var body: [UInt8] = []

        var isSuccess: Bool { (200..<300).contains(status.code) }

        /// The status code and its reason phrase.
        var title: String { "\(status.code) \(TerminalText.visible(status.reasonPhrase, upTo: 100))" }
    }

    /// A request without a complete response.
    struct Failure: Error {
        let reason: String
        /// Whether the server may have received the request.
        let isSent: Bool
    }

    private struct State {
        var isSent = false
        var answer: Answer?
    }

    private static let maximumBodySize = 64 * 1024

    private let state = Mutex(State())

    private init() {}

    /// Sends a request and waits for the end of the response.
    ///
    /// - Parameters:
    ///   - request: The request, without its body.
    ///   - body: The body of the request.
    ///   - client: The client.
    ///   - timeout: The maximum time for the whole exchange, including the response's body.
    /// - Returns: The response.
    /// - Throws: ``Failure`` if there is no complete response. An incomplete one is returned if its status is not 2xx.
    static func perform(
        _ request: HTTPClientRequest,
        body: [UInt8],
        with client: HTTPClient,
        within timeout: Duration
    ) async throws(Failure) -> Answer {
        let exchange = HTTPExchange()
        var request = request
        if body.isEmpty {
            // Without a body, sending cannot be observed.
            exchange.state.withLock { $0.isSent = true }
            request.body = .bytes(ByteBuffer())
        } else {
            request.body = .stream(Body(bytes: body, exchange: exchange), length: .known(Int64(body.count)))
        }
        do {
            return try await exchange.run(request, client, timeout)
        } catch {
            let state = exchange.state.withLock { $0 }
            if let answer = state.answer, !answer.isSuccess { return answer }
            if error is TimedOut { throw Failure(reason: "timed out after \(timeout)", isSent: state.isSent) }
            let isSent = state.isSent && EventSourceTransportError.preventing(error) == nil
            throw Failure(reason: ConnectionAdvice.clause(for: error), isSent: isSent)
        }
    }

    private struct TimedOut: Error {}

    private func run(_ request: HTTPClientRequest, _ client: HTTPClient, _ timeout: Duration) async throws -> Answer {
        // AsyncHTTPClient's own deadline covers the head only, not the body.
        try await withThrowingTaskGroup(of: Answer.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await self.exchange(request, client) }
            group.addTask {
                try await Task.sleep(for: timeout)
                throw TimedOut()
            }
            guard let answer = try await group.next() else { throw CancellationError() }
            return answer
        }
    }

    private func exchange(_ request: HTTPClientRequest, _ client: HTTPClient) async throws -> Answer {
        let response = try await client.execute(request, deadline: .distantFuture)
        var answer = Answer(status: response.status, location: response.headers.first(name: "Location"))
        state.withLock { $0.answer = answer }
        for try await part in response.body {
            answer.body += part.readableBytesView.prefix(Self.maximumBodySize - answer.body.count)
            state.withLock { $0.answer = answer }
            // Ignores the rest of the body.
            if answer.body.count == Self.maximumBodySize { break }
        }
        // A cancelled body ends as if it were complete.
        try Task.checkCancellation()
        return answer
    }

    /// A request body that records when it is first read, which is after the head was sent.
    private struct Body: AsyncSequence, Sendable {
        typealias Element = ByteBuffer

        let bytes: [UInt8]
        let exchange: HTTPExchange

        func makeAsyncIterator() -> Iterator { Iterator(bytes: bytes, exchange: exchange) }

        struct Iterator: AsyncIteratorProtocol {
            var bytes: [UInt8]?
            let exchange: HTTPExchange

            mutating func next() async -> ByteBuffer? {
                exchange.state.withLock { $0.isSent = true }
                return bytes.take().map { ByteBuffer(bytes: $0) }
            }
        }
    }
}
#endif
