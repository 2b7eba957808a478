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

/// What serves the streams of one cell of the table.
struct ContractServer: Sendable {
    let way: Way
    private let chain: Chain
    private let addresses: [BoundAddress]
    private let stop: @Sendable () async throws -> Void

    /// Serves something for the time of a closure; afterwards nothing may be under way any more.
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
            way.isSecure ? .tls(port: 0, identity: try await Certificate.shared.identity()) : .tcp(port: 0)
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
        return try CurlClient(way, "\(scheme)://127.0.0.1:\(addresses[0].port ?? 0)\(target)", options)
    }

    /// Shuts the server down, and waits until it has.
    func shutDown() async throws { try await stop() }
}

/// A certificate that openssl makes once a run.
private struct Certificate: Sendable {
    let certificate: String
    let key: String

    private static let made = Task { try await make() }

    static var shared: Certificate {
        get async throws { try await made.value }
    }

    func identity() throws -> TLSIdentity {
        try TLSIdentity(certificateChain: certificate, privateKey: key)
    }

    private static func make() async throws -> Certificate {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("plinth-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let made = Certificate(
            certificate: folder.appendingPathComponent("certificate.pem").path,
            key: folder.appendingPathComponent("key.pem").path
        )
        let result = try await ChildProcess.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", "/CN=localhost", "-keyout", made.key, "-out", made.certificate,
            ]
        )
        try #require(result.status == 0, "\(result.errors)")
        return made
    }
}

#endif
