// SPDX-License-Identifier: Apache-2.0

#if Server

public import Plinth
import PlinthHub

/// A hub over HTTP: routes to publish, to subscribe and to look at it, and its page.
///
/// | request | answer |
/// |---|---|
/// | `POST topics/{topic}`, with `?type=` and `?retry=` | 201 and `{"id":…}` when the body is in history as an event |
/// | the same with `Content-Type: text/event-stream` | 201, `{"id":…,"count":…}`: each event of the body is published |
/// | `GET topics/{topic}` | the stream of a topic |
/// | `GET topics?topic=…&match=…` | one stream of several topics and patterns; behind each ID a tab and the topic |
/// | `POST topics` with a form of these | the same, for more topics than a URL holds |
/// | `DELETE topics/{topic}` | 200 and `{"removed":…}`: the topic's events leave history |
/// | `GET status`, with `?top=` | the hub's figures, and its most recent topics |
/// | `GET` of the place itself | the page |
///
/// A stream begins after the ID that the header `Last-Event-ID` or the query's `last-event-id` names
/// (``/Plinth/Request/lastEventID``: any spelling will do), with the oldest event held if that is `earliest`, and otherwise
/// with what is published from then on. An ID that is no event's, whatever is wrong with it, gives a gap. What is
/// wrong with a request is said in JSON: `{"error":…,"code":…}`; <doc:HubOverHTTP> lists the codes.
///
/// Whoever may do what is decided by interceptors in front of the routes.
public struct HubEndpoints: Sendable {
    /// The hub's service.
    public let service: HubService
    /// The most bytes of an event's data.
    ///
    /// 1 MiB unless set; more is 413. Clients have limits, too, and count type and ID with the data: what is published
    /// here has to fit `maximumEventSize` of their `EventSourceConfiguration`, which is larger unless set. Choose the two
    /// together, the reader's being the larger: a client ends for good at an event that it cannot hold.
    public var maximumEventSize: Int
    /// The most topics that one stream may name.
    ///
    /// More is 400, with the code `bad-selector`.
    ///
    /// Default: 10,000.
    public var maximumTopics = 10_000
    /// The most patterns that one stream may have.
    ///
    /// Each takes part in what a new topic costs, and in what is looked at when the stream reads history. More is 400, with
    /// the code `bad-selector`.
    ///
    /// Default: 100.
    public var maximumPatterns = 100
    /// How long a publisher that uploads an event stream may be silent between two events; nil for no limit.
    ///
    /// The upload then ends with 408 and the report of what was taken. A shutdown ends the silence at once, with 503 and the
    /// report. Within an event the connector's ``ConnectorConfiguration/bodyTimeout`` holds.
    ///
    /// Default: 1 hour.
    public var uploadIdleTimeout: Duration? = .seconds(3600)

    /// Endpoints of a hub.
    ///
    /// - Parameters:
    ///   - service: The hub's service, which runs beside the connector.
    ///   - maximumEventSize: The most bytes of an event's data; 1 MiB unless given.
    public init(_ service: HubService, maximumEventSize: Int = 1 << 20) {
        self.service = service
        self.maximumEventSize = max(1, maximumEventSize)
    }

    /// The routes.
    ///
    /// - Parameter prefix: What their paths begin with: nothing, or a path without a slash at its end, such as `/hub`.
    /// - Returns: The routes, for a ``/Plinth/Routes``.
    public func routes(_ prefix: String = "") -> [Route] {
        Route.group(prefix, interceptors: [.hubErrors]) {
            Route.post("/topics/*topic", name: "\(prefix)/topics/ publish") { try await publish($0) }
            Route.get("/topics/*topic", name: "\(prefix)/topics/ subscribe") { try await subscribe($0) }
            Route.get("/topics", name: "\(prefix)/topics subscribe to several") { try await subscribeToSeveral($0) }
            Route.post("/topics", name: "\(prefix)/topics subscribe by a form") { try await subscribeByForm($0) }
            Route.delete("/topics/*topic", name: "\(prefix)/topics/ purge") { try await purge($0) }
            Route.get("/status", name: "\(prefix)/status") { try await status($0) }
            Self.otherMethods("/topics/*topic", prefix, "DELETE, GET, HEAD, OPTIONS, POST")
            Self.otherMethods("/topics", prefix, "GET, HEAD, OPTIONS, POST")
            Self.otherMethods("/status", prefix, "GET, HEAD, OPTIONS")
        } + page(prefix)
    }

