// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
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
            let isSent = state.isSent && !ConnectionCause.isOfConnecting(error)
            throw Failure(reason: ConnectionCause.text(error), isSent: isSent)
        }
    }

    private struct TimedOut: Error, CustomStringConvertible {
        let timeout: Duration
        var description: String { "it took longer than \(timeout)" }
    }

    private func run(_ request: HTTPClientRequest, _ client: HTTPClient, _ timeout: Duration) async throws -> Answer {
        // AsyncHTTPClient's own limit ends with the head; a body may take for ever.
        try await withThrowingTaskGroup(of: Answer.self) { group in
            defer { group.cancelAll() }
            group.addTask { try await self.exchange(request, client) }
            group.addTask {
                try await Task.sleep(for: timeout)
                throw TimedOut(timeout: timeout)
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

/// Why a request had no answer, in words that say what to do.
enum ConnectionCause {
    /// Whether an error is one of making a connection, before anything of the request is sent.
    static func isOfConnecting(_ error: any Error) -> Bool {
        switch error {
        case is NIOConnectionError, is NIOSSLExtraError: true
        case let error as NIOSSLError:
            if case .handshakeFailed = error { true } else { false }
        case let error as IOError: [ECONNREFUSED, EHOSTUNREACH, ENETUNREACH].contains(error.errnoCode)
        case let error as HTTPClientError:
            [
                .connectTimeout, .tlsHandshakeTimeout, .httpProxyHandshakeTimeout, .socksHandshakeTimeout,
                .invalidProxyResponse, .proxyAuthenticationRequired, .getConnectionFromPoolTimeout, .invalidURL,
                .emptyHost, .emptyScheme,
            ].contains(error)
        default: false
        }
    }

    static func text(_ error: any Error) -> String {
        switch error {
        case let error as NIOConnectionError: connecting(error)
        case let error as IOError: errorText(error.errnoCode)
        case let error as NIOSSLError: handshake(error)
        case let error as NIOSSLExtraError where error == .failedToValidateHostname:
            "the server's certificate is for another name; ask for the name it is for"
        case is HTTPParserError: "what came is no HTTP; if the server speaks TLS, write https://"
        case let error as HTTPClientError: client(error)
        default: "\(error)"
        }
    }

    private static func connecting(_ error: NIOConnectionError) -> String {
        var causes: [String] = []
        for failure in error.connectionErrors.map({ text($0.error) }) where !causes.contains(failure) {
            causes.append(failure)
        }
        if causes.isEmpty, let unresolved = error.dnsAError ?? error.dnsAAAAError {
            return "the name \(error.host) cannot be resolved (\(unresolved))"
        }
        return "no connection to \(error.host), port \(error.port): \(causes.joined(separator: "; "))"
    }

    private static func errorText(_ number: CInt) -> String {
        switch number {
        case ECONNREFUSED: "the connection was refused: no server listens there"
        case ECONNRESET, EPIPE: "the server cut the connection without an answer"
        default: String(cString: strerror(number))
        }
    }

    private static func handshake(_ error: NIOSSLError) -> String {
        let text = "\(error)"
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return "the server's certificate is not trusted; --ca-certificates FILE trusts its issuer, --insecure any"
        }
        if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
            return "the server does not speak TLS on this port; if it is meant, write http://"
        }
        return "the TLS handshake failed: \(text)"
    }

    private static func client(_ error: HTTPClientError) -> String {
        switch error {
        case .connectTimeout: "no connection was made in time"
        case .tlsHandshakeTimeout: "the TLS handshake took too long; if the server does not speak TLS, write http://"
        case .remoteConnectionClosed: "the server closed the connection without an answer"
        case .invalidProxyResponse: "the proxy did not make a connection"
        case .proxyAuthenticationRequired: "the proxy wants a user name and a password: --proxy http://user:…@host"
        default: "\(error)"
        }
    }
}
#endif
