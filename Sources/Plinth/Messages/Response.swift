// SPDX-License-Identifier: Apache-2.0

/// A response: status, header fields and body.
public struct Response: Sendable {
    /// The status.
    public var status: HTTPResponse.Status
    /// The header fields.
    ///
    /// The connector adds the framing of the body and, on HTTP/1.1, `Connection`.
    public var headers: HTTPFields
    /// The body.
    public var body: ResponseBody

    /// Creates a response.
    public init(status: HTTPResponse.Status = .ok, headers: HTTPFields = [:], body: ResponseBody = .empty) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// Creates a text response.
    ///
    /// - Parameters:
    ///   - text: The body.
    ///   - status: The status. Default: 200.
    ///   - contentType: The `Content-Type` field. Default: `text/plain; charset=utf-8`.
    /// - Returns: The response.
    public static func text(
        _ text: String,
        status: HTTPResponse.Status = .ok,
        contentType: String = "text/plain; charset=utf-8"
    ) -> Response {
        Response(status: status, headers: [.contentType: contentType], body: .string(text))
    }

    /// Creates an HTML response, with `Content-Type: text/html; charset=utf-8`.
    public static func html(_ page: String, status: HTTPResponse.Status = .ok) -> Response {
        text(page, status: status, contentType: "text/html; charset=utf-8")
    }

    /// Creates a redirect.
    ///
    /// - Parameters:
    ///   - location: The `Location` field, percent-encoded by the caller.
    ///   - status: The status. Default: 303, which makes the client follow with `GET`.
    /// - Returns: The response.
    public static func redirect(to location: String, status: HTTPResponse.Status = .seeOther) -> Response {
        Response(status: status, headers: [.location: location])
    }
}
