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
    /// What an error of AsyncHTTPClient means that prevented a request.
    ///
    /// All of these happen before a server has acted on a request.
    ///
    /// - Parameter error: The error.
    /// - Returns: Nil if it may have happened later, or means nothing in particular.
    package static func preventing(_ error: any Error) -> EventSourceTransportError? {
        switch error {
        case let error as EventSourceTransportError: return error
        case let error as NIOConnectionError:
            return connection(error) ?? .init(.connectionFailed, "no connection could be made.", cause: error)
        // A connection that was made may break by a timeout, too, and then the server may have the request.
        case let error as IOError where error.errnoCode != ETIMEDOUT: return connection(error)
        case let error as SocketAddressError: return name(error)
        case let error as NIOSSLError: return handshake(error)
        case let error as NIOSSLExtraError where error == .failedToValidateHostname: return otherHost(error)
        case is NIOSSLExtraError: return .init(.handshakeFailed, "the TLS handshake failed.", cause: error)
        case let error as HTTPClientError: return client(error)
        case is TLSAlertReceived:
            return .init(.tlsServer, "the server speaks TLS: a URL of https:// reaches it.", cause: error)
        default: return nil
        }
    }

    /// What an error means, with a text for those that have no code of their own.
    ///
    /// - Parameter error: The error.
    /// - Returns: What it means; ``preventing(_:)`` says whether a server may have acted on the request.
    package static func of(_ error: any Error) -> EventSourceTransportError {
        if let known = preventing(error) { return known }
        switch error {
        case let error as HTTPClientError where error == .remoteConnectionClosed:
            return .init(
                .connectionFailed,
                "the server closed the connection without an answer, as servers do that expect TLS, or none.",
                cause: error
            )
        case is IOError:
            return .init(.connectionFailed, "the connection broke before there was an answer.", cause: error)
        case is HTTPParserError:
            return .init(.connectionFailed, "what the server answered is no HTTP.", cause: error)
        default:
            return .init(.connectionFailed, "the server did not answer.", cause: error)
        }
    }

    private static func connection(_ error: NIOConnectionError) -> EventSourceTransportError? {
        // If one address refuses and another cannot be reached, the first to fail says enough.
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
        case EHOSTUNREACH, ENETUNREACH: text = "there is no way to the host (unreachable)."
        case ETIMEDOUT: return .init(.connectionTimeout, "the host does not answer.", cause: error)
        default: return nil
        }
        return .init(.connectionRefused, text, cause: error)
    }

    private static func name(_ error: any Error) -> EventSourceTransportError {
        .init(.nameNotFound, "the name of the host cannot be resolved.", cause: error)
    }

    private static func otherHost(_ error: any Error) -> EventSourceTransportError {
        .init(
            .certificateRejected,
            "the server's certificate is another host's: it has to name the host of the URL.",
            cause: error
        )
    }

    private static func handshake(_ error: NIOSSLError) -> EventSourceTransportError? {
        // NIOSSL has no cases for these; the names are BoringSSL's.
        let text = String(describing: error)
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return .init(
                .certificateRejected,
                "the server's certificate is not trusted: it is expired, or its issuer is not among the trust roots.",
                cause: error
            )
        }
        if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST") {
            return .init(.plaintextServer, "the server speaks no TLS: a URL of http:// reaches it.", cause: error)
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
            return .init(.handshakeFailed, "the TLS handshake was not finished in time.", cause: error)
        case .proxyAuthenticationRequired:
            return .init(.proxyFailed, "the proxy wants a user name and a password.", cause: error)
        case .invalidProxyResponse:
            return .init(.proxyFailed, "the proxy did not make the connection.", cause: error)
        case .httpProxyHandshakeTimeout, .socksHandshakeTimeout:
            return .init(.proxyFailed, "the proxy did not answer in time.", cause: error)
        default:
            return nil
        }
    }
}

/// The first bytes of an answer were a TLS alert.
struct TLSAlertReceived: Error, CustomStringConvertible {
    var description: String { "the answer is a TLS alert" }
}

/// Finds out whether a server answers plaintext with a TLS alert; then removes itself.
final class TLSAlertDetector: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// Puts one in front of the connection's decoder.
    static func add(to channel: any Channel) throws {
        // This is called on the channel's event loop.
        let pipeline = channel.pipeline.syncOperations
        let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPResponseDecoder>.self)
        try pipeline.addHandler(TLSAlertDetector(), position: .before(decoder))
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        // A record of the type alert (21), of a version 3.x. No answer of HTTP begins with a control character.
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
