// SPDX-License-Identifier: Apache-2.0

#if Command && Client
import AsyncHTTPClient
import HTTPTypes
import NIOHTTP1
import PlinthClient
import PlinthStreams

/// Sends requests to a hub or an application: with the options' fields, through proxies, and along redirects.
///
/// The file of `--token-file` is read for each request. If the server answers 401 and the file holds another token by
/// then, the request is sent once more.
final class HubRequests {
    /// A request, without the fields of the options.
    struct Request {
        var method = HTTPMethod.GET
        var url: String
        /// Appended to the URL's query.
        var query = ""
        /// Replace the options' fields of the same name, except for a `Content-Type`.
        var fields: [(name: String, value: String)] = []
        var body: [UInt8] = []
        /// Whether `Authorization` and `Cookie` of the options are sent; false for a URL of another origin than the
        /// command's.
        ///
        /// The URL's own user name and password are sent in either case.
        var sendsCredentials = true
        var maximumBodySize = HTTPExchange.maximumBodySize
        /// The maximum time for a complete response; nil for that of the initializer.
        var timeout: Duration?
    }

    /// Why there is no response to use.
    struct Failure: Error {
        enum Kind {
            /// Nothing was sent.
            case unreachable
            /// The server may or may not have acted on the request.
            case unanswered
            /// The server refused the request.
            case refused
        }

        let kind: Kind
        let reason: String
    }

    /// Maximum characters shown of a server's text.
    static let maximumText = 1000
    /// The limit of the Fetch standard.
    private static let maximumRedirects = 20

    private let options: RequestOptions
    private let tokens: TokenFile?
    private let timeout: Duration
    private let clients = HubClients()
    /// Receives messages for the user, one for each redirect target.
    private let note: (String) -> Void
    private var noted: Set<String> = []

    /// - Parameters:
    ///   - options: The request options.
    ///   - timeout: The maximum time for a complete response.
    ///   - note: Receives messages for the user.
    init(options: RequestOptions, timeout: Duration, note: @escaping (String) -> Void) {
        self.options = options
        tokens = options.tokens
        self.timeout = timeout
        self.note = note
    }

    /// Closes the connections.
    func close() async { await clients.shutdown() }

    /// Whether the token file holds another token than the last request sent; false without such a file.
    var isTokenRenewed: Bool { tokens?.isRenewed() ?? false }

    /// Sends a request and follows redirects.
    ///
    /// - Returns: The response, whatever its status, unless that is a redirect that is followed.
    /// - Throws: ``Failure`` without a response or a token, or for a redirect that cannot be followed;
    ///   `ValidationError` for invalid options.
    func perform(_ request: Request) async throws -> HTTPExchange.Answer {
        let answer = try await attempt(request)
        guard answer.status == .unauthorized, request.sendsCredentials else { return answer }
        let report = HubReport(answer)
        // If the hub took some of the events before the token expired, or may have, the caller sends the rest.
        guard !answer.isTruncated, report.accepted(of: 1) == 0, isTokenRenewed else { return answer }
        note("\(answer.refusal(report)); trying again with the new token in the file")
        return try await attempt(request)
    }

    private func attempt(_ request: Request) async throws -> HTTPExchange.Answer {
        // The URL's credentials become a field that only the same origin receives.
        var address = try HTTPAddress(request.url)
        let authorization =
            request.sendsCredentials
            ? try options.route(to: request.url, authorization: try fileAuthorization()).fields[.authorization]
            : address.basicAuthorization
        if !request.query.isEmpty {
            address = try HTTPAddress(address.string + (address.string.contains("?") ? "&" : "?") + request.query)
        }
        var isSameOrigin = true
        for _ in 0...Self.maximumRedirects {
            let route = try options.route(to: address.string)
            var fields = route.fields
            fields[.authorization] = isSameOrigin ? authorization : nil
            if !isSameOrigin || !request.sendsCredentials { fields[.cookie] = nil }
            let answer = try await perform(request, route, fields)
            guard Self.isFollowed(answer.status, request.method) else { return answer }
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

    /// The `Authorization` of the token file; nil without such a file.
    private func fileAuthorization() throws(Failure) -> String? {
        do throws(TokenFile.Failure) {
            return try tokens?.read().authorization
        } catch {
            throw Failure(kind: .unreachable, reason: error.description)
        }
    }

    private func perform(
        _ request: Request,
        _ route: RequestRoute,
        _ fields: HTTPFields
    ) async throws(Failure) -> HTTPExchange.Answer {
        var sent = HTTPClientRequest(url: route.url)
        sent.method = request.method
        for field in fields { sent.headers.add(name: field.name.rawName, value: field.value) }
        for field in request.fields where field.name != "Content-Type" || fields[.contentType] == nil {
            sent.headers.replaceOrAdd(name: field.name, value: field.value)
        }
        do {
            return try await HTTPExchange.perform(
                sent,
                body: request.body,
                with: clients.client(for: route),
                within: request.timeout ?? timeout,
                maximumBodySize: request.maximumBodySize
            )
        } catch {
            throw Failure(
                kind: error.isSent ? .unanswered : .unreachable,
                reason: (error.isSent ? "no response: " : "cannot reach the server: ") + error.reason
            )
        }
    }

    /// 301, 302 and 303 turn a POST into a GET in browsers, so they are followed for requests without a body only.
    private static func isFollowed(_ status: HTTPResponseStatus, _ method: HTTPMethod) -> Bool {
        switch status.code {
        case 307, 308: true
        case 301, 302, 303: method == .GET || method == .HEAD
        default: false
        }
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
}

/// HTTP clients: one per route key, at most four.
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
