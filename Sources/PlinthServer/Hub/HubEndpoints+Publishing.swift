// SPDX-License-Identifier: Apache-2.0

#if Server

import Plinth
import PlinthHub

extension HubEndpoints {
    /// What a request publishes besides its body.
    private struct Publication {
        let topic: Topic
        let type: String?
        let retry: Duration?
    }

    func publish(_ request: Request) throws -> Answer {
        let query = request.queryParameters
        let publication = Publication(
            topic: try topic(request),
            type: try eventType(query["type"]),
            retry: try retryTime(query["retry"])
        )
        guard !request.lacksLength else { throw HTTPError(.lengthRequired, .lengthRequired, Self.lengthRequired) }
        guard try grantNow(request) != nil else {
            return .later {
                _ = try await grantLater(request)
                return try await publish(publication, request)
            }
        }
        guard !request.isEventStream, let bytes = try request.body.collectNow(upTo: maximumEventSize) else {
            return .later { try await publish(publication, request) }
        }
        let event = try event(publication, bytes)
        do {
            if let ids = try service.hub.publishNow([event]) { return .now(published(ids)) }
        } catch {
            throw try refusal(error, request)
        }
        return .later { try await publish(event, request) }
    }

    private func publish(_ publication: Publication, _ request: Request) async throws -> Response {
        if request.isEventStream { return try await publishAll(request, publication.topic) }
        let bytes = try await request.body.collect(upTo: maximumEventSize)
        return try await publish(try event(publication, bytes), request)
    }

    private func publish(_ event: NewEvent, _ request: Request) async throws -> Response {
        do {
            return published(try await service.hub.publish([event]))
        } catch {
            throw try refusal(error, request)
        }
    }

    private func published(_ ids: [PlinthHub.EventID]) -> Response {
        var json: [UInt8] = []
        json.reserveCapacity(48)
        json.append(contentsOf: "{\"id\":\"".utf8)
        if let id = ids.first { JSONString.appendEscaped(id.utf8.span, to: &json) }
        json.append(contentsOf: "\"}\n".utf8)
        return .json(utf8: json, status: .created)
    }

    private func event(_ publication: Publication, _ bytes: [UInt8]) throws -> NewEvent {
        guard let data = String(validating: bytes, as: UTF8.self) else {
            throw HTTPError(.badRequest, .badField, "the body is not valid UTF-8, which an event's data must be")
        }
        do {
            let event = try ServerSentEvent(type: publication.type, data: data, retry: publication.retry)
            return NewEvent(event, topics: [publication.topic])
        } catch {
            throw HTTPError(.badRequest, .badField, "\(error)")
        }
    }

    /// Why events were not published.
    ///
    /// - Throws: `CancellationError`, if the client has left.
    private func refusal(_ error: any Error, _ request: Request) throws -> HTTPError {
        if error is CancellationError { throw error }
        if let error = HTTPError(hub: error) { return error }
        request.logger.error("publishing to history failed", metadata: ["error": "\(error)"])
        return .notTaken
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

    /// Publishes each event of an event stream, in order; reads the stream no faster than history takes its events.
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

    /// The response to a failed upload: the events published, and the error.
    private func report(_ upload: EventUpload, _ failure: EventUpload.Failure) -> Response {
        var response = Response.json(upload.report(failure), status: failure.status)
        response.headers.append(contentsOf: failure.headers)
        return response
    }

    /// Publishes events of an upload.
    private func append(_ events: [NewEvent], of upload: EventUpload, _ request: Request) async throws -> [EventID] {
        do {
            return try await service.hub.publish(events)
        } catch {
            throw upload.refused(try refusal(error, request))
        }
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
