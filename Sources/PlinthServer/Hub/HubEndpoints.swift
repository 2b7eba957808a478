// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
public import Plinth
public import PlinthHub

/// A hub over HTTP: routes to publish, subscribe, purge and read the status, and a web page.
///
/// | request | response |
/// |---|---|
/// | `POST topics/{topic}`, with `?type=` and `?retry=` | 201 and `{"id":…}` once the body is in history as an event |
/// | the same with `Content-Type: text/event-stream` | 201, `{"id":…,"count":…}`: each event of the body is published |
/// | the same with `?end` | 201, `{"id":…,"count":…}`: the topic ends after the body; an empty body only ends it |
/// | `POST topics?topic=a&topic=b` | 201 and `{"id":…}`: one event of several topics |
/// | `GET topics/{topic}` | the stream of a topic |
/// | `GET topics?topic=…&match=…` | one stream of several topics and patterns; a tab and the topic follow each ID |
/// | `POST topics` with these in a form | the same, for more topics than fit in a URL |
/// | a subscription with `?wait=30s` | 200 and JSON, once there is an event: a long-poll |
/// | `HEAD topics/{topic}`, `HEAD topics?…` | 200 and `Last-Event-ID`, the hub's mark; `Topic-Ended: true` |
/// | `PUT topics/{topic}` | 201 or 200: the topic's own limits, `{"events":…,"bytes":…,"age":"1h"}` |
/// | `DELETE topics/{topic}` | 200 and `{"removed":…}`: the topic's events, its end and its limits are removed |
/// | `GET status`, with `?top=` | the hub's counts, and its most recent topics |
/// | `GET session` | who the request is from, and what it may do |
/// | `POST session`, `DELETE session` | 200 and a cookie for the token in `Authorization`; the end of its session |
/// | `DELETE subjects/{subject}`, with `?issuer=` | the subject is revoked: its tokens of before are refused |
/// | `GET` of the prefix itself | the page |
///
/// A stream begins after the ID in the `Last-Event-ID` header or in the query's `last-event-id` (in any of the
/// spellings of ``/Plinth/Request/lastEventID``), with the oldest event held if the ID is `earliest`, and without an ID
/// with the next event published. An ID of no event, even an invalid one, yields a gap event. A client that has all of
/// topics that have ended gets 204. `Producer-ID`, `Producer-Epoch` and `Producer-Sequence`, or `Idempotency-Key`, make
/// a publish safe to repeat. Errors are JSON: `{"error":…,"code":…}`; <doc:HubOverHTTP> lists the codes.
///
/// A ``HubAuthorizer`` decides which requests may do what; without one, every request may do everything.
public struct HubEndpoints: Sendable {
    /// The hub's service.
    public let service: HubService
    /// Decides what a request may do.
    ///
    /// Default: nil, which allows everything.
    public var authorizer: (any HubAuthorizer)?
    /// The revoked subjects.
    ///
    /// Default: nil, none can be revoked.
    public var revocations: HubRevocations?
    /// The origins of pages, besides those at the hub's own host.
    ///
    /// Default: none.
    public var origins = HubOrigins()
    /// The most bytes of an event's data; a larger event gets status 413.
    ///
    /// Clients have limits, too: `maximumEventSize` of `EventSourceConfiguration` counts type, ID and data, and is
    /// larger by default. Keep it larger than this limit: a client closes for good at an event above its own.
    ///
    /// Default: 1 MiB.
    public var maximumEventSize: Int { didSet { maximumEventSize = max(1, maximumEventSize) } }
    /// The most topics that one stream may select; more is 400 with the code `bad-selector`.
    ///
    /// Default: 10,000.
    public var maximumTopics = 10_000 { didSet { maximumTopics = max(1, maximumTopics) } }
    /// The most patterns that one stream may select; more is 400 with the code `bad-selector`.
    ///
    /// Each pattern adds to the cost of a new topic, and to that of the stream's reads of history.
    ///
    /// Default: 100.
    public var maximumPatterns = 100 { didSet { maximumPatterns = max(0, maximumPatterns) } }
    /// How long a publisher that uploads an event stream may be silent between two events; nil for no limit.
    ///
    /// The upload then ends with 408 and a report of the events published. A shutdown ends a silent upload at once,
    /// with 503 and the report. Within an event, the connector's ``ConnectorConfiguration/bodyTimeout`` applies.
    ///
    /// Default: 1 hour.
    public var uploadIdleTimeout: Duration? = .seconds(3600)
    /// The maximum age of a stream behind a trusted proxy; nil for no limit.
    ///
    /// A proxy goes on acknowledging heartbeats for a browser that has gone. Each stream gets a random part of it, from
    /// four fifths on, after which its client resumes. ``/PlinthHub/StreamOptions/maximumAge`` has precedence.
    ///
    /// Default: 15 minutes.
    public var maximumAgeBehindProxy: Duration? = .seconds(900)
    /// How much each client may do in a time.
    ///
    /// Default: the defaults of ``HubLimits``.
    public var limits = HubLimits() { didSet { rates = HubRates(limits) } }
    private(set) var rates = HubRates(HubLimits())
    /// Tells the time by which grants expire; tests replace it.
    var wallClock: @Sendable () -> Date = { Date() }

