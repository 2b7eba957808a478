// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
public import Plinth
import PlinthHub

/// The `code` beside `error` in a hub's error response, for programs.
///
/// The table in `HubOverHTTP.md` documents each with its status; a test compares the two.
enum HubErrorCode: String, CaseIterable {
    case badTopic = "bad-topic"
    case badSelector = "bad-selector"
    case badID = "bad-id"
    case badField = "bad-field"
    case typeReserved = "type-reserved"
    case topicEnded = "topic-ended"
    case sequenceHole = "sequence-hole"
    case producerUnknown = "producer-unknown"
    case producerFenced = "producer-fenced"
    case keyReused = "key-reused"
    case unauthorized
    case tokenMalformed = "token-malformed"
    case tokenAlgorithm = "token-algorithm"
    case tokenKey = "token-key"
    case tokenSignature = "token-signature"
    case tokenExpired = "token-expired"
    case tokenEarly = "token-early"
    case tokenLifetime = "token-lifetime"
    case tokenIssuer = "token-issuer"
    case tokenAudience = "token-audience"
    case tokenClaim = "token-claim"
    case tokenRevoked = "token-revoked"
    case keysUnavailable = "keys-unavailable"
    case revocationOff = "revocation-off"
    case apiKey = "api-key"
    case forbidden
    case notFound = "not-found"
    case methodNotAllowed = "method-not-allowed"
    case timeout
    case lengthRequired = "length-required"
    case tooLarge = "too-large"
    case mediaType = "media-type"
    case notAcceptable = "not-acceptable"
    case hostForeign = "host-foreign"
    case originForeign = "origin-foreign"
    case rateLimit = "rate-limit"
    case streamsLimit = "streams-limit"
    case notTaken = "not-taken"
    case outcomeUnknown = "outcome-unknown"
    case unavailable
    case failed

    /// The code of an error that was thrown without one.
    init(_ status: HTTPResponse.Status) {
        self =
            switch status {
            case .unauthorized: .unauthorized
            case .forbidden: .forbidden
            case .notFound: .notFound
            case .methodNotAllowed: .methodNotAllowed
            case .requestTimeout: .timeout
            case .lengthRequired: .lengthRequired
            case .contentTooLarge: .tooLarge
            case .unsupportedMediaType: .mediaType
            case .notAcceptable: .notAcceptable
            case .tooManyRequests: .rateLimit
            case .serviceUnavailable: .unavailable
            default: status.kind == .serverError ? .failed : .badField
            }
    }
}

extension HTTPError {
    init(_ status: HTTPResponse.Status, _ code: HubErrorCode, _ message: String, headers: HTTPFields = [:]) {
        self.init(status, message, code: code.rawValue, headers: headers)
    }

    static func typeReserved(_ type: String) -> HTTPError {
        HTTPError(
            .badRequest,
            .typeReserved,
            "the type \(type.debugDescription) is reserved for the hub's own events; publish with another type"
        )
    }

    /// History cannot accept events now.
    static var notTaken: HTTPError {
        HTTPError(
            .serviceUnavailable,
            .notTaken,
            "history accepts no events now; none of these was published; retry later",
            headers: [.retryAfter: "1"]
        )
    }

    var jsonCode: String { code ?? HubErrorCode(status).rawValue }
}

extension Response {
    /// Names what the answer depends on, and forbids to store it (RFC 9111, section 5.2.2.5).
    fileprivate mutating func decidedByGrant() {
        headers[.cacheControl] = isEventStream ? "no-store, no-transform" : "no-store"
        headers[.vary] = "Origin, Cookie, Authorization"
    }

    private var isEventStream: Bool { MediaType(headers[.contentType])?.isEventStream ?? false }
}

extension Interceptor {
    /// Responds to errors in JSON.
    static let hubErrors = Interceptor(
        "hub-errors",
        error: { context, error in
            guard let refusal = HubRefusal(error.cause) else { throw error }
            context.response = refusal.response
        }
    )

    /// As ``hubErrors``, and keeps answers that a grant decided out of caches, which would give them to others.
    static let decidedAnswers = Interceptor(
        "hub-answers",
        leave: { context in
            if !context.isResponseSent { context.response?.decidedByGrant() }
        },
        error: { context, error in
            guard let refusal = HubRefusal(error.cause) else { throw error }
            context.response = refusal.response
            context.response?.decidedByGrant()
        }
    )

    /// Responds to errors like a hub's endpoints, in JSON with a code, for a chain that serves only a hub.
    ///
    /// It handles errors of interceptors before the routes, and responds with 404 if no route matches.
    ///
    /// - Returns: The interceptor `hub-error-responses`.
    public static func hubErrorResponses() -> Interceptor {
        Interceptor(
            "hub-error-responses",
            leave: { context in
                guard context.response == nil else { return }
                context.response =
                    HubRefusal(
                        http: HTTPError(.notFound, .notFound, "no route matches this request")
                    ).response
            },
            error: { context, error in
                guard let refusal = HubRefusal(error.cause) else { throw error }
                context.response = refusal.response
            }
        )
    }
}

#endif
