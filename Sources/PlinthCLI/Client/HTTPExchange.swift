// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import PlinthClient
import PlinthStreams
import Synchronization

/// One request and its answer, within a time and with a bounded part of the answer's body.
final class HTTPExchange: Sendable {
    /// What a server answered.
    struct Answer: Sendable {
        let status: HTTPResponseStatus
        /// Where the server leads, as it wrote it.
        let location: String?
        /// The body, or the beginning of one that is larger than 64 KiB.
        var body: [UInt8] = []

        var isSuccess: Bool { (200..<300).contains(status.code) }

        /// The status in words.
        var title: String { "\(status.code) \(TerminalText.visible(status.reasonPhrase, upTo: 100))" }
    }

    /// Why there is no answer.
    struct Failure: Error {
        let reason: String
        /// Whether the server may have the request.
        let isSent: Bool
    }

    private struct State {
        var isSent = false
        var answer: Answer?
    }

    private static let maximumBodySize = 64 * 1024

    private let state = Mutex(State())

    private init() {}

    /// Sends a request and waits for the answer's end.
    ///
    /// - Parameters:
    ///   - request: The request; its body is set here.
    ///   - body: The body.
    ///   - client: The client.
    ///   - timeout: How long all of it may take, the answer's body included.
    /// - Returns: The answer.
    /// - Throws: ``Failure`` if there is no answer. One other than a success counts even if its body breaks off.
    static func perform(
        _ request: HTTPClientRequest,
        body: [UInt8],
        with client: HTTPClient,
        within timeout: Duration
    ) async throws(Failure) -> Answer {
        let exchange = HTTPExchange()
        var request = request
        if body.isEmpty {
            // There is nothing whose sending could be noticed.
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
            if error is TimedOut { throw Failure(reason: "it took longer than \(timeout)", isSent: state.isSent) }
            let isSent = state.isSent && EventSourceTransportError.preventing(error) == nil
            throw Failure(reason: ConnectionAdvice.clause(for: error), isSent: isSent)
        }
    }

    private struct TimedOut: Error {}

    private func run(_ request: HTTPClientRequest, _ client: HTTPClient, _ timeout: Duration) async throws -> Answer {
        // AsyncHTTPClient's own limit ends with the head; a body may take for ever.
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
            // What else comes is not waited for.
            if answer.body.count == Self.maximumBodySize { break }
        }
        // A cancelled body ends as if it were whole.
        try Task.checkCancellation()
        return answer
    }

    /// The body of a request: notices when it is asked for, which is after the head was sent.
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
