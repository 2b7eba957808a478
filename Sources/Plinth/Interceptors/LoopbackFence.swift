// SPDX-License-Identifier: Apache-2.0

/// Protects a service that listens on a loopback address without authentication from pages of other sites.
///
/// Listening only on `localhost` does not keep web pages out: a browser on the same machine can be made to reach the
/// service by any page, through a name that resolves to 127.0.0.1 (DNS rebinding), or with a cross-site form, which
/// needs no preflight. Requests on a loopback address are therefore answered only if
///
/// - their `Host` names this machine: `localhost`, a subdomain of it, a loopback literal (127.0.0.0/8, `[::1]`), one of
///   ``hosts``, or the host of one of ``publicOrigins``. The port is ignored. Others get 421, `host-foreign`.
/// - and, unless the method is safe (`GET`, `HEAD`, `OPTIONS`, `TRACE`), their `Origin` is this service's: one of
///   ``publicOrigins`` if there are any, else that of `Host` with either scheme (over TLS only `https`). Without
///   `Origin` they are refused if `Sec-Fetch-Site` is `cross-site`. Others get 403, `origin-foreign`.
///
/// Requests without `Host`, which no browser sends, and those on a Unix socket or a non-loopback address are not
/// checked: there a service needs authorization, which this does not provide.
///
/// Behind a proxy on the same machine, ``publicOrigins`` must contain the origin that browsers use:
///
/// ```swift
/// .loopbackFence(try LoopbackFence(publicOrigins: ["https://hub.example"]))
/// ```
public struct LoopbackFence: Sendable {
    /// An invalid host or origin.
    public struct InvalidName: Error, Hashable, CustomStringConvertible {
        /// The given value, what is wrong with it, and the expected form.
        public let description: String

        package init(description: String) {
            self.description = description
        }
    }

    /// Additional host names of this service, as given.
    public let hosts: [String]
    /// The origins of this service as browsers see it, as given.
    public let publicOrigins: [String]

    private let names: [[UInt8]]
    private let origins: [[UInt8]]

    /// Creates a fence for a service that browsers reach only at `localhost`.
    public init() {
        hosts = []
        publicOrigins = []
        names = []
        origins = []
    }

    /// Creates a fence.
    ///
    /// - Parameters:
    ///   - hosts: Additional host names of this service, such as `hub.internal`; a port is ignored. Default: none.
    ///   - publicOrigins: The origins of this service as browsers see it, each as scheme, host and port:
    ///     `https://hub.example`. If not empty, only pages of these origins may use unsafe methods. Default: none.
    /// - Throws: ``InvalidName`` for a host or origin that no browser sends.
    public init(hosts: [String] = [], publicOrigins: [String] = []) throws {
        var names = try hosts.map { host in
            guard let name = Self.name(given: host) else {
                throw InvalidName(description: "\(host.debugDescription) is not a host; use a name such as hub.example")
            }
            return name
        }
        self.hosts = hosts
        self.publicOrigins = publicOrigins
        origins = try publicOrigins.map { origin in
            guard let (text, name) = Self.origin(given: origin) else {
                throw InvalidName(
                    description: "\(origin.debugDescription) is not an origin; use scheme, host and port, no path, "
                        + "such as https://hub.example"
                )
            }
            names.append(name)
            return text
        }
        self.names = names
    }

    /// The error for a refused request; nil if the request is allowed.
    package func refusal(of request: Request) -> HTTPError? {
        guard request.isOnLoopback, let authority = request.head.authority else { return nil }
        if Self.isPlainlyLocal(authority), request.isSafe || !request.namesItsOrigin { return nil }
        let host = Self.lowercased(authority)
        guard let name = Self.name(of: host), Self.isLocal(name) || names.contains(name) else {
            return HTTPError(
                .misdirectedRequest,
                "the host \(authority.debugDescription) does not name this server, which listens on loopback; "
                    + "if it should be, add it with --allow-host, or the origin that browsers see with "
                    + "--public-origin (LoopbackFence in code)",
                code: "host-foreign"
            )
        }
        if request.isSafe { return nil }
        if let origin = request.headers[.origin] {
            guard !isOurs(Self.lowercased(origin), host, request.isSecure) else { return nil }
            return HTTPError(
                .forbidden,
                "pages of \(origin.debugDescription) may not use this method; if browsers see this server there, add "
                    + "the origin with --public-origin (LoopbackFence in code)",
                code: "origin-foreign"
            )
        }
        guard let site = request.headers[.secFetchSite], Self.lowercased(site) == Array("cross-site".utf8) else {
            return nil
        }
        return HTTPError(.forbidden, "pages of other sites may not use this method", code: "origin-foreign")
    }

    private func isOurs(_ origin: [UInt8], _ host: [UInt8], _ isSecure: Bool) -> Bool {
        guard origins.isEmpty else { return origins.contains(origin) }
        let schemes = isSecure ? ["https://"] : ["https://", "http://"]
        return schemes.contains { origin.starts(with: $0.utf8) && origin.dropFirst($0.utf8.count).elementsEqual(host) }
    }

    // MARK: - Names

    /// Whether an authority is `localhost` or `127.0.0.1`, with a port or without, as nearly all are here.
    private static func isPlainlyLocal(_ authority: String) -> Bool {
        var authority = authority
        return authority.withUTF8 { bytes in
            // Both names have nine bytes.
            guard bytes.count >= 9 else { return false }
            let name = UnsafeBufferPointer(rebasing: bytes[..<9])
            guard isSame(name, "127.0.0.1") || isSame(name, "localhost") else { return false }
            return bytes.count == 9
                || (bytes[9] == UInt8(ascii: ":") && bytes[10...].allSatisfy { isDigit($0) })
        }
    }

