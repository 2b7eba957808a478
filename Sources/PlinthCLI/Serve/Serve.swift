// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import ArgumentParser
import Logging
import Plinth
import PlinthHub
import PlinthServer

/// `plinth serve`: serves a hub over HTTP.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve a hub to which clients publish and subscribe, with a page for browsers.",
        discussion: """
            Try it:

              plinth serve
              curl -N http://localhost:8080/topics/news
              curl -d 'hello' http://localhost:8080/topics/news

            Then open http://localhost:8080 in a browser.

            Every option can also be set in the environment (--history-bytes is PLINTH_HISTORY_BYTES) and in a JSON \
            file (--config FILE, "historyBytes": 1000000). The command line overrides the environment, which overrides \
            the file. Times are written 250ms, 90s, 5m, 12h, 7d; a number alone is in seconds. An unknown key in the \
            file or a value of the wrong type is an error. An unknown variable that begins with PLINTH_ is ignored \
            with a warning.

            History is kept in memory, and lost when the process ends, or with --history hub.sqlite in a file, which \
            is created if there is none: whatever was acknowledged survives the end of the process and, by default, a \
            power cut. One process uses a file at a time; a second one waits 20 seconds for it, so that a restart works.

            Without keys, everybody may do everything, and the server listens on loopback addresses only. --jwt-key, \
            --jwt-secret-file, --jwks and --api-keys say who may do what; --allow-anonymous what others may.

            On a loopback address, the server accepts without credentials only requests whose host is this machine (localhost, 127.0.0.1, \
            the --host), an --allow-host or the host of a --public-origin, and pages of other origins cannot publish. \
            Behind a proxy, set --public-origin. In the environment, separate several values with commas; in the file, \
            use commas or an array.

            SIGTERM and SIGINT shut down gracefully: every stream ends properly.
            """
    )

    @Option(help: ArgumentHelp("A JSON file with any of the options below.", valueName: "file"))
    var config: String?

    @Option(help: "The address to listen on (default: 127.0.0.1).")
    var host: String?

    @Option(help: "The port to listen on; 0 for any free port (default: 8080).")
    var port: String?

    @Option(help: ArgumentHelp("A PEM certificate chain; enables TLS.", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's PEM private key.", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp("The minimum TLS version: 1.2 or 1.3 (default: 1.2).", valueName: "version")
    )
    var tlsMinimum: String?

    @Option(help: ArgumentHelp("A path prefix for all routes, such as /hub (default: none).", valueName: "path"))
    var basePath: String?

    @Option(
        help: ArgumentHelp("Where history is kept: memory, or the path of a file (default: memory).", valueName: "path")
    )
    var history: String?

    @Option(
        help: ArgumentHelp(
            "With a file, when an event is acknowledged: full, once it is on the disk, or normal, which a power cut may "
                + "lose (default: full).",
            valueName: "what"
        )
    )
    var historySync: String?

    @Option(help: ArgumentHelp("Maximum events kept per topic (default: 10000).", valueName: "count"))
    var topicEvents: String?

    @Option(help: ArgumentHelp("Maximum bytes kept per topic (default: 16777216).", valueName: "bytes"))
    var topicBytes: String?

    @Option(
        help: ArgumentHelp(
            "Maximum events kept in total (default: 1000000; with a file, no limit).",
            valueName: "count"
        )
    )
    var historyEvents: String?

    @Option(
        help: ArgumentHelp(
            "Maximum bytes kept in total (default: 268435456; with a file, 1073741824 for the file and its log).",
            valueName: "bytes"
        )
    )
    var historyBytes: String?

    @Option(help: ArgumentHelp("How long to keep events, or off (default: off).", valueName: "time"))
    var historyAge: String?

    @Option(help: ArgumentHelp("Maximum ended topics remembered (default: 100000).", valueName: "count"))
    var maximumEndedTopics: String?

    @Option(help: ArgumentHelp("Maximum producers remembered (default: 100000).", valueName: "count"))
    var maximumProducers: String?

    @Option(help: ArgumentHelp("How long idempotency keys are remembered (default: 10m).", valueName: "time"))
    var keyAge: String?

    @Option(help: ArgumentHelp("Maximum bytes of idempotency keys (default: 67108864).", valueName: "bytes"))
    var maximumKeyBytes: String?

    @Option(help: ArgumentHelp("Maximum bytes of an event's data (default: 1048576).", valueName: "bytes"))
    var maximumEventSize: String?

    @Option(
        help: ArgumentHelp(
            "How long an uploaded event stream may be silent between events, or off (default: 1h).",
            valueName: "time"
        )
    )
    var uploadIdleTimeout: String?

    @Option(
        help: ArgumentHelp(
            "Maximum open streams (default: derived from the descriptor limit).",
            valueName: "count"
        )
    )
    var maximumStreams: String?

    @Option(help: ArgumentHelp("Maximum open streams of a client address (default: no limit).", valueName: "count"))
    var maximumAddressStreams: String?

    @Option(help: ArgumentHelp("Maximum open streams of a subject (default: no limit).", valueName: "count"))
    var maximumSubjectStreams: String?

    @Option(help: ArgumentHelp("Maximum open connections (default: no limit).", valueName: "count"))
    var maximumConnections: String?

    @Option(
        help: ArgumentHelp("Maximum open connections of a client address (default: no limit).", valueName: "count")
    )
    var maximumAddressConnections: String?

    @Option(
        help: ArgumentHelp(
            "Maximum publishing requests of a subject in a second; an upload's events (default: no limit).",
            valueName: "count"
        )
    )
    var subjectPublishes: String?

    @Option(
        help: ArgumentHelp(
            "Maximum bytes that a subject publishes in a second (default: no limit).",
            valueName: "bytes"
        )
    )
    var subjectBytes: String?

    @Option(
        help: ArgumentHelp(
            "Refused tokens of an address in a minute, beyond which more are not looked at, or off (default: 60).",
            valueName: "count"
        )
    )
    var refusedTokens: String?

    @Option(
        help: ArgumentHelp(
            "Addresses of a reverse proxy, whose (X-)Forwarded fields are believed. Repeatable (default: none).",
            valueName: "CIDR"
        )
    )
    var trustedProxy: [String] = []

    @Option(help: ArgumentHelp("Maximum topics per stream (default: 10000).", valueName: "count"))
    var maximumTopics: String?

    @Option(help: ArgumentHelp("Maximum patterns per stream (default: 100).", valueName: "count"))
    var maximumPatterns: String?

    @Option(
        help: ArgumentHelp(
            "Interval between heartbeats on an idle stream, or off (default: 10s).",
            valueName: "time"
        )
    )
    var heartbeat: String?

    @Option(
        help: ArgumentHelp(
            "Send heartbeats as events of this type, reserved from publishers (default: none, sends a comment).",
            valueName: "type"
        )
    )
    var heartbeatEvent: String?

    @Option(
        help: ArgumentHelp(
            "Close a stream whose subscriber reads nothing for this time, or off (default: 60s).",
            valueName: "time"
        )
    )
    var writeTimeout: String?

    @Option(
        help: ArgumentHelp(
            "Maximum lifetime of a stream, or off (default: off; behind a trusted proxy 15m).",
            valueName: "time"
        )
    )
    var maximumAge: String?

    @Option(
        help: ArgumentHelp(
            "The reconnection time sent to clients, random within the range (default: 2s-4s).",
            valueName: "time[-time]"
        )
    )
    var retry: String?

    @Option(
        help: ArgumentHelp(
            "The maximum reconnection time that a publisher can set (default: 1h).",
            valueName: "time"
        )
    )
    var maximumRetry: String?

    @Option(
        help: ArgumentHelp(
            "On a loopback address, an additional host name to accept. Repeatable (default: none).",
            valueName: "host"
        )
    )
    var allowHost: [String] = []

    @Option(
        help: ArgumentHelp(
            "The origin at which browsers reach this server, such as https://hub.example. Repeatable. On a loopback "
                + "address only its pages can then publish (default: none).",
            valueName: "origin"
        )
    )
    var publicOrigin: [String] = []

    @Option(
        help: ArgumentHelp(
            "A PEM public key that verifies tokens (JWT). Excludes the next two (default: none).",
            valueName: "file"
        )
    )
    var jwtKey: String?

    @Option(
        help: ArgumentHelp(
            "A secret that verifies tokens, 32 bytes at least; no other user may read the file (default: none).",
            valueName: "file"
        )
    )
    var jwtSecretFile: String?

    @Option(
        help: ArgumentHelp(
            "A key set that verifies tokens: a file, or an https URL, fetched every 15 minutes (default: none).",
            valueName: "file|url"
        )
    )
    var jwks: String?

    @Option(help: ArgumentHelp("PEM certificates that the key set's server is trusted by.", valueName: "file"))
    var jwksCa: String?

    @Option(
        help: ArgumentHelp(
            "The algorithm of a key that leaves a choice: RS256, PS256, HS256 and so on (default: RS256, HS256).",
            valueName: "name"
        )
    )
    var jwtAlgorithm: String?

    @Option(
        help: ArgumentHelp(
            "The issuer (iss) of accepted tokens. Repeatable; required with --jwks (default: any).",
            valueName: "name"
        )
    )
    var jwtIssuer: [String] = []

    @Option(
        help: ArgumentHelp(
            "This hub's name, which a token's audience (aud) has. Repeatable; required with --jwks (default: any).",
            valueName: "name"
        )
    )
    var jwtAudience: [String] = []

    @Option(
        help: ArgumentHelp("How far the clocks of issuers may differ, at most 5m (default: 60s).", valueName: "time")
    )
    var jwtLeeway: String?

    @Option(
        help: ArgumentHelp(
            "The claim with a token's rights; names with / between are nested (default: plinth).",
            valueName: "path"
        )
    )
    var jwtClaim: String?

    @Option(
        help: ArgumentHelp(
            "The longest that a token may live. Enables DELETE subjects/NAME, which revokes (default: none).",
            valueName: "time"
        )
    )
    var jwtMaximumLifetime: String?

    @Option(
        help: ArgumentHelp(
            "API keys, one a line with its rights in JSON; read again at SIGHUP (default: none).",
            valueName: "file"
        )
    )
    var apiKeys: String?

    @Option(
        help: ArgumentHelp(
            "The name of the browsers' cookie (default: __Host-plinth; see the documentation).",
            valueName: "name"
        )
    )
    var cookie: String?

    @Option(
        help: ArgumentHelp(
            "Another origin whose pages may read, such as https://www.example. Repeatable (default: none).",
            valueName: "origin"
        )
    )
    var allowOrigin: [String] = []

    @Option(
        help: ArgumentHelp(
            "What requests without credentials may do: publish, subscribe or all (default: on loopback everything, if no "
                + "keys are given; else nothing).",
            valueName: "what"
        )
    )
    var allowAnonymous: String?

    @Option(
        help: ArgumentHelp(
            "How to handle a subscriber whose events are no longer kept: tell or close (default: tell).",
            valueName: "what"
        )
    )
    var gaps: String?

    @Option(
        help: ArgumentHelp(
            "The type of the event that reports a gap, reserved from publishers (default: gap).",
            valueName: "type"
        )
    )
    var gapType: String?

    @Option(
        help: ArgumentHelp(
            "What serves streams: automatic or event-loops (default: automatic, on Linux the hub's own threads).",
            valueName: "what"
        )
    )
    var transport: String?

    @Option(help: ArgumentHelp("Threads that serve streams (default: one per two processors).", valueName: "count"))
    var reactors: String?

    @Option(
        help: ArgumentHelp("Log level: trace, debug, info, warning, error (default: info).", valueName: "level")
    )
    var logLevel: String?

    func run() async throws {
        do {
            let settings = try ServeSettings(options: options, file: config)
            for note in settings.unknownVariables { StandardStreams.complain("plinth serve: \(note)") }
            try await serve(settings)
        } catch let failure as ServeSettings.Failure {
            StandardStreams.complain("plinth serve: \(failure)")
            throw ExitCode(64)
        } catch let failure as ConnectorError {
            StandardStreams.complain("plinth serve: \(failure)")
            throw ExitCode(1)
        } catch let failure as ServeHistory.Failure {
            StandardStreams.complain("plinth serve: --history: \(failure)")
            throw ExitCode(1)
        }
    }

    /// The keys of all settings, without values: for reading a configuration file alone.
    static var noOptions: [String: String?] { get throws { try Serve.parse([]).options } }

    /// The command line's values by the keys of the file, for every setting; nil for one that was not given.
    private var options: [String: String?] {
        [
            "host": host, "port": port, "tlsCertificate": tlsCertificate, "tlsKey": tlsKey, "tlsMinimum": tlsMinimum,
            "basePath": basePath,
            "history": history, "historySync": historySync,
            "topicEvents": topicEvents, "topicBytes": topicBytes, "historyEvents": historyEvents,
            "historyBytes": historyBytes, "historyAge": historyAge, "maximumEndedTopics": maximumEndedTopics,
            "maximumProducers": maximumProducers, "keyAge": keyAge, "maximumKeyBytes": maximumKeyBytes,
            "maximumEventSize": maximumEventSize,
            "uploadIdleTimeout": uploadIdleTimeout, "maximumStreams": maximumStreams, "maximumTopics": maximumTopics,
            "maximumPatterns": maximumPatterns,
            "heartbeat": heartbeat, "writeTimeout": writeTimeout,
            "maximumAge": maximumAge, "retry": retry, "gaps": gaps, "gapType": gapType, "transport": transport,
            "reactors": reactors, "logLevel": logLevel, "heartbeatEvent": heartbeatEvent, "maximumRetry": maximumRetry,
            "maximumAddressStreams": maximumAddressStreams, "maximumSubjectStreams": maximumSubjectStreams,
            "maximumConnections": maximumConnections, "maximumAddressConnections": maximumAddressConnections,
            "subjectPublishes": subjectPublishes, "subjectBytes": subjectBytes, "refusedTokens": refusedTokens,
            "trustedProxy": trustedProxy.isEmpty ? nil : trustedProxy.joined(separator: ","),
            "jwtKey": jwtKey, "jwtSecretFile": jwtSecretFile, "jwks": jwks, "jwksCa": jwksCa,
            "jwtAlgorithm": jwtAlgorithm, "jwtLeeway": jwtLeeway, "jwtClaim": jwtClaim,
            "jwtMaximumLifetime": jwtMaximumLifetime, "apiKeys": apiKeys, "cookie": cookie,
            "allowAnonymous": allowAnonymous,
            "jwtIssuer": jwtIssuer.isEmpty ? nil : jwtIssuer.joined(separator: ","),
            "jwtAudience": jwtAudience.isEmpty ? nil : jwtAudience.joined(separator: ","),
            "allowOrigin": allowOrigin.isEmpty ? nil : allowOrigin.joined(separator: ","),
            "allowHost": allowHost.isEmpty ? nil : allowHost.joined(separator: ","),
            "publicOrigin": publicOrigin.isEmpty ? nil : publicOrigin.joined(separator: ","),
        ]
    }

    // MARK: - Parts

    private func serve(_ settings: ServeSettings) async throws {
        var logger = Logger(label: "plinth") { StreamLogHandler(label: $0, stream: LogLines()) }
        let levels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]
        logger.logLevel = try settings.choice("logLevel", levels).flatMap { Logger.Level(rawValue: $0) } ?? .info

        var basePath = try settings.string("basePath") ?? ""
        while basePath.utf8.last == UInt8(ascii: "/") { basePath.removeLast() }
        let authorization = try await ServeAuthorization(settings, basePath: basePath, logger)
        let history = try ServeHistory(settings, logger)
        let hub: Hub
        do {
            hub = try await history.open { try await Hub(history: $0, options: try streams(settings)) }
        } catch let error as HubError {
            // The hub's options are named like the settings' keys.
            let name = error.option.map { "\(ServeSettings.name($0)): " } ?? ""
            throw ServeSettings.Failure(description: name + error.message)
        }
        let service = HubService(hub, configuration: try service(settings), logger: logger)
        var endpoints = HubEndpoints(
            service,
            maximumEventSize: try settings.integer("maximumEventSize", in: 1...(1 << 30)) ?? 1 << 20
        )
        endpoints.maximumTopics = try settings.integer("maximumTopics", in: 1...1_000_000) ?? endpoints.maximumTopics
        endpoints.maximumPatterns =
            try settings.integer("maximumPatterns", in: 1...1_000_000) ?? endpoints.maximumPatterns
        if let timeout = try settings.duration("uploadIdleTimeout") { endpoints.uploadIdleTimeout = timeout }
        endpoints.limits = try limits(settings)
        if settings.isSet("maximumAge") { endpoints.maximumAgeBehindProxy = nil }
        endpoints.authorizer = authorization.authorizer
        endpoints.origins = authorization.origins
        endpoints.revocations = try await authorization.revocations(history)
        let routes: Routes
        do {
            // Only validates the path. `endpoints.routes` takes it, since it also redirects the path to the page.
            _ = try Routes([], basePath: basePath)
            routes = try Routes(endpoints.routes(basePath))
        } catch {
            throw ServeSettings.Failure(description: "--base-path: \(error)")
        }
        let connector = Connector(
            chain(routes, endpoints.crossOrigin, try guards(settings, authorization), logger),
            configuration: try connector(settings),
            logger: logger
        )
        do {
            let isSecure = try settings.string("tlsCertificate") != nil
            try await run(connector, service, authorization, isSecure, basePath, logger)
        } catch {
            await history.close()
            throw error
        }
        await history.close()
    }

    private func run(
        _ connector: Connector,
        _ service: HubService,
        _ authorization: ServeAuthorization,
        _ isSecure: Bool,
        _ basePath: String,
        _ logger: Logger
    ) async throws {
        async let running: Void = connector.runService(alongside: [service])
        let upkeep = Task { await authorization.run(service, logger) }
        defer { upkeep.cancel() }
        let addresses = try await connector.listeningAddresses()
        for address in addresses { try authorization.check(address) }
        for address in addresses {
            StandardStreams.announce("listening on \(isSecure ? "https" : "http")://\(address)\(basePath)")
        }
        try await running
    }

    /// The interceptors of a request: fewer than the default stack, since nearly all requests publish.
    private func chain(
        _ routes: Routes,
        _ crossOrigin: Interceptor?,
        _ guards: [Interceptor],
        _ logger: Logger
    ) -> Chain {
        var stack = [.errorResponses()] + (crossOrigin.map { [$0] } ?? []) + [.hubErrorResponses()] + guards
        stack += [.queryParameters(), routes.router]
        if logger.logLevel <= .debug { stack.insert(.requestLog(level: .debug), at: 0) }
        return Chain(stack)
    }

    private func streams(_ settings: ServeSettings) throws -> StreamOptions {
        var options = StreamOptions()
        if let heartbeat = try settings.duration("heartbeat") { options.heartbeat = heartbeat }
        if let timeout = try settings.duration("writeTimeout") { options.writeTimeout = timeout }
        if let age = try settings.duration("maximumAge") { options.maximumAge = age }
        if try settings.choice("gaps", ["tell", "close"]) == "close" { options.gapPolicy = .close }
        if let type = try settings.string("gapType") { options.gapType = type }
        if let type = try settings.string("heartbeatEvent") { options.heartbeatEvent = type }
        if let retry = try settings.durations("retry") { options.retry = retry }
        if let longest = try settings.time("maximumRetry") { options.maximumRetry = longest }
        return options
    }

    private func service(_ settings: ServeSettings) throws -> HubService.Configuration {
        let transport = try settings.choice("transport", ["automatic", "event-loops"])
        return HubService.Configuration(
            handOff: transport == "event-loops" ? .never : .automatic,
            reactors: try settings.integer("reactors", in: 1...1024),
            maximumStreams: try settings.integer("maximumStreams", in: 0...Int.max),
            maximumStreamsPerAddress: try settings.integer("maximumAddressStreams", in: 0...Int.max),
            maximumStreamsPerSubject: try settings.integer("maximumSubjectStreams", in: 0...Int.max)
        )
    }

    /// What comes before the routes: what a proxy says of its clients, then the fence.
    private func guards(_ settings: ServeSettings, _ authorization: ServeAuthorization) throws -> [Interceptor] {
        let proxies = try proxies(settings)
        return (proxies.isEmpty ? [] : [.trustedProxies(proxies)]) + authorization.guards
    }

    private func proxies(_ settings: ServeSettings) throws -> TrustedProxies {
        do {
            return try TrustedProxies(try settings.list("trustedProxy"))
        } catch let error as TrustedProxies.InvalidRange {
            throw ServeSettings.Failure(description: "--trusted-proxy: \(error)")
        }
    }

    private func limits(_ settings: ServeSettings) throws -> HubLimits {
        var limits = HubLimits()
        limits.publishesPerSecond = try settings.integer("subjectPublishes", in: 1...1_000_000_000)
        limits.bytesPerSecond = try settings.integer("subjectBytes", in: 1...1_000_000_000)
        if settings.isSet("refusedTokens") {
            let isOff = try settings.list("refusedTokens") == ["off"]
            limits.refusedTokensPerMinute = isOff ? nil : try settings.integer("refusedTokens", in: 1...1_000_000_000)
        }
        return limits
    }

    private func connector(_ settings: ServeSettings) throws -> ConnectorConfiguration {
        let host = try settings.string("host") ?? "127.0.0.1"
        let port = try settings.integer("port", in: 0...65535) ?? 8080
        var configuration = ConnectorConfiguration()
        let minimum = try settings.choice("tlsMinimum", ["1.2", "1.3"])
        switch (try settings.string("tlsCertificate"), try settings.string("tlsKey")) {
        case (let certificate?, let key?):
            let identity = try TLSIdentity(
                certificateChain: certificate,
                privateKey: key,
                minimumVersion: minimum == "1.3" ? .tls13 : .tls12
            )
            configuration.addresses = [.tls(host: host, port: port, identity: identity)]
        case (nil, nil) where minimum != nil:
            throw ServeSettings.Failure(description: "--tls-minimum requires --tls-certificate and --tls-key")
        case (nil, nil): configuration.addresses = [.tcp(host: host, port: port)]
        default: throw ServeSettings.Failure(description: "--tls-certificate and --tls-key require each other")
        }
        configuration.maximumConnections = try settings.integer("maximumConnections", in: 1...Int.max)
        configuration.maximumConnectionsPerAddress = try settings.integer("maximumAddressConnections", in: 1...Int.max)
        configuration.trustedProxies = try proxies(settings)
        configuration.backlog = 4096
        // History never blocks: no request waits for anything but its connection on its event loop.
        configuration.runsRequestsOnEventLoops = true
        // The endpoints limit each event; a stream of events may have any length.
        configuration.maximumBodySize = .max
        return configuration
    }
}
#endif
