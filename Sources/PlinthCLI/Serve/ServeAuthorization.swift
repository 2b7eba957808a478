// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import Foundation
import Logging
import Plinth
import PlinthHub
import PlinthServer
import PlinthStreams
import UnixSignals

#if JWT
import PlinthJWT
#endif

/// Who may do what with the hub of `plinth serve`, as its settings say.
struct ServeAuthorization {
    /// Decides; nil if everybody who reaches the hub may do everything, which is then on loopback only.
    let authorizer: TokenAuthorizer?
    let origins: HubOrigins
    /// Checks hosts and origins where everybody may do everything.
    let fence: LoopbackFence
    /// The longest lifetime of a token and the leeway, which revocations need; nil if there are none.
    private let revocation: (maximumLifetime: Duration, leeway: Duration)?
    private let keyFile: String?
    #if JWT
    private let keySource: JWTKeySource?
    #endif

    /// - Throws: ``ServeSettings/Failure`` if a setting is invalid, or a file cannot be used.
    init(_ settings: ServeSettings, basePath: String, _ logger: Logger) async throws {
        fence = try Self.fence(settings)
        guard try !settings.isSet("allowOrigin") || !settings.list("allowOrigin").isEmpty else {
            throw ServeSettings.Failure(description: "--allow-origin is empty; leave it out to allow none")
        }
        do {
            origins = try HubOrigins(
                publicOrigins: try settings.list("publicOrigin"),
                allowed: try settings.list("allowOrigin")
            )
        } catch let error as LoopbackFence.InvalidName {
            throw ServeSettings.Failure(description: "--allow-origin: \(error)")
        }
        keyFile = try settings.string("apiKeys")
        let keys = try keyFile.map(Self.keys)
        let verifier = try await ServeTokens(settings, logger)
        #if JWT
        keySource = verifier?.source
        #endif
        revocation = verifier.flatMap { verifier in verifier.maximumLifetime.map { ($0, verifier.leeway) } }
        let cookie = try settings.string("cookie")
        guard cookie == nil || verifier != nil else {
            throw ServeSettings.Failure(description: "--cookie requires --jwt-key, --jwt-secret-file or --jwks")
        }
        let anonymous = try settings.choice("allowAnonymous", ["publish", "subscribe", "all"])
        guard keys != nil || verifier != nil || anonymous != nil else {
            authorizer = nil
            return
        }
        let sessions: HubSessions?
        do {
            sessions =
                verifier == nil ? nil : try HubSessions(name: cookie, basePath: basePath, origins: origins)
        } catch let error as CookieError {
            throw ServeSettings.Failure(description: "--cookie: \(error)")
        }
        authorizer = TokenAuthorizer(
            tokens: verifier?.verifier,
            keys: keys,
            sessions: sessions,
            anonymous: HubGrant(
                publish: anonymous == "publish" || anonymous == "all" ? [.all] : [],
                subscribe: anonymous == "subscribe" || anonymous == "all" ? [.all] : []
            ),
            fence: fence
        )
    }

    private static func fence(_ settings: ServeSettings) throws -> LoopbackFence {
        let hosts = try settings.list("allowHost")
        let origins = try settings.list("publicOrigin")
        do {
            _ = try LoopbackFence(hosts: hosts)
        } catch {
            throw ServeSettings.Failure(description: "--allow-host: \(error)")
        }
        do {
            _ = try LoopbackFence(publicOrigins: origins)
        } catch {
            throw ServeSettings.Failure(description: "--public-origin: \(error)")
        }
        // Ignores a host that the fence rejects: it cannot be bound either, which the connector reports.
        let host = try settings.string("host").flatMap { try? LoopbackFence(hosts: [$0]) }?.hosts ?? []
        return try LoopbackFence(hosts: host + hosts, publicOrigins: origins)
    }

    // MARK: - In service

    /// What guards every route: without an authorizer, hosts and origins, and that nobody is served but on loopback.
    var guards: [Interceptor] {
        guard authorizer == nil else { return [] }
        return [
            Interceptor(
                "loopback-only",
                enter: { context in
                    guard !context.request.isOnLoopback else { return }
                    throw HTTPError(.forbidden, "without an authorizer this hub is served on loopback only")
                }
            ), .loopbackFence(fence),
        ]
    }

    /// Checks that a hub for everybody can be reached from this machine only, unless that was asked for in words.
    ///
    /// - Throws: ``ServeSettings/Failure``.
    func check(_ address: BoundAddress) throws {
        guard authorizer == nil, !address.isLoopback else { return }
        throw ServeSettings.Failure(
            description: "\(address) can be reached from other machines, and everybody could publish, read and purge: "
                + "give --jwt-key, --jwt-secret-file, --jwks or --api-keys, or --allow-anonymous publish, subscribe or "
                + "all, which says who may do what without credentials"
        )
    }

    /// The revocations; nil if no maximum lifetime of tokens is known.
    func revocations(_ history: ServeHistory) async throws -> HubRevocations? {
        guard let revocation else {
            let now = Date()
            guard authorizer?.tokens != nil,
                let kept = try await history.revocationStore.revocations().first(where: { $0.isKeptUntil > now })
            else { return nil }
            throw ServeSettings.Failure(
                description: "--jwt-maximum-lifetime is missing, but the history has revocations, such as that of "
                    + "\(kept.name.debugDescription): without it they would not hold"
            )
        }
        return try await HubRevocations(
            store: history.revocationStore,
            maximumLifetime: revocation.maximumLifetime,
            leeway: revocation.leeway
        )
    }

    /// Fetches key sets, and reads the file of API keys again at SIGHUP, until the task is cancelled.
    func run(_ service: HubService, _ logger: Logger) async {
        await withTaskGroup(of: Void.self) { group in
            #if JWT
            if let keySource, let authorizer {
                keySource.onKeysRemoved { service.endGrantedStreams(where: { !authorizer.isCurrent($0) }) }
                group.addTask { await keySource.run() }
            }
            #endif
            if let keyFile, let authorizer, let keys = authorizer.keys {
                group.addTask {
                    for await _ in await UnixSignalsSequence(trapping: .sighup) {
                        do {
                            try keys.replace(try Self.text(of: keyFile, "--api-keys"))
                            service.endGrantedStreams(where: { !authorizer.isCurrent($0) })
                            logger.notice("read the API keys again", metadata: ["keys": "\(keys.count)"])
                        } catch {
                            logger.error("the former API keys stay", metadata: ["error": "\(error)"])
                        }
                    }
                }
            }
            await group.waitForAll()
        }
    }

    // MARK: - Files

    private static func keys(_ path: String) throws -> HubAPIKeys {
        let text = try text(of: path, "--api-keys")
        do {
            return try HubAPIKeys(text)
        } catch {
            throw ServeSettings.Failure(description: "--api-keys \(path): \(error)")
        }
    }

    /// The text of a file that only its owner and group may read.
    private static func text(of path: String, _ option: String) throws -> String {
        let bytes = try ServeFile.bytes(of: path, option, upTo: 16 << 20, isSecret: true)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ServeSettings.Failure(description: "\(option) \(path): the file is not valid UTF-8")
        }
        return text
    }
}
#endif
