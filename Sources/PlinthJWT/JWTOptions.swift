// SPDX-License-Identifier: Apache-2.0

#if JWT
public import Logging

/// What a ``JWTVerifier`` requires of tokens.
public struct JWTOptions: Sendable {
    /// The accepted values of `iss`, compared by bytes; empty to accept tokens of any issuer, and without one.
    ///
    /// Default: empty. A key set requires at least one.
    public var issuers: [String] = []
    /// The names of this hub, of which `aud` has to hold at least one, compared by bytes; empty to not look at it.
    ///
    /// Default: empty. A key set requires at least one.
    public var audiences: [String] = []
    /// How far clocks may differ: a token is valid so much longer than `exp`, and earlier than `nbf` and `iat`.
    ///
    /// Default: 60 s; at most ``maximumLeeway``.
    public var leeway = Duration.seconds(60)
    /// The longest time from `iat` to `exp`; nil for no limit.
    ///
    /// With a limit a token without `iat` is refused. Default: nil.
    public var maximumLifetime: Duration?
    /// The claim with the rights: a name, or names of nested claims with `/` between.
    ///
    /// As in RFC 6901, `~1` stands for a `/` within a name and `~0` for a `~`: a claim named by a URL is written
    /// `https:~1~1example.org~1plinth`. Default: `plinth`.
    public var claim = "plinth"
    /// The most verified tokens that are remembered, so that their signatures are not computed again.
    ///
    /// A token with many topics counts as several. Default: 10,000; less than 2 remembers none.
    public var cachedTokens = 10_000
    /// Receives what an operator has to know, such as a missing audience.
    ///
    /// Default: a logger named `plinth.jwt`.
    public var logger = Logger(label: "plinth.jwt")

    /// Creates the defaults.
    public init() {}

    /// The most that ``leeway`` can be: 5 minutes.
    public static let maximumLeeway = Duration.seconds(300)

    /// Checks the options.
    ///
    /// - Parameter isSet: Whether the keys are a set, with which an issuer may sign for many audiences.
    /// - Throws: ``JWTConfigurationError``.
    func check(isSet: Bool) throws(JWTConfigurationError) {
        guard leeway >= .zero, leeway <= Self.maximumLeeway else {
            throw JWTConfigurationError(.badOptions, "the leeway is not between 0 and 5 minutes")
        }
        if let maximumLifetime, maximumLifetime <= .zero {
            throw JWTConfigurationError(.badOptions, "the maximum lifetime of tokens is not above 0")
        }
        guard !issuers.contains(""), !audiences.contains("") else {
            throw JWTConfigurationError(.badOptions, "an issuer or an audience is empty")
        }
        guard !isSet || !(issuers.isEmpty || audiences.isEmpty) else {
            throw JWTConfigurationError(
                .badOptions,
                "a key set needs an issuer and an audience, or tokens for other services would be taken"
            )
        }
    }
}

extension Duration {
    /// The duration in seconds, rounded to a `Double`.
    var seconds: Double {
        let (seconds, attoseconds) = components
        return Double(seconds) + Double(attoseconds) * 1e-18
    }
}
#endif