    /// Answers all other methods of a path as the router does, but in JSON.
    private static func otherMethods(_ path: String, _ prefix: String, _ allowed: String) -> Route {
        Route.any(path, name: "\(prefix)\(path) other methods") { request in
            if request.method == .options { return Response(status: .noContent, headers: [.allow: allowed]) }
            throw HTTPError(
                .methodNotAllowed,
                .methodNotAllowed,
                "this path answers \(allowed)",
                headers: [.allow: allowed]
            )
        }
    }

    // MARK: - Publishing

    private func publish(_ request: Request) async throws -> Response {
        let topic = try topic(request)
        let type = try eventType(request.queryParameters["type"])
        let retry = try retryTime(request.queryParameters["retry"])
        guard !request.lacksLength else { throw HTTPError(.lengthRequired, .lengthRequired, Self.lengthRequired) }
        if request.isEventStream { return try await publishAll(request, topic) }
        let bytes = try await request.body.collect(upTo: maximumEventSize)
        guard let data = String(validating: bytes, as: UTF8.self) else {
            throw HTTPError(.badRequest, .badField, "the body is not valid UTF-8, and an event's data is text")
        }
        let event: ServerSentEvent
        do {
            event = try ServerSentEvent(type: type, data: data, retry: retry)
        } catch {
            throw HTTPError(.badRequest, .badField, "\(error)")
        }
        let id: EventID
        do {
            id = try await service.hub.publish(event, to: topic)
        } catch {
            throw try refusal(error, request)
        }
        return .json("{\"id\":\(JSONString.quoted(id.description))}", status: .created)
    }

    /// Why events were not published.
    ///
    /// - Throws: `CancellationError`, if the client has left.
    private func refusal(_ error: any Error, _ request: Request) throws -> HTTPError {
        if error is CancellationError { throw error }
        if let error = HTTPError(hub: error) { return error }
        request.logger.error("history takes no events", metadata: ["error": "\(error)"])
        return .notTaken
    }

    private static let lengthRequired =
        "the request has neither Content-Length nor Transfer-Encoding, so that it has no body; for an event without data "
        + "send Content-Length: 0"

    private func eventType(_ text: String?) throws -> String? {
        guard let text, !text.isEmpty else { return nil }
        if service.hub.isReserved(text) { throw HTTPError.typeReserved(text) }
        return text
    }

