// SPDX-License-Identifier: Apache-2.0

#if Server

import PlinthTestSupport
import Foundation
import Logging
import Plinth
import PlinthHub
import PlinthServer
import ServiceLifecycle
import Testing

/// A hub served on a port of its own for one test.
struct HubServer: Sendable {
    let server: TestServer
    let service: HubService
    let streams: StreamRecorder

    var hub: Hub { service.hub }
    var port: Int { server.port }

    /// Sends a request on a new connection, and reads the response.
    func request(
        _ method: String,
        _ target: String,
        _ fields: String = "",
        body: String? = nil,
        host: String = "test"
    ) async throws -> RawResponse {
        try await request(method, target, fields, bytes: body.map { Array($0.utf8) }, host: host)
    }

    /// Sends a request on a new connection, and reads the response.
    func request(
        _ method: String,
        _ target: String,
        _ fields: String = "",
        bytes: [UInt8]?,
        host: String = "test"
    ) async throws -> RawResponse {
        let client = try await server.client()
        let length = bytes.map { "Content-Length: \($0.count)\r\n" } ?? ""
        let head = "\(method) \(target) HTTP/1.1\r\nHost: \(host)\r\n\(length)\(fields)\r\n"
        _ = try await client.sendWhatFits(Array(head.utf8) + (bytes ?? []), within: patience / .seconds(1))
        return try await client.response(hasBody: method != "HEAD")
    }

    /// Publishes over HTTP.
    ///
    /// - Returns: The ID.
    @discardableResult
    func post(_ target: String, _ body: String) async throws -> String {
        let response = try await request("POST", target, body: body)
        #expect(response.status == 201, "\(response.body)")
        return try #require(try Answer(response).id)
    }

    func subscribe(
        _ target: String,
        _ fields: String = "",
        version: String = "1.1",
        receiveBuffer: Int? = nil
    ) async throws -> StreamClient {
        try await StreamClient(port: port, target, fields, version: version, receiveBuffer: receiveBuffer)
    }

    /// The first `count` events of a stream.
    func events(_ count: Int, _ target: String, _ fields: String = "") async throws -> [ServerSentEvent] {
        let client = try await subscribe(target, fields)
        let events = try await client.events(count)
        client.raw.close()
        return events
    }

    /// Waits until `count` streams have ended, and checks the hub's count.
    func hasEnded(_ count: Int, within limit: Duration = patience) async throws -> [StreamEnd] {
        let ends = try await streams.ends.first(count, within: limit, "the end of a stream")
        #expect(hub.subscriberCount == streams.begun.values.count - streams.ends.values.count)
        return ends
    }
}

/// A hub's response in JSON.
struct Answer: Decodable {
    var id: String?
    var count: Int?
    var error: String?
    var code: String?
    var removed: Int?

    init(_ response: RawResponse) throws {
        #expect(response["Content-Type"] == "application/json", "\(response)")
        self = try JSONDecoder().decode(Answer.self, from: Data(response.body.utf8))
    }
}

/// Records the starts and ends of the hub's streams.
final class StreamRecorder: HubObserver {
    let begun = Recorder<HubStream.Transport>()
    let ends = Recorder<StreamEnd>()

    func streamBegan(_ stream: HubStream) { begun.record(stream.transport) }
    func streamEnded(_ stream: HubStream, _ end: StreamEnd) { ends.record(end) }
}

/// What serves the connections of a test.
enum Held: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case reactor
    case eventLoops

    var testDescription: String { rawValue }

    var configuration: HubService.Configuration {
        HubService.Configuration(handOff: self == .reactor ? .automatic : .never)
    }

    var transport: HubStream.Transport { self == .reactor ? .reactor : .eventLoop }
}

/// Runs a test against a hub, then shuts it down.
///
/// Once the test's clients have left, no stream may be open.
func withHub<Result>(
    _ configuration: HubService.Configuration = HubService.Configuration(),
    history: any History = MemoryHistory(),
    options: StreamOptions = StreamOptions(),
    basePath: String = "",
    authorizer: (any HubAuthorizer)? = nil,
    maximumEventSize: Int = 1 << 20,
    uploadIdleTimeout: Duration? = .seconds(3600),
    interceptors: [Interceptor] = [],
    random: (@Sendable (ClosedRange<Int64>) -> Int64)? = nil,
    logger: Logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
    configure: (inout ConnectorConfiguration) -> Void = { _ in },
    isIdleAfterwards: Bool = true,
    _ body: (HubServer) async throws -> Result
) async throws -> Result {
    let streams = StreamRecorder()
    var options = options
    if let random { options.random = random }
    let hub = try await Hub(history: history, options: options, observer: streams)
    let service = HubService(hub, configuration: configuration, logger: logger)
    var endpoints = HubEndpoints(service, authorizer: authorizer, maximumEventSize: maximumEventSize)
    endpoints.uploadIdleTimeout = uploadIdleTimeout
    let chain = Chain.default(try Routes(endpoints.routes(basePath))) { $0.interceptors = interceptors }
    var connection = ConnectorConfiguration(addresses: [.tcp(port: 0)], shutdownTimeout: .seconds(3))
    configure(&connection)
    let connector = Connector(chain, configuration: connection, logger: logger)
    let services = ServiceGroup(services: [service, connector], logger: logger)
    let run = Task { try await services.run() }
    do {
        let addresses = try await wait(for: "listening") { try await connector.listeningAddresses() }
        let server = TestServer(connector: connector, services: services, run: run, addresses: addresses)
        let result = try await body(HubServer(server: server, service: service, streams: streams))
        if isIdleAfterwards {
            try await streams.ends.first(streams.begun.values.count, "the end of all streams")
            try await server.isIdle()
        }
        try await server.shutDown()
        #expect(hub.subscriberCount == 0)
        #expect(streams.begun.values.count == streams.ends.values.count)
        return result
    } catch {
        run.cancel()
        throw error
    }
}

#endif
