// SPDX-License-Identifier: Apache-2.0

/// Keeps other people's pages away from a service that listens on a loopback address and asks for no credentials.
///
/// That a service listens on `localhost` alone does not keep web pages out: a browser of this machine reaches it for any
/// page, whose name may resolve to 127.0.0.1 (DNS rebinding), and sends it a form of any site without asking first. So
/// requests that came in on a loopback address are answered only if
///
/// - their `Host` names this machine: `localhost`, a name below it, a loopback literal (127.0.0.0/8, `[::1]`), one of
///   ``hosts``, or the host of one of ``publicOrigins``. The port is not compared. Others are 421, `host-foreign`.
/// - and, unless they only read (`GET`, `HEAD`, `OPTIONS`, `TRACE`), their `Origin` is this service's: one of
///   ``publicOrigins`` if there are any, else that of `Host`, whatever its scheme (over TLS not `http`). Without `Origin`
///   they are refused if `Sec-Fetch-Site` is `cross-site`. Others are 403, `origin-foreign`.
///
/// Not fenced are requests without `Host`, which no browser sends, and those on a Unix socket or on an address that others
/// reach: there a service needs authorization, which this is not.
///
/// Behind a proxy on the same machine ``publicOrigins`` has to name where browsers see the service:
///
/// ```swift
/// .loopbackFence(try LoopbackFence(publicOrigins: ["https://hub.example"]))
/// ```
public struct LoopbackFence: Sendable {
    /// A host or an origin that cannot be one.
    public struct InvalidName: Error, Hashable, CustomStringConvertible {
        /// What was given, what is wrong with it, and what it should be.
        public let description: String
    }

    /// Names of this service beside those of the machine, as given.
    public let hosts: [String]
    /// Where browsers see this service, as given.
    public let publicOrigins: [String]

    private let names: [[UInt8]]
    private let origins: [[UInt8]]

    /// The fence of a service that browsers reach at `localhost` and nowhere else.
    public init() {
        hosts = []
        publicOrigins = []
        names = []
        origins = []
    }

    /// A fence.
    ///
    /// - Parameters:
    ///   - hosts: More names of this service, such as `hub.internal`; a port is ignored. None unless given.
    ///   - publicOrigins: Where browsers see this service, each as scheme, host and port as they write it:
    ///     `https://hub.example`. If there are any, only pages of these may publish and change things. None unless given.
    /// - Throws: ``InvalidName`` for a host or an origin that no browser sends.
    public init(hosts: [String] = [], publicOrigins: [String] = []) throws {
        var names = try hosts.map { host in
            guard let name = Self.name(given: host) else {
                throw InvalidName(description: "\(host.debugDescription) is no host; give a name such as hub.example")
            }
            return name
        }
        self.hosts = hosts
        self.publicOrigins = publicOrigins
        origins = try publicOrigins.map { origin in
            guard let (text, name) = Self.origin(given: origin) else {
                throw InvalidName(
                    description: "\(origin.debugDescription) is no origin; give scheme, host and port, without a path, "
                        + "such as https://hub.example"
                )
            }
            names.append(name)
            return text
        }
        self.names = names
    }

    /// Why a request is refused; nil if it is answered.
    func refusal(of request: Request) -> HTTPError? {
        guard request.isOnLoopback, let authority = request.head.authority else { return nil }
        let host = Self.lowercased(authority)
        guard let name = Self.name(of: host), Self.isLocal(name) || names.contains(name) else {
            return HTTPError(
                .misdirectedRequest,
                "the host \(authority.debugDescription) is none of this server's, which listens on a loopback address; "
                    + "if it is meant to be, name it with --allow-host, or where browsers see the server with "
                    + "--public-origin (LoopbackFence in code)",
                code: "host-foreign"
            )
        }
        switch request.method {
        case .get, .head, .options, .trace: return nil
        default: break
        }
        if let origin = request.headers[.origin] {
            guard !isOurs(Self.lowercased(origin), host, request.isSecure) else { return nil }
            return HTTPError(
                .forbidden,
                "pages of \(origin.debugDescription) may not do this here; if that is where browsers see this server, name "
                    + "it with --public-origin (LoopbackFence in code)",
                code: "origin-foreign"
            )
        }
        guard let site = request.headers[.secFetchSite], Self.lowercased(site) == Array("cross-site".utf8) else {
            return nil
        }
        return HTTPError(.forbidden, "pages of other sites may not do this here", code: "origin-foreign")
    }

