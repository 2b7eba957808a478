// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import ArgumentParser
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

    @Option(
        help: ArgumentHelp(
            """
            A proxy, http://[user:password@]host[:port] or socks5://host[:port]; an empty one for none (default: that of \
            https_proxy, http_proxy or all_proxy). Hosts in no_proxy, and this machine, are reached without it.
            """,
            valueName: "url"
        )
    )
    var proxy: String?

    func validate() throws {
        _ = try fields()
        do throws(ProxySettings.Failure) {
            if let proxy, !proxy.isEmpty { _ = try ProxySettings.parse(proxy, from: "--proxy") }
        } catch {
            throw ValidationError("\(error)")
        }
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

    /// How a URL is reached: its user name as a field, and through the proxy if there is one for it.
    ///
    /// To be asked again for the target of a redirect, which may have another proxy or none.
    ///
    /// - Parameter url: The URL, which may have a user name and a password.
    /// - Returns: What to ask for, and how.
    /// - Throws: `ValidationError` for a URL or a proxy that is none.
    func route(to url: String) throws -> RequestRoute {
        guard let address = try? HTTPAddress(url) else {
            throw ValidationError("The URL is not a valid one: \(HTTPAddress.redacted(url))")
        }
        var fields = try fields()
        if fields[.authorization] == nil { fields[.authorization] = address.basicAuthorization }
        let tls = try tls()
        do throws(ProxySettings.Failure) {
            return RequestRoute(to: address, fields: fields, proxy: try proxies.proxy(for: address), tls: tls)
        } catch {
            throw ValidationError("\(error)")
        }
    }

    /// Brings an event source's requests to servers, each by the proxy for its URL; redirects included.
    func transport() throws -> any EventSourceTransport {
        RoutedTransport(proxies: proxies, tls: try tls())
    }

    private var proxies: ProxySettings {
        ProxySettings(option: proxy, environment: ProcessInfo.processInfo.environment)
    }

    /// Complains about a URL that is none.
    static func check(_ url: String) throws {
        let scheme = url.prefix { $0 != ":" }.lowercased()
        let text = HTTPAddress.redacted(url)
        guard ["http", "https"].contains(scheme), url.dropFirst(scheme.count).hasPrefix("://") else {
            throw ValidationError("The URL has to begin with http:// or https://, and this does not: \(text)")
        }
        // Browsers take the next part for the host. Here it was left out, or came from a variable that is empty.
        if let next = url.dropFirst(scheme.count + 3).first, next == "/" || next == "\\" {
            throw ValidationError("The URL names no host: \(text)")
        }
        // The client's parser, and the one of the library below it: both have to take it.
        guard let address = try? HTTPAddress(url), let host = URL(string: address.string)?.host(), !host.isEmpty else {
            throw ValidationError("The URL is not a valid one: \(text)")
        }
    }
}
#endif
