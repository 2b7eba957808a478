// SPDX-License-Identifier: Apache-2.0

/// An error that knows the response it stands for.
///
/// One that nobody handles on its way out of the chain becomes that response; any other error becomes a 500 without
/// details.
public protocol ResponseError: Error {
    /// What the client is told.
    var response: Response { get }
}

/// An error with a status, thrown by handlers and interceptors to end a request.
///
/// ```swift
/// guard let order = orders[id] else { throw HTTPError(.notFound, "no order \(id)") }
/// ```
public struct HTTPError: ResponseError, CustomStringConvertible {
    /// The status of the response.
    public var status: HTTPResponse.Status
    /// The body of the response, as plain text: what was wrong and what to do.
    ///
    /// It reaches the client.
    public var message: String
    /// What was wrong, for programs: a short name that does not change.
    ///
    /// Nil for none. It is not in ``response``; interceptors that answer in a form of their own may send it.
    public var code: String?
    /// More header fields of the response.
    public var headers: HTTPFields

    /// An error with a status.
    ///
    /// - Parameters:
    ///   - status: The status of the response.
    ///   - message: What the client is told; the status's reason phrase unless given.
    ///   - code: What was wrong, for programs; none unless given.
    ///   - headers: More header fields, such as `Retry-After`.
    public init(
        _ status: HTTPResponse.Status,
        _ message: String? = nil,
        code: String? = nil,
        headers: HTTPFields = [:]
    ) {
        self.status = status
        self.message = message ?? status.reasonPhrase
        self.code = code
        self.headers = headers
    }

    /// The status and the message as plain text.
    public var response: Response {
        var response = Response.text(message + "\n", status: status)
        for field in headers where field.name == .contentType { response.headers[field.name] = nil }
        response.headers.append(contentsOf: headers)
        return response
    }

    /// `404 Not Found: no order 7`.
    public var description: String { "\(status.code) \(status.reasonPhrase): \(message)" }

    /// 413: the request's body has more bytes than are accepted.
    public static func contentTooLarge(limit: Int) -> HTTPError {
        HTTPError(.contentTooLarge, "the body is longer than the \(limit) bytes accepted here")
    }
}