    private func isOurs(_ origin: [UInt8], _ host: [UInt8], _ isSecure: Bool) -> Bool {
        guard origins.isEmpty else { return origins.contains(origin) }
        let schemes = isSecure ? ["https://"] : ["https://", "http://"]
        return schemes.contains { origin.starts(with: $0.utf8) && origin.dropFirst($0.utf8.count).elementsEqual(host) }
    }

    // MARK: - Names

    // Bytes throughout: characters of other scripts must not become those of a name by a change of case.
    private static func lowercased(_ text: String) -> [UInt8] {
        text.utf8.map { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0) ? $0 | 0x20 : $0 }
    }

    /// The host of an authority (RFC 3986, section 3.2) in lower case, without its port, brackets kept; nil if there is
    /// none.
    private static func name(of authority: [UInt8]) -> [UInt8]? {
        var name = authority[...]
        if let colon = authority.lastIndex(of: UInt8(ascii: ":")), authority.last != UInt8(ascii: "]") {
            guard authority[(colon + 1)...].allSatisfy(isDigit) else { return nil }
            name = authority[..<colon]
        }
        if name.first == UInt8(ascii: "[") {
            guard name.last == UInt8(ascii: "]") else { return nil }
        } else {
            // The root of all names may be written.
            if name.last == UInt8(ascii: ".") { name = name.dropLast() }
            guard !name.isEmpty, name.allSatisfy(isOfName) else { return nil }
        }
        return Array(name)
    }

    /// A host as people write it: an IPv6 literal may lack its brackets.
    private static func name(given host: String) -> [UInt8]? {
        let bytes = lowercased(host)
        if bytes.count(where: { $0 == UInt8(ascii: ":") }) > 1, bytes.first != UInt8(ascii: "[") {
            return name(of: [UInt8(ascii: "[")] + bytes + [UInt8(ascii: "]")])
        }
        return name(of: bytes)
    }

    /// An origin as browsers write it, and its host.
    private static func origin(given origin: String) -> ([UInt8], [UInt8])? {
        let bytes = lowercased(origin)
        for (scheme, port) in [("https://", ":443"), ("http://", ":80")] where bytes.starts(with: scheme.utf8) {
            let authority = Array(bytes.dropFirst(scheme.utf8.count))
            guard let name = name(of: authority), authority.last != UInt8(ascii: ":") else { return nil }
            // Browsers leave out the port that the scheme has anyway.
            let isDefault =
                authority.count > port.utf8.count && authority.suffix(port.utf8.count).elementsEqual(port.utf8)
            return (isDefault ? Array(bytes.dropLast(port.utf8.count)) : bytes, name)
        }
        return nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }

    /// Whether a byte may be in a registered name, as browsers send it.
    private static func isOfName(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || "-._".utf8.contains(byte)
    }

    private static func isLocal(_ name: [UInt8]) -> Bool {
        if name.first == UInt8(ascii: "[") { return isLoopbackV6(name.dropFirst().dropLast()) }
        // RFC 6761, section 6.3: `localhost` and all names below it.
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

    /// `::1`, however many of its zeros are written.
    private static func isLoopbackV6(_ address: ArraySlice<UInt8>) -> Bool {
        var groups = address.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        guard let last = groups.popLast(), (1...4).contains(last.count), last.last == UInt8(ascii: "1"),
            last.dropLast().allSatisfy({ $0 == UInt8(ascii: "0") })
        else { return false }
        guard groups.allSatisfy({ $0.count <= 4 && $0.allSatisfy { $0 == UInt8(ascii: "0") } }) else { return false }
        // One run of zeros may be left out, which shows as an empty group, and at the start as two.
        let empty = groups.indices.filter { groups[$0].isEmpty }
        switch empty.count {
        case 0: return groups.count == 7
        case 1: return empty[0] > 0 && groups.count < 7
        case 2: return empty == [0, 1] && groups.count <= 8
        default: return false
        }
    }
}

extension HTTPField.Name {
    static let secFetchSite: HTTPField.Name = {
        guard let name = HTTPField.Name("Sec-Fetch-Site") else { preconditionFailure("a token is a field's name") }
        return name
    }()
}

extension Interceptor {
    /// Refuses requests of other people's pages to a service that listens on a loopback address; see ``LoopbackFence``.
    ///
    /// It stands before everything that answers. A refusal is thrown as an ``HTTPError``: 421 with the code `host-foreign`,
    /// or 403 with `origin-foreign`.
    ///
    /// - Parameter fence: The names of the service; those of the machine alone unless given.
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
