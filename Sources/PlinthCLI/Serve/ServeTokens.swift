// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import Logging
import PlinthHub

#if JWT
import PlinthJWT
#endif

/// How `plinth serve` verifies tokens, as its settings say.
struct ServeTokens {
    let verifier: any HubTokenVerifier
    let leeway: Duration
    let maximumLifetime: Duration?
    #if JWT
    let source: JWTKeySource
    #endif

    /// The settings that mean nothing without keys.
    private static let dependent = [
        "jwtAlgorithm", "jwtIssuer", "jwtAudience", "jwtLeeway", "jwtClaim", "jwtMaximumLifetime", "jwksCa",
    ]

    /// Nil if no tokens are taken.
    ///
    /// - Parameters:
    ///   - settings: The settings.
    ///   - logger: Receives log messages.
    ///   - fetchesOnce: Whether a key set is fetched now and never again, instead of by ``JWTKeySource/run()``.
    /// - Throws: ``ServeSettings/Failure`` if a setting is invalid, or a file cannot be used.
    init?(_ settings: ServeSettings, _ logger: Logger, fetchesOnce: Bool = false) async throws {
        let sources = try ["jwtKey", "jwtSecretFile", "jwks"].filter { try settings.string($0) != nil }
        guard let first = sources.first else {
            if let name = Self.dependent.first(where: settings.isSet) {
                throw ServeSettings.Failure(
                    description: "\(ServeSettings.name(name)) requires --jwt-key, --jwt-secret-file or --jwks"
                )
            }
            return nil
        }
        guard sources.count == 1 else {
            throw ServeSettings.Failure(
                description: "\(sources.map(ServeSettings.name).joined(separator: " and ")) exclude each other"
            )
        }
        #if JWT
        var options = JWTOptions()
        options.logger = logger
        for name in ["jwtIssuer", "jwtAudience"] {
            let values = try settings.list(name)
            guard !settings.isSet(name) || (!values.isEmpty && !values.contains("")) else {
                throw ServeSettings.Failure(
                    description: "\(ServeSettings.name(name)) is empty; leave it out to take any"
                )
            }
            guard first != "jwks" || settings.isSet(name) else {
                throw ServeSettings.Failure(
                    description: "--jwks requires \(ServeSettings.name(name)), or tokens of other services are taken"
                )
            }
        }
        options.issuers = try settings.list("jwtIssuer")
        options.audiences = try settings.list("jwtAudience")
        options.leeway = try settings.time("jwtLeeway") ?? options.leeway
        options.maximumLifetime = try settings.time("jwtMaximumLifetime")
        if let claim = try settings.string("jwtClaim") { options.claim = claim }
        guard options.leeway <= JWTOptions.maximumLeeway else {
            throw ServeSettings.Failure(description: "--jwt-leeway is longer than 5m")
        }
        guard options.maximumLifetime != .zero else {
            throw ServeSettings.Failure(description: "--jwt-maximum-lifetime is 0, but must be a time")
        }
        leeway = options.leeway
        maximumLifetime = options.maximumLifetime
        do {
            source = try await Self.keys(settings, first, logger, fetchesOnce: fetchesOnce)
        } catch let error as JWTConfigurationError {
            // Of the file, or of an algorithm that it does not go with.
            let name = error.code == .badOptions ? "jwtAlgorithm" : first
            throw ServeSettings.Failure(description: "\(ServeSettings.name(name)): \(error)")
        }
        do {
            verifier = try JWTVerifier(keys: source, options: options)
        } catch {
            // Everything else was looked at above.
            throw ServeSettings.Failure(description: "--jwt-claim: \(error)")
        }
        #else
        throw ServeSettings.Failure(
            description: "\(ServeSettings.name(first)): this program was built without JWT; build it with the trait JWT"
        )
        #endif
    }

    #if JWT
    private static func keys(
        _ settings: ServeSettings,
        _ key: String,
        _ logger: Logger,
        fetchesOnce: Bool
    ) async throws -> JWTKeySource {
        let path = try settings.string(key) ?? ""
        let option = ServeSettings.name(key)
        let algorithm = try settings.choice("jwtAlgorithm", JWTKeys.Algorithm.allCases.map(\.description))
            .flatMap { JWTKeys.Algorithm($0) }
        guard try key == "jwks" || settings.string("jwksCa") == nil else {
            throw ServeSettings.Failure(description: "--jwks-ca requires --jwks with a URL")
        }
        switch key {
        case "jwtKey":
            let bytes = try ServeFile.bytes(of: path, option, upTo: 64 << 10)
            return JWTKeySource(try .publicKey(pem: bytes, algorithm: algorithm))
        case "jwtSecretFile":
            let bytes = try ServeFile.bytes(of: path, option, upTo: 64 << 10, isSecret: true)
            return JWTKeySource(try .secret(bytes, algorithm: algorithm ?? .hs256))
        default:
            let fetch = try ServeKeySet.fetch(path, ca: try settings.string("jwksCa"))
            if fetchesOnce {
                return JWTKeySource(try .set(try await fetch.later(), algorithm: algorithm ?? .rs256, logger: logger))
            }
            // A file that cannot be used is found at the start; a server may come up later.
            if let now = fetch.now { _ = try JWTKeys.set(try now(), algorithm: algorithm ?? .rs256, logger: logger) }
            return try JWTKeySource(algorithm: algorithm ?? .rs256, logger: logger, fetch: fetch.later)
        }
    }
    #endif
}
#endif
