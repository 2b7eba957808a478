// SPDX-License-Identifier: Apache-2.0

/// Why a connection of an event source ended or could not be made, or why the source failed for good.
public struct EventSourceError: Error, CustomStringConvertible {
    /// What is wrong, in short: a bounded set, fit for a metric's label.
    public struct Code: Sendable, Hashable, CustomStringConvertible {
        private enum Value: String {
            case invalidURL, unexpectedStatus, unexpectedContentType, unexpectedCharset, compressed, redirectRefused
            case invalidRedirect, tooManyRedirects, tooLarge, tooManyAttempts, alreadyIterated
            case nameNotFound, connectionRefused, connectionTimeout, certificateRejected, handshakeFailed
            case plaintextServer, tlsServer, proxyFailed
            case connectionFailed, connectionLost, streamEnded, idleTimeout, responseTimeout, headersUnavailable
            case missingTerminator
        }

        private let value: Value

        /// The URL is not one, or is not of HTTP.
        ///
        /// For good.
        public static let invalidURL = Code(value: .invalidURL)
        /// The status is not 200, and not one to retry.
        ///
        /// For good, unless it is one of ``EventSourceConfiguration/retryableStatuses``.
        public static let unexpectedStatus = Code(value: .unexpectedStatus)
        /// The response is no event stream.
        ///
        /// For good.
        public static let unexpectedContentType = Code(value: .unexpectedContentType)
        /// The response has a charset other than UTF-8, and ``EventSourceConfiguration/requiresUTF8`` is set.
        ///
        /// For good.
        public static let unexpectedCharset = Code(value: .unexpectedCharset)
        /// The response is compressed, which was not asked for.
        ///
        /// For good.
        public static let compressed = Code(value: .compressed)
        /// A redirect leads away from HTTP, or to another origin with a user name.
        ///
        /// For good.
        public static let redirectRefused = Code(value: .redirectRefused)
        /// A redirect's `Location` is no URL.
        public static let invalidRedirect = Code(value: .invalidRedirect)
        /// More redirects than 20 in a row.
        public static let tooManyRedirects = Code(value: .tooManyRedirects)
        /// A line or an event is larger than ``EventSourceConfiguration/maximumEventSize``.
        ///
        /// For good.
        public static let tooLarge = Code(value: .tooLarge)
        /// As many attempts in a row failed as ``EventSourceConfiguration/maximumAttempts`` allows.
        ///
        /// For good.
        public static let tooManyAttempts = Code(value: .tooManyAttempts)
        /// The source is being iterated already.
        public static let alreadyIterated = Code(value: .alreadyIterated)
        /// The host's name has no address.
        public static let nameNotFound = Code(value: .nameNotFound)
        /// Nothing accepts connections there: the host refused, or cannot be reached.
        public static let connectionRefused = Code(value: .connectionRefused)
        /// The connection could not be made in the transport's time for it.
        public static let connectionTimeout = Code(value: .connectionTimeout)
        /// The server's certificate is not trusted, or is another host's.
        public static let certificateRejected = Code(value: .certificateRejected)
        /// The TLS handshake failed for another reason.
        public static let handshakeFailed = Code(value: .handshakeFailed)
        /// The URL is of HTTPS, and the server speaks no TLS.
        public static let plaintextServer = Code(value: .plaintextServer)
        /// The URL is of HTTP, and the server speaks TLS.
        public static let tlsServer = Code(value: .tlsServer)
        /// The proxy refused, or answered with what is no answer of a proxy.
        public static let proxyFailed = Code(value: .proxyFailed)
        /// No connection, or none that brought a response, for a reason that has no code of its own.
        public static let connectionFailed = Code(value: .connectionFailed)
        /// The connection broke in the middle of the stream.
        public static let connectionLost = Code(value: .connectionLost)
        /// The server ended the stream, as it may.
        public static let streamEnded = Code(value: .streamEnded)
        /// No byte came for ``EventSourceConfiguration/idleTimeout``.
        public static let idleTimeout = Code(value: .idleTimeout)
        /// No response came within ``EventSourceConfiguration/responseTimeout``.
        public static let responseTimeout = Code(value: .responseTimeout)
        /// ``EventSourceConfiguration/headerProvider`` threw an error.
        public static let headersUnavailable = Code(value: .headersUnavailable)
        /// A body ended before its terminator.
        public static let missingTerminator = Code(value: .missingTerminator)

        /// The code's name.
        public var description: String { value.rawValue }
    }

    /// What is wrong, in short.
    public let code: Code

    /// What is wrong, where, and what to do about it.
    public var message: String { advice.map { "\(text) \($0)" } ?? text }

    /// What is wrong, and where.
    package let text: String

    /// What to do about it, in words of the library; the command has its own.
    package internal(set) var advice: String?

    /// The status of the response, if it is about one.
    public let status: Int?

    /// The error of the transport, the parser or the header provider that caused it.
    public let cause: (any Error)?

    /// What the server said about its refusal, if it did, with a status of 400 and more: the `error` of its JSON, or its
    /// text.
    ///
    /// At most 300 characters, on one line, without control characters; part of ``message``.
    public internal(set) var reason: String?

    /// The `code` beside the reason, if the server gave one; shortened and cleaned as ``reason`` is.
    ///
    /// The server chose it, so it is no metric's label.
    public internal(set) var reasonCode: String?

    /// Creates an error, for a transport of one's own: thrown by it, it ends the source for good.
    ///
    /// - Parameters:
    ///   - code: What is wrong, in short.
    ///   - message: What is wrong, where, and what to do about it.
    ///   - status: The status of the response, if it is about one; nil unless given.
    ///   - cause: The error that caused it, if there is one; nil unless given.
    public init(_ code: Code, _ message: String, status: Int? = nil, cause: (any Error)? = nil) {
        self.code = code
        text = message
        self.status = status
        self.cause = cause
    }

    /// The code, the message, and what the cause says.
    public var description: String {
        cause.map { "\(code): \(message) (\($0))" } ?? "\(code): \(message)"
    }
}
