// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import AsyncHTTPClient
import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import PlinthClient
import PlinthStreams

/// Publishes events to a topic of a hub over HTTP.
final class HubPublisher {
    /// The JSON body of a hub's response.
    private struct Report: Decodable {
        var id: String?
        var count: Int?
        var error: String?
        var code: String?
    }

    /// Why events were not acknowledged.
    struct Failure: Error {
        enum Kind {
            /// Nothing was sent.
            case unreachable
            /// The hub may or may not have received the events.
            case unanswered
            /// The hub accepted only the events that it reports.
            case refused
        }

        let kind: Kind
        /// The number of events that the hub accepted nevertheless.
        var accepted = 0
        /// The ID of the last accepted event.
        var lastID: String?
        /// Whether the event after those has a type that the hub reserves.
        var isReserved = false
        let reason: String
    }

    /// Maximum characters shown of a server's text.
    static let maximumText = 1000
    /// The limit of the Fetch standard.
    private static let maximumRedirects = 20

    private let url: String
    private let options: RequestOptions
    private let timeout: Duration
    private let clients = HubClients()
    /// Receives messages for the user, one for each redirect target.
    private let note: (String) -> Void
    private var noted: Set<String> = []

    /// - Parameters:
    ///   - url: The URL of the topic, optionally with a user name and a password.
    ///   - options: The request options.
    ///   - timeout: The maximum time for a complete response.
    ///   - note: Receives messages for the user.
    init(url: String, options: RequestOptions, timeout: Duration, note: @escaping (String) -> Void) {
        self.url = url
        self.options = options
        self.timeout = timeout
        self.note = note
    }

    /// Repeats a publish that the hub has not refused, with pauses from 100 ms to 5 s.
    ///
    /// - Parameters:
    ///   - time: How long to repeat it; zero for once.
    ///   - publish: Publishes and returns the last ID.
    /// - Returns: What `publish` returns.
    /// - Throws: Its last ``Failure``.
    func retrying(for time: Duration, _ publish: () async throws -> String) async throws -> String {
        let deadline = ContinuousClock.now + time
        var wait = Duration.milliseconds(100)
        while true {
            do {
                return try await publish()
            } catch let failure as Failure {
                guard failure.kind != .refused, ContinuousClock.now + wait < deadline else { throw failure }
                note("\(failure.reason); retrying in \(wait.wholeMilliseconds) ms")
                // Backs off while the server restarts.
                try await Task.sleep(for: wait)
                wait = min(wait * 2, .seconds(5))
            }
        }
    }

    /// Closes the connections.
    func close() async { await clients.shutdown() }

    /// Publishes one event with `data` as its data.
    ///
    /// - Returns: The event's ID; empty if the server reports none.
    func publish(data: [UInt8], type: String?, retry: String?) async throws -> String {
        let query = [("type", type), ("retry", retry)].compactMap { name, value in
            value.map { "\(name)=\(PercentEncoding.encode($0))" }
        }
        return try await send(query.joined(separator: "&"), data, contentType: "text/plain; charset=utf-8").id ?? ""
    }

    /// Publishes a batch as an event stream.
    ///
    /// - Returns: The ID of the last event; empty if the server reports none.
    func publish(_ batch: EventLines.Batch) async throws -> String {
        let report = try await send("", batch.bytes, contentType: "text/event-stream")
        guard report.count ?? batch.count == batch.count else {
            throw Failure(
                kind: .refused,
                accepted: min(max(report.count ?? 0, 0), batch.count),
                lastID: report.id,
                reason: "the server acknowledged \(report.count ?? 0) of \(batch.count) events"
            )
        }
        return report.id ?? ""
    }

