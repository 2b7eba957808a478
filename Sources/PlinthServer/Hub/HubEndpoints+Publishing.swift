// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub

extension HubEndpoints {
    /// What a request publishes besides its body.
    private struct Publication {
        var topics: [Topic]
        var type: String?
        var retry: Duration?
        /// Whether the topic ends after the body.
        var ends = false
        var producer: ProducerStamp?
        var key: IdempotencyKey?

        /// Whether the answer counts events.
        var counts: Bool { ends || producer != nil }
    }

    func publish(_ request: Request) throws -> Answer {
        try publish(try publication(request, [try topic(request)]), request)
    }

    /// Publishes one event to several topics.
    func publishToSeveral(_ request: Request) throws -> Answer {
        let query = request.queryParameters
        guard query["match"] == nil else { throw HTTPError(.badRequest, .badSelector, Self.matchInQuery) }
        var topics: [Topic] = []
        for (name, value) in query where name == "topic" {
            let topic = try Self.checked("topic", .badTopic, value) { try Topic($0) }
            if !topics.contains(topic) { topics.append(topic) }
            guard topics.count <= Self.maximumTopicsOfEvent else {
                throw HTTPError(
                    .badRequest,
                    .badSelector,
                    "an event may have at most \(Self.maximumTopicsOfEvent) topics; publish it more than once"
                )
            }
        }
        return try publish(try publication(request, topics), request)
    }

    /// The most topics of one event: 64.
    private static let maximumTopicsOfEvent = 64

    static let matchInQuery =
        "`match` is not allowed in the query of a POST; to subscribe, send it in a form in the body, or use GET"

    private func publication(_ request: Request, _ topics: [Topic]) throws -> Publication {
        var publication = Publication(topics: topics)
        // Most publishers send neither.
        if request.hasQuery {
            let query = request.queryParameters
            publication.type = try eventType(query["type"])
            publication.retry = try retryTime(query["retry"])
            publication.ends = try ends(query["end"])
        }
        if request.mayRepeat {
            publication.producer = try request.producerStamp()
            publication.key = try request.idempotencyKey()
        }
        try check(publication, request)
        guard !request.lacksLength else { throw HTTPError(.lengthRequired, .lengthRequired, Self.lengthRequired) }
        return publication
    }

    private func check(_ publication: Publication, _ request: Request) throws {
        func refuse(_ reason: String) -> HTTPError { HTTPError(.badRequest, .badField, reason) }
        let isSeveral = publication.topics.count > 1
        if isSeveral, publication.ends { throw refuse("`end` ends one topic; the request has several") }
        if isSeveral, publication.producer != nil { throw refuse("a producer publishes to one topic at a time") }
        if publication.key != nil, publication.producer != nil {
            throw refuse("a producer's numbers need no Idempotency-Key; send one or the other")
        }
        guard isSeveral || publication.key != nil, request.isEventStream else { return }
        if isSeveral { throw refuse("an event stream is published to one topic; the request has several") }
        throw refuse("an Idempotency-Key stands for one event, not for an event stream; use Producer-ID")
    }

    private func publish(_ publication: Publication, _ request: Request) throws -> Answer {
        guard let admission = try admitNow(request) else {
            return .later {
                let admission = try await admitLater(request)
                try permit(publication, request, admission)
                return try await publish(publication, request, admission)
            }
        }
        try permit(publication, request, admission)
        guard !request.isEventStream, let bytes = try request.body.collectNow(upTo: maximumEventSize) else {
            return .later { try await publish(publication, request, admission) }
        }
        try countUnannounced(bytes, request, admission)
        let append = try append(publication, bytes, admission)
        do {
            if let result = try service.hub.publishNow(append) { return .now(published(result, publication)) }
        } catch {
            throw try refusal(error, request, publication, admission)
        }
        return .later { try await publish(append, publication, request, admission) }
    }

    private func permit(_ publication: Publication, _ request: Request, _ admission: Admission) throws {
        try admission.permitPublishing(to: publication.topics)
        try checkRepetition(request, admission)
        // An upload is counted as it arrives.
        guard authorizer != nil, !request.isEventStream else { return }
        // What is announced and too large is refused later, and must not be a debt of hours.
        let announced = request.headers.value(of: .contentLength).flatMap { Int($0) } ?? 0
        try take(min(max(0, announced), maximumEventSize), events: 1, request, admission)
    }

    /// Counts the bytes of a body that had no length before it.
    private func countUnannounced(_ bytes: [UInt8], _ request: Request, _ admission: Admission) throws {
        guard authorizer != nil, !request.headers.contains(.contentLength) else { return }
        try take(bytes.count, events: 0, request, admission)
    }

    private func take(_ bytes: Int, events: Int, _ request: Request, _ admission: Admission) throws {
        guard let wait = wait(admission, request, events: events, bytes: bytes) else { return }
        throw HTTPError(
            .tooManyRequests,
            .rateLimit,
            "this subject publishes faster than it may; wait, or publish less",
            headers: [.retryAfter: wait.retryAfter]
        )
    }

    private func wait(_ admission: Admission, _ request: Request, events: Int, bytes: Int) -> Duration? {
        rates.wait(admission.grant, request, events: events, bytes: bytes, now: service.hub.options.now())
    }

    private func publish(
        _ publication: Publication,
        _ request: Request,
        _ admission: Admission
    ) async throws -> Response {
        if request.isEventStream { return try await publishAll(request, publication, admission) }
        let bytes = try await request.body.collect(upTo: maximumEventSize)
        try countUnannounced(bytes, request, admission)
        return try await publish(try append(publication, bytes, admission), publication, request, admission)
    }

