// SPDX-License-Identifier: Apache-2.0

#if Server

import Foundation
import Logging
import Plinth
import PlinthHub
import PlinthServer
import PlinthTestSupport
import PlinthTesting
import ServiceLifecycle
import Testing

/// The server of one cell of the table.
struct ContractServer: Sendable {
    /// Why some rows do not apply without a socket.
    static let noConnection = "there is no connection"
    /// How long a slow client takes to read 15 MB, a few of which the kernel buffers.
    static let slowReading = Duration.seconds(10)

    let way: Way
    private let chain: Chain
    private let addresses: [BoundAddress]
    private let stop: @Sendable () async throws -> Void

    /// Serves a route while `body` runs, whose clients must have left by the end; then nothing may be in progress.
    static func run<Result>(
        _ way: Way,
        _ route: Interceptor,
        hub: HubService? = nil,
        _ body: (ContractServer) async throws -> Result
    ) async throws -> Result {
        let chain = Chain([.errorResponses(), .queryParameters(), route])
        guard way.hasSocket else {
            return try await body(ContractServer(way: way, chain: chain, addresses: []) {})
        }
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let address: ListenAddress =
            way.isSecure ? .tls(port: 0, identity: try await Identity.shared()) : .tcp(port: 0)
        let connector = Connector(
            chain,
            configuration: ConnectorConfiguration(addresses: [address], shutdownTimeout: .seconds(60)),
            logger: logger
        )
        let services = ServiceGroup(services: [connector] + (hub.map { [$0] } ?? []), logger: logger)
        let run = Task { try await services.run() }
        defer { run.cancel() }
        let addresses = try await wait(for: "listening") { try await connector.listeningAddresses() }
        let stop: @Sendable () async throws -> Void = {
            await services.triggerGracefulShutdown()
            try await wait(for: "the server's end") { try await run.value }
        }
        let result = try await body(ContractServer(way: way, chain: chain, addresses: addresses, stop: stop))
        try await wait(for: "the end of all requests") { await connector.waitUntilIdle() }
        try await stop()
        #expect(connector.activityCount == 0)
        return result
    }

    private init(
        way: Way,
        chain: Chain,
        addresses: [BoundAddress],
        stop: @escaping @Sendable () async throws -> Void
    ) {
        self.way = way
        self.chain = chain
        self.addresses = addresses
        self.stop = stop
    }

    /// A client of a stream.
    func client(_ target: String = "/", method: String = "GET", lastEventID: String? = nil) async throws
        -> any ContractClient
    {
        guard way.hasSocket else {
            var fields = HTTPFields()
            if let lastEventID { fields[.lastEventID] = lastEventID }
            return try await MemoryClient(chain, .get(target, headers: fields))
        }
        var options = method == "HEAD" ? ["-I"] : []
        if let lastEventID { options += ["-H", "Last-Event-ID: \(lastEventID)"] }
        let scheme = way.isSecure ? "https" : "http"
        return try CurlClient(way, "\(scheme)://127.0.0.1:\(port)\(target)", options)
    }

    /// A client that reads a stream up to a text, and leaves.
    func leaving(_ leaving: Leaving, _ target: String = "/", after mark: String) throws -> ScriptedClient {
        try ScriptedClient(way, port: port, target, until: mark, leaving, readsSlowly: false)
    }

    /// Reads a stream slowly up to a text, and leaves.
    ///
    /// Over the network, the client is a process of its own, which a busy test cannot make slower.
    func readSlowly(_ target: String = "/", until mark: String) async throws {
        if way.hasSocket {
            try await ScriptedClient(way, port: port, target, until: mark, .close, readsSlowly: true).finish()
        } else {
            let client = try await MemoryClient(chain, .get(target), readsSlowly: true)
            _ = try await client.body(until: mark)
            client.leave()
        }
    }

    private var port: Int { addresses.first?.port ?? 0 }

    /// Shuts the server down, and waits for its end.
    func shutDown() async throws { try await stop() }
}

/// The certificate for TLS, created once per run.
private enum Identity {
    private static let made = Task {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return try await SelfSignedCertificate.make(
            "localhost",
            certificate: folder.appendingPathComponent("certificate.pem").path,
            key: folder.appendingPathComponent("key.pem").path
        )
    }

    static func shared() async throws -> TLSIdentity {
        let files = try await made.value
        return try TLSIdentity(certificateChain: files.certificate, privateKey: files.key)
    }
}

#endif
