// SPDX-License-Identifier: Apache-2.0

/// Why a connection ended or could not be made, or why an event source failed permanently.
public struct EventSourceError: Error, CustomStringConvertible {
    /// An error code from a bounded set, suitable as a metric label.
    ///
    /// Those marked permanent end the source without another attempt.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case invalidURL, unexpectedStatus, unexpectedContentType, unexpectedCharset, compressed, redirectRefused
            case invalidRedirect, tooManyRedirects, tooLarge, tooManyAttempts, alreadyIterated
            case nameNotFound, connectionRefused, connectionTimeout, certificateRejected, handshakeFailed
            case plaintextServer, tlsServer, proxyFailed
            case connectionFailed, connectionLost, streamEnded, idleTimeout, responseTimeout, headersUnavailable
            case missingTerminator, invalidHubEvent, gapAfterMark, invalidMark
        }

        private let value: Value

        /// The URL is invalid, or not an HTTP URL.
        ///
        /// Permanent.
        public static let invalidURL = Code(value: .invalidURL)
        /// The status is not 200.
        ///
        /// Permanent, unless it is one of ``EventSourceConfiguration/retryableStatuses``.
        public static let unexpectedStatus = Code(value: .unexpectedStatus)
        /// The response is not an event stream.
        ///
        /// Permanent.
        public static let unexpectedContentType = Code(value: .unexpectedContentType)
        /// The response has a charset other than UTF-8, and ``EventSourceConfiguration/requiresUTF8`` is set.
        ///
        /// Permanent.
        public static let unexpectedCharset = Code(value: .unexpectedCharset)
        /// The response is compressed, which was not requested.
        ///
        /// Permanent.
        public static let compressed = Code(value: .compressed)
        /// A redirect leads to another scheme, or to another origin with a user name in the URL.
        ///
        /// Permanent.
        public static let redirectRefused = Code(value: .redirectRefused)
        /// A redirect's `Location` is not a valid URL.
        public static let invalidRedirect = Code(value: .invalidRedirect)
        /// More than 20 redirects in a row.
        public static let tooManyRedirects = Code(value: .tooManyRedirects)
        /// A line or an event is larger than ``EventSourceConfiguration/maximumEventSize``.
        ///
        /// Permanent.
        public static let tooLarge = Code(value: .tooLarge)
        /// The number of consecutive failures reached ``EventSourceConfiguration/maximumAttempts``.
        ///
        /// Permanent.
        public static let tooManyAttempts = Code(value: .tooManyAttempts)
        /// The source is already being iterated.
        public static let alreadyIterated = Code(value: .alreadyIterated)
        /// The host name cannot be resolved.
        public static let nameNotFound = Code(value: .nameNotFound)
        /// The host refused the connection, or is unreachable.
        public static let connectionRefused = Code(value: .connectionRefused)
        /// The connection was not made within the transport's time limit.
        public static let connectionTimeout = Code(value: .connectionTimeout)
        /// The server's certificate is not trusted, or is for another host.
        public static let certificateRejected = Code(value: .certificateRejected)
        /// The TLS handshake failed for another reason.
        public static let handshakeFailed = Code(value: .handshakeFailed)
        /// The URL is HTTPS, but the server does not speak TLS.
        public static let plaintextServer = Code(value: .plaintextServer)
        /// The URL is HTTP, but the server speaks TLS.
        public static let tlsServer = Code(value: .tlsServer)
        /// The proxy refused, or its response was invalid.
        public static let proxyFailed = Code(value: .proxyFailed)
        /// No connection or no response, for a reason without a code of its own.
        public static let connectionFailed = Code(value: .connectionFailed)
        /// The connection was lost during the stream.
        public static let connectionLost = Code(value: .connectionLost)
        /// The server ended the stream properly.
        public static let streamEnded = Code(value: .streamEnded)
        /// No byte arrived for ``EventSourceConfiguration/idleTimeout``.
        public static let idleTimeout = Code(value: .idleTimeout)
        /// No response arrived within ``EventSourceConfiguration/responseTimeout``.
        public static let responseTimeout = Code(value: .responseTimeout)
        /// ``EventSourceConfiguration/headerProvider`` threw an error.
        public static let headersUnavailable = Code(value: .headersUnavailable)
        /// A response body ended before its terminator.
        public static let missingTerminator = Code(value: .missingTerminator)
        /// An event of ``EventSource/hubUpdates`` or ``EventSource/following(_:)`` has the type of a gap or an end, but
        /// not the data.
        ///
        /// Permanent.
        public static let invalidHubEvent = Code(value: .invalidHubEvent)
        /// A gap followed a mark of ``EventSource/following(_:)`` before any event.
        public static let gapAfterMark = Code(value: .gapAfterMark)
        /// The closure of ``EventSource/following(_:)`` returned a mark that cannot be sent as a last event ID.
        ///
        /// Ends the iteration, not the source.
        public static let invalidMark = Code(value: .invalidMark)

        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// The error code.
    public let code: Code

    /// What went wrong, where, and what to do about it.
    public var message: String { advice.map { "\(text) \($0)" } ?? text }

    /// What went wrong, and where.
    package let text: String

    /// What to do about it, in terms of the library; the command has its own advice.
    package internal(set) var advice: String?

    /// The response's status, if the error concerns a response.
    public let status: Int?

    /// The underlying error of the transport, the parser or the header provider.
    public let cause: (any Error)?

    /// The server's reason for a status of 400 or above, if it sent one: the `error` of a JSON body, or plain text.
    ///
    /// At most 300 characters, on one line, without control characters; included in ``message``.
    public internal(set) var reason: String?

    /// The `code` next to the reason, if the server sent one; shortened and sanitized like ``reason``.
    ///
    /// The server chooses it, so it is unsuitable as a metric label.
    public internal(set) var reasonCode: String?

    /// Creates an error for a custom transport to throw, which fails the source permanently.
    ///
    /// - Parameters:
    ///   - code: The error code.
    ///   - message: What went wrong, where, and what to do about it.
    ///   - status: The response's status, if the error concerns a response. Default: nil.
    ///   - cause: The underlying error, if any. Default: nil.
    public init(_ code: Code, _ message: String, status: Int? = nil, cause: (any Error)? = nil) {
        self.code = code
        text = message
        self.status = status
        self.cause = cause
    }

    /// The code, the message and the cause.
    public var description: String {
        cause.map { "\(code): \(message) (\($0))" } ?? "\(code): \(message)"
    }
}
