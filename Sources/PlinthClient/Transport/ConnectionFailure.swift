// SPDX-License-Identifier: Apache-2.0

#if Client

import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

extension EventSourceTransportError {
    /// Classifies an error of AsyncHTTPClient that prevented a request.
    ///
    /// All of these occur before a server has acted on the request.
    ///
    /// - Parameter error: The error.
    /// - Returns: Nil if the error may have occurred later, or has no specific meaning.
    package static func preventing(_ error: any Error) -> EventSourceTransportError? {
        switch error {
        case let error as EventSourceTransportError: return error
        case let error as NIOConnectionError:
            return connection(error) ?? .init(.connectionFailed, "no connection could be made.", cause: error)
        // ETIMEDOUT may also end an established connection, after the server received the request.
        case let error as IOError where error.errnoCode != ETIMEDOUT: return connection(error)
        case let error as SocketAddressError: return name(error)
        case let error as NIOSSLError: return handshake(error)
        case let error as NIOSSLExtraError where error == .failedToValidateHostname: return otherHost(error)
        case is NIOSSLExtraError: return .init(.handshakeFailed, "the TLS handshake failed.", cause: error)
        case let error as HTTPClientError: return client(error)
        case is TLSAlertReceived:
            return .init(.tlsServer, "the server speaks TLS: use an https:// URL.", cause: error)
        default: return nil
        }
    }

    /// Classifies an error, including those without a code of their own.
    ///
    /// - Parameter error: The error.
    /// - Returns: The error's meaning; ``preventing(_:)`` tells whether a server may have acted on the request.
    package static func of(_ error: any Error) -> EventSourceTransportError {
        if let known = preventing(error) { return known }
        switch error {
        case let error as HTTPClientError where error == .remoteConnectionClosed:
            return .init(
                .connectionFailed,
                "the server closed the connection without an answer; it may expect TLS, or no TLS.",
                cause: error
            )
        case is IOError:
            return .init(.connectionFailed, "the connection was lost before the server answered.", cause: error)
        case is HTTPParserError:
            return .init(.connectionFailed, "the server's answer is not HTTP.", cause: error)
        default:
            return .init(.connectionFailed, "the server did not answer.", cause: error)
        }
    }

    private static func connection(_ error: NIOConnectionError) -> EventSourceTransportError? {
        // If several addresses fail, the first failure is reported.
        if let first = error.connectionErrors.first {
            guard let failure = first.error as? IOError else { return preventing(first.error) }
            return connection(failure)
        }
        return (error.dnsAError ?? error.dnsAAAAError).map { name($0) }
    }

    private static func connection(_ error: IOError) -> EventSourceTransportError? {
        let text: String
        switch error.errnoCode {
        case ECONNREFUSED: text = "nothing listens there (connection refused)."
        case EHOSTUNREACH, ENETUNREACH: text = "the host is unreachable."
        case ETIMEDOUT: return .init(.connectionTimeout, "the host does not answer.", cause: error)
        default: return nil
        }
        return .init(.connectionRefused, text, cause: error)
    }

    private static func name(_ error: any Error) -> EventSourceTransportError {
        .init(.nameNotFound, "the host name cannot be resolved.", cause: error)
    }

    private static func otherHost(_ error: any Error) -> EventSourceTransportError {
        .init(
            .certificateRejected,
            "the server's certificate is for another host: it must name the host of the URL.",
            cause: error
        )
    }

    private static func handshake(_ error: NIOSSLError) -> EventSourceTransportError? {
        // NIOSSL has no cases for these; the names are BoringSSL's.
        let text = String(describing: error)
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return .init(
                .certificateRejected,
                "the server's certificate is not trusted: it has expired, or its issuer is not a trust root.",
                cause: error
            )
        }
        if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
            return .init(.plaintextServer, "the server does not speak TLS: use an http:// URL.", cause: error)
        }
        switch error {
        case .unableToValidateCertificate, .noCertificateToValidate: return otherHost(error)
        case .handshakeFailed: return .init(.handshakeFailed, "the TLS handshake failed.", cause: error)
        default: return nil
        }
    }

    private static func client(_ error: HTTPClientError) -> EventSourceTransportError? {
        switch error {
        case .connectTimeout, .getConnectionFromPoolTimeout:
            return .init(.connectionTimeout, "no connection was made in time.", cause: error)
        case .tlsHandshakeTimeout:
            return .init(.handshakeFailed, "the TLS handshake did not finish in time.", cause: error)
        case .proxyAuthenticationRequired:
            return .init(.proxyFailed, "the proxy requires a user name and password.", cause: error)
        case .invalidProxyResponse:
            return .init(.proxyFailed, "the proxy did not make the connection.", cause: error)
        case .httpProxyHandshakeTimeout, .socksHandshakeTimeout:
            return .init(.proxyFailed, "the proxy did not answer in time.", cause: error)
        default:
            return nil
        }
    }
}

/// The server answered with a TLS alert.
struct TLSAlertReceived: Error, CustomStringConvertible {
    var description: String { "the answer is a TLS alert" }
}

/// Detects a server that answers plaintext with a TLS alert; removes itself after the first read.
final class TLSAlertDetector: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Adds a detector in front of the connection's decoder.
    static func add(to channel: any Channel) throws {
        // Called on the channel's event loop.
        let pipeline = channel.pipeline.syncOperations
        let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPResponseDecoder>.self)
        try pipeline.addHandler(TLSAlertDetector(), position: .before(decoder))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A TLS record of type alert (21), version 3.x. No HTTP response begins with a control character.
        let bytes = unwrapInboundIn(data).readableBytesView.prefix(2)
        if bytes.elementsEqual([0x15, 0x03]) {
            context.fireErrorCaught(TLSAlertReceived())
            context.close(promise: nil)
            return
        }
        context.fireChannelRead(data)
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}

#endif