    /// Creates the endpoints of a hub.
    ///
    /// - Parameters:
    ///   - service: The hub's service, which runs alongside the connector.
    ///   - authorizer: Decides what a request may do. Default: nil, which allows everything.
    ///   - maximumEventSize: The most bytes of an event's data. Default: 1 MiB.
    public init(_ service: HubService, authorizer: (any HubAuthorizer)? = nil, maximumEventSize: Int = 1 << 20) {
        self.service = service
        self.authorizer = authorizer
        self.maximumEventSize = max(1, maximumEventSize)
    }

    /// Returns the hub's routes.
    ///
    /// - Parameter prefix: The prefix of their paths, without a slash at its end, such as `/hub`. Default: none.
    /// - Returns: The routes, for a ``/Plinth/Routes``.
    public func routes(_ prefix: String = "") -> [Route] {
        Route.group(prefix, interceptors: interceptors) {
            Self.answered(.post, "/topics/*topic", "\(prefix)/topics/ publish") { try publish($0) }
            Self.answered(.get, "/topics/*topic", "\(prefix)/topics/ subscribe") { try subscribe($0) }
            Self.answered(.get, "/topics", "\(prefix)/topics subscribe to several") { try subscribeToSeveral($0) }
            Self.answered(.post, "/topics", "\(prefix)/topics post to several") { try postToSeveral($0) }
            Route.on(.head, "/topics/*topic", name: "\(prefix)/topics/ mark") { try await mark($0) }
            Route.on(.head, "/topics", name: "\(prefix)/topics mark of several") { try await markOfSeveral($0) }
            Route.put("/topics/*topic", name: "\(prefix)/topics/ limits") { try await setLimits($0) }
            Route.delete("/topics/*topic", name: "\(prefix)/topics/ purge") { try await purge($0) }
            Route.get("/status", name: "\(prefix)/status") { try await status($0) }
            Route.get("/session", name: "\(prefix)/session") { try await session($0) }
            Route.post("/session", name: "\(prefix)/session sign in") { try await signIn($0) }
            Route.delete("/session", name: "\(prefix)/session sign out") { try await signOut($0) }
            Route.delete("/subjects/*subject", name: "\(prefix)/subjects/ revoke") { try await revoke($0) }
            Self.otherMethods("/topics/*topic", prefix, "DELETE, GET, HEAD, OPTIONS, POST, PUT")
            Self.otherMethods("/topics", prefix, "GET, HEAD, OPTIONS, POST")
            Self.otherMethods("/status", prefix, "GET, HEAD, OPTIONS")
            Self.otherMethods("/session", prefix, "DELETE, GET, HEAD, OPTIONS, POST")
            Self.otherMethods("/subjects/*subject", prefix, "DELETE, OPTIONS")
        } + page(prefix)
    }

    /// Lets pages of ``origins`` read; nil if there are no others than the hub's own.
    ///
    /// The routes have it in front. A chain that serves only a hub has it before everything else, so that its 404 can be
    /// read as well.
    public var crossOrigin: Interceptor? {
        origins.policy(isAuthorized: authorizer != nil).map { .cors($0) }
    }

    /// What all routes but the page's have in front.
    private var interceptors: [Interceptor] {
        (crossOrigin.map { [$0] } ?? []) + [authorizer == nil ? .hubErrors : .decidedAnswers]
    }

    /// The sessions of browsers; nil if the authorizer has none.
    var sessions: HubSessions? { (authorizer as? TokenAuthorizer)?.sessions }

    /// A route whose requests are mostly answered without waiting.
    private static func answered(
        _ method: HTTPRequest.Method,
        _ path: String,
        _ name: String,
        _ answer: @escaping @Sendable (Request) throws -> Answer
    ) -> Route {
        .on(method, path, Interceptor.answering(name, answer), name: name)
    }

    /// Handles all other methods of a path like the router, but in JSON.
    private static func otherMethods(_ path: String, _ prefix: String, _ allowed: String) -> Route {
        Route.any(path, name: "\(prefix)\(path) other methods") { request in
            if request.method == .options { return Response(status: .noContent, headers: [.allow: allowed]) }
            throw HTTPError(
                .methodNotAllowed,
                .methodNotAllowed,
                "this path allows \(allowed)",
                headers: [.allow: allowed]
            )
        }
    }

    // MARK: - Syntax

    func topic(_ request: Request) throws -> Topic {
        try Self.checked("topic", .badTopic, try request.pathParameters.require("topic")) { try Topic($0) }
    }

    static func checked<Value>(
        _ what: String,
        _ code: HubErrorCode,
        _ text: String,
        _ make: (String) throws -> Value
    ) throws -> Value {
        do {
            return try make(text)
        } catch {
            throw HTTPError(.badRequest, code, "bad \(what): \(error)")
        }
    }

    static let lengthRequired =
        "the request has neither Content-Length nor Transfer-Encoding, and so no body; for an event without data, "
        + "send Content-Length: 0"
}

extension Request {
    /// Whether the request has a query, which most have not.
    var hasQuery: Bool { query != nil }

    /// Whether the request declares no body, not even an empty one, which is a mistake where a body is required.
    ///
    /// RFC 9110, section 8.6: a POST should always declare its length. In HTTP/2 the frames do.
    var lacksLength: Bool {
        version < .http2 && !headers.contains(.contentLength) && !headers.contains(.transferEncoding)
    }
}

#endif
