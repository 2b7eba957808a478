// SPDX-License-Identifier: Apache-2.0

/// What trusted proxies report of a request as its client sent it.
///
/// The fields are read from the right, where the nearest proxy adds to them: as long as the named client is itself a
/// trusted proxy, the next one to the left was written by it. The first address that is not trusted is the client's. What
/// is malformed is not believed, and neither is anything left of it; at most 32 proxies are followed.
public struct ForwardedOrigin: Sendable, Hashable {
    /// The IP address of the client, in its canonical form.
    ///
    /// If a proxy withholds it (`unknown`, or an obfuscated identifier) or sends something else, this is the address of
    /// that proxy as the one before it names it, and nil if none does.
    public var address: String?
    /// Whether the client's connection is encrypted; nil if its proxy does not report it.
    public var isSecure: Bool?
    /// The host, and the port if it is not the default, that the client asked for; nil if its proxy does not report a
    /// valid one.
    public var authority: String?
}

extension Request {
    private enum ForwardedKey: ValueKey {
        typealias Value = ForwardedOrigin
    }

    /// What trusted proxies report of the client; nil without ``Interceptor/trustedProxies(_:)``, and for a request that
    /// came from no trusted proxy.
    public internal(set) var forwarded: ForwardedOrigin? {
        get { values[ForwardedKey.self] }
        set { values[ForwardedKey.self] = newValue }
    }

    /// The client's IP address: behind trusted proxies the one that they report, else ``remoteAddress``.
    ///
    /// Nil on a Unix socket whose proxy is not trusted or reports none, and in tests.
    public var clientAddress: String? { forwarded?.address ?? remoteAddress }

    /// Whether the client's connection is encrypted: behind trusted proxies as they report it, else ``isSecure``.
    public var isSecureAtClient: Bool { forwarded?.isSecure ?? isSecure }

    /// The host, and the port if it is not the default, that the client asked for: behind trusted proxies the one that
    /// they report, else that of the request.
    public var publicAuthority: String? { forwarded?.authority ?? head.authority }
}
