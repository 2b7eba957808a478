// SPDX-License-Identifier: Apache-2.0

import Foundation

/// A certificate and its key, made with openssl.
package struct SelfSignedCertificate: Sendable {
    /// The paths of the files, in PEM form.
    package let certificate: String
    package let key: String

    /// Makes one.
    ///
    /// - Parameters:
    ///   - name: Its common name.
    ///   - options: More for `openssl req`.
    ///   - certificate: Where to put it.
    ///   - key: Where to put its key.
    /// - Returns: The paths.
    /// - Throws: If there is no openssl, or it fails.
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