    private static func isSame(_ bytes: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
        bytes.elementsEqual(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    // Works on bytes: case mapping must not turn non-ASCII characters into ASCII ones.
    private static func lowercased(_ text: String) -> [UInt8] {
        text.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
    }

    /// The host of a lower-case authority (RFC 3986, section 3.2), without port, brackets kept; nil if it is invalid.
    private static func name(of authority: [UInt8]) -> [UInt8]? {
        var name = authority[...]
        if let colon = authority.lastIndex(of: UInt8(ascii: ":")), authority.last != UInt8(ascii: "]") {
            guard authority[(colon + 1)...].allSatisfy(isDigit) else { return nil }
            name = authority[..<colon]
        }
        if name.first == UInt8(ascii: "[") {
            guard name.last == UInt8(ascii: "]") else { return nil }
        } else {
            // Drops the trailing dot of a fully qualified name.
            if name.last == UInt8(ascii: ".") { name = name.dropLast() }
            guard !name.isEmpty, name.allSatisfy(isOfName) else { return nil }
        }
        return Array(name)
    }

    /// Parses a configured host, in which an IPv6 literal may lack its brackets.
    private static func name(given host: String) -> [UInt8]? {
        let bytes = lowercased(host)
        if bytes.count(where: { $0 == UInt8(ascii: ":") }) > 1, bytes.first != UInt8(ascii: "[") {
            return name(of: [UInt8(ascii: "[")] + bytes + [UInt8(ascii: "]")])
        }
        return name(of: bytes)
    }

    /// A configured origin as browsers serialize it; nil if none would send it.
    package static func serialized(origin: String) -> String? {
        self.origin(given: origin).map { String(decoding: $0.0, as: UTF8.self) }
    }

    /// Whether an authority is one of this machine's loopback names.
    package static func isLoopback(authority: String) -> Bool {
        name(of: lowercased(authority)).map(isLocal) ?? false
    }

    /// Parses a configured origin; returns its browser serialization and its host.
    private static func origin(given origin: String) -> ([UInt8], [UInt8])? {
        let bytes = lowercased(origin)
        for (scheme, port) in [("https://", ":443"), ("http://", ":80")] where bytes.starts(with: scheme.utf8) {
            let authority = Array(bytes.dropFirst(scheme.utf8.count))
            guard let name = name(of: authority), authority.last != UInt8(ascii: ":") else { return nil }
            // Browsers omit the default port of the scheme.
            let isDefault =
                authority.count > port.utf8.count && authority.suffix(port.utf8.count).elementsEqual(port.utf8)
            return (isDefault ? Array(bytes.dropLast(port.utf8.count)) : bytes, name)
        }
        return nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Whether a byte is valid in a registered name as browsers send it.
    private static func isOfName(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || "-._".utf8.contains(byte)
    }

    private static func isLocal(_ name: [UInt8]) -> Bool {
        if name.first == UInt8(ascii: "[") { return isLoopbackV6(name.dropFirst().dropLast()) }
        // RFC 6761, section 6.3: `localhost` and its subdomains.
        if name == Array("localhost".utf8) { return true }
        if name.count > 10, name.first != UInt8(ascii: "."), name.suffix(10).elementsEqual(".localhost".utf8) {
            return true
        }
        return isLoopbackV4(name)
    }

    private static func isLoopbackV4(_ name: [UInt8]) -> Bool {
        let parts = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4, parts[0].elementsEqual("127".utf8) else { return false }
        return parts.allSatisfy { part in
            (1...3).contains(part.count) && part.allSatisfy(isDigit)
                && part.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) } <= 255
        }
    }

    /// Whether an address is `::1`, in any notation of its zeros.
    private static func isLoopbackV6(_ address: ArraySlice<UInt8>) -> Bool {
        var groups = address.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard let last = groups.popLast(), (1...4).contains(last.count), last.last == UInt8(ascii: "1"),
            last.dropLast().allSatisfy({ $0 == UInt8(ascii: "0") })
        else { return false }
        guard groups.allSatisfy({ $0.count <= 4 && $0.allSatisfy { $0 == UInt8(ascii: "0") } }) else { return false }
        // `::` may replace one run of zeros: it splits into one empty group, or two at the start.
        let empty = groups.indices.filter { groups[$0].isEmpty }
        switch empty.count {
        case 0: return groups.count == 7
        case 1: return empty[0] > 0 && groups.count < 7
        case 2: return empty == [0, 1] && groups.count <= 8
        default: return false
        }
    }
}

extension Request {
    /// Whether the method is safe (RFC 9110, section 9.2.1).
    fileprivate var isSafe: Bool {
        switch method {
        case .get, .head, .options, .trace: true
        default: false
        }
    }

    /// Whether a browser says whose page sent the request.
    fileprivate var namesItsOrigin: Bool { headers.contains(.origin) || headers.contains(.secFetchSite) }
}

extension HTTPField.Name {
    package static let secFetchSite: HTTPField.Name = {
        guard let name = HTTPField.Name("Sec-Fetch-Site") else { preconditionFailure("a token is a field's name") }
        return name
    }()
}

extension Interceptor {
    /// Refuses requests from other sites' pages to a service that listens on a loopback address; see ``LoopbackFence``.
    ///
    /// Place it before everything that answers. It refuses by throwing an ``HTTPError``: 421 with code `host-foreign`,
    /// or 403 with `origin-foreign`.
    ///
    /// - Parameter fence: The accepted hosts and origins. Default: only `localhost` and loopback literals.
    /// - Returns: The interceptor `loopback-fence`.
    public static func loopbackFence(_ fence: LoopbackFence = LoopbackFence()) -> Interceptor {
        Interceptor(
            "loopback-fence",
            enter: { context in
                if let refusal = fence.refusal(of: context.request) { throw refusal }
            }
        )
    }
}
