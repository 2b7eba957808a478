// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import PlinthServer
import Testing

/// Self-signed certificates for the tests, created with openssl once per run.
struct Certificates: Sendable {
    let certificate: String
    let key: String
    /// The same key, encrypted with the password `sesame`.
    let lockedKey: String
    /// A key that does not match the certificate.
    let otherKey: String

    private static let made = Task { try await make() }

    static var shared: Certificates {
        get async throws { try await made.value }
    }

    func identity() throws -> TLSIdentity {
        try TLSIdentity(certificateChain: certificate, privateKey: key)
    }

    private static func make() async throws -> Certificates {
        let folder = TemporaryFolder.shared
        let made = Certificates(
            certificate: try folder.path("certificate.pem"),
            key: try folder.path("key.pem"),
            lockedKey: try folder.path("locked-key.pem"),
            otherKey: try folder.path("other-key.pem")
        )
        _ = try await SelfSignedCertificate.make(
            "localhost",
            ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
            certificate: made.certificate,
            key: made.key
        )
        _ = try await SelfSignedCertificate.make(
            "other",
            certificate: try folder.path("other.pem"),
            key: made.otherKey
        )
        let locking = ["ec", "-in", made.key, "-aes128", "-passout", "pass:sesame", "-out", made.lockedKey]
        let result = try await ChildProcess.run("openssl", locking)
        try #require(result.status == 0, "\(result.errors)")
        return made
    }
}

#endif
