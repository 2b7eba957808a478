// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub

extension HubEndpoints {
    func subscribe(_ request: Request) throws -> Answer {
        try subscribe(request, [.exact(try topic(request))], namesTopic: false)
    }

    /// Publishes to the topics of the query, or subscribes to those of a form.
    func postToSeveral(_ request: Request) throws -> Answer {
        if request.hasQuery, request.queryParameters["topic"] != nil { return try publishToSeveral(request) }
        return .later { try await subscribeByForm(request) }
    }

    func subscribeToSeveral(_ request: Request) throws -> Answer {
        try subscribe(request, try selectors(request.queryParameters, "?"), namesTopic: true)
    }

    private func subscribe(_ request: Request, _ wanted: [TopicSelector], namesTopic: Bool) throws -> Answer {
        if request.hasQuery, let wait = try Self.wait(request.queryParameters) {
            return .later {
                let admission = try await admit(request)
                return try await poll(request, try admission.selection(of: wanted), admission, for: wait)
            }
        }
        return try stream(request, wanted, namesTopic: namesTopic)
    }

    /// The most bytes of a subscription's form: 64 KiB.
    private static let maximumFormSize = 64 << 10

    /// Subscribes to more topics than fit in a URL.
    private func subscribeByForm(_ request: Request) async throws -> Response {
        let query = request.queryParameters
        guard query["match"] == nil else { throw HTTPError(.badRequest, .badSelector, Self.matchInQuery) }
        let wait = try Self.wait(query)
        guard !request.lacksLength else { throw HTTPError(.lengthRequired, .lengthRequired, Self.lengthRequired) }
        guard MediaType(request.headers[.contentType])?.isForm ?? false else {
            throw HTTPError(
                .unsupportedMediaType,
                .mediaType,
                "to subscribe, send an application/x-www-form-urlencoded body; to publish, use POST topics/NAME, or "
                    + "name the topics in the query"
            )
        }
        // Its presence, and not `Accept`, chooses the form of the answer.
        guard wait != nil || request.admitsEventStream else {
            throw HTTPError(.notAcceptable, .notAcceptable, "the response is an event stream, which `Accept` excludes")
        }
        guard let admission = try await comingBack({ try await admit(request) }) else { return comeBackLater }
        // Whoever is unknown and sees nothing is asked for credentials before the body is read.
        if admission.grant.subject == nil, admission.grant.subscribe.isEmpty { _ = try admission.selection(of: []) }
        let bytes = try await request.collectBody(upTo: Self.maximumFormSize)
        let form = try FormParameters(decoding: bytes, limit: Self.maximumFormSize, place: "the form")
        let selection = try admission.selection(of: try selectors(form, ""))
        if let wait = try wait ?? Self.wait(form) {
            return try await poll(request, selection, admission, for: wait, form: form)
        }
        return try await stream(request, selection, admission, namesTopic: true, form: form).response
    }

