// SPDX-License-Identifier: Apache-2.0

#if Server

import HTTPTypes
public import Plinth
import PlinthHub

/// What is wrong with a request to a hub, for programs: the `code` beside `error` in an answer.
///
/// The table in `HubOverHTTP.md` documents each with its status; a test compares the two.
enum HubErrorCode: String, CaseIterable {
    case badTopic = "bad-topic"
    case badSelector = "bad-selector"
    case badID = "bad-id"
    case badField = "bad-field"
    case typeReserved = "type-reserved"
    case notFound = "not-found"
    case methodNotAllowed = "method-not-allowed"
    case timeout
    case lengthRequired = "length-required"
    case tooLarge = "too-large"
    case mediaType = "media-type"
    case notAcceptable = "not-acceptable"
    case hostForeign = "host-foreign"
    case originForeign = "origin-foreign"
    case notTaken = "not-taken"
    case failed

    /// The code of an error that was thrown where codes are not known.
    init(_ status: HTTPResponse.Status) {
        self =
            switch status {
            case .notFound: .notFound
            case .methodNotAllowed: .methodNotAllowed
            case .requestTimeout: .timeout
            case .lengthRequired: .lengthRequired
            case .contentTooLarge: .tooLarge
            case .unsupportedMediaType: .mediaType
            case .notAcceptable: .notAcceptable
            default: status.kind == .serverError ? .failed : .badField
            }
    }
}

extension HTTPError {
    init(_ status: HTTPResponse.Status, _ code: HubErrorCode, _ message: String, headers: HTTPFields = [:]) {
        self.init(status, message, code: code.rawValue, headers: headers)
    }

    /// An error of the hub's; nil for one that says nothing to the client.
    init?(hub error: any Error) {
        switch error {
        case let error as HTTPError: self = error
        case let error as HistoryError: self.init(.badRequest, .badID, error.description)
        case let error as HubError: self.init(.badRequest, error.message, code: error.code.description)
        default: return nil
        }
    }

    static func typeReserved(_ type: String) -> HTTPError {
        HTTPError(
            .badRequest,
            .typeReserved,
            "only the hub's own events are of the type \(type.debugDescription); publish with another type"
        )
    }

    /// History is not able to take events now.
    static var notTaken: HTTPError {
        HTTPError(
            .serviceUnavailable,
            .notTaken,
            "history takes no events now; none of these is published, send them again later",
            headers: [.retryAfter: "1"]
        )
    }

    /// The error in JSON: in words, and its code.
    var json: Response {
        var response = Response.json(
            "{\"error\":\(JSONString.quoted(message)),\"code\":\(JSONString.quoted(jsonCode))}",
            status: status
        )
        response.headers.append(contentsOf: headers)
        return response
    }

    var jsonCode: String { code ?? HubErrorCode(status).rawValue }
}

extension Interceptor {
    /// Says errors in JSON.
    static let hubErrors = Interceptor(
        "hub-errors",
        error: { context, error in
            guard let error = HTTPError(hub: error.cause) else { throw error }
            context.response = error.json
        }
    )

    /// Answers errors as a hub's endpoints do, in JSON with a code, for a chain that serves nothing else: those of
    /// interceptors before the routes, and 404 where no route matches.
    ///
    /// - Returns: The interceptor `hub-error-responses`.
    public static func hubErrorResponses() -> Interceptor {
        Interceptor(
            "hub-error-responses",
            leave: { context in
                guard context.response == nil else { return }
                context.response = HTTPError(.notFound, .notFound, "nothing here answers this request").json
            },
            error: { context, error in
                guard let error = HTTPError(hub: error.cause) else { throw error }
                context.response = error.json
            }
        )
    }
}

#endif
