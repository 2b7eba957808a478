// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A certificate and its key, generated with openssl.
package struct SelfSignedCertificate: Sendable {
    /// The paths of the PEM files.
    package let certificate: String
    package let key: String

    /// Generates a certificate that is valid for two days.
    ///
    /// - Parameters:
    ///   - name: The common name.
    ///   - options: Further arguments of `openssl req`.
    ///   - certificate: The path for the certificate.
    ///   - key: The path for the key.
    /// - Returns: The paths.
    /// - Throws: An error if openssl is missing or fails.
    package static func make(
        _ name: String,
        _ options: [String] = [],
        certificate: String,
        key: String
    ) async throws -> SelfSignedCertificate {
        let arguments = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
            "-subj",
            "/CN=\(name)", "-keyout", key, "-out", certificate,
        ]
        let result = try await ChildProcess.run("openssl", arguments + options)
        guard result.status == 0 else { throw Failed(description: "openssl: \(result.errors)") }
        return SelfSignedCertificate(certificate: certificate, key: key)
    }

    private struct Failed: Error, CustomStringConvertible {
        let description: String
    }
}