    private func publish(
        _ append: AppendRequest,
        _ publication: Publication,
        _ request: Request,
        _ admission: Admission
    ) async throws -> Response {
        do {
            return published(try await service.hub.publish(append), publication)
        } catch {
            throw try refusal(error, request, publication, admission)
        }
    }

    private func published(_ result: AppendResult, _ publication: Publication) -> Response {
        var json: [UInt8] = []
        json.reserveCapacity(48)
        json.append(contentsOf: "{\"id\":\"".utf8)
        JSONString.appendEscaped(result.lastID.utf8.span, to: &json)
        json.append(0x22)
        if publication.counts {
            json.append(contentsOf: ",\"count\":\(result.count)".utf8)
            if publication.producer != nil || result.repeated > 0 {
                json.append(contentsOf: ",\"repeated\":\(result.repeated)".utf8)
            }
        }
        json.append(contentsOf: "}\n".utf8)
        var response = Response.json(utf8: json, status: result.count > 0 ? .created : .ok)
        if result.isReplayed { response.headers[.idempotentReplayed] = "true" }
        return response
    }

    private func append(_ publication: Publication, _ bytes: [UInt8], _ admission: Admission) throws -> AppendRequest {
        let event = publication.ends && bytes.isEmpty ? nil : try event(publication, bytes)
        return AppendRequest(
            event.map { [$0] } ?? [],
            ending: publication.ends ? publication.topics[0] : nil,
            producer: publication.producer,
            key: publication.key,
            subject: admission.grant.subject
        )
    }

    private func event(_ publication: Publication, _ bytes: [UInt8]) throws -> NewEvent {
        guard let data = String(validating: bytes, as: UTF8.self) else {
            throw HTTPError(.badRequest, .badField, "the body is not valid UTF-8, which an event's data must be")
        }
        do {
            let event = try ServerSentEvent(type: publication.type, data: data, retry: publication.retry)
            return NewEvent(event, topics: publication.topics)
        } catch {
            throw HTTPError(.badRequest, .badField, "\(error)")
        }
    }

    /// Why events were not published.
    ///
    /// - Throws: `CancellationError`, if the client has left.
    private func refusal(
        _ error: any Error,
        _ request: Request,
        _ publication: Publication,
        _ admission: Admission
    ) throws -> HubRefusal {
        if error is CancellationError { throw error }
        // Whoever may not see a topic is not told its last ID.
        if let refusal = HubRefusal(error) {
            return publication.topics.allSatisfy(admission.grant.sees) ? refusal : refusal.withoutLastID
        }
        request.logger.error("publishing to history failed", metadata: ["error": "\(error)"])
        return HubRefusal(http: .notTaken)
    }

    private func eventType(_ text: String?) throws -> String? {
        guard let text, !text.isEmpty else { return nil }
        if service.hub.isReserved(text) { throw HTTPError.typeReserved(text) }
        return text
    }

    private func retryTime(_ text: String?) throws -> Duration? {
        guard let text else { return nil }
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            throw HTTPError(.badRequest, .badField, "`retry` is not a number of milliseconds: only digits are allowed")
        }
        // The hub clamps it, so an overflowing value needs no error.
        return .milliseconds(min(Int64(text) ?? .max, 1 << 53 - 1))
    }

    private func ends(_ text: String?) throws -> Bool {
        guard let text else { return false }
        guard text.isEmpty || text == "true" else {
            throw HTTPError(.badRequest, .badField, "`end` has no value but `true`; leave it out to end nothing")
        }
        return true
    }

    // MARK: - Event streams

    /// Publishes each event of an event stream, in order; reads the stream no faster than history takes its events.
    private func publishAll(
        _ request: Request,
        _ publication: Publication,
        _ admission: Admission
    ) async throws -> Response {
        let hub = service.hub
        var upload = EventUpload(
            topic: publication.topics[0],
            producer: publication.producer,
            subject: admission.grant.subject,
            maximumEventSize: maximumEventSize,
            isReserved: hub.isReserved
        )
        let pause = uploadIdleTimeout ?? .seconds(Int64.max)
        request.body.mayPause(for: pause)
        // The grant must still stand at each append: an upload may last.
        func append(_ append: AppendRequest, to upload: inout EventUpload) async throws {
            do {
                try check(admission)
                upload.accepted(try await hub.publish(append))
            } catch {
                throw upload.refused(try refusal(error, request, publication, admission))
            }
        }
        do {
            for try await bytes in request.body {
                let events = upload.parse(bytes)
                // Not read on meanwhile, so that the publisher is no faster than it may be.
                while authorizer != nil, let wait = wait(admission, request, events: events.count, bytes: bytes.count) {
                    try await hub.options.pause(wait)
                }
                if !events.isEmpty { try await append(upload.request(events), to: &upload) }
                if let failure = upload.failure { throw failure }
                request.body.mayPause(for: upload.isWithinEvent ? nil : pause)
            }
            upload.finish()
            if let failure = upload.failure { throw failure }
            // The end is an append of its own: it needs the whole body.
            if publication.ends { try await append(upload.request([], ends: true), to: &upload) }
        } catch let failure as EventUpload.Failure {
            return failure.refusal.response(upload.report(failure))
        } catch let error as HTTPError {
            let failure = EventUpload.Failure(error.message, HubRefusal(http: error))
            return failure.refusal.response(upload.report(failure))
        }
        return .json(upload.report(nil), status: upload.isRepeated ? .ok : .created)
    }
}

extension Request {
    /// Whether the body is an event stream.
    fileprivate var isEventStream: Bool {
        // Most publishers send a shorter type, such as `text/plain` or `application/json`, which need not be parsed.
        guard let type = headers.value(of: .contentType), type.utf8.count >= "text/event-stream".utf8.count else {
            return false
        }
        return MediaType(type)?.isEventStream ?? false
    }
}

#endif
