// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Logging
import Plinth
import PlinthServer
import ServiceLifecycle
import Testing

/// A connector that listens on a port of its own for one test.
struct TestServer: Sendable {
    let connector: Connector
    let services: ServiceGroup
    let run: Task<Void, any Error>
    let addresses: [BoundAddress]

    var port: Int { addresses.first?.port ?? 0 }

    func client(receiveBuffer: Int? = nil) async throws -> RawClient {
        try await RawClient.connect(port: port, receiveBuffer: receiveBuffer)
    }

    /// Sends a request without a body on a new connection; the caller reads the response.
    func requesting(_ target: String, version: String = "1.1", receiveBuffer: Int? = nil) async throws -> RawClient {
        let client = try await client(receiveBuffer: receiveBuffer)
        try await client.send("GET \(target) HTTP/\(version)\r\nHost: test\r\n\r\n")
        return client
    }

    /// Waits until no connection, request or callback is in progress.
    func isIdle(within limit: Duration = patience) async throws {
        try await wait(for: "the end of all connections", within: limit) { await connector.waitUntilIdle() }
    }

    /// Shuts the connector down, and waits for its end.
    func shutDown(within limit: Duration = patience) async throws {
        await services.triggerGracefulShutdown()
        try await wait(for: "the end of the connector", within: limit) { try await run.value }
    }
}

/// Runs a test against a connector, then shuts the connector down.
///
/// Once the test's clients have left, nothing may be in progress: every test checks for leaks.
func withServer<Result>(
    _ interceptors: [Interceptor],
    logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
    configure: (inout ConnectorConfiguration) -> Void = { _ in },
    isIdleAfterwards: Bool = true,
    _ body: (TestServer) async throws -> Result
) async throws -> Result {
    var configuration = ConnectorConfiguration(addresses: [.tcp(port: 0)], shutdownTimeout: .seconds(30))
    configure(&configuration)
    let connector = Connector(Chain(interceptors), configuration: configuration, logger: logger)
    let services = ServiceGroup(services: [connector], logger: logger)
    let run = Task { try await services.run() }
    let addresses: [BoundAddress]
    do {
        addresses = try await wait(for: "listening") { try await connector.listeningAddresses() }
    } catch {
        run.cancel()
        throw error
    }
    let server = TestServer(connector: connector, services: services, run: run, addresses: addresses)
    do {
        let result = try await body(server)
        if isIdleAfterwards { try await server.isIdle() }
        try await server.shutDown()
        #expect(connector.activityCount == 0)
        return result
    } catch {
        run.cancel()
        throw error
    }
}

/// Routes each path to an interceptor.
func routes(_ table: [String: Interceptor]) -> Interceptor {
    Interceptor(
        "routes",
        enter: { context in
            if let interceptor = table[String(context.request.path)] { context.enqueue(interceptor) }
        }
    )
}

/// Responds to every request with a text.
func answering(_ text: String) -> Interceptor {
    .handler("text") { _ in .text(text) }
}

#endif
