// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import AsyncHTTPClient
import Foundation
import HTTPTypes
import NIOSSL
import PlinthClient

/// How requests are made: what `listen`, `publish` and `bench` have in common.
struct RequestOptions: ParsableArguments {
    @Option(
        name: .customLong("header"),
        help: ArgumentHelp(
            "A header field of each request, as in 'Authorization: Bearer abc'. May be given more than once.",
            valueName: "field"
        )
    )
    var headers: [String] = []

    @Option(
        help: ArgumentHelp("Trust the certificates of this file, in PEM form, and no others.", valueName: "file")
    )
    var caCertificates: String?

    @Flag(help: "Trust any certificate. For trying things out: anybody may be in the middle.")
    var insecure = false

    func validate() throws {
        _ = try fields()
        if insecure, caCertificates != nil {
            throw ValidationError("--insecure and --ca-certificates exclude each other.")
        }
    }

    func fields() throws -> HTTPFields {
        var fields = HTTPFields()
        for header in headers {
            let parts = header.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let name = HTTPField.Name(String(parts[0])) else {
                throw ValidationError("--header is no field such as 'Name: value': \(header)")
            }
            let value = parts[1].drop { $0 == " " || $0 == "\t" }
            guard HTTPField.isValidValue(String(value)) else {
                throw ValidationError("--header has a value with control characters: \(header.debugDescription)")
            }
            fields.append(HTTPField(name: name, value: String(value)))
        }
        return fields
    }

    func tls() throws -> TLSConfiguration? {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if insecure {
            configuration.certificateVerification = .none
        } else if let file = caCertificates {
            do {
                configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file))
            } catch {
                throw ValidationError("--ca-certificates: \(file) cannot be read as certificates in PEM form: \(error)")
            }
        } else {
            return nil
        }
        return configuration
    }

    /// Complains about a URL that is none.
    static func check(_ url: String) throws {
        let scheme = url.prefix { $0 != ":" }.lowercased()
        guard ["http", "https"].contains(scheme), url.dropFirst(scheme.count).hasPrefix("://") else {
            throw ValidationError("The URL has to begin with http:// or https://, and this does not: \(url)")
        }
        guard let host = URL(string: url)?.host(), !host.isEmpty else {
            throw ValidationError("The URL is not a valid one: \(url)")
        }
    }
}
#endif