    private func retryTime(_ text: String?) throws -> Duration? {
        guard let text else { return nil }
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw HTTPError(.badRequest, .badField, "`retry` is not a number of milliseconds: digits, without a sign")
        }
        // The hub clamps it: to what is more than fits no limit of its own is needed.
        return .milliseconds(min(Int64(text) ?? .max, 1 << 53 - 1))
    }

    /// Each event of an event stream, in its order; the stream is read no faster than history takes its events.
    private func publishAll(_ request: Request, _ topic: Topic) async throws -> Response {
        let hub = service.hub
        var upload = EventUpload(topic: topic, maximumEventSize: maximumEventSize, isReserved: hub.isReserved)
        let pause = uploadIdleTimeout ?? .seconds(Int64.max)
        request.body.mayPause(for: pause)
        do {
            for try await bytes in request.body {
                let events = upload.parse(bytes)
                if !events.isEmpty { upload.accepted(try await append(events, of: upload, request)) }
                if let failure = upload.failure { throw failure }
                request.body.mayPause(for: upload.isWithinEvent ? nil : pause)
            }
            upload.finish()
            if let failure = upload.failure { throw failure }
        } catch let failure as EventUpload.Failure {
            return report(upload, failure)
        } catch let error as HTTPError {
            return report(upload, EventUpload.Failure(error.message, error))
        }
        return .json(upload.report(nil), status: .created)
    }

    /// An upload that has failed: what is published, and why there is no more.
    private func report(_ upload: EventUpload, _ failure: EventUpload.Failure) -> Response {
        var response = Response.json(upload.report(failure), status: failure.status)
        response.headers.append(contentsOf: failure.headers)
        return response
    }

    /// Puts events of an upload into history.
    private func append(_ events: [NewEvent], of upload: EventUpload, _ request: Request) async throws -> [EventID] {
        do {
            return try await service.hub.publish(events)
        } catch {
            throw upload.refused(try refusal(error, request))
        }
    }

    // MARK: - Subscribing

    private func subscribe(_ request: Request) async throws -> Response {
        try await stream(request, Selection([.exact(try topic(request))]), namesTopic: false)
    }

    private func subscribeToSeveral(_ request: Request) async throws -> Response {
        try await stream(request, Selection(try selectors(request.queryParameters, "?")), namesTopic: true)
    }

    /// The most bytes of a form that subscribes: 64 KiB.
    private static let maximumFormSize = 64 << 10

    /// Subscribes to more topics than fit a URL.
    ///
    /// The query says what a `POST` is: one with `topic` will publish to several topics.
    private func subscribeByForm(_ request: Request) async throws -> Response {
        let query = request.queryParameters
        guard query["match"] == nil else {
            throw HTTPError(
                .badRequest,
                .badSelector,
                "`match` in the query of a POST means nothing; to subscribe put it into a form in the body, or use GET"
            )
        }
        guard query["topic"] == nil else {
            throw HTTPError(
                .methodNotAllowed,
                .methodNotAllowed,
                "with `topic` in its query this path answers GET, HEAD, OPTIONS; to publish use POST topics/NAME, and to "
                    + "subscribe put the topics into a form in the body",
                headers: [.allow: "GET, HEAD, OPTIONS"]
            )
        }
        guard !request.lacksLength else { throw HTTPError(.lengthRequired, .lengthRequired, Self.lengthRequired) }
        guard MediaType(request.headers[.contentType])?.isForm ?? false else {
            throw HTTPError(
                .unsupportedMediaType,
                .mediaType,
                "to subscribe send `topic` and `match` as application/x-www-form-urlencoded; to publish use POST topics/NAME"
            )
        }
        guard request.admitsEventStream else {
            throw HTTPError(.notAcceptable, .notAcceptable, "the answer is text/event-stream, which `Accept` excludes")
        }
        let bytes = try await request.collectBody(upTo: Self.maximumFormSize)
        let form = try FormParameters(decoding: bytes, limit: Self.maximumFormSize, place: "the form")
        return try await stream(request, Selection(try selectors(form, "")), namesTopic: true, form: form)
    }

    /// What the parameters of a query or a form mean.
    private func selectors(_ parameters: FormParameters, _ mark: String) throws -> [TopicSelector] {
        var wanted = StreamSelectors(maximumTopics: maximumTopics, maximumPatterns: maximumPatterns)
        do {
            for (name, value) in parameters {
                switch name {
                case "topic": try wanted.add(try Self.checked("topic", .badTopic, value) { try Topic($0) })
                case "match": try wanted.add(try Self.checked("match", .badSelector, value) { try TopicPattern($0) })
                default: break
                }
            }
        } catch let error as StreamSelectors.TooMany {
            throw HTTPError(.badRequest, .badSelector, error.message)
        }
        let selectors = wanted.selectors
        guard !selectors.isEmpty else {
            throw HTTPError(
                .badRequest,
                .badSelector,
                "say what to subscribe to: `\(mark)topic=NAME` or `\(mark)match=PATTERN`, once or more often"
            )
        }
        return selectors
    }

    private func stream(
        _ request: Request,
        _ selection: Selection,
        namesTopic: Bool,
        form: FormParameters = FormParameters()
    ) async throws -> Response {
        guard let permit = service.limit.take() else { return full }
        let start = start(request, form)
        let body = HubStreamBody(
            service: service,
            selection: selection,
            start: start,
            located: try await service.hub.locate(start),
            namesTopic: namesTopic,
            attachment: nil,
            permit: permit
        )
        return .handedOff(body)
    }

    /// Where a stream begins.
    ///
    /// What follows a tab is the topic that a stream of several put there. An ID that none of a hub's could be is one that
    /// history does not know, and leads to a gap: a browser that got an error would give up for good, and one that began
    /// with what comes next would miss events in silence.
    private func start(_ request: Request, _ form: FormParameters) -> StreamStart {
        switch request.resumePoint(form: form) {
        case .none: return .live
        case .malformed: return .after(Self.malformed)
        case .after(let text):
            let bytes = Array(text.utf8.prefix { $0 != 0x09 })
            if bytes == Array("earliest".utf8) { return .earliest }
            return .after(EventID(utf8: bytes) ?? Self.malformed)
        }
    }

    /// Stands for an ID that cannot be told in a gap, being too long or having control characters.
    ///
    /// Reserved: no event has it.
    private static let malformed = EventID(trusted: Array("#malformed".utf8))

    /// At the limit.
    ///
    /// Any other status makes a browser's `EventSource` give up for good.
    private var full: Response {
        Response(
            headers: [.contentType: "text/event-stream; charset=UTF-8", .cacheControl: "no-cache, no-transform"],
            body: .bytes(service.hub.options.retryBlock(times: 4))
        )
    }

    // MARK: - Operating

    private func purge(_ request: Request) async throws -> Response {
        .json("{\"removed\":\(try await service.hub.purge(try topic(request)))}")
    }

    private func status(_ request: Request) async throws -> Response {
        var top = 0
        if let text = request.queryParameters["top"] {
            guard let number = Int(text), (0...1000).contains(number) else {
                throw HTTPError(.badRequest, .badField, "`top` is not a number from 0 to 1000")
            }
            top = number
        }
        return .json(try await service.hub.status(top: top).json)
    }

    private func topic(_ request: Request) throws -> Topic {
        try Self.checked("topic", .badTopic, try request.pathParameters.require("topic")) { try Topic($0) }
    }

    private static func checked<Value>(
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
}

