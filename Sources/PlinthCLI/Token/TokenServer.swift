// SPDX-License-Identifier: Apache-2.0

#if Command && Server && JWT
import Logging
import PlinthHub
import PlinthJWT

/// The server that a token is for, as its configuration file says.
struct TokenServer {
    let issuers: [String]
    let audiences: [String]
    let claim: String?
    let algorithm: String?
    let secretFile: String?
    private let settings: ServeSettings

    /// - Throws: ``ServeSettings/Failure`` if the file or a setting is invalid.
    init(_ file: String) throws {
        settings = try ServeSettings(options: try Serve.noOptions, file: file)
        issuers = try settings.list("jwtIssuer")
        audiences = try settings.list("jwtAudience")
        claim = try settings.string("jwtClaim")
        algorithm = try settings.string("jwtAlgorithm")
        secretFile = try settings.string("jwtSecretFile")
    }

    /// Verifies a token as the server does.
    ///
    /// - Throws: ``/PlinthHub/HubTokenError`` if it is refused; ``ServeSettings/Failure``.
    func verify(_ token: String) async throws -> HubGrant {
        let logger = Logger(label: "plinth") { _ in SwiftLogNoOpLogHandler() }
        guard let tokens = try await ServeTokens(settings, logger, fetchesOnce: true) else {
            throw ServeSettings.Failure(description: "--as-server: its configuration has no key that verifies tokens")
        }
        return try await tokens.verifier.verify(token)
    }
}
#endif
