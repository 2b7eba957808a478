// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import AsyncHTTPClient
import Foundation
import HTTPTypes
import NIOCore
import NIOHTTP1
import PlinthClient
import PlinthStreams

/// Puts events into a topic of a hub over HTTP.
final class HubPublisher {
    /// What a hub answers, in JSON.
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
            /// Whether the hub has the events is not known.
            case unanswered
            /// The hub has no more of them than it reports.
            case refused
        }

        let kind: Kind
        /// How many of the events the hub has all the same.
        var accepted = 0
        /// The ID of the last of these.
        var lastID: String?
        /// Whether the event behind them has a type that is the hub's own.
        var isReserved = false
        let reason: String
    }

    /// The characters of a server's text that are shown.
    static let maximumText = 1000
    /// As many as Fetch follows.
    private static let maximumRedirects = 20

    private let url: String
    private let options: RequestOptions
    private let timeout: Duration
    private let clients = HubClients()
    /// Called with what a person should know, once for each place that the server leads to.
    private let note: (String) -> Void
    private var noted: Set<String> = []

    /// - Parameters:
    ///   - url: The URL of the topic, which may have a user name and a password.
    ///   - options: How requests are made.
    ///   - timeout: How long an answer may take, to its end.
    ///   - note: Called with what a person should know.
    init(url: String, options: RequestOptions, timeout: Duration, note: @escaping (String) -> Void) {
        self.url = url
        self.options = options
        self.timeout = timeout
        self.note = note
    }

    /// Closes the connections.
    func close() async { await clients.shutdown() }

    /// Publishes one event whose data is the body.
    ///
    /// - Returns: Its ID; empty if the server named none.
    func publish(data: [UInt8], type: String?, retry: String?) async throws -> String {
        let query = [("type", type), ("retry", retry)].compactMap { name, value in
            value.map { "\(name)=\(PercentEncoding.encode($0))" }
        }
        return try await send(query.joined(separator: "&"), data, contentType: "text/plain; charset=utf-8").id ?? ""
    }

    /// Publishes the events of an event stream.
    ///
    /// - Returns: The ID of the last; empty if the server named none.
    func publish(_ batch: EventLines.Batch) async throws -> String {
        let report = try await send("", batch.bytes, contentType: "text/event-stream")
        guard report.count ?? batch.count == batch.count else {
            throw Failure(
                kind: .refused,
                accepted: min(max(report.count ?? 0, 0), batch.count),
                lastID: report.id,
                reason: "the server acknowledged \(report.count ?? 0) events of \(batch.count)"
            )
        }
        return report.id ?? ""
    }

    private func send(_ query: String, _ body: [UInt8], contentType: String) async throws -> Report {
        // Its user name becomes a field, which only the same origin receives.
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
                    reason: (error.isSent ? "there was no answer: " : "the server cannot be reached: ") + error.reason
                )
            }
            guard [307, 308].contains(answer.status.code) else { return try Self.report(answer) }
            let target = try Self.target(of: answer, from: address)
            if address.scheme == "https", target.scheme == "http",
                fields[.authorization] != nil || fields[.cookie] != nil
            {
                throw Failure(
                    kind: .refused,
                    reason: "the server answered \(answer.title) and leads from https to http, "
                        + "which is not followed with credentials: to \(Self.shown(target))"
                )
            }
            let place = Self.shown(target)
            if noted.insert(place).inserted { note("the server answered \(answer.title) and leads to \(place)") }
            // For the rest of the chain: what leads back was chosen by the other origin.
            isSameOrigin = isSameOrigin && target.hasSameOrigin(as: address)
            address = target
        }
        throw Failure(
            kind: .refused,
            reason: "the server leads on more than \(Self.maximumRedirects) times, last to \(Self.shown(address))"
        )
    }

    /// Where a redirect leads.
    private static func target(of answer: HTTPExchange.Answer, from address: HTTPAddress) throws(Failure) -> HTTPAddress
    {
        guard let location = answer.location else {
            throw Failure(kind: .refused, reason: "the server answered \(answer.title) and does not say where it leads")
        }
        do {
            return try address.resolve(location)
        } catch {
            let place = TerminalText.visible(HTTPAddress.redacted(location), upTo: maximumText)
            throw Failure(
                kind: .refused,
                reason: "the server answered \(answer.title) and leads to what is no URL of HTTP: \(place)"
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
                + (place.map { "; it leads to \($0)" } ?? "")
        )
    }
}

/// The clients of a publisher: one for each way to a server, at most four.
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
        // What was sent is answered: nothing is lost if closing a connection fails.
        for client in clients.values { try? await client.shutdown() }
        clients = [:]
    }
}
#endif
