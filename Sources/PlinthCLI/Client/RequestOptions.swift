// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
import Foundation
import HTTPTypes
import NIOSSL
import PlinthClient

/// The request options that `listen`, `wait`, `publish` and `bench` share.
struct RequestOptions: ParsableArguments {
    @Option(
        name: .customLong("header"),
        help: ArgumentHelp(
            "Add a header field to each request, such as 'Accept-Language: en'. Repeatable.",
            valueName: "field"
        )
    )
    var headers: [String] = []

    @Option(
        help: ArgumentHelp(
            """
            Send this bearer token (Authorization: Bearer …) with each request. Other users of this machine can read \
            command lines: prefer --token-file.
            """,
            valueName: "token"
        )
    )
    var token: String?

    @Option(
        help: ArgumentHelp(
            """
            Send the bearer token in this file, which is read again for each attempt, so that the token can be renewed \
            in it.
            """,
            valueName: "file"
        )
    )
    var tokenFile: String?

    @Option(
        help: ArgumentHelp("Trust only the certificates in this PEM file.", valueName: "file")
    )
    var caCertificates: String?

    @Flag(help: "Trust any certificate. For testing only: allows man-in-the-middle attacks.")
    var insecure = false

    @Option(
        help: ArgumentHelp(
            """
            Proxy, as http://[user:password@]host[:port] or socks5://host[:port]; empty for none (default: from \
            https_proxy, http_proxy or all_proxy). Bypassed for hosts in no_proxy and for this machine.
            """,
            valueName: "url"
        )
    )
    var proxy: String?

    func validate() throws {
        _ = try fields()
        try checkToken()
        do throws(ProxySettings.Failure) {
            if let proxy, !proxy.isEmpty { _ = try ProxySettings.parse(proxy, from: "--proxy") }
        } catch {
            throw ValidationError("\(error)")
        }
        if insecure, caCertificates != nil {
            throw ValidationError("--insecure and --ca-certificates are mutually exclusive.")
        }
    }

    private func checkToken() throws {
        guard token != nil || tokenFile != nil else { return }
        if token != nil, tokenFile != nil {
            throw ValidationError("--token and --token-file are mutually exclusive.")
        }
        if try headerFields()[.authorization] != nil {
            throw ValidationError("--token and --token-file exclude --header 'Authorization: …', which they send.")
        }
        _ = try fileAuthorization()
    }

    /// The fields of `--header`, and the `Authorization` of `--token`, but not that of `--token-file`.
    func fields() throws -> HTTPFields {
        var fields = try headerFields()
        guard let token else { return fields }
        do throws(BearerToken.Failure) {
            fields[.authorization] = try BearerToken(token.utf8).authorization
        } catch {
            throw ValidationError("--token \(error.reason).")
        }
        return fields
    }

    /// The `Authorization` of `--token-file`, read now; nil without that option.
    ///
    /// - Throws: `ValidationError` if the file does not hold a token.
    func fileAuthorization() throws -> String? {
        do throws(TokenFile.Failure) {
            return try tokens?.read().authorization
        } catch {
            throw ValidationError("--token-file: \(error).")
        }
    }

    /// The file of `--token-file`, for a series of attempts.
    var tokens: TokenFile? { tokenFile.map { TokenFile($0) } }

    private func headerFields() throws -> HTTPFields {
        var fields = HTTPFields()
        for header in headers {
            let parts = header.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, let name = HTTPField.Name(String(parts[0])) else {
                throw ValidationError("--header must be a field such as 'Name: value': \(header)")
            }
            let value = parts[1].drop { $0 == " " || $0 == "\t" }
            guard HTTPField.isValidValue(String(value)) else {
                throw ValidationError("--header contains control characters: \(header.debugDescription)")
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
                throw ValidationError("--ca-certificates: cannot read \(file) as PEM certificates: \(error)")
            }
        } else {
            return nil
        }
        return configuration
    }

    /// The route to a URL: its credentials as an `Authorization` field, and its proxy if it has one.
    ///
    /// Call again for the target of a redirect, whose proxy may differ.
    ///
    /// - Parameters:
    ///   - url: The URL, optionally with a user name and a password.
    ///   - authorization: The value of `Authorization`; nil for that of the options, or else of the URL.
    /// - Returns: The route.
    /// - Throws: `ValidationError` for an invalid URL or proxy.
    func route(to url: String, authorization: String? = nil) throws -> RequestRoute {
        guard let address = try? HTTPAddress(url) else {
            throw ValidationError("The URL is invalid: \(HTTPAddress.redacted(url))")
        }
        var fields = try fields()
        if let authorization { fields[.authorization] = authorization }
        if fields[.authorization] == nil { fields[.authorization] = address.basicAuthorization }
        let tls = try tls()
        do throws(ProxySettings.Failure) {
            return RequestRoute(to: address, fields: fields, proxy: try proxies.proxy(for: address), tls: tls)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    /// A transport for an event source that selects the proxy for each URL, including redirect targets.
    func transport() throws -> any EventSourceTransport {
        RoutedTransport(proxies: proxies, tls: try tls())
    }

    private var proxies: ProxySettings {
        ProxySettings(option: proxy, environment: ProcessInfo.processInfo.environment)
    }

    /// Throws `ValidationError` if a URL is invalid, is not http or https, or names no host.
    static func check(_ url: String) throws {
        let scheme = url.prefix { $0 != ":" }.lowercased()
        let text = HTTPAddress.redacted(url)
        guard ["http", "https"].contains(scheme), url.dropFirst(scheme.count).hasPrefix("://") else {
            throw ValidationError("The URL must begin with http:// or https://: \(text)")
        }
        // Browsers would take the next part for the host. More likely the host is missing: a variable was empty.
        if let next = url.dropFirst(scheme.count + 3).first, next == "/" || next == "\\" {
            throw ValidationError("The URL names no host: \(text)")
        }
        // Both the client's parser and Foundation's, which AsyncHTTPClient uses, must accept the URL.
        guard let address = try? HTTPAddress(url), let host = URL(string: address.string)?.host(), !host.isEmpty else {
            throw ValidationError("The URL is invalid: \(text)")
        }
    }
}
#endif