    private func send(_ query: String, _ body: [UInt8], contentType: String) async throws -> Report {
        // The URL's credentials become a field that only the same origin receives.
        let authorization = try options.route(to: url).fields[.authorization]
        var address = try HTTPAddress(url)
        if !query.isEmpty {
            address = try HTTPAddress(address.string + (address.string.contains("?") ? "&" : "?") + query)
        }
        var isSameOrigin = true
        for _ in 0...Self.maximumRedirects {
            let route = try options.route(to: address.string)
            var fields = route.fields
            fields[.authorization] = isSameOrigin ? authorization : nil
            if !isSameOrigin { fields[.cookie] = nil }
            var request = HTTPClientRequest(url: route.url)
            request.method = .POST
            for field in fields { request.headers.add(name: field.name.rawName, value: field.value) }
            if fields[.contentType] == nil { request.headers.add(name: "Content-Type", value: contentType) }
            let answer: HTTPExchange.Answer
            do {
                answer = try await HTTPExchange.perform(
                    request,
                    body: body,
                    with: clients.client(for: route),
                    within: timeout
                )
            } catch {
                throw Failure(
                    kind: error.isSent ? .unanswered : .unreachable,
                    reason: (error.isSent ? "no response: " : "cannot reach the server: ") + error.reason
                )
            }
            guard [307, 308].contains(answer.status.code) else { return try Self.report(answer) }
            let target = try Self.target(of: answer, from: address)
            if address.scheme == "https", target.scheme == "http",
                fields[.authorization] != nil || fields[.cookie] != nil
            {
                throw Failure(
                    kind: .refused,
                    reason: "the server answered \(answer.title), redirecting from https to http, "
                        + "which is not followed with credentials: \(Self.shown(target))"
                )
            }
            let place = Self.shown(target)
            if noted.insert(place).inserted { note("the server answered \(answer.title), redirecting to \(place)") }
            // Holds for the rest of the chain, as the other origin chose any redirect back.
            isSameOrigin = isSameOrigin && target.hasSameOrigin(as: address)
            address = target
        }
        throw Failure(
            kind: .refused,
            reason: "the server redirected more than \(Self.maximumRedirects) times, last to \(Self.shown(address))"
        )
    }

    /// The target of a redirect.
    private static func target(of answer: HTTPExchange.Answer, from address: HTTPAddress) throws(Failure) -> HTTPAddress
    {
        guard let location = answer.location else {
            throw Failure(kind: .refused, reason: "the server answered \(answer.title) without a Location")
        }
        do {
            return try address.resolve(location)
        } catch {
            let place = TerminalText.visible(HTTPAddress.redacted(location), upTo: maximumText)
            throw Failure(
                kind: .refused,
                reason: "the server answered \(answer.title), redirecting to an invalid HTTP URL: \(place)"
            )
        }
    }

    private static func shown(_ address: HTTPAddress) -> String {
        TerminalText.visible(address.string, upTo: maximumText)
    }

    private static func report(_ answer: HTTPExchange.Answer) throws(Failure) -> Report {
        let report = (try? JSONDecoder().decode(Report.self, from: Data(answer.body))) ?? Report()
        guard !answer.isSuccess else { return report }
        let text = report.error ?? String(decoding: answer.body, as: UTF8.self)
        let reason = TerminalText.visible(text.trimmingCharacters(in: .whitespacesAndNewlines), upTo: maximumText)
        let place = answer.location.map { TerminalText.visible(HTTPAddress.redacted($0), upTo: maximumText) }
        throw Failure(
            kind: .refused,
            accepted: max(report.count ?? 0, 0),
            lastID: report.id,
            isReserved: report.code == "type-reserved",
            reason: "the server answered \(answer.title)" + (reason.isEmpty ? "" : ": \(reason)")
                + (place.map { "; redirect to \($0)" } ?? "")
        )
    }
}

/// The HTTP clients of a publisher: one per route key, at most four.
private final class HubClients {
    private var clients: [RequestRoute.Key: HTTPClient] = [:]

    func client(for route: RequestRoute) -> HTTPClient {
        if let client = clients[route.key] { return client }
        var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
        configuration.connectionPool.retryConnectionEstablishment = false
        route.configure(&configuration)
        let client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
        clients[route.key] = client
        return client
    }

    func shutdown() async {
        // All requests have completed, so a failed shutdown loses nothing.
        for client in clients.values { try? await client.shutdown() }
        clients = [:]
    }
}
#endif
