// SPDX-License-Identifier: Apache-2.0

#if Command && Server && JWT
import ArgumentParser
import Foundation
import Logging
import PlinthHub
import PlinthJWT
import PlinthStreams

/// `plinth token`: makes tokens for a hub, and says what one may do.
struct Token: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Make a token (JWT) for a hub, or say what a token may do and why it would be refused.",
        discussion: """
            Try it:

              head -c 32 /dev/urandom | base64 > secret && chmod 600 secret
              plinth serve --jwt-secret-file secret
              plinth token --key secret --subject me --publish news --subscribe-match '**' --for 1h > token
              plinth token --inspect < token

            --key is a private key in PEM or a secret. With --as-server FILE, the configuration file of plinth serve, \
            issuer, audience, claim, algorithm and secret are those of that server; the command line overrides them.

            --inspect reads the token from standard input or --token-file, never from the command line, which other \
            users can see. It verifies nothing by itself. With --as-server it verifies the token as that server does, and \
            exits with 0 if it would be taken and with 1 if it would be refused.
            """
    )

    @Flag(help: "Say what a token may do, instead of making one.")
    var inspect = false

    @Option(help: ArgumentHelp("The configuration file of the plinth serve that the token is for.", valueName: "file"))
    var asServer: String?

    @Option(help: ArgumentHelp("With --inspect, the file with the token (default: standard input).", valueName: "file"))
    var tokenFile: String?

    @Option(help: ArgumentHelp("The private key in PEM, or the secret, that signs the token.", valueName: "file"))
    var key: String?

    @Option(help: ArgumentHelp("Who the token is for (sub).", valueName: "name"))
    var subject: String?

    @Option(help: ArgumentHelp("A topic that it may publish to. Repeatable.", valueName: "topic"))
    var publish: [String] = []

    @Option(help: ArgumentHelp("A pattern of topics that it may publish to. Repeatable.", valueName: "pattern"))
    var publishMatch: [String] = []

    @Option(help: ArgumentHelp("A topic that it may see. Repeatable.", valueName: "topic"))
    var subscribe: [String] = []

    @Option(help: ArgumentHelp("A pattern of topics that it may see. Repeatable.", valueName: "pattern"))
    var subscribeMatch: [String] = []

    @Flag(help: "It may purge topics, set their limits, read the status and revoke subjects.")
    var operate = false

    @Option(name: .customLong("for"), help: ArgumentHelp("How long it is valid (default: 1h).", valueName: "time"))
    var lifetime: String?

    @Option(help: ArgumentHelp("The issuer (iss).", valueName: "name"))
    var issuer: String?

    @Option(help: ArgumentHelp("An audience (aud). Repeatable.", valueName: "name"))
    var audience: [String] = []

    @Option(help: ArgumentHelp("The name of the key (kid).", valueName: "name"))
    var kid: String?

    @Option(
        help: ArgumentHelp("The algorithm, where the key leaves a choice (default: RS256, HS256).", valueName: "name")
    )
    var algorithm: String?

    func validate() throws {
        let makes = !(publish + publishMatch + subscribe + subscribeMatch + audience).isEmpty || operate
        let names = [key, subject, lifetime, issuer, kid, algorithm].contains { $0 != nil }
        if inspect {
            guard !makes, !names else {
                throw ValidationError("--inspect goes with --as-server and --token-file only")
            }
        } else {
            guard tokenFile == nil else { throw ValidationError("--token-file goes with --inspect") }
            guard subject != nil else { throw ValidationError("--subject is missing: whom is the token for?") }
        }
    }

    func run() async throws {
        do {
            let server = try asServer.map(TokenServer.init)
            if inspect {
                try await inspect(server)
            } else {
                StandardStreams.say(try make(server))
            }
        } catch let failure as ServeSettings.Failure {
            throw fail("\(failure)", ExitCode(64))
        } catch let error as JWTConfigurationError {
            throw fail("\(error)", ExitCode(64))
        } catch let error as TopicError {
            throw fail("\(error)", ExitCode(64))
        }
    }

    private func fail(_ reason: String, _ code: ExitCode) -> ExitCode {
        StandardStreams.complain("plinth token: \(reason)")
        return code
    }

    // MARK: - Making

    private func make(_ server: TokenServer?) throws -> String {
        var issuer = try signer(server)
        issuer.issuer = self.issuer ?? server?.issuers.first
        issuer.audiences = audience.isEmpty ? Array(server?.audiences.prefix(1) ?? []) : audience
        issuer.keyID = kid
        if let claim = server?.claim { issuer.claim = claim }
        if let lifetime {
            guard let time = TimeText.duration(lifetime) else {
                throw ServeSettings.Failure(description: "--for must be a time such as 90s, 5m, 12h, 7d: \(lifetime)")
            }
            issuer.lifetime = time
        }
        let rights = JWTRights(
            publish: try publish.map { .topic(try Topic($0)) } + publishMatch.map { .pattern(try TopicPattern($0)) },
            subscribe: try subscribe.map { .topic(try Topic($0)) }
                + subscribeMatch.map { .pattern(try TopicPattern($0)) },
            operates: operate
        )
        return try issuer.token(for: subject ?? "", rights)
    }

    private func signer(_ server: TokenServer?) throws -> JWTIssuer {
        guard let path = key ?? server?.secretFile else {
            throw ServeSettings.Failure(description: "--key is missing: a private key in PEM, or a secret")
        }
        let bytes = try ServeFile.bytes(of: path, "--key", upTo: 64 << 10, isSecret: true)
        let name = algorithm ?? server?.algorithm
        var chosen: JWTKeys.Algorithm?
        if let name {
            guard let known = JWTKeys.Algorithm(name) else {
                let all = JWTKeys.Algorithm.allCases.map(\.description).joined(separator: ", ")
                throw ServeSettings.Failure(description: "--algorithm is \(name), but must be one of \(all)")
            }
            chosen = known
        }
        if bytes.starts(with: "-----BEGIN".utf8) { return try JWTIssuer(privateKeyPEM: bytes, algorithm: chosen) }
        return try JWTIssuer(secret: bytes, algorithm: chosen ?? .hs256)
    }

    // MARK: - Inspecting

    /// The most bytes of a token with white space around it: 64 KiB.
    private static let maximumSize = 64 << 10

    private func inspect(_ server: TokenServer?) async throws {
        let token = try self.token()
        do {
            for line in try JWTInspection(token, claim: server?.claim ?? "plinth").lines() { StandardStreams.say(line) }
        } catch let error as HubTokenError {
            StandardStreams.say("refused: \(error)")
            throw ExitCode(1)
        }
        guard let server else { return }
        do {
            let grant = try await server.verify(token)
            guard !grant.hasExpired(at: Date()) else { throw HubTokenError(.expired, "the token has expired") }
            StandardStreams.say("this server takes it")
        } catch let error as HubTokenError {
            StandardStreams.say("this server refuses it: \(error)")
            throw ExitCode(1)
        }
    }

    private func token() throws -> String {
        let bytes: [UInt8]
        if let tokenFile {
            bytes = try ServeFile.bytes(of: tokenFile, "--token-file", upTo: Self.maximumSize)
        } else {
            bytes = Array(try FileHandle.standardInput.read(upToCount: Self.maximumSize) ?? Data())
        }
        let text = String(decoding: bytes, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
        guard !text.isEmpty else { throw ServeSettings.Failure(description: "there is no token to inspect") }
        return text
    }
}
#endif
