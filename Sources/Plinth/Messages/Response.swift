// SPDX-License-Identifier: Apache-2.0

/// A response: status, header fields and a body of any kind.
public struct Response: Sendable {
    /// The status.
    public var status: HTTPResponse.Status
    /// The header fields.
    ///
    /// The connector adds what it alone knows: the framing of the body and, on HTTP/1.1, `Connection`.
    public var headers: HTTPFields
    /// The body.
    public var body: ResponseBody

    /// A response of these parts.
    public init(status: HTTPResponse.Status = .ok, headers: HTTPFields = [:], body: ResponseBody = .empty) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// A text, with its content type.
    ///
    /// - Parameters:
    ///   - text: The body.
    ///   - status: 200 unless given.
    ///   - contentType: `text/plain; charset=utf-8` unless given.
    /// - Returns: The response.
    public static func text(
        _ text: String,
        status: HTTPResponse.Status = .ok,
        contentType: String = "text/plain; charset=utf-8"
    ) -> Response {
        Response(status: status, headers: [.contentType: contentType], body: .string(text))
    }

    /// A page.
    public static func html(_ page: String, status: HTTPResponse.Status = .ok) -> Response {
        text(page, status: status, contentType: "text/html; charset=utf-8")
    }

    /// A redirection.
    ///
    /// - Parameters:
    ///   - location: Where to; percent-encoded by the caller.
    ///   - status: 303 (ask there with `GET`) unless given.
    /// - Returns: The response.
    public static func redirect(to location: String, status: HTTPResponse.Status = .seeOther) -> Response {
        Response(status: status, headers: [.location: location])
    }
}
