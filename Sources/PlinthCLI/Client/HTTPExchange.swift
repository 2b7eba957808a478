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
        let headers: HTTPHeaders
        /// The first bytes of the body, at most as many as the request allowed.
        var body: [UInt8] = []
        /// Whether the body is longer, or its end is missing.
        var isTruncated = false

        /// The value of the `Location` field.
        var location: String? { headers.first(name: "Location") }

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

    /// The bound on a response's body, unless a request sets another: 64 KiB.
    static let maximumBodySize = 64 * 1024

    private let maximumBodySize: Int
    private let state = Mutex(State())

    private init(maximumBodySize: Int) {
        self.maximumBodySize = maximumBodySize
    }

    /// Sends a request and waits for the end of the response.
    ///
    /// - Parameters:
    ///   - request: The request, without its body.
    ///   - body: The body of the request.
    ///   - client: The client.
    ///   - timeout: The maximum time for the whole exchange, including the response's body.
    ///   - maximumBodySize: The maximum bytes of the response's body; the rest is dropped. An event stream, which may
    ///     never end, is not read at all.
    /// - Returns: The response.
    /// - Throws: ``Failure`` if there is no complete response. An incomplete one is returned if its status is not 2xx.
    static func perform(
        _ request: HTTPClientRequest,
        body: [UInt8],
        with client: HTTPClient,
        within timeout: Duration,
        maximumBodySize: Int = maximumBodySize
    ) async throws(Failure) -> Answer {
        let exchange = HTTPExchange(maximumBodySize: maximumBodySize)
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
            if var answer = state.answer, !answer.isSuccess {
                answer.isTruncated = true
                return answer
            }
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
                // The exchange's deadline; cancelled once it is over.
                try await Task.sleep(for: timeout)
                throw TimedOut()
            }
            guard let answer = try await group.next() else { throw CancellationError() }
            return answer
        }
    }

    private func exchange(_ request: HTTPClientRequest, _ client: HTTPClient) async throws -> Answer {
        let response = try await client.execute(request, deadline: .distantFuture)
        var answer = Answer(status: response.status, headers: response.headers)
        state.withLock { $0.answer = answer }
        if answer.isSuccess, answer.headers.first(name: "Content-Type")?.hasPrefix("text/event-stream") ?? false {
            return answer
        }
        for try await part in response.body {
            let room = maximumBodySize - answer.body.count
            answer.body += part.readableBytesView.prefix(room)
            answer.isTruncated = part.readableBytes > room
            // Copied only for a failing response, which is of use even if it is incomplete.
            if !answer.isSuccess { state.withLock { $0.answer = answer } }
            // Ignores the rest of the body.
            if answer.isTruncated { break }
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
