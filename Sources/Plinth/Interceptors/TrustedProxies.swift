// SPDX-License-Identifier: Apache-2.0

/// The reverse proxies that may say who a request's client is, by their addresses.
///
/// ```swift
/// stack.interceptors.insert(.trustedProxies(try TrustedProxies(["10.0.0.0/8", "unix"])), at: 0)
/// ```
///
/// A request whose peer is one of them is read for `Forwarded` (RFC 7239), or for `X-Forwarded-For`,
/// `X-Forwarded-Proto` and `X-Forwarded-Host`; see ``ForwardedOrigin``. Requests of other peers are not: every client can
/// send these fields.
///
/// The proxies must set or remove the fields on every request, since what they pass on from a client is believed. A
/// request with both `Forwarded` and a field of the `X-` form is believed only where both say the same: a proxy that sets
/// the one often passes on a client's other.
public struct TrustedProxies: Sendable, Hashable {
    /// An invalid range of addresses.
    public struct InvalidRange: Error, Hashable, CustomStringConvertible {
        /// The given value, what is wrong with it, and the expected form.
        public let description: String
    }

    private struct Network: Sendable, Hashable {
        /// The first address.
        let base: UInt128
        /// How many of the 128 bits are the same in all addresses.
        let length: Int

        func contains(_ address: IPAddress) -> Bool {
            (address.bits ^ base) >> (128 - length) == 0
        }
    }

    /// The ranges as given.
    public let ranges: [String]

    private let networks: [Network]
    private let trustsUnixSockets: Bool

    /// No proxy is trusted.
    public static let none = TrustedProxies()

    private init() {
        ranges = []
        networks = []
        trustsUnixSockets = false
    }

    /// Trusts the proxies in some ranges of addresses.
    ///
    /// - Parameter ranges: Each an IPv4 or IPv6 address, a range of them in CIDR notation (`10.0.0.0/8`), or `unix` for
    ///   all clients of a Unix socket. An IPv6 range contains no IPv4 addresses, unless it is one of IPv4-mapped
    ///   addresses.
    /// - Throws: ``InvalidRange`` for anything else, and for a range whose address has bits after the prefix.
    public init(_ ranges: [String]) throws {
        self.ranges = ranges
        trustsUnixSockets = ranges.contains("unix")
        networks = try ranges.filter { $0 != "unix" }.map { try Self.network($0) }
    }

    private static func network(_ text: String) throws -> Network {
        let parts = text.utf8.split(separator: UInt8(ascii: "/"), maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(first) else { throw invalid(text) }
        // The length counts from the beginning of the form that was written.
        let isMapped = address.isIPv4 && first.contains(UInt8(ascii: ":"))
        let offset = address.isIPv4 && !isMapped ? 96 : 0
        var length = 128
        if parts.count > 1 {
            guard (1...3).contains(parts[1].count), parts[1].allSatisfy({ (0x30...0x39).contains($0) }),
                let number = Int(Substring(parts[1])), number + offset <= 128
            else { throw invalid(text) }
            length = number + offset
        }
        let network = Network(base: (address.bits >> (128 - length)) << (128 - length), length: length)
        guard network.base == address.bits else {
            let base = IPAddress(bits: network.base)
            throw InvalidRange(
                description: "\(text.debugDescription) has bits after its prefix; use "
                    + "\(base)/\(base.isIPv4 ? length - 96 : length) for the range, or \(address) for the one address"
            )
        }
        return network
    }

    private static func invalid(_ text: String) -> InvalidRange {
        InvalidRange(
            description: "\(text.debugDescription) is not a range of addresses; use an address, a range such as "
                + "10.0.0.0/8 or fd00::/8, or unix"
        )
    }

    /// Whether no proxy is trusted.
    public var isEmpty: Bool { ranges.isEmpty }

    /// Whether an IP address is that of a trusted proxy; false for anything that is not an address.
    public func contains(_ address: String) -> Bool {
        !networks.isEmpty && IPAddress(address).map(contains) ?? false
    }

    func contains(_ address: IPAddress) -> Bool {
        networks.contains { $0.contains(address) && ($0.length >= 96 || !address.isIPv4) }
    }

    /// Whether the peer of a request is a trusted proxy.
    func containsPeer(of request: Request) -> Bool {
        request.isOnUnixSocket ? trustsUnixSockets : request.remoteAddress.map(contains) ?? false
    }
}

extension Interceptor {
    /// Reads from requests of trusted proxies who their client is, as ``Request/clientAddress``,
    /// ``Request/isSecureAtClient`` and ``Request/publicAuthority``; see ``TrustedProxies``.
    ///
    /// Place it before everything that reads them. Without a trusted proxy it does nothing.
    ///
    /// - Parameter proxies: The proxies to trust.
    /// - Returns: The interceptor `trusted-proxies`.
    public static func trustedProxies(_ proxies: TrustedProxies) -> Interceptor {
        Interceptor(
            "trusted-proxies",
            enter: { context in
                guard !proxies.isEmpty, let origin = proxies.origin(of: context.request) else { return }
                context.request.forwarded = origin
            }
        )
    }
}
