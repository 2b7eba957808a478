// SPDX-License-Identifier: Apache-2.0

#if Server

import NIOSSL
import PlinthTestSupport
import Plinth
import PlinthServer
import Testing

/// The accepted versions of TLS, tested with clients that offer only one.
@Suite("TLS versions")
struct TLSVersionTests {
    @Test(
        "TLS 1.2 and 1.3 are accepted unless the minimum is 1.3; older versions never are",
        arguments: [TLSIdentity.ProtocolVersion.tls12, .tls13]
    )
    func minimum(version: TLSIdentity.ProtocolVersion) async throws {
        let certificates = try await Certificates.shared
        let given = try TLSIdentity(
            certificateChain: certificates.certificate,
            privateKey: certificates.key,
            minimumVersion: version
        )
        let spoken = try await Self.spoken(with: given)
        #expect(spoken == (version == .tls12 ? ["TLSv1.2", "TLSv1.3"] : ["TLSv1.3"]))
    }

    @Test("The default minimum is TLS 1.2")
    func defaultMinimum() async throws {
        let identity = try await Certificates.shared.identity()
        #expect(try await Self.spoken(with: identity) == ["TLSv1.2", "TLSv1.3"])
    }

    @Test(
        "A configuration of the TLS library cannot enable older versions",
        arguments: [TLSVersion.tlsv1, .tlsv11]
    )
    func configuration(version: TLSVersion) async throws {
        let certificates = try await Certificates.shared
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(certificates.certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: certificates.key, format: .pem))
        )
        configuration.minimumTLSVersion = version
        #expect(try await Self.spoken(with: TLSIdentity(configuration: configuration)) == ["TLSv1.2", "TLSv1.3"])
    }

    /// The versions over which a client gets a response.
    private static func spoken(with identity: TLSIdentity) async throws -> [String] {
        try await withServer(
            [answering("x")],
            configure: { $0.addresses = [.tls(port: 0, identity: identity)] }
        ) { server in
            let script = """
                import socket, ssl, sys, warnings
                warnings.simplefilter("ignore")
                for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                    # Otherwise the client's library would refuse the old versions by itself.
                    context.set_ciphers("ALL:@SECLEVEL=0")
                    context.minimum_version = ssl.TLSVersion.TLSv1
                    context.maximum_version = version
                    context.minimum_version = version
                    try:
                        with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1])), 10)) as connection:
                            connection.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
                            if connection.recv(100).startswith(b"HTTP/1.1 200"):
                                print(connection.version())
                    except ssl.SSLError as error:
                        # Of the server's, not of the client's own.
                        assert "ALERT" in error.reason, error.reason
                """
            let result = try await ChildProcess.run("python3", ["-c", script, "\(server.port)"])
            #expect(result.status == 0, "\(result.errors)")
            return result.output.split(separator: "\n").map(String.init)
        }
    }
}

#endif
