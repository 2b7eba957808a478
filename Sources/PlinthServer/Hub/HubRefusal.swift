// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
import Plinth
import PlinthHub

/// Why a hub's endpoints refuse a request: an error, and what a program needs to go on.
struct HubRefusal: Error {
    let error: HTTPError
    /// The error's members in JSON besides `error` and `code`, such as the last ID of a topic that has ended.
    let members: [(name: String, json: String)]

    init(http error: HTTPError, members: [(name: String, json: String)] = []) {
        self.error = error
        self.members = members
    }

    /// The refusal of a hub's error; nil if the client must not see the error.
    init?(_ error: any Error) {
        switch error {
        case let refusal as HubRefusal: self = refusal
        case let error as HTTPError: self.init(http: error)
        case let error as AuthorizerFailure: self.init(http: error.response)
        case let error as HubTokenError: self.init(http: error.response)
        case let error as TooManyRefusals: self.init(http: error.response)
        case let error as ExpiredSession: self.init(http: error.error.response)
        case let error as HistoryError: self.init(history: error)
        case let error as HubError: self.init(http: HTTPError(.badRequest, error.message, code: error.code.description))
        default: return nil
        }
    }

    private init(history error: HistoryError) {
        let message = error.description
        let expected = error.expectedSequence.map(String.init) ?? "0"
        switch error.code {
        case .topicEnded:
            let id = error.lastID?.description
            var headers: HTTPFields = [:]
            if let id { headers[.lastEventID] = id }
            self.init(
                http: HTTPError(.conflict, .topicEnded, message, headers: headers),
                members: [("id", JSONString.quoted(id))]
            )
        case .sequenceHole, .producerUnknown:
            let isKnown = error.code == .sequenceHole
            self.init(
                http: HTTPError(
                    .conflict,
                    isKnown ? .sequenceHole : .producerUnknown,
                    message,
                    headers: [.producerExpectedSequence: expected]
                ),
                members: [("expected", expected), ("known", "\(isKnown)")]
            )
        case .producerFenced:
            let epoch = error.currentEpoch.map(String.init) ?? "0"
            self.init(
                http: HTTPError(.forbidden, .producerFenced, message, headers: [.producerEpoch: epoch]),
                members: [("epoch", epoch)]
            )
        case .keyReused: self.init(http: HTTPError(.unprocessableContent, .keyReused, message))
        case .quota: self.init(http: HTTPError(.tooManyRequests, .rateLimit, message, headers: [.retryAfter: "60"]))
        case .notTaken: self.init(http: HTTPError(.serviceUnavailable, .notTaken, message, headers: [.retryAfter: "1"]))
        case .outcomeUnknown:
            self.init(http: HTTPError(.serviceUnavailable, .outcomeUnknown, message, headers: [.retryAfter: "1"]))
        default: self.init(http: HTTPError(.badRequest, .badID, message))
        }
    }

    /// The refusal without the last ID of a topic that has ended.
    var withoutLastID: HubRefusal {
        guard error.code == HubErrorCode.topicEnded.rawValue else { return self }
        var error = error
        error.headers[.lastEventID] = nil
        return HubRefusal(http: error, members: members.filter { $0.name != "id" })
    }

    /// The members of the error in JSON, without braces.
    var json: String {
        var json = "\"error\":\(JSONString.quoted(error.message)),\"code\":\(JSONString.quoted(error.jsonCode))"
        for member in members { json += ",\"\(member.name)\":\(member.json)" }
        return json
    }

    var response: Response { response("{\(json)}") }

    /// The refusal with another body.
    func response(_ json: String) -> Response {
        var response = Response.json(json, status: error.status)
        response.headers.append(contentsOf: error.headers)
        return response
    }
}

#endif