extension Request {
    /// Whether it does not say that it has a body, however empty: a mistake where a body is what it is about.
    ///
    /// RFC 9110, section 8.6: who sends a POST should always say. In HTTP/2 the frames do.
    fileprivate var lacksLength: Bool {
        version < .http2 && headers[.contentLength] == nil && headers[.transferEncoding] == nil
    }

    /// Whether the body is an event stream.
    fileprivate var isEventStream: Bool { MediaType(headers[.contentType])?.isEventStream ?? false }

    /// Whether `Accept` admits an event stream (RFC 9110, section 12.5.1): the most specific range that names it decides.
    fileprivate var admitsEventStream: Bool {
        guard let accept = headers[.accept] else { return true }
        var best = (specificity: -1, isAdmitted: false)
        for range in accept.split(separator: ",") {
            guard
                let specificity = ["*/*", "text/*", "text/event-stream"].firstIndex(
                    of: MediaType(String(range))?.essence ?? ""
                ),
                specificity > best.specificity
            else { continue }
            best = (specificity, !range.excludesItself)
        }
        return best.isAdmitted
    }
}

extension Substring {
    /// Whether the quality of a media range is 0.
    fileprivate var excludesItself: Bool {
        split(separator: ";").dropFirst().contains { parameter in
            let text = parameter.utf8.filter { $0 != 0x20 && $0 != 0x09 }
            guard text.count > 2, text[0] | 0x20 == UInt8(ascii: "q"), text[1] == UInt8(ascii: "=") else {
                return false
            }
            return text.dropFirst(2).allSatisfy { $0 == UInt8(ascii: "0") || $0 == UInt8(ascii: ".") }
        }
    }
}

#endif
