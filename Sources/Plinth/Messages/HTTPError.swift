// SPDX-License-Identifier: Apache-2.0

/// An error that provides its own response.
///
/// If no interceptor handles it, the chain answers with that response; any other error becomes a 500 without details.
public protocol ResponseError: Error {
    /// The response sent to the client.
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
    /// The body of the response, as plain text: what was wrong and how to fix it.
    ///
    /// It is sent to the client.
    public var message: String
    /// A short, stable, machine-readable name of the error; nil for none.
    ///
    /// It is not part of ``response``; interceptors with their own error format may send it.
    public var code: String?
    /// Additional header fields of the response.
    public var headers: HTTPFields

    /// Creates an error with a status.
    ///
    /// - Parameters:
    ///   - status: The status of the response.
    ///   - message: The body sent to the client. Default: the reason phrase of the status.
    ///   - code: A machine-readable name of the error. Default: none.
    ///   - headers: Additional header fields, such as `Retry-After`. Default: none.
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

    /// An error with status 413: the request body exceeds `limit` bytes.
    public static func contentTooLarge(limit: Int) -> HTTPError {
        HTTPError(.contentTooLarge, "the body exceeds \(limit) bytes")
    }
}
