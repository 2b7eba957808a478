// SPDX-License-Identifier: Apache-2.0

#if Command && Server
import ArgumentParser
import Logging
import Plinth
import PlinthHub
import PlinthServer

/// `plinth serve`: a hub for whoever speaks HTTP.
struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve a hub: publish events to topics, subscribe to them, look at them in a browser.",
        discussion: """
            Try it:

              plinth serve
              curl -N http://localhost:8080/topics/news
              curl -d 'hello' http://localhost:8080/topics/news

            and open http://localhost:8080 in a browser.

            Every option may also be given by the environment (--history-bytes is PLINTH_HISTORY_BYTES) and by a file \
            of JSON (--config FILE, "historyBytes": 1000000). The command line comes first, then the environment, then \
            the file. Times are 250ms, 90s, 5m, 12h, 7d; a number alone is seconds. A key of the file that is no \
            option, or a value of another kind, is an error; a variable that begins with PLINTH_ and is no option is \
            ignored with a note.

            History is kept in memory: it ends with the process, and subscribers that resume after that are told of \
            the gap.

            On a loopback address requests are answered if their host is this machine's (localhost, 127.0.0.1, the \
            --host), an --allow-host or that of a --public-origin, and pages of other origins cannot publish: behind a \
            proxy give --public-origin. In the environment and in the file several are separated by commas.

            SIGTERM and SIGINT end every stream properly.
            """
    )

    @Option(help: ArgumentHelp("A file of JSON with any of the options below.", valueName: "file"))
    var config: String?

    @Option(help: "The address to listen on (default: 127.0.0.1).")
    var host: String?

    @Option(help: "The port to listen on; 0 for one of the system's choice (default: 8080).")
    var port: String?

    @Option(help: ArgumentHelp("A certificate chain in PEM form; with it the port speaks TLS.", valueName: "file"))
    var tlsCertificate: String?

    @Option(help: ArgumentHelp("The certificate's key in PEM form.", valueName: "file"))
    var tlsKey: String?

    @Option(
        help: ArgumentHelp("The oldest version of TLS that is spoken: 1.2 or 1.3 (default: 1.2).", valueName: "version")
    )
    var tlsMinimum: String?

    @Option(help: ArgumentHelp("A path under which everything is, such as /hub (default: none).", valueName: "path"))
    var basePath: String?

    @Option(help: ArgumentHelp("Events kept of one topic (default: 10000).", valueName: "count"))
    var topicEvents: String?

    @Option(help: ArgumentHelp("Bytes kept of one topic (default: 16777216).", valueName: "bytes"))
    var topicBytes: String?

    @Option(help: ArgumentHelp("Events kept of all topics (default: 1000000).", valueName: "count"))
    var historyEvents: String?

    @Option(help: ArgumentHelp("Bytes kept of all topics (default: 268435456).", valueName: "bytes"))
    var historyBytes: String?

    @Option(help: ArgumentHelp("How long events are kept, or off (default: off).", valueName: "time"))
    var historyAge: String?

    @Option(help: ArgumentHelp("Bytes of one event's data (default: 1048576).", valueName: "bytes"))
    var maximumEventSize: String?

    @Option(
        help: ArgumentHelp(
            "How long an uploaded event stream may be silent between events; off for no limit (1h).",
            valueName: "time"
        )
    )
    var uploadIdleTimeout: String?

    @Option(
        help: ArgumentHelp(
            "Streams that may be open at once (default: what the limit of descriptors allows).",
            valueName: "count"
        )
    )
    var maximumStreams: String?

    @Option(help: ArgumentHelp("Topics that one stream may name (default: 10000).", valueName: "count"))
    var maximumTopics: String?

    @Option(help: ArgumentHelp("Patterns that one stream may have (default: 100).", valueName: "count"))
    var maximumPatterns: String?

    @Option(
        help: ArgumentHelp(
            "How often a stream without events gets a heartbeat, or off (default: 10s).",
            valueName: "time"
        )
    )
    var heartbeat: String?

    @Option(
        help: ArgumentHelp(
            "The type of an event to send as the heartbeat, which publishers cannot use (default: none, a comment).",
            valueName: "type"
        )
    )
    var heartbeatEvent: String?

    @Option(
        help: ArgumentHelp(
            "How long a subscriber may read nothing before its stream is closed, or off (default: 60s).",
            valueName: "time"
        )
    )
    var writeTimeout: String?

    @Option(help: ArgumentHelp("How long a stream lasts at most, or off (default: off).", valueName: "time"))
    var maximumAge: String?

    @Option(
        help: ArgumentHelp(
            "The reconnection time that clients get, each at random within it (default: 2s-4s).",
            valueName: "time[-time]"
        )
    )
    var retry: String?

    @Option(
        help: ArgumentHelp(
            "The longest reconnection time that a publisher may give clients (default: 1h).",
            valueName: "time"
        )
    )
    var maximumRetry: String?

    @Option(
        help: ArgumentHelp(
            "On a loopback address, one more name of this server; may be repeated (default: none).",
            valueName: "host"
        )
    )
    var allowHost: [String] = []

    @Option(
        help: ArgumentHelp(
            "Where browsers see this server, such as https://hub.example; may be repeated. On a loopback address only its "
                + "pages may publish then (default: none).",
            valueName: "origin"
        )
    )
    var publicOrigin: [String] = []

    @Option(
        help: ArgumentHelp(
            "What happens to a subscriber that needs events which are gone: tell or close (default: tell).",
            valueName: "what"
        )
    )
    var gaps: String?

    @Option(
        help: ArgumentHelp(
            "The type of the event that tells of a gap, which publishers cannot use (default: gap).",
            valueName: "type"
        )
    )
    var gapType: String?

    @Option(
        help: ArgumentHelp(
            "Who holds connections: automatic or event-loops (default: automatic, on Linux a thread of the hub's own).",
            valueName: "what"
        )
    )
    var transport: String?

    @Option(help: ArgumentHelp("Threads that hold connections (default: one for two processors).", valueName: "count"))
    var reactors: String?

    @Option(
        help: ArgumentHelp("What is logged: trace, debug, info, warning, error (default: info).", valueName: "level")
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
        }
    }

    /// What the command line has, by the keys of the file: every setting there is, nil if it was not given.
    private var options: [String: String?] {
        [
            "host": host, "port": port, "tlsCertificate": tlsCertificate, "tlsKey": tlsKey, "tlsMinimum": tlsMinimum,
            "basePath": basePath,
            "topicEvents": topicEvents, "topicBytes": topicBytes, "historyEvents": historyEvents,
            "historyBytes": historyBytes, "historyAge": historyAge, "maximumEventSize": maximumEventSize,
            "uploadIdleTimeout": uploadIdleTimeout, "maximumStreams": maximumStreams, "maximumTopics": maximumTopics,
            "maximumPatterns": maximumPatterns,
            "heartbeat": heartbeat, "writeTimeout": writeTimeout,
            "maximumAge": maximumAge, "retry": retry, "gaps": gaps, "gapType": gapType, "transport": transport,
            "reactors": reactors, "logLevel": logLevel, "heartbeatEvent": heartbeatEvent, "maximumRetry": maximumRetry,
            "allowHost": allowHost.isEmpty ? nil : allowHost.joined(separator: ","),
            "publicOrigin": publicOrigin.isEmpty ? nil : publicOrigin.joined(separator: ","),
        ]
    }

    // MARK: - Parts

    private func serve(_ settings: ServeSettings) async throws {
        var logger = Logger(label: "plinth") { StreamLogHandler(label: $0, stream: LogLines()) }
        let levels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]
        logger.logLevel = try settings.choice("logLevel", levels).flatMap { Logger.Level(rawValue: $0) } ?? .info

        let hub: Hub
        do {
            hub = try await Hub(history: try history(settings), options: try streams(settings))
        } catch let error as HubError {
            // The hub's options have the names of the settings' keys.
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
        var basePath = try settings.string("basePath") ?? ""
        while basePath.utf8.last == UInt8(ascii: "/") { basePath.removeLast() }
        let routes: Routes
        do {
            // Says what is wrong with it. What the routes themselves begin with leads from the path to the page, too.
            _ = try Routes([], basePath: basePath)
            routes = try Routes(endpoints.routes(basePath))
        } catch {
            throw ServeSettings.Failure(description: "--base-path: \(error)")
        }
        let connector = Connector(
            chain(routes, try fence(settings), logger),
            configuration: try connector(settings),
            logger: logger
        )
        async let running: Void = connector.runService(alongside: [service])
        let scheme = try settings.string("tlsCertificate") == nil ? "http" : "https"
        for address in try await connector.listeningAddresses() {
            StandardStreams.announce("listening on \(scheme)://\(address)\(basePath)")
        }
        try await running
    }

    /// What a request passes: less than in a service with pages of its own, since nearly all of them publish.
    private func chain(_ routes: Routes, _ fence: LoopbackFence, _ logger: Logger) -> Chain {
        var stack: [Interceptor] = [
            .errorResponses(), .hubErrorResponses(), .loopbackFence(fence), .queryParameters(), routes.router,
        ]
        if logger.logLevel <= .debug { stack.insert(.requestLog(level: .debug), at: 0) }
        return Chain(stack)
    }

    private func fence(_ settings: ServeSettings) throws -> LoopbackFence {
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
        // An address that is no name, such as `::1`, names itself; what cannot be bound is said by the connector.
        let host = try settings.string("host").flatMap { try? LoopbackFence(hosts: [$0]) }?.hosts ?? []
        return try LoopbackFence(hosts: host + hosts, publicOrigins: origins)
    }

    private func history(_ settings: ServeSettings) throws -> MemoryHistory {
        var topic = HistoryLimits.defaultOfTopic
        var total = HistoryLimits.defaultInTotal
        if let events = try settings.integer("topicEvents", in: 0...Int.max) { topic.events = events }
        if let bytes = try settings.integer("topicBytes", in: 0...Int.max) { topic.bytes = bytes }
        if let events = try settings.integer("historyEvents", in: 0...Int.max) { total.events = events }
        if let bytes = try settings.integer("historyBytes", in: 0...Int.max) { total.bytes = bytes }
        if let age = try settings.duration("historyAge") { total.age = age }
        return MemoryHistory(topic: topic, total: total)
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
        switch try settings.duration("maximumRetry") {
        case .some(.some(let longest)): options.maximumRetry = longest
        case .some(.none): throw ServeSettings.Failure(description: "--maximum-retry is off, and has to be a time")
        case .none: break
        }
        return options
    }

    private func service(_ settings: ServeSettings) throws -> HubService.Configuration {
        let transport = try settings.choice("transport", ["automatic", "event-loops"])
        return HubService.Configuration(
            transport: transport == "event-loops" ? .eventLoops : .automatic,
            reactors: try settings.integer("reactors", in: 1...1024),
            maximumStreams: try settings.integer("maximumStreams", in: 0...Int.max)
        )
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
            throw ServeSettings.Failure(description: "--tls-minimum needs --tls-certificate and --tls-key")
        case (nil, nil): configuration.addresses = [.tcp(host: host, port: port)]
        default: throw ServeSettings.Failure(description: "--tls-certificate and --tls-key go together")
        }
        configuration.backlog = 4096
        // History is in memory: no request waits for anything but its connection.
        configuration.runsRequestsOnEventLoops = true
        // The endpoints limit each event; a stream of them goes on for as long as its publisher likes.
        configuration.maximumBodySize = .max
        return configuration
    }
}
#endif
