// SPDX-License-Identifier: Apache-2.0

#if Server

#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif
import HTTPTypes
import Plinth
import PlinthHub

/// Marks, limits of topics, purges and the status.
extension HubEndpoints {
    /// Answers `HEAD` of a topic: the hub's mark, whether the topic has ended, and a producer's state.
    ///
    /// Whoever may only publish gets the state of its own producers, and nothing about the topic.
    func mark(_ request: Request) async throws -> Response {
        let topic = try topic(request)
        let producer = try request.producerID()
        let admission = try await admit(request)
        let grant = admission.grant
        var headers = Self.markHeaders
        if producer == nil || !grant.publishes(to: topic) || grant.sees(topic) {
            headers = await mark(of: try admission.selection(of: [.exact(topic)]))
        }
        try checkRepetition(request, admission)
        guard let producer else { return Response(headers: headers, body: Self.unsized) }
        // Without its state a producer would begin anew: it has to ask again.
        let state = try await askHistory(request) {
            try await service.hub.history.producer(producer, of: grant.subject, in: topic)
        }
        if let state {
            headers[.producerEpoch] = "\(state.epoch)"
            headers[.producerSequence] = "\(state.sequence)"
        }
        return Response(headers: headers, body: Self.unsized)
    }

    /// Answers `HEAD` of several topics.
    func markOfSeveral(_ request: Request) async throws -> Response {
        let wanted = try selectors(request.queryParameters, "?")
        let selection = try await admit(request).selection(of: wanted)
        return Response(headers: await mark(of: selection), body: Self.unsized)
    }

    /// Stands for a stream's body in the answer with a mark: `HEAD` does not send it, and its length is unknown.
    ///
    /// A `Content-Length` would have to be the one of the stream (RFC 9110, section 8.6).
    private static let unsized = ResponseBody.writer { _ in }

    /// A mark needs no history; without its answer, nothing is said of ends.
    private func mark(of selection: Selection) async -> HTTPFields {
        // The mark is read last, so that a client that resumes after it has every end reported here.
        let haveEnded = (try? await service.hub.haveEnded(selection)) ?? false
        var headers = Self.markHeaders
        headers[.lastEventID] = service.hub.mark().description
        if haveEnded { headers[.topicEnded] = "true" }
        return headers
    }

    private static let markHeaders: HTTPFields = [
        .contentType: "text/event-stream; charset=UTF-8", .cacheControl: "no-store",
    ]

    // MARK: - Limits

    /// The most bytes of a topic's limits in JSON: 4 KiB.
    private static let maximumLimitsSize = 4096

    /// Sets the limits of a topic.
    func setLimits(_ request: Request) async throws -> Response {
        let topic = try topic(request)
        guard !request.lacksLength else { throw HTTPError(.lengthRequired, .lengthRequired, Self.lengthRequired) }
        guard MediaType(request.headers[.contentType])?.isJSON ?? false else {
            throw HTTPError(.unsupportedMediaType, .mediaType, "send the limits as JSON, with Content-Type: \(json)")
        }
        try await admit(request).permitOperating()
        let bytes = try await request.collectBody(upTo: Self.maximumLimitsSize)
        let limits = try Self.limits(bytes)
        let isNew = try await askHistory(request) { try await service.hub.setLimits(limits, of: topic) }
        return .json(limits.json, status: isNew ? .created : .ok)
    }

    private var json: String { "application/json" }

    private enum Limit: Decodable {
        case number(Int)
        case text(String)

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            if let number = try? value.decode(Int.self) {
                self = .number(number)
            } else {
                self = .text(try value.decode(String.self))
            }
        }
    }

    private static func limits(_ bytes: [UInt8]) throws -> TopicLimits {
        func refuse(_ reason: String) -> HTTPError {
            HTTPError(.badRequest, .badField, "the limits \(reason); an example: {\"events\":1000,\"age\":\"1h\"}")
        }
        guard let members = try? JSONDecoder().decode([String: Limit].self, from: Data(bytes)) else {
            throw refuse("are not a JSON object of numbers and times")
        }
        // The decoder keeps one of two members with the same name.
        guard members.count == membersWritten(bytes) else { throw refuse("have a member twice") }
        var limits = TopicLimits()
        for (name, value) in members {
            switch (name, value) {
            case ("events", .number(let number)) where number >= 0: limits.events = number
            case ("bytes", .number(let number)) where number >= 0: limits.bytes = number
            case ("age", .text(let text)):
                guard let age = TimeText.duration(text) else { throw refuse("have an `age` that is no time") }
                limits.age = age
            case ("events", _), ("bytes", _): throw refuse("have `\(name)` that is no number from 0")
            case ("age", _): throw refuse("have an `age` that is no text")
            default: throw refuse("have a member \(name.debugDescription), which is not `events`, `bytes` or `age`")
            }
        }
        return limits
    }

    /// The number of members of a JSON object without others in it: its colons outside of strings.
    private static func membersWritten(_ bytes: [UInt8]) -> Int {
        var count = 0
        var isInString = false
        var isEscaped = false
        for byte in bytes {
            if isInString {
                if byte == 0x22, !isEscaped { isInString = false }
                isEscaped = byte == 0x5C && !isEscaped
            } else if byte == 0x22 {
                isInString = true
            } else if byte == 0x3A {
                count += 1
            }
        }
        return count
    }

    // MARK: - Purge and status

    func purge(_ request: Request) async throws -> Response {
        let topic = try topic(request)
        try await admit(request).permitOperating()
        let removed = try await askHistory(request) { try await service.hub.purge(topic) }
        return .json("{\"removed\":\(removed)}")
    }

    func status(_ request: Request) async throws -> Response {
        var top = 0
        if let text = request.queryParameters["top"] {
            guard let number = Int(text), (0...1000).contains(number) else {
                throw HTTPError(.badRequest, .badField, "`top` is not a number from 0 to 1000")
            }
            top = number
        }
        try await admit(request).permitOperating()
        return .json(try await askHistory(request) { [top] in try await service.hub.status(top: top) }.json)
    }

    /// What history answers; 503 if it fails.
    func askHistory<Answer: Sendable>(
        _ request: Request,
        _ ask: @Sendable () async throws -> Answer
    ) async throws -> Answer {
        do {
            return try await ask()
        } catch {
            if HubRefusal(error) != nil { throw error }
            // Not by the error: what history waited for may fail because the client has left.
            try Task.checkCancellation()
            request.logger.error("history failed", metadata: ["error": "\(error)"])
            throw HTTPError(
                .serviceUnavailable,
                .unavailable,
                "history does not answer now; try again later",
                headers: [.retryAfter: "1"]
            )
        }
    }
}

extension TopicLimits {
    /// The limits as a JSON object.
    fileprivate var json: String {
        var members: [String] = []
        if let events { members.append("\"events\":\(events)") }
        if let bytes { members.append("\"bytes\":\(bytes)") }
        if let age { members.append("\"age\":\"\(age.wholeMilliseconds)ms\"") }
        return "{\(members.joined(separator: ","))}"
    }
}

#endif
