// SPDX-License-Identifier: Apache-2.0

#if Server

public import NIOSSL

/// Where a ``Connector`` listens, and whether it speaks TLS there.
///
/// Without TLS an address speaks HTTP/1.0, HTTP/1.1 and HTTP/2 with prior knowledge (RFC 9113, section 3.3), told apart by
/// the first bytes; with TLS the client chooses between HTTP/1.1 and HTTP/2 (ALPN).
public struct ListenAddress: Sendable {
    enum Socket: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case unix(path: String)
        case inherited(descriptor: CInt)
    }

    let socket: Socket
    let tls: TLSIdentity?

    /// Plain HTTP on a host and a port.
    ///
    /// - Parameters:
    ///   - host: A name or an address; 127.0.0.1 unless given.
    ///   - port: 8080 unless given; 0 lets the system choose.
    /// - Returns: The address.
    public static func tcp(host: String = "127.0.0.1", port: Int = 8080) -> ListenAddress {
        ListenAddress(socket: .tcp(host: host, port: port), tls: nil)
    }

    /// HTTPS on a host and a port.
    ///
    /// - Parameters:
    ///   - host: A name or an address; 127.0.0.1 unless given.
    ///   - port: 8443 unless given; 0 lets the system choose.
    ///   - identity: Certificate and key.
    /// - Returns: The address.
    public static func tls(host: String = "127.0.0.1", port: Int = 8443, identity: TLSIdentity) -> ListenAddress {
        ListenAddress(socket: .tcp(host: host, port: port), tls: identity)
    }

    /// Plain HTTP on a Unix socket.
    ///
    /// A socket file left there by an earlier process is replaced.
    public static func unix(path: String) -> ListenAddress {
        ListenAddress(socket: .unix(path: path), tls: nil)
    }

    /// Plain HTTP on a socket that already listens: one that systemd or a parent process handed down (the first of
    /// systemd's is descriptor 3).
    ///
    /// The connector closes it in the end.
    public static func inherited(descriptor: CInt) -> ListenAddress {
        ListenAddress(socket: .inherited(descriptor: descriptor), tls: nil)
    }

    /// The same address with TLS.
    public func tls(_ identity: TLSIdentity) -> ListenAddress {
        ListenAddress(socket: socket, tls: identity)
    }
}

/// A server's certificate and key.
public struct TLSIdentity: Sendable {
    private(set) var configuration: TLSConfiguration

    /// A version of TLS.
    public struct ProtocolVersion: Sendable, Hashable {
        let version: TLSVersion

        /// TLS 1.2 (RFC 5246).
        public static let tls12 = ProtocolVersion(version: .tlsv12)
        /// TLS 1.3 (RFC 8446).
        public static let tls13 = ProtocolVersion(version: .tlsv13)
    }

    /// Certificate and key from files in PEM form.
    ///
    /// Clients that speak older versions only are refused in the handshake; TLS 1.0 and 1.1 cannot be had here (RFC 8996).
    ///
    /// - Parameters:
    ///   - certificateChain: The path of the file with the server's certificate, then those between it and the root.
    ///   - privateKey: The path of the file with the key.
    ///   - password: The key's password, if it has one.
    ///   - minimumVersion: The oldest version of TLS that is spoken. Default: TLS 1.2.
    /// - Throws: ``ConnectorError`` that names the file if it cannot be read or used.
    public init(
        certificateChain: String,
        privateKey: String,
        password: String? = nil,
        minimumVersion: ProtocolVersion = .tls12
    ) throws {
        let chain: [NIOSSLCertificate]
        do {
            chain = try NIOSSLCertificate.fromPEMFile(certificateChain)
        } catch {
            throw ConnectorError(
                .tlsIdentity,
                "the certificate chain at \(certificateChain) cannot be read: \(error); it must hold certificates in PEM form"
            )
        }
        guard !chain.isEmpty else {
            throw ConnectorError(.tlsIdentity, "the file \(certificateChain) holds no certificate")
        }
        let key: NIOSSLPrivateKey
        do {
            if let password {
                key = try NIOSSLPrivateKey(file: privateKey, format: .pem) { $0(password.utf8) }
            } else {
                // Without a callback of ours the TLS library would ask for a password on the terminal.
                key = try NIOSSLPrivateKey(file: privateKey, format: .pem) { $0("".utf8) }
            }
        } catch {
            throw ConnectorError(
                .tlsIdentity,
                "the key at \(privateKey) cannot be read: \(error); it must be in PEM form, and its password right"
            )
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(key)
        )
        configuration.minimumTLSVersion = minimumVersion.version
        self.configuration = configuration
    }

    /// Whatever the TLS library can be told, such as client certificates.
    ///
    /// The protocols it offers (ALPN) are set by the connector. A `minimumTLSVersion` before TLS 1.2, which is what that
    /// library has unless it is set, is taken for TLS 1.2.
    public init(configuration: TLSConfiguration) {
        self.configuration = configuration
        switch configuration.minimumTLSVersion {
        case .tlsv1, .tlsv11: self.configuration.minimumTLSVersion = .tlsv12
        default: break
        }
    }
}

#endif
