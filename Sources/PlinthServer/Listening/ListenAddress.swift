// SPDX-License-Identifier: Apache-2.0

#if Server

public import NIOSSL

/// An address that a ``Connector`` listens on, with or without TLS.
///
/// Without TLS it serves HTTP/1.0, HTTP/1.1 and HTTP/2 with prior knowledge (RFC 9113, section 3.3), told apart by the
/// first bytes. With TLS the client chooses between HTTP/1.1 and HTTP/2 (ALPN).
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
    ///   - host: A host name or IP address. Default: 127.0.0.1.
    ///   - port: The port; 0 lets the system choose. Default: 8080.
    /// - Returns: The address.
    public static func tcp(host: String = "127.0.0.1", port: Int = 8080) -> ListenAddress {
        ListenAddress(socket: .tcp(host: host, port: port), tls: nil)
    }

    /// HTTPS on a host and a port.
    ///
    /// - Parameters:
    ///   - host: A host name or IP address. Default: 127.0.0.1.
    ///   - port: The port; 0 lets the system choose. Default: 8443.
    ///   - identity: The certificate and key.
    /// - Returns: The address.
    public static func tls(host: String = "127.0.0.1", port: Int = 8443, identity: TLSIdentity) -> ListenAddress {
        ListenAddress(socket: .tcp(host: host, port: port), tls: identity)
    }

    /// Plain HTTP on a Unix socket.
    ///
    /// Replaces a socket file left there by an earlier process.
    public static func unix(path: String) -> ListenAddress {
        ListenAddress(socket: .unix(path: path), tls: nil)
    }

    /// Plain HTTP on a listening socket inherited from systemd or a parent process (systemd's first is descriptor 3).
    ///
    /// The connector closes the socket when it stops.
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

    /// Loads a certificate chain and key from PEM files.
    ///
    /// The handshake refuses clients that only support older versions. TLS 1.0 and 1.1 are not available (RFC 8996).
    ///
    /// - Parameters:
    ///   - certificateChain: The path of a file with the server's certificate, followed by the intermediate ones.
    ///   - privateKey: The path of a file with the key.
    ///   - password: The key's password. Default: nil, none.
    ///   - minimumVersion: The oldest TLS version accepted. Default: TLS 1.2.
    /// - Throws: ``ConnectorError`` that names the file if a file cannot be read or used.
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
                "cannot read the certificate chain at \(certificateChain): \(error); it must be in PEM format"
            )
        }
        guard !chain.isEmpty else {
            throw ConnectorError(.tlsIdentity, "the file \(certificateChain) contains no certificate")
        }
        let key: NIOSSLPrivateKey
        do {
            if let password {
                key = try NIOSSLPrivateKey(file: privateKey, format: .pem) { $0(password.utf8) }
            } else {
                // Without a callback, the TLS library would prompt for a password on the terminal.
                key = try NIOSSLPrivateKey(file: privateKey, format: .pem) { $0("".utf8) }
            }
        } catch {
            throw ConnectorError(
                .tlsIdentity,
                "cannot read the key at \(privateKey): \(error); it must be in PEM format, with the right password"
            )
        }
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(key)
        )
        configuration.minimumTLSVersion = minimumVersion.version
        self.configuration = configuration
    }

    /// Uses a configuration of the TLS library, for example with client certificates.
    ///
    /// The connector sets the application protocols (ALPN). A `minimumTLSVersion` below TLS 1.2, such as the library's
    /// default, is raised to TLS 1.2.
    public init(configuration: TLSConfiguration) {
        self.configuration = configuration
        switch configuration.minimumTLSVersion {
        case .tlsv1, .tlsv11: self.configuration.minimumTLSVersion = .tlsv12
        default: break
        }
    }
}

#endif