    /// The selectors in a query or a form.
    func selectors(_ parameters: FormParameters, _ mark: String) throws -> [TopicSelector] {
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
                "no topic is selected: at least one `\(mark)topic=NAME` or `\(mark)match=PATTERN` is needed"
            )
        }
        return selectors
    }

    private func stream(_ request: Request, _ wanted: [TopicSelector], namesTopic: Bool) throws -> Answer {
        do {
            if let admission = try admitNow(request) {
                return stream(request, try admission.selection(of: wanted), admission, namesTopic: namesTopic)
            }
        } catch let expired as ExpiredSession {
            return .now(try tell(expired, wanted))
        } catch let error where Self.mayComeBack(error) {
            return .now(comeBackLater)
        }
        return .later {
            let admission: Admission?
            do {
                admission = try await comingBack { try await admitLater(request) }
            } catch let expired as ExpiredSession {
                return try tell(expired, wanted)
            }
            guard let admission else { return comeBackLater }
            let selection = try admission.selection(of: wanted)
            return try await stream(request, selection, admission, namesTopic: namesTopic).response
        }
    }

    private func stream(
        _ request: Request,
        _ selection: Selection,
        _ admission: Admission,
        namesTopic: Bool,
        form: FormParameters = FormParameters()
    ) -> Answer {
        let start = start(request, form)
        let admit = { @Sendable (located: LocatedStart) -> Response in
            // The client has all that there will ever be: this ends an `EventSource` for good.
            if located.isPastAllEnds(of: selection) {
                return Response(status: .noContent, headers: [.cacheControl: "no-store"])
            }
            guard let permit = permit(request, admission) else { return comeBackLater }
            let stream = AdmittedStream(
                selection: selection,
                start: start,
                located: located,
                form: StreamForm(isChunked: false, namesTopic: namesTopic),
                owner: owner(admission),
                lifetime: { lifetime(request, admission) },
                permit: permit
            )
            return .handedOff(HubStreamBody(service, stream))
        }
        if let located = service.hub.locateNow(start, selection) { return .now(admit(located)) }
        return .later { admit(await service.hub.locate(start, selection, within: Self.patience)) }
    }

    /// How long a stream may last besides the maximum age of all: as its grant, and behind a proxy not for long.
    private func lifetime(_ request: Request, _ admission: Admission) -> Duration? {
        let rest = rest(of: admission)
        let options = service.hub.options
        guard request.forwarded != nil, options.maximumAge == nil, let age = maximumAgeBehindProxy else { return rest }
        let longest = max(0, age.wholeMilliseconds)
        let own = Duration.milliseconds(options.random((longest - longest / 5)...longest))
        return min(own, rest ?? own)
    }

    /// A permit for a stream or a long-poll; nil at a limit.
    func permit(_ request: Request, _ admission: Admission) -> OpenPermit? {
        try? service.limit.take(
            address: request.clientAddress.flatMap(AddressKey.init),
            subject: admission.grant.subject
        )
    }

    /// How long a stream waits to be located in a history that does not answer, before it opens and waits as a stream.
    private static let patience = Duration.seconds(1)

    /// Where a stream begins.
    ///
    /// A stream of several topics appends a tab and the topic to each ID; both are ignored here. An invalid ID counts
    /// as one unknown to history, and yields a gap event: after an error a browser would give up for good, and a live
    /// stream would miss events silently.
    func start(_ request: Request, _ form: FormParameters) -> StreamStart {
        switch request.resumePoint(form: form) {
        case .none: return .live
        case .malformed: return .after(Self.malformed)
        case .after(let text):
            let bytes = Array(text.utf8.prefix { $0 != 0x09 })
            if bytes == Array("earliest".utf8) { return .earliest }
            return .after(EventID(utf8: bytes) ?? Self.malformed)
        }
    }

    /// Replaces, in a gap event, an ID that is too long or has control characters.
    ///
    /// Reserved: no event has it.
    private static let malformed = EventID(trusted: Array("#malformed".utf8))

    /// Whether an error passes: a browser is then to come back, and would not at any status but 200.
    private static func mayComeBack(_ error: any Error) -> Bool {
        error is AuthorizerFailure || error is TooManyRefusals || (error as? HubTokenError)?.code == .keysUnavailable
    }

    /// The result of a closure; nil if it cannot be had now.
    private func comingBack(_ admit: () async throws -> Admission) async throws -> Admission? {
        do {
            return try await admit()
        } catch let error where Self.mayComeBack(error) {
            return nil
        }
    }

    /// Tells a browser whose cookie has expired: its page gets a new one, and its `EventSource` comes back with it.
    private func tell(_ expired: ExpiredSession, _ wanted: [TopicSelector]) throws -> Response {
        guard expired.isTold(at: wallClock()) else { throw expired.error }
        try checkRevocation(expired.admission)
        _ = try expired.admission.selection(of: wanted)
        let refusal = HubRefusal(http: expired.error.response)
        var response = comeBackLater
        var bytes = service.hub.options.retryBlock(times: 4)
        ServerSentEvent(type: "expired", data: "{\(refusal.json)}").encode(into: &bytes)
        response.body = .bytes(bytes)
        return response
    }

    /// The response at the limit of streams, and when the authorizer fails.
    ///
    /// After any status but 200, a browser's `EventSource` would give up for good.
    private var comeBackLater: Response {
        Response(
            headers: [.contentType: "text/event-stream; charset=UTF-8", .cacheControl: "no-cache, no-transform"],
            body: .bytes(service.hub.options.retryBlock(times: 4))
        )
    }
}

extension Request {
    /// Whether `Accept` admits an event stream (RFC 9110, section 12.5.1): the most specific range that names it
    /// decides.
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
