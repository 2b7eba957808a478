// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import PlinthClient

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#elseif canImport(Darwin)
import Darwin
#endif

/// Selects the proxy for a URL from `--proxy` and the environment variables that curl supports.
///
/// The result depends only on the given option and environment.
struct ProxySettings: Sendable {
    /// A proxy.
    struct Proxy: Sendable, Hashable {
        /// The protocol of a proxy.
        enum Kind: Sendable, Hashable {
            /// HTTP: `CONNECT` for https, absolute-form requests for http.
            case http
            /// SOCKS 5; the proxy resolves host names.
            case socks
        }

        var kind: Kind
        /// The host name or address; an IPv6 address has no brackets.
        var host: String
        var port: Int
        /// The value of `Proxy-Authorization`; nil for none.
        var authorization: String?
    }

    /// An invalid or unsupported proxy setting.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// curl's default port for any kind of proxy.
    private static let defaultPort = 1080

    private let option: String?
    private let environment: [String: String]
    private let exceptions: [Exception]

    /// - Parameters:
    ///   - option: The value of `--proxy`, which overrides the variables; empty for no proxy, nil if not given.
    ///   - environment: The process's environment.
    init(option: String?, environment: [String: String]) {
        self.option = option
        self.environment = environment
        exceptions = Self.value(["no_proxy", "NO_PROXY"], in: environment).map { Exception.list($0.text) } ?? []
    }

    /// The proxy for a URL; nil to connect directly.
    ///
    /// - Parameter address: The URL. Loopback hosts and hosts in `NO_PROXY` have no proxy.
    /// - Returns: The proxy.
    /// - Throws: ``Failure`` if the setting for this URL is invalid; settings for other URLs are not validated.
    func proxy(for address: HTTPAddress) throws(Failure) -> Proxy? {
        let host = HostName(address.host)
        let port = address.port ?? (address.scheme == "https" ? 443 : 80)
        guard !host.isLoopback, !exceptions.contains(where: { $0.covers(host, port) }) else { return nil }
        if let option {
            return option.isEmpty ? nil : try Self.parse(option, from: "--proxy")
        }
        var names = ["\(address.scheme)_proxy"]
        // A CGI server sets `HTTP_PROXY` from the request's `Proxy` field, which the client controls.
        if address.scheme == "https" || environment["REQUEST_METHOD"] == nil {
            names.append("\(address.scheme.uppercased())_PROXY")
        }
        guard let found = Self.value(names + ["all_proxy", "ALL_PROXY"], in: environment) else { return nil }
        return try Self.parse(found.text, from: found.name)
    }

    /// The first of these variables that is set and not empty.
    private static func value(
        _ names: [String],
        in environment: [String: String]
    ) -> (name: String, text: String)? {
        for name in names {
            if let text = environment[name], !text.isEmpty { return (name, text) }
        }
        return nil
    }

    /// Parses `[http://|socks5://][user:password@]host[:port]`.
    static func parse(_ text: String, from name: String) throws(Failure) -> Proxy {
        let parts = text.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
        let rest = parts.last ?? ""
        let kind: Proxy.Kind
        switch parts.count == 1 ? "http" : parts[0].lowercased() {
        case "http": kind = .http
        case "socks5", "socks5h": kind = .socks
        default:
            throw Failure(
                description: "\(name): a proxy must begin with http:// or socks5://: "
                    + HTTPAddress.redacted(text)
            )
        }
        // `HTTPAddress` drops a scheme's default port, so parsing with both schemes keeps an explicit 80 or 443.
        guard let address = try? HTTPAddress("http://" + rest), let other = try? HTTPAddress("https://" + rest) else {
            throw Failure(
                description: "\(name) must be a proxy such as http://host:3128: \(HTTPAddress.redacted(text))"
            )
        }
        if kind == .socks, address.basicAuthorization != nil {
            throw Failure(
                description: "\(name): only HTTP proxies support a user name: \(HTTPAddress.redacted(text))"
            )
        }
        return Proxy(
            kind: kind,
            host: address.host.filter { $0 != "[" && $0 != "]" },
            port: address.port ?? other.port ?? defaultPort,
            authorization: address.basicAuthorization
        )
    }
}

/// A host of a URL or of a `NO_PROXY` entry: a name or an address.
private struct HostName {
    /// In lower case, without a trailing dot.
    let name: String
    /// The 4 or 16 bytes of an address (4 if it is IPv4-mapped IPv6); nil for a name.
    let address: [UInt8]?

    init(_ text: some StringProtocol) {
        let name = text.lowercased()
        self.name = name.hasSuffix(".") ? String(name.dropLast()) : name
        address = Self.address(self.name)
    }

    var isLoopback: Bool {
        if name == "localhost" || name.hasSuffix(".localhost") { return true }
        guard let address else { return false }
        // Connecting to the unspecified address reaches this machine.
        if address.dropLast().allSatisfy({ $0 == 0 }), address[address.count - 1] <= (address.count == 16 ? 1 : 0) {
            return true
        }
        return address.count == 4 && address[0] == 127
    }

    private static func address(_ name: String) -> [UInt8]? {
        var v4 = in_addr()
        // `inet_aton` also accepts short forms and other bases, as resolvers do.
        if name.utf8.first.map({ (0x30...0x39).contains($0) }) == true, inet_aton(name, &v4) != 0 {
            return withUnsafeBytes(of: v4) { Array($0) }
        }
        var v6 = in6_addr()
        let bare = name.hasPrefix("[") && name.hasSuffix("]") ? String(name.dropFirst().dropLast()) : name
        guard inet_pton(AF_INET6, bare, &v6) == 1 else { return nil }
        let bytes = withUnsafeBytes(of: v6) { Array($0) }
        let isMapped = bytes[..<10].allSatisfy { $0 == 0 } && bytes[10] == 0xFF && bytes[11] == 0xFF
        return isMapped ? Array(bytes[12...]) : bytes
    }
}

/// A `NO_PROXY` entry.
private struct Exception {
    private enum Kind {
        case all
        case host(HostName)
        case network([UInt8], bits: Int)
    }

    private let kind: Kind
    private let port: Int?

    /// Parses a list separated by commas or whitespace; ignores invalid entries, as curl does.
    static func list(_ text: String) -> [Exception] {
        text.split { $0 == "," || $0 == " " || $0 == "\t" || $0 == "\n" }.compactMap { Exception($0) }
    }

    private init?(_ entry: Substring) {
        if entry == "*" {
            (kind, port) = (.all, nil)
            return
        }
        if let slash = entry.firstIndex(of: "/") {
            guard let address = HostName(entry[..<slash]).address, let bits = Int(entry[entry.index(after: slash)...]),
                (0...address.count * 8).contains(bits)
            else { return nil }
            (kind, port) = (.network(address, bits: bits), nil)
            return
        }
        var rest = entry
        var port: Int?
        // The last colon precedes a port, except in an IPv6 address without brackets.
        if let colon = entry.lastIndex(of: ":"), entry[..<colon].hasSuffix("]") || !entry[..<colon].contains(":") {
            guard let number = Int(entry[entry.index(after: colon)...]) else { return nil }
            port = number
            rest = entry[..<colon]
        }
        if rest.hasPrefix("*.") { rest = rest.dropFirst() }
        rest = rest.drop { $0 == "." }
        guard !rest.isEmpty else { return nil }
        (kind, self.port) = (.host(HostName(rest)), port)
    }

    func covers(_ host: HostName, _ port: Int) -> Bool {
        if let own = self.port, own != port { return false }
        switch kind {
        case .all: return true
        case .host(let own):
            if let address = own.address { return address == host.address }
            return host.name == own.name || host.name.hasSuffix("." + own.name)
        case .network(let network, let bits):
            guard let address = host.address, address.count == network.count else { return false }
            let whole = bits / 8
            guard address[..<whole] == network[..<whole] else { return false }
            let mask: UInt8 = bits % 8 == 0 ? 0 : ~(0xFF >> (bits % 8))
            return mask == 0 || address[whole] & mask == network[whole] & mask
        }
    }
}
#endif
